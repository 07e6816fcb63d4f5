"""The dashboards as they are built, and what a browser would ask of the ledger when one is opened."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from grafana_macros import ALL, Value, View, expand

from otel_llmcost.exporters.clickhouse.client import Ledger

GRAFANA = Path(__file__).parents[2] / "grafana"
Json = dict[str, Any]
BOARDS: Mapping[str, Json] = {
    path.stem: json.loads(path.read_text("utf-8")) for path in sorted((GRAFANA / "dashboards").glob("*.json"))
}
PANELS = [(name, panel) for name, board in BOARDS.items() for panel in board["panels"]]
ASKING = [(name, panel) for name, panel in PANELS if "rawSql" in panel["targets"][0]]
"""Panels with a query of their own; the others show a result of one of these, or ask Prometheus."""


def sql_of(panel: Json) -> str:
    return str(panel["targets"][0]["rawSql"])


def lists(name: str) -> list[Json]:
    """The variables of a dashboard that are filled by a query."""
    return [variable for variable in BOARDS[name]["templating"]["list"] if variable["type"] == "query"]


def opened(
    name: str, end: datetime, length: timedelta, ledger: Ledger | None = None, chosen: Mapping[str, Value] | None = None
) -> View:
    """What a user sees who opens a dashboard: defaults, and the first of each single-value list of `ledger`."""
    values: dict[str, Value] = {}
    view = View(end - length, end, max(1, int(length.total_seconds() / 168)), values)
    for variable in BOARDS[name]["templating"]["list"]:
        if variable["type"] == "query" and variable["multi"]:
            values[variable["name"]] = [ALL]
        elif variable["type"] == "query":
            rows = ledger.query(expand(variable["query"]["rawSql"], view)).rows if ledger else []
            values[variable["name"]] = str(rows[0][0]) if rows else ""
        elif variable["type"] in ("textbox", "custom"):
            values[variable["name"]] = variable["current"]["value"]
    values.update(chosen or {})
    return view
