"""A rule → what Grafana provisions, what Prometheus loads, and what `otel-llmcost watch` reads.

A text says `{team}` for a label of the alert and `{value:.1f}` for its number; each of the three spells that in a way
of its own.
"""

import json
import re
from collections.abc import Callable
from typing import Any, Final

import yaml
from dashboard_model import PLUGIN_VERSION, RESULT_FORMATS
from source_rows import Alert, AlertGroup
from sql_files import Queries

ALERT_DATASOURCE_UID: Final = "llmcost-clickhouse"  # provisioning/datasources/llmcost.yaml; alerts know no variables
RUNBOOKS: Final = "docs/runbooks"  # in this repository
RUNBOOKS_URL: Final = "$LLMCOST_RUNBOOKS"  # Grafana puts variables of its environment into provisioning files
CONTACT_POINT: Final = "LLM cost"
PAGER: Final = "LLM cost pager"  # provisioning/alerting/contact-points.yaml has both
_PLACEHOLDER: Final = re.compile(r"\{(\w+)(?::(\.\df))?\}")
_SECONDS: Final = {"m": 60, "h": 3600}
_MACROS: Final = {"$__fromTime": "{from:DateTime('UTC')}", "$__toTime": "{to:DateTime('UTC')}"}

Json = dict[str, Any]


# Grafana


def alerting_yaml(group: AlertGroup, queries: Queries) -> Json:
    """Grafana's provisioning file. The policy tree stays the user's own: each rule names its contact point."""
    rules = [_grafana_rule(rule, queries) for rule in group.rules if rule.query]
    return {
        "apiVersion": 1,
        "groups": [
            {"orgId": 1, "name": group.name, "folder": group.folder, "interval": group.interval, "rules": rules}
        ],
    }


def _grafana_rule(alert: Alert, queries: Queries) -> Json:
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
            "summary": _worded(alert.summary, _grafana_word),
            "description": _worded(alert.description, _grafana_word),
            "runbook_url": f"{RUNBOOKS_URL}/{alert.runbook}",
            "__dashboardUid__": alert.dashboard,
            "__panelId__": str(alert.panel),
        },
        "notification_settings": {
            "receiver": PAGER if alert.labels["severity"] == "critical" else CONTACT_POINT,
            "group_by": ["grafana_folder", "alertname", *alert.group],
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


def _grafana_word(name: str, form: str) -> str:
    # .Labels and .Values: in provisioning files Grafana may take a $ for a variable of its environment.
    return f'{{{{ printf "%{form}" .Values.A.Value }}}}' if name == "value" else f"{{{{ .Labels.{name} }}}}"


# Prometheus


def prometheus_yaml(group: AlertGroup) -> Json | None:
    """Prometheus' rules of those that a metric carries; None where none is."""
    rules = [_prometheus_rule(rule) for rule in group.rules if rule.promql]
    return {"groups": [{"name": group.name, "interval": group.interval, "rules": rules}]} if rules else None


def _prometheus_rule(alert: Alert) -> Json:
    return {
        "alert": "".join(part.capitalize() for part in alert.uid.split("-")),
        "expr": f"({alert.promql.strip()}) > {alert.above:g}",
        "for": alert.pending,
        "keep_firing_for": alert.keep_firing,
        "labels": dict(alert.labels),
        "annotations": {
            "summary": _worded(alert.summary, _prometheus_word),
            "description": _worded(alert.description, _prometheus_word),
            "runbook_url": f"{RUNBOOKS}/{alert.runbook}",
        },
    }


def _prometheus_word(name: str, form: str) -> str:
    return f'{{{{ $value | printf "%{form}" }}}}' if name == "value" else f"{{{{ $labels.{name} }}}}"


def _worded(text: str, word: Callable[[str, str], str]) -> str:
    return _PLACEHOLDER.sub(lambda found: word(found[1], found[2] or ".1f"), text)


# otel-llmcost watch


def watch_rules(groups: list[AlertGroup], queries: Queries) -> list[Json]:
    """Rules over the ledger, with the time range as parameters of the query. Seconds."""
    return [_watch_rule(rule, queries.read(f"alerts/{rule.query}")) for g in groups for rule in g.rules if rule.query]


def _watch_rule(alert: Alert, sql: str) -> Json:
    for macro, parameter in _MACROS.items():
        sql = re.sub(rf"{re.escape(macro)}(?!\w)", parameter, sql)
    return {
        "uid": alert.uid,
        "title": alert.title,
        "window_s": alert.window_s,
        "above": alert.above,
        "pending_s": _seconds(alert.pending),
        "keep_firing_s": _seconds(alert.keep_firing),
        "labels": dict(alert.labels),
        "identity": list(alert.identity),
        "group": list(alert.group),
        "covers": alert.covers,
        "covered_by": alert.covered_by,
        "summary": alert.summary,
        "description": alert.description,
        "runbook": f"{RUNBOOKS}/{alert.runbook}",
        "sql": re.sub(r"\bllmcost\.(?=\w)", "", sql).splitlines(),
    }


def _seconds(text: str) -> int:
    return int(text[:-1]) * _SECONDS[text[-1]]


# Text


class _BlockDumper(yaml.SafeDumper):
    """Writes SQL as a block, so that a change of one line is a diff of one line."""


def _block_string(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_BlockDumper.add_representer(str, _block_string)


def yaml_text(source: str, document: Json) -> str:
    """The text of an output, with a note of where it comes from."""
    notice = f"# Built by grafana/build.py from sources/alerts/{source} and queries/alerts/; edit those.\n"
    return notice + yaml.dump(document, Dumper=_BlockDumper, sort_keys=False, width=110)


def json_text(rules: list[Json]) -> str:
    return json.dumps(rules, indent=1, ensure_ascii=False) + "\n"
