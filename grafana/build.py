"""Build the dashboards and alert rules: one source, no hand-edited output.

    sources/dashboards/*.yaml  a table of panels   ┐                ┌ dashboards/*.json
    sources/alerts/*.yaml      a table of rules    ├─ build.py ─────┤ provisioning/alerting/, prometheus/rules/
    queries/<source>/*.sql     one query a panel   ┘                └ ../otel_llmcost/watching/rules.json

`python grafana/build.py` writes; `python grafana/build.py --check` writes nothing and exits 1 where a file on disk is
not what the sources say or an output has no source. A wrong source, or a query that nobody uses, ends both with 2.
"""

import argparse
import difflib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from alert_files import alerting_yaml, json_text, prometheus_yaml, watch_rules, yaml_text
from dashboard_model import dashboard_json
from source_rows import AlertGroup, SourceError, read_alerts, read_dashboard
from sql_files import Queries

HERE: Final = Path(__file__).resolve().parent
WATCH_RULES: Final = "otel_llmcost/watching/rules.json"  # beside grafana/: the package carries it
WRITTEN_BY_HAND: Final = ("provisioning/alerting/contact-points.yaml",)


# Files


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
    outputs |= _alert_outputs(root, queries)
    if unused := queries.unused():
        raise SourceError(f"used by no panel and no rule: {', '.join(str(p.relative_to(root)) for p in unused)}")
    return outputs


def _alert_outputs(root: Path, queries: Queries) -> dict[Path, str]:
    groups: list[AlertGroup] = []
    outputs: dict[Path, str] = {}
    for path in sorted((root / "sources/alerts").glob("*.yaml")):
        groups.append(read_alerts(path))
        if any(rule.query for rule in groups[-1].rules):
            text = yaml_text(path.name, alerting_yaml(groups[-1], queries))
            outputs[root / f"provisioning/alerting/{path.name}"] = text
        if (rules := prometheus_yaml(groups[-1])) is not None:
            outputs[root / f"prometheus/rules/{path.name}"] = yaml_text(path.name, rules)
    outputs[root.parent / WATCH_RULES] = json_text(watch_rules(groups, queries))
    return outputs


def drift(root: Path, outputs: Mapping[Path, str]) -> list[str]:
    """What on disk is not what the sources say, as diffs; empty where all is well."""
    found = []
    for path, text in outputs.items():
        on_disk = path.read_text(encoding="utf-8") if path.is_file() else ""
        lines = difflib.unified_diff(on_disk.splitlines(), text.splitlines(), "on disk", "sources", lineterm="", n=1)
        if difference := "\n".join(lines):
            found.append(f"{_shown(path, root)}:\n{difference}")
    on_disk_files = {*(root / "dashboards").glob("*.json"), *(root / "prometheus/rules").glob("*.yaml")}
    on_disk_files |= set((root / "provisioning/alerting").glob("*.yaml")) - {root / name for name in WRITTEN_BY_HAND}
    return found + [f"{path.relative_to(root)}: has no source" for path in sorted(on_disk_files - outputs.keys())]


def _shown(path: Path, root: Path) -> str:
    return str(path.relative_to(root if path.is_relative_to(root) else root.parent))


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
        print(_shown(path, HERE))
    return 0


if __name__ == "__main__":
    sys.exit(main())
