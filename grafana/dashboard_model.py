"""Dashboards in Grafana's classic model."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from panel_types import GRAFANA_TYPES, PANEL_TYPES, PanelType
from source_rows import Column, Dashboard, Panel, SourceError
from sql_files import Queries

SCHEMA_VERSION: Final = 42  # the last of the classic model; every Grafana since loads and migrates it
PLUGIN: Final = "grafana-clickhouse-datasource"
PLUGIN_VERSION: Final = "4.20.0"
DATASOURCE: Final = {"type": PLUGIN, "uid": "${datasource}"}
METRICS: Final = {"type": "prometheus", "uid": "${metrics}"}
SAME_DASHBOARD: Final = {"type": "datasource", "uid": "-- Dashboard --"}  # shows the result of another panel
RESULT_FORMATS: Final = {"timeseries": 0, "table": 1}
DIMENSIONS: Final = (
    "environment", "service", "provider", "model", "team", "feature", "customer", "agent", "workflow",
)  # fmt: skip
"""Every dashboard filters by these, with variables of these names."""

Json = dict[str, Any]


def dashboard_json(dashboard: Dashboard, folder: str, queries: Queries) -> Json:
    """The classic dashboard model.

    Raises:
        SourceError: a panel is of no known type, or shows the result of a panel that is not there.
    """
    results = {panel.id: panel.query for panel in dashboard.panels if panel.query}
    if missing := [panel.id for panel in dashboard.panels if panel.reuse and panel.reuse not in results]:
        raise SourceError(f"{folder}: panel {missing[0]}: reuses a panel that has no query")
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
        "time": {"from": dashboard.time_from, "to": dashboard.time_to},
        "timepicker": {},
        "refresh": dashboard.refresh,
        "links": [_family_link()],
        "annotations": {"list": [_alert_annotations()]},
        "templating": {"list": list(_variables(dashboard, folder, queries))},
        "panels": [_panel(panel, folder, variable_names(dashboard), queries) for panel in dashboard.panels],
    }


def variable_names(dashboard: Dashboard) -> Sequence[str]:
    """Every variable that links keep, in order."""
    return ("datasource", *DIMENSIONS, *(variable["name"] for variable in dashboard.variables))


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


# Variables


def _variables(dashboard: Dashboard, folder: str, queries: Queries) -> Iterator[Json]:
    yield _datasource_variable("datasource", "Ledger", PLUGIN)
    for name in DIMENSIONS:
        yield _list_variable(name, queries.variable(name))
    for variable in dashboard.variables:
        yield _own_variable(variable, folder, queries)


def _datasource_variable(name: str, label: str, plugin: str) -> Json:
    return {
        "name": name,
        "label": label,
        "type": "datasource",
        "query": plugin,
        "refresh": 1,
        "regex": "",
        "multi": False,
        "includeAll": False,
        "hide": 0,
        "current": {"text": "", "value": ""},
        "options": [],
    }


def _query_variable(name: str, label: str, sql: str) -> Json:
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"refId": f"var-{name}", "editorType": "sql", "rawSql": sql, "pluginVersion": PLUGIN_VERSION},
        "refresh": 2,  # with the time range: the list is what was in use then
        "sort": 0,  # the query's order: most expensive first
        "regex": "",
        "multi": False,
        "includeAll": False,
        "allowCustomValue": True,  # beyond the first MAX_OPTIONS, type the name
        "hide": 0,
        "current": {"text": "", "value": ""},
        "options": [],
    }


def _list_variable(name: str, sql: str) -> Json:
    return _query_variable(name, name.capitalize(), sql) | {
        "multi": True,
        "includeAll": True,
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
    }


def _own_variable(variable: Mapping[str, Any], folder: str, queries: Queries) -> Json:
    """A variable of one dashboard: a text box, a choice, a list from a query or a second data source."""
    name, label, kind = variable["name"], variable["label"], variable["type"]
    description = {"description": variable["description"].strip()}
    if kind == "query":
        return (
            _query_variable(name, label, queries.read(f"{folder}/{variable['query']}", variable.get("fill")))
            | description
        )
    if kind == "datasource":
        return _datasource_variable(name, label, variable["plugin"]) | description
    if kind == "textbox":
        text = variable.get("value", "")
        current = {"selected": True, "text": text, "value": text}
        return {"name": name, "label": label, "type": "textbox", "query": text, "hide": 0, "current": current,
                "options": [current]} | description  # fmt: skip
    if kind == "custom":
        return _choice(name, label, variable["options"]) | description
    raise SourceError(f"{folder}: variable {name}: no type {kind!r}; known: query, datasource, textbox, custom")


def _choice(name: str, label: str, choices: Mapping[str, str]) -> Json:
    """`choices`: value → text; the first is the default. Commas separate them in Grafana's own notation."""
    options = [
        {"selected": place == 0, "text": text, "value": str(value)}
        for place, (value, text) in enumerate(choices.items())
    ]
    query = ", ".join(f"{option['text']} : {option['value']}" for option in options)
    return {
        "name": name,
        "label": label,
        "type": "custom",
        "query": query,
        "multi": False,
        "includeAll": False,
        "allowCustomValue": False,
        "hide": 0,
        "current": options[0],
        "options": options,
    }


# Panels


