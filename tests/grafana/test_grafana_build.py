"""What grafana/build.py makes: up to date, well-formed, and wired to things that exist."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
GRAFANA = ROOT / "grafana"
DASHBOARDS = {path.stem: json.loads(path.read_text("utf-8")) for path in (GRAFANA / "dashboards").glob("*.json")}
PANELS = [
    pytest.param(board, panel, id=f"{name}: {panel['title']}")
    for name, board in DASHBOARDS.items()
    for panel in board["panels"]
]
RULES = [
    pytest.param(rule, id=rule["uid"])
    for path in (GRAFANA / "provisioning/alerting").glob("*.yaml")
    for group in yaml.safe_load(path.read_text("utf-8")).get("groups", [])
    for rule in group["rules"]
]
CONTACT_POINTS = yaml.safe_load((GRAFANA / "provisioning/alerting/contact-points.yaml").read_text("utf-8"))[
    "contactPoints"
]
DATASOURCE = yaml.safe_load((GRAFANA / "provisioning/datasources/llmcost.yaml").read_text("utf-8"))["datasources"][0]
UNFILTERED = {
    ("llmcost-pipeline-health", "Told twice"),
    ("llmcost-pipeline-health", "Unsettled hours"),
    ("llmcost-pipeline-health", "Price books"),
    *(("llmcost-anomalies", title) for title in ("Anomalies", "The dearest calls of it", "Spent and expected")),
    *(("llmcost-anomalies", title) for title in ("What changed", "Who carries it")),
}
"""Panels that look at the ledger as a whole or at one anomaly, and say so: uid, title."""
ROWS_OF_A_SCREEN = 22  # a grid row is 38 px; a 1080p browser window shows about 840 px of dashboard
FILTERS = ("environment", "service", "provider", "model", "team", "feature", "customer", "agent", "workflow")

SOURCES = (
    {"type": "grafana-clickhouse-datasource", "uid": "${datasource}"},
    {"type": "prometheus", "uid": "${metrics}"},
    {"type": "datasource", "uid": "-- Dashboard --"},
)

Json = dict[str, Any]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of grafana/ to break, and of the outputs beside it."""
    shutil.copytree(ROOT / "otel_llmcost/watching", tmp_path / "otel_llmcost/watching")
    return Path(shutil.copytree(GRAFANA, tmp_path / "grafana"))


def run(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, folder / "build.py", *arguments], capture_output=True, text=True, check=False, timeout=60
    )


def test_files_are_what_the_sources_say() -> None:
    """
    The committed dashboards and rules are built from the committed sources.
    """
    done = run(GRAFANA, "--check")

    assert 0 == done.returncode, done.stdout + done.stderr


def test_check_finds_a_hand_edit_and_build_undoes_it(copy: Path) -> None:
    """
    An edited output fails the check, which names it and the line, and building again puts it right.
    """
    board = copy / "dashboards/spend-overview.json"
    board.write_text(board.read_text("utf-8").replace("Spend today", "Spend todday"), "utf-8")

    found = run(copy, "--check")
    built = run(copy)

    assert 1 == found.returncode
    assert "dashboards/spend-overview.json" in found.stdout
    assert '-      "title": "Spend todday"' in found.stdout
    assert 0 == built.returncode
    assert 0 == run(copy, "--check").returncode


def test_check_finds_a_changed_query(copy: Path) -> None:
    """
    A query that was edited without a build fails the check of what is built from it.
    """
    query = copy / "queries/alerts/spend-rate.sql"
    query.write_text(query.read_text("utf-8").replace(">= 5", ">= 6"), "utf-8")

    found = run(copy, "--check")

    assert 1 == found.returncode
    assert "provisioning/alerting/spend.yaml" in found.stdout


