"""Build the dashboards and alert rules: one source, no hand-edited output.

    sources/dashboards/*.yaml  a table of panels   ┐                ┌ dashboards/*.json
    sources/alerts/*.yaml      a table of rules    ├─ build.py ─────┤
    queries/<source>/*.sql     one query a panel   ┘                └ provisioning/alerting/*.yaml

`python grafana/build.py` writes; `python grafana/build.py --check` writes nothing and exits 1 where a file on disk is
not what the sources say or an output has no source. A wrong source, or a query that nobody uses, ends both with 2.
"""

import argparse
import difflib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml
from source_rows import Alert, AlertGroup, Column, Dashboard, Panel, SourceError, read_alerts, read_dashboard

HERE: Final = Path(__file__).resolve().parent
SCHEMA_VERSION: Final = 42  # the last of the classic model; every Grafana since loads and migrates it
PLUGIN: Final = "grafana-clickhouse-datasource"
PLUGIN_VERSION: Final = "4.20.0"
ALERT_DATASOURCE_UID: Final = "llmcost-clickhouse"  # provisioning/datasources/llmcost.yaml; alerts know no variables
DATASOURCE: Final = {"type": PLUGIN, "uid": "${datasource}"}
FRAGMENTS: Final = ("lines", "hours", "filters")  # {{lines}} stands for queries/lines.sql; both others hold filters
RUNBOOKS: Final = "docs/runbooks"  # in this repository; Grafana would take `runbook_url` for a page of its own
MAX_OPTIONS: Final = 1000  # of a variable: a list box, not a report

Json = dict[str, Any]


# What each panel type asks of the query and of Grafana.


@dataclass(frozen=True, slots=True)
class PanelType:
    """`result` is the plugin's result format; `custom` and `options` are the panel's own settings."""

    result: str
    options: Json
    custom: Json = field(default_factory=dict)


RESULT_FORMATS: Final = {"timeseries": 0, "table": 1}

_ONE_VALUE: Final = {"calcs": ["lastNotNull"], "fields": "", "values": False}

PANEL_TYPES: Final[Mapping[str, PanelType]] = {
    "stat": PanelType(
        result="table",
        options={
            "reduceOptions": _ONE_VALUE,
            "colorMode": "value",
            "graphMode": "none",
            "justifyMode": "center",
            "orientation": "auto",
            "textMode": "auto",
            "wideLayout": True,
        },
    ),
    "timeseries": PanelType(
        result="timeseries",
        options={
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        custom={
            "drawStyle": "bars",
            "barAlignment": 1,  # a bucket's time is its start
            "fillOpacity": 80,
            "lineWidth": 0,
            "stacking": {"mode": "normal", "group": "A"},
            "axisSoftMin": 0,
        },
    ),
    "table": PanelType(
        result="table",
        options={"showHeader": True, "cellHeight": "sm", "footer": {"show": False}},
        custom={"align": "auto", "filterable": False, "minWidth": 70},
    ),
}


class Queries:
    """The SQL files, with the shared filter put in and a note of what was used."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._used: set[Path] = set()
        self._fragments = {f"{{{{{name}}}}}": self._statement(name) for name in FRAGMENTS}

    def read(self, name: str) -> str:
        """The statement of queries/<name>.sql, without its comments and with the fragments that it names.

        Raises:
            SourceError: there is no such file.
        """
        sql = self._statement(name)
        for mark, fragment in self._fragments.items():
            sql = sql.replace(mark, fragment)
        return sql

    def _statement(self, name: str) -> str:
        path = self._folder / f"{name}.sql"
        if not path.is_file():
            raise SourceError(f"queries/{name}.sql: no such file")
        self._used.add(path)
        return _without_comments(path.read_text(encoding="utf-8"))

    def variable(self, name: str) -> str:
        """The statement that lists the values of a dimension; every dimension's is the same."""
        template = self.read("variables/dimension")
        rollup = "calls_daily" if name == "customer" else "calls_hourly"  # the latter knows no customers
        return (
            template.replace("{{dimension}}", name).replace("{{rollup}}", rollup).replace("{{limit}}", str(MAX_OPTIONS))
        )

    def unused(self) -> list[Path]:
        return sorted(set(self._folder.rglob("*.sql")) - self._used)


def _without_comments(sql: str) -> str:
    """Drop comment lines: the plugin's browser half expands macros inside comments too."""
    return "\n".join(line for line in sql.splitlines() if not line.lstrip().startswith("--")).strip()


# Dashboards


def dashboard_json(dashboard: Dashboard, folder: str, queries: Queries) -> Json:
    """The classic dashboard model."""
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": dashboard.description.strip(),
        "tags": ["llmcost"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,  # shared crosshair
        "timezone": "utc",  # days and months of the bill are UTC; the axes say the same
        "time": {"from": dashboard.time_from, "to": "now"},
        "timepicker": {},
        "refresh": dashboard.refresh,
        "links": [_family_link()],
        "annotations": {"list": [_alert_annotations()]},
        "templating": {"list": [_datasource_variable(), *(_variable(n, queries) for n in dashboard.variables)]},
        "panels": [_panel(panel, folder, dashboard.variables, queries) for panel in dashboard.panels],
    }


def _family_link() -> Json:
    return {
        "type": "dashboards",
        "title": "LLM cost",
        "tags": ["llmcost"],
        "asDropdown": True,
        "includeVars": True,
        "keepTime": True,
        "targetBlank": False,
        "icon": "external link",
        "tooltip": "The other dashboards of otel-llmcost, with the same filters",
        "url": "",
    }


def _alert_annotations() -> Json:
    return {
        "builtIn": 1,
        "datasource": {"type": "grafana", "uid": "-- Grafana --"},
        "enable": True,
        "hide": True,
        "iconColor": "rgba(0, 211, 255, 1)",
        "name": "Annotations & Alerts",
        "type": "dashboard",
    }


def _datasource_variable() -> Json:
    return {
        "name": "datasource",
        "label": "Ledger",
        "type": "datasource",
        "query": PLUGIN,
        "refresh": 1,
        "regex": "",
        "multi": False,
        "includeAll": False,
        "hide": 0,
        "current": {},
        "options": [],
    }


def _variable(name: str, queries: Queries) -> Json:
    sql = queries.variable(name)
    return {
        "name": name,
        "label": name.capitalize(),
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"refId": f"var-{name}", "editorType": "sql", "rawSql": sql, "pluginVersion": PLUGIN_VERSION},
        "definition": sql,
        "refresh": 2,  # with the time range: the list is what was in use then
        "sort": 0,  # the query's order: most expensive first
        "regex": "",
        "multi": True,
        "includeAll": True,
        "allowCustomValue": True,  # beyond the first MAX_OPTIONS, type the name
        "hide": 0,
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "options": [],
    }


