"""Every query of every dashboard: over an empty ledger, over a month of a made-up company, and over HTTP."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import isfinite
from pathlib import Path
from typing import Any

import pytest
from demo_calls import NOW
from demo_ledger import fill_ledger
from grafana_boards import ASKING, BOARDS, PANELS, Json, lists, opened, sql_of
from grafana_ledger import filled_ledger
from grafana_macros import expand

from otel_llmcost.detection.run import create
from otel_llmcost.exporters.clickhouse.client import Ledger
from otel_llmcost.exporters.clickhouse.embedded import EmbeddedSql
from otel_llmcost.exporters.clickhouse.http import Access, SqlEndpoint

DAY = timedelta(days=1)
NAMES = ["O'Neil", "back\\\\slash", "${team:raw}", "$__all_", "a, b", '"']
EMPTY_IN_THE_DEMO: set[tuple[str, str]] = set()
"""Panels that show nothing where all is well."""


def new_lists(name: str) -> list[Json]:
    """The lists of a dashboard; those of dimensions, the same everywhere, are of the first dashboard only."""
    return [variable for variable in lists(name) if not variable["multi"] or name == next(iter(BOARDS))]


def titled(pairs: list[tuple[str, Json]]) -> list[Any]:
    return [pytest.param(name, panel, id=f"{name}: {panel['title']}") for name, panel in pairs]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("boards") / "ledger"
    fill_ledger(path, days=8, judged_days=0.2)
    return path


@pytest.fixture(scope="module")
def ledger(path: Path) -> Iterator[Ledger]:
    with Ledger.open(f"chdb://{path}") as ledger:
        yield ledger


@pytest.mark.parametrize(("name", "panel"), titled(ASKING))
def test_panel_has_rows_of_the_right_types(ledger: Ledger, name: str, panel: Json) -> None:
    """
    A chart has a time first, in order, and numbers; a stat numbers in one row; a table its columns; none is empty.
    """
    answer = ledger.query(expand(sql_of(panel), opened(name, NOW, DAY, ledger)))

    assert answer.rows or (name, panel["title"]) in EMPTY_IN_THE_DEMO
    types = dict(zip(answer.columns, zip(*answer.rows, strict=True), strict=True)) if answer.rows else {}
    if panel["type"] == "timeseries" and answer.rows:
        assert "time" == answer.columns[0]
        assert all(isinstance(value, datetime) for value in types["time"])
        assert list(types["time"]) == sorted(types["time"])
        assert any(is_number(values) for column, values in types.items() if column != "time")
    if panel["type"] == "barchart":
        assert all(isinstance(value, str) for value in types[answer.columns[0]])
        assert is_number(types[answer.columns[1]])
    if panel["type"] == "stat":
        assert 1 == len(answer.rows)
        assert all(is_number(values) or isinstance(values[0], datetime) for values in types.values())
    for override in panel["fieldConfig"]["overrides"]:
        if panel["type"] == "table" and answer.rows:
            column, given = override["matcher"]["options"], {p["id"]: p["value"] for p in override["properties"]}
            assert column in answer.columns
            if given.get("unit") in ("currencyUSD", "percentunit"):
                assert is_number(types[column])


def is_number(values: tuple[Any, ...]) -> bool:
    return all(value is None or (isinstance(value, int | float | Decimal) and isfinite(value)) for value in values)


@pytest.mark.parametrize(("name", "panel"), titled([pair for pair in PANELS if pair[1] not in [a for _, a in ASKING]]))
def test_stat_shows_a_column_that_the_shared_query_gives(ledger: Ledger, name: str, panel: Json) -> None:
    """
    A panel that shows another's result picks one of its columns, and that has a value.
    """
    if panel["datasource"]["uid"] != "-- Dashboard --":
        pytest.skip("asks Prometheus")
    asked = next(other for _, other in PANELS if _ == name and other["id"] == panel["targets"][0]["panelId"])

    answer = ledger.query(expand(sql_of(asked), opened(name, NOW, DAY, ledger)))

    row = dict(zip(answer.columns, answer.rows[0], strict=True))
    assert row[panel["options"]["reduceOptions"]["fields"].strip("/^$")] is not None


@pytest.mark.parametrize("name", BOARDS)
def test_dashboard_takes_hostile_names_at_every_length(ledger: Ledger, name: str) -> None:
    """
    Quotes, backslashes and Grafana's own notation in a variable are text; a name that nobody has finds nothing.
    """
    dimensions = [v["name"] for v in BOARDS[name]["templating"]["list"] if v["type"] == "query" and v["multi"]]
    boxes = [
        v["name"] for v in BOARDS[name]["templating"]["list"] if v["type"] == "textbox" and "_url" not in v["name"]
    ]
    chosen = dict.fromkeys(dimensions, NAMES) | dict.fromkeys(boxes, NAMES[1])
    for length in (timedelta(hours=1), timedelta(days=5)):
        some = dict(list(chosen.items())[:: 1 if length < DAY else 2])
        view = opened(name, NOW, length, chosen=some)
        for board, panel in ASKING:
            if board == name:
                ledger.query(expand(sql_of(panel), view))


@pytest.mark.parametrize("name", BOARDS)
def test_endpoint_answers_every_query(path: Path, ledger: Ledger, name: str) -> None:
    """
    `otel-llmcost up` lets every query of a dashboard pass, panels and lists.
    """
    from starlette.testclient import TestClient

    sql = EmbeddedSql(path)
    endpoint = SqlEndpoint(sql, Access(""))
    view = opened(name, NOW, DAY, ledger)
    queries = [sql_of(panel) for board, panel in ASKING if board == name]
    queries += [variable["query"]["rawSql"] for variable in new_lists(name)]
    with TestClient(endpoint.app(), base_url="http://localhost", client=("127.0.0.1", 1)) as client:
        for query in queries:
            found = client.post("/", params={"default_format": "JSONCompact"}, content=expand(query, view).encode())
            assert 200 == found.status_code, found.text
            assert json.loads(found.text)["rows"] > 0
    endpoint.close()
    sql.close()


def test_every_query_runs_on_an_empty_ledger(ledger: Ledger, path: Path, tmp_path: Path) -> None:
    """
    Before the first call a panel answers nothing or NULL, or 0 where that is what was counted; lists are empty.
    """
    ledger.close()  # a process runs one engine at a time; this test is the last of the module
    with filled_ledger(tmp_path / "ledger", []):
        pass
    with Ledger.open(f"chdb://{tmp_path / 'ledger'}", read_only=False) as writer:
        create(writer)
    with Ledger.open(f"chdb://{tmp_path / 'ledger'}") as empty:
        for name in BOARDS:
            view = opened(name, NOW.astimezone(UTC), DAY, empty)
            for variable in new_lists(name):
                assert [] == empty.query(expand(variable["query"]["rawSql"], view)).rows
            for board, panel in ASKING:
                if board == name:
                    rows = empty.query(expand(sql_of(panel), view)).rows
                    assert all(not value for row in rows for value in row), panel["title"]