def test_check_finds_an_output_without_a_source(copy: Path) -> None:
    """
    A dashboard whose source is gone does not live on.
    """
    (copy / "dashboards/old.json").write_text("{}", "utf-8")

    found = run(copy, "--check")

    assert (1, "dashboards/old.json: has no source\n") == (found.returncode, found.stdout)


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("sources/dashboards/spend-overview.yaml", "unit: short", "units: short", "spend-overview.yaml: panel 10"),
        ("sources/dashboards/spend-overview.yaml", "type: table", "type: pie", "no panel type 'pie'"),
        ("sources/dashboards/spend-overview.yaml", "query: unpriced", "query: gone", "queries/spend-overview/gone.sql"),
        ("sources/dashboards/spend-overview.yaml", "query: unpriced", "query: range", "used by no panel"),
        ("sources/dashboards/spend-overview.yaml", "reuse: 5", "reuse: 6", "panel 6: reuses a panel that has no query"),
        ("queries/spend-overview/range.sql", "{{totals}}", "{{total}}", "nothing stands for {{total}}"),
        ("sources/alerts/spend.yaml", "above: 1.5", "over: 1.5", "spend.yaml: rule llmcost-spend-rate"),
    ],
)
def test_wrong_source_is_named(copy: Path, file: str, old: str, new: str, message: str) -> None:
    """
    A mistake in a source ends the build with the place of the mistake, and writes nothing.
    """
    source = copy / file
    source.write_text(source.read_text("utf-8").replace(old, new, 1), "utf-8")
    before = (copy / "dashboards/spend-overview.json").read_text("utf-8")

    done = run(copy)

    assert 2 == done.returncode
    assert message in done.stderr
    assert before == (copy / "dashboards/spend-overview.json").read_text("utf-8")


@pytest.mark.parametrize("name", DASHBOARDS)
def test_dashboard_has_what_grafana_needs(name: str) -> None:
    """
    A stable uid that Grafana accepts, a schema it loads, a title, a way to its siblings, and the filters.
    """
    board = DASHBOARDS[name]

    assert re.fullmatch(r"llmcost-[a-z0-9-]{1,30}", board["uid"])
    assert 39 <= board["schemaVersion"] <= 42
    assert board["title"]
    assert board["description"]
    assert ["llmcost"] == board["tags"] == board["links"][0]["tags"]
    names = [variable["name"] for variable in board["templating"]["list"]]
    assert ["datasource", *FILTERS] == names[: len(FILTERS) + 1]
    assert len(names) == len(set(names))


def test_dashboards_have_uids_of_their_own() -> None:
    """
    Grafana keeps one dashboard a uid and one panel an id.
    """
    assert len(DASHBOARDS) == len({board["uid"] for board in DASHBOARDS.values()}) > 0
    for board in DASHBOARDS.values():
        assert len(board["panels"]) == len({panel["id"] for panel in board["panels"]})


@pytest.mark.parametrize("name", DASHBOARDS)
def test_panels_tile_one_screen(name: str) -> None:
    """
    No two panels share a cell, none leaves the 24 columns, no hole is left, and all fits a 1080p screen.
    """
    cells = [
        (grid["x"] + dx, grid["y"] + dy)
        for grid in (panel["gridPos"] for panel in DASHBOARDS[name]["panels"])
        for dx in range(grid["w"])
        for dy in range(grid["h"])
    ]
    height = max(y for _, y in cells) + 1

    assert len(cells) == len(set(cells))
    assert {(x, y) for x in range(24) for y in range(height)} == set(cells)
    assert height <= ROWS_OF_A_SCREEN


@pytest.mark.parametrize(("board", "panel"), PANELS)
def test_panel_is_complete(board: Json, panel: Json) -> None:
    """
    Every panel says what it shows and in which unit, and asks the data source that the user chose.
    """
    defaults = panel["fieldConfig"]["defaults"]

    assert panel["title"]
    assert panel["description"].endswith(".")
    assert defaults["unit"]
    assert None is defaults["thresholds"]["steps"][0]["value"]
    assert len(panel["targets"]) == len({target["refId"] for target in panel["targets"]})
    for source in (panel["datasource"], *(target["datasource"] for target in panel["targets"])):
        assert source in SOURCES


@pytest.mark.parametrize(("board", "panel"), PANELS)
def test_panel_query_honours_every_filter(board: Json, panel: Json) -> None:
    """
    A panel that forgot a filter would show another team's money under the chosen team's name.
    """
    for target in panel["targets"]:
        if "rawSql" not in target:
            continue
        assert "editorType" in target
        assert target["format"] == (0 if panel["type"] == "timeseries" else 1)
        assert "--" not in target["rawSql"]
        assert "{{" not in target["rawSql"]
        if (board["uid"], panel["title"]) not in UNFILTERED:
            for name in FILTERS:
                assert f"IN (${{{name}:sqlstring}}), ${name})" in target["rawSql"]