def _panel(panel: Panel, folder: str, variables: Sequence[str], queries: Queries) -> Json:
    if panel.type not in PANEL_TYPES:
        raise SourceError(f"{folder}: panel {panel.id}: no panel type {panel.type!r}; known: {', '.join(PANEL_TYPES)}")
    kind = PANEL_TYPES[panel.type]
    x, y, width, height = panel.at
    built = {
        "id": panel.id,
        "type": panel.type,
        "title": panel.title,
        "description": panel.description.strip(),
        "gridPos": {"x": x, "y": y, "w": width, "h": height},
        "datasource": DATASOURCE,
        "fieldConfig": {"defaults": _defaults(panel, kind), "overrides": list(_overrides(panel, variables))},
        "options": kind.options,
        "targets": [_target("A", queries.read(f"{folder}/{panel.query}"), kind.result)],
    }
    return built if panel.max_points is None else built | {"maxDataPoints": panel.max_points}


def _target(ref_id: str, sql: str, result: str) -> Json:
    return {
        "refId": ref_id,
        "datasource": DATASOURCE,
        "editorType": "sql",
        "queryType": result,
        "format": RESULT_FORMATS[result],
        "pluginVersion": PLUGIN_VERSION,
        "rawSql": sql,
    }


def _defaults(panel: Panel, kind: PanelType) -> Json:
    steps = [{"color": color, "value": value} for color, value in panel.thresholds.items()]
    defaults: Json = {
        "unit": panel.unit,
        "color": {"mode": "palette-classic-by-name" if panel.type == "timeseries" else "thresholds"},
        "thresholds": {"mode": "absolute", "steps": steps},
        "custom": kind.custom,
        "mappings": [],
        "noValue": "-",
    }
    if panel.decimals is not None:
        defaults["decimals"] = panel.decimals
    if panel.legend:
        defaults["displayName"] = panel.legend
    return defaults


def _overrides(panel: Panel, variables: Sequence[str]) -> Iterator[Json]:
    for series, color in panel.colors.items():
        yield _by_name(series, {"color": {"mode": "fixed", "fixedColor": color}})
    for name, column in panel.columns.items():
        yield _by_name(name, _column(column, variables))


def _by_name(name: str, properties: Json) -> Json:
    return {
        "matcher": {"id": "byName", "options": name},
        "properties": [{"id": key, "value": value} for key, value in properties.items()],
    }