def _panel(panel: Panel, folder: str, variables: Sequence[str], queries: Queries) -> Json:
    if panel.type not in PANEL_TYPES:
        raise SourceError(f"{folder}: panel {panel.id}: no panel type {panel.type!r}; known: {', '.join(PANEL_TYPES)}")
    kind = PANEL_TYPES[panel.type]
    x, y, width, height = panel.at
    source, target = _source(panel, folder, kind, queries)
    built = {
        "id": panel.id,
        "type": GRAFANA_TYPES.get(panel.type, panel.type),
        "title": panel.title,
        "description": panel.description.strip(),
        "gridPos": {"x": x, "y": y, "w": width, "h": height},
        "datasource": source,
        "fieldConfig": {"defaults": _defaults(panel, kind), "overrides": list(_overrides(panel, variables))},
        "options": _options(panel, kind),
        "targets": [target],
    }
    return built if panel.max_points is None else built | {"maxDataPoints": panel.max_points}


def _source(panel: Panel, folder: str, kind: PanelType, queries: Queries) -> tuple[Json, Json]:
    """Data source and target: a query, the result of another panel, or a Prometheus expression."""
    if panel.reuse:
        return SAME_DASHBOARD, {"refId": "A", "datasource": SAME_DASHBOARD, "panelId": panel.reuse}
    if panel.promql:
        instant = {"instant": True, "range": False} if panel.type == "stat" else {"instant": False, "range": True}
        return METRICS, {"refId": "A", "datasource": METRICS, "expr": panel.promql, "legendFormat": "", **instant}
    sql = queries.read(f"{folder}/{panel.query}", panel.fill)
    return DATASOURCE, _target("A", _with_link_values(sql, panel), kind.result)


def _with_link_values(sql: str, panel: Panel) -> str:
    """The statement with a column `<name>_value` for every column that a link picks.

    sqlstring leaves a backslash alone, which ClickHouse reads as an escape: a variable's value carries it doubled, from
    a list and from a link alike.
    """
    picked = sorted({name for column in panel.columns.values() for name in column.picks.values()})
    if not picked:
        return sql
    values = ", ".join(rf"replaceAll(toString({name}), '\\', '\\\\') AS {name}_value" for name in picked)
    return f"SELECT *, {values}\nFROM\n(\n{sql}\n)"


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


def _options(panel: Panel, kind: PanelType) -> Json:
    if panel.type != "stat" or not panel.shows:
        return kind.options
    picked = {"calcs": [panel.calc], "fields": f"/^{panel.shows}$/"}
    return kind.options | {"reduceOptions": kind.options["reduceOptions"] | picked}


def _steps(thresholds: Mapping[str, float | None]) -> Json:
    return {"mode": "absolute", "steps": [{"color": color, "value": value} for color, value in thresholds.items()]}


def _defaults(panel: Panel, kind: PanelType) -> Json:
    defaults: Json = {
        "unit": panel.unit,
        "color": {"mode": kind.color},
        "thresholds": _steps(panel.thresholds),
        "custom": kind.custom,
        "mappings": [],
        "noValue": panel.no_value,
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
    for name in sorted({f"{name}_value" for column in panel.columns.values() for name in column.picks.values()}):
        yield _by_name(name, {"custom.hidden": True})


def _by_name(name: str, properties: Json) -> Json:
    return {
        "matcher": {"id": "byName", "options": name},
        "properties": [{"id": key, "value": value} for key, value in properties.items()],
    }


def _column(column: Column, variables: Sequence[str]) -> Json:
    if column.hidden:
        return {"custom.hidden": True}
    properties: Json = {"displayName": column.title} if column.title else {}
    optional = {"unit": column.unit, "decimals": column.decimals, "custom.width": column.width}
    properties |= {key: value for key, value in optional.items() if value not in ("", None)}
    if column.bar:
        properties["custom.cellOptions"] = {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"}
        properties["min"] = 0
        properties["color"] = {"mode": "fixed", "fixedColor": "blue"}
    if column.thresholds:
        properties["custom.cellOptions"] = {"type": "color-text"}
        properties["thresholds"] = _steps(column.thresholds)
        properties["color"] = {"mode": "thresholds"}
    if column.axis:
        properties["custom.axisPlacement"] = column.axis
        properties["custom.drawStyle"] = "line"
        properties["custom.lineWidth"] = 2
        properties["custom.fillOpacity"] = 0
        properties["custom.stacking"] = {"mode": "none", "group": "B"}
    if column.color:
        properties["color"] = {"mode": "fixed", "fixedColor": column.color}
    if column.picks or column.trace or column.days:
        properties["links"] = [_link(column, variables)]
    return properties


def _link(column: Column, variables: Sequence[str]) -> Json:
    """A link to this or another dashboard of the family with some variables set from the row, all else kept."""
    if column.trace:
        return {"title": "Trace", "url": "${trace_url:raw}${__value.raw}${trace_url_end:raw}", "targetBlank": True}
    path = f"/d/{column.opens}" if column.opens else "/d/${__dashboard.uid}"
    times = "${__url_time_range}"
    if column.days:
        times = 'from=${__data.fields["from_ms"]}&to=${__data.fields["to_ms"]}'
    picked = [f'var-{var}=${{__data.fields["{name}_value"]:percentencode}}' for var, name in column.picks.items()]
    # A variable that the other dashboard does not have would stay in its address for nothing.
    known = variables if not column.opens else ("datasource", *DIMENSIONS)
    kept = [f"${{{name}:queryparam}}" for name in known if name not in column.picks]
    return {"title": column.says, "url": f"{path}?{'&'.join([times, *kept, *picked])}", "targetBlank": False}