@pytest.mark.parametrize(("board", "panel"), PANELS)
def test_panel_that_reuses_a_result_names_a_panel_that_asks(board: Json, panel: Json) -> None:
    """
    Panels that share a query show a result of their own dashboard, one column of it each.
    """
    asking = {other["id"] for other in board["panels"] if "rawSql" in other["targets"][0]}
    for target in panel["targets"]:
        if target["datasource"]["uid"] == "-- Dashboard --":
            assert target["panelId"] in asking
            assert re.fullmatch(r"/\^\w+\$/", panel["options"]["reduceOptions"]["fields"])


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_variable_used_exists(name: str) -> None:
    """
    A query or a link that names a variable which the dashboard lacks would show Grafana's own `${…}`.
    """
    board = DASHBOARDS[name]
    known = {variable["name"] for variable in board["templating"]["list"]}
    text = json.dumps(board)

    used = set(re.findall(r"\$\{(\w+)(?::\w+)?\}", text)) | set(re.findall(r"\), ?\$(\w+)\)", text))

    assert {name for name in used if not name.startswith("__")} <= known


@pytest.mark.parametrize("name", DASHBOARDS)
def test_links_lead_to_dashboards_and_variables_that_exist(name: str) -> None:
    """
    A link sets only variables of the dashboard it opens, from columns of its own table, and keeps time and filters.
    """
    boards = {board["uid"]: board for board in DASHBOARDS.values()}
    for panel in DASHBOARDS[name]["panels"]:
        overrides = panel["fieldConfig"]["overrides"]
        hidden = {
            o["matcher"]["options"] for o in overrides if {"id": "custom.hidden", "value": True} in o["properties"]
        }
        urls = [link["url"] for o in overrides for p in o["properties"] if p["id"] == "links" for link in p["value"]]
        for url in urls:
            if url.startswith("${trace_url"):
                continue
            uid, query = re.fullmatch(r"/d/([^?]+)\?(.*)", url).groups()
            target = DASHBOARDS[name] if uid == "${__dashboard.uid}" else boards[uid]
            known = {variable["name"] for variable in target["templating"]["list"]}
            assert set(re.findall(r"var-(\w+)=", query)) | set(re.findall(r"\$\{(\w+):queryparam\}", query)) <= known
            assert set(re.findall(r'fields\["(\w+_value)"\]', query)) <= hidden
            assert "${__url_time_range}" in query or "from=" in query
            assert "${datasource:queryparam}" in query


@pytest.mark.parametrize("name", DASHBOARDS)
def test_variables_are_safe_lists(name: str) -> None:
    """
    Dimensions take several values and All, without a custom All value, from the data source that is chosen.
    """
    first, *rest = DASHBOARDS[name]["templating"]["list"]

    assert ("datasource", "grafana-clickhouse-datasource") == (first["type"], first["query"])
    for variable in rest[: len(FILTERS)]:
        assert (True, True, ["$__all"]) == (variable["multi"], variable["includeAll"], variable["current"]["value"])
        assert "allValue" not in variable
        assert "${datasource}" == variable["datasource"]["uid"]
        assert "LIMIT 1000" in variable["query"]["rawSql"]
    for variable in rest[len(FILTERS) :]:
        assert variable["description"].endswith(".")


@pytest.mark.parametrize("rule", RULES)
def test_rule_is_wired_to_what_exists(rule: Json) -> None:
    """
    A rule's data source, condition, dashboard panel and runbook are there.
    """
    query, threshold = rule["data"]
    board = next(board for board in DASHBOARDS.values() if board["uid"] == rule["dashboardUid"])

    assert DATASOURCE["uid"] == query["datasourceUid"]
    assert ("__expr__", "threshold", query["refId"]) == (
        threshold["datasourceUid"],
        threshold["model"]["type"],
        threshold["model"]["expression"],
    )
    assert threshold["refId"] == rule["condition"]
    assert rule["panelId"] in {panel["id"] for panel in board["panels"]}
    assert (rule["dashboardUid"], str(rule["panelId"])) == (
        rule["annotations"]["__dashboardUid__"],
        rule["annotations"]["__panelId__"],
    )
    assert (ROOT / "docs/runbooks" / rule["annotations"]["runbook_url"].removeprefix("$LLMCOST_RUNBOOKS/")).is_file()
    assert rule["notification_settings"]["receiver"] in {point["name"] for point in CONTACT_POINTS}