def _column(column: Column, variables: Sequence[str]) -> Json:
    properties: Json = {"displayName": column.title}
    if column.unit:
        properties["unit"] = column.unit
    if column.decimals is not None:
        properties["decimals"] = column.decimals
    if column.width is not None:
        properties["custom.width"] = column.width
    if column.bar:
        properties["custom.cellOptions"] = {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"}
        properties["min"] = 0
        properties["color"] = {"mode": "fixed", "fixedColor": "blue"}
    if column.filters:
        properties["links"] = [_filter_link(column.filters, variables)]
    return properties


def _filter_link(variable: str, variables: Sequence[str]) -> Json:
    """A link back to the same dashboard with one variable set and all else kept."""
    kept = "&".join(f"${{{name}:queryparam}}" for name in ("datasource", *variables) if name != variable)
    picked = f"var-{variable}=${{__value.raw:percentencode}}"
    return {
        "title": f"Only this {variable}",
        "url": f"/d/${{__dashboard.uid}}?${{__url_time_range}}&{kept}&{picked}",
        "targetBlank": False,
    }


# Alert rules


def alerting_yaml(group: AlertGroup, queries: Queries) -> Json:
    """Grafana's provisioning file. Contact points and the policy tree stay the user's own."""
    rules = [_rule(rule, queries) for rule in group.rules]
    return {
        "apiVersion": 1,
        "groups": [
            {"orgId": 1, "name": group.name, "folder": group.folder, "interval": group.interval, "rules": rules}
        ],
    }


def _rule(alert: Alert, queries: Queries) -> Json:
    return {
        "uid": alert.uid,
        "title": alert.title,
        "condition": "C",
        "for": alert.pending,
        "keepFiringFor": alert.keep_firing,
        "noDataState": "OK",  # no spend is no burn
        "execErrState": "Error",
        "missing_series_evals_to_resolve": 2,
        "isPaused": False,
        "dashboardUid": alert.dashboard,
        "panelId": alert.panel,
        "labels": dict(alert.labels),
        "annotations": {
            **alert.annotations,
            "runbook": f"{RUNBOOKS}/{alert.runbook}",
            "__dashboardUid__": alert.dashboard,
            "__panelId__": str(alert.panel),
        },
        "data": [_alert_query(alert, queries.read(f"alerts/{alert.query}")), _alert_threshold(alert.above)],
    }


def _alert_query(alert: Alert, sql: str) -> Json:
    """Label columns and one number: Grafana makes each row an alert instance, without a reduce step."""
    return {
        "refId": "A",
        "relativeTimeRange": {"from": alert.window_s, "to": 0},
        "datasourceUid": ALERT_DATASOURCE_UID,
        "model": {
            "refId": "A",
            "editorType": "sql",
            "queryType": "table",
            "format": RESULT_FORMATS["table"],
            "pluginVersion": PLUGIN_VERSION,
            "rawSql": sql,
        },
    }


def _alert_threshold(above: float) -> Json:
    return {
        "refId": "C",
        "relativeTimeRange": {"from": 0, "to": 0},
        "datasourceUid": "__expr__",
        "model": {
            "refId": "C",
            "type": "threshold",
            "expression": "A",
            "conditions": [{"evaluator": {"type": "gt", "params": [above]}}],
        },
    }


# Files


class _BlockDumper(yaml.SafeDumper):
    """Writes SQL as a block, so that a change of one line is a diff of one line."""


def _block_string(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_BlockDumper.add_representer(str, _block_string)


def build(root: Path) -> dict[Path, str]:
    """Every output file with its text.

    Raises:
        SourceError: a source is wrong, or a query file is used by nobody.
    """
    queries = Queries(root / "queries")
    outputs: dict[Path, str] = {}
    for path in sorted((root / "sources/dashboards").glob("*.yaml")):
        model = dashboard_json(read_dashboard(path), path.stem, queries)
        outputs[root / f"dashboards/{path.stem}.json"] = json.dumps(model, indent=2, ensure_ascii=False) + "\n"
    for path in sorted((root / "sources/alerts").glob("*.yaml")):
        text = yaml.dump(alerting_yaml(read_alerts(path), queries), Dumper=_BlockDumper, sort_keys=False, width=110)
        notice = f"# Built by grafana/build.py from sources/alerts/{path.name} and queries/alerts/; edit those.\n"
        outputs[root / f"provisioning/alerting/{path.name}"] = notice + text
    if unused := queries.unused():
        raise SourceError(f"used by no panel and no rule: {', '.join(str(p.relative_to(root)) for p in unused)}")
    return outputs


def drift(root: Path, outputs: Mapping[Path, str]) -> list[str]:
    """What on disk is not what the sources say, as diffs; empty where all is well."""
    found = []
    for path, text in outputs.items():
        on_disk = path.read_text(encoding="utf-8") if path.is_file() else ""
        lines = difflib.unified_diff(on_disk.splitlines(), text.splitlines(), "on disk", "sources", lineterm="", n=1)
        if difference := "\n".join(lines):
            found.append(f"{path.relative_to(root)}:\n{difference}")
    on_disk_files = {*(root / "dashboards").glob("*.json"), *(root / "provisioning/alerting").glob("*.yaml")}
    return found + [f"{path.relative_to(root)}: has no source" for path in sorted(on_disk_files - outputs.keys())]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check the outputs; the exit code is 0, 1 for drift, 2 for a wrong source."""
    parser = argparse.ArgumentParser(prog="grafana/build.py", description="Build Grafana dashboards and alert rules.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a file is out of date")
    check = parser.parse_args(arguments).check
    try:
        outputs = build(HERE)
    except SourceError as error:
        print(error, file=sys.stderr)
        return 2
    if check:
        found = drift(HERE, outputs)
        print("\n".join(found) or f"{len(outputs)} files are up to date")
        return 1 if found else 0
    for path, text in outputs.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(HERE))
    return 0


if __name__ == "__main__":
    sys.exit(main())
