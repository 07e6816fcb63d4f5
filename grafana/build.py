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
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml
from dashboard_model import PLUGIN_VERSION, RESULT_FORMATS, dashboard_json
from source_rows import Alert, AlertGroup, SourceError, read_alerts, read_dashboard
from sql_files import Queries

HERE: Final = Path(__file__).resolve().parent
ALERT_DATASOURCE_UID: Final = "llmcost-clickhouse"  # provisioning/datasources/llmcost.yaml; alerts know no variables
RUNBOOKS: Final = "docs/runbooks"  # in this repository; Grafana would take `runbook_url` for a page of its own

Json = dict[str, Any]


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