def test_contact_points_are_of_four_kinds_without_a_secret() -> None:
    """
    Slack, email, PagerDuty and webhook, whose addresses and keys are variables that the README names.
    """
    receivers = [receiver for point in CONTACT_POINTS for receiver in point["receivers"]]
    readme = (GRAFANA / "README.md").read_text("utf-8")
    variables = set(re.findall(r"\$(\w+)", json.dumps(CONTACT_POINTS)))

    assert {"slack", "email", "pagerduty", "webhook"} == {receiver["type"] for receiver in receivers}
    assert len(receivers) == len({receiver["uid"] for receiver in receivers})
    for receiver in receivers:
        secret = {"slack": "url", "email": "addresses", "pagerduty": "integrationKey", "webhook": "url"}
        assert receiver["settings"][secret[receiver["type"]]].startswith("$LLMCOST_")
    assert variables <= set(re.findall(r"export (LLMCOST_\w+)=", readme))


@pytest.mark.parametrize("rule", RULES)
def test_rule_has_no_dollar_that_grafana_would_take_for_its_environment(rule: Json) -> None:
    """
    Outside the query model, a $ in a provisioning file is a variable of Grafana's environment.
    """
    without_runbook = rule["annotations"] | {"runbook_url": rule["annotations"]["runbook_url"].lstrip("$")}
    without_models = (
        rule
        | {"annotations": without_runbook}
        | {"data": [{k: v for k, v in part.items() if k != "model"} for part in rule["data"]]}
    )

    assert "$" not in json.dumps(without_models)


def test_data_source_reads_its_environment() -> None:
    """
    With the block of the README in the environment, every setting is what the plugin takes; nothing is left over.
    """
    readme = (GRAFANA / "README.md").read_text("utf-8")
    environment = dict(re.findall(r"^ *export (\w+)=(.*)$", readme, re.MULTILINE))
    used = set(re.findall(r"\$\{(\w+)\}", json.dumps(DATASOURCE)))
    settings = {key: _expanded(value, environment) for key, value in DATASOURCE["jsonData"].items()}

    assert used == {name for name in environment if name.startswith("LLMCOST_CLICKHOUSE_")}
    assert ("http", "127.0.0.1", 8123) == (settings["protocol"], settings["host"], int(settings["port"]))
    assert settings["secure"] in ("true", "false")
    assert "llmcost" == settings["defaultDatabase"]
    assert False is settings["enableRowLimit"]


def _expanded(value: Any, environment: dict[str, str]) -> Any:
    return re.sub(r"\$\{(\w+)\}", lambda match: environment[match[1]], value) if isinstance(value, str) else value


def test_dashboard_provider_reads_the_built_folder() -> None:
    """
    The provider's folder is given by the environment, and the README says which it is.
    """
    provider = yaml.safe_load((GRAFANA / "provisioning/dashboards/llmcost.yaml").read_text("utf-8"))["providers"][0]

    assert "${LLMCOST_DASHBOARDS}" == provider["options"]["path"]
    assert "export LLMCOST_DASHBOARDS=" in (GRAFANA / "README.md").read_text("utf-8")


def test_every_panel_and_rule_is_documented() -> None:
    """
    The README names every panel, and each rule's runbook names the rule.
    """
    readme = (GRAFANA / "README.md").read_text("utf-8")
    for parameters in PANELS:
        assert f"| {parameters.values[1]['title']} |" in readme
    for parameters in RULES:
        rule = parameters.values[0]
        runbook = rule["annotations"]["runbook_url"].removeprefix("$LLMCOST_RUNBOOKS/")
        assert rule["title"] in (ROOT / "docs/runbooks" / runbook).read_text("utf-8")
        assert rule["title"] in (ROOT / "docs/alerts.md").read_text("utf-8")
