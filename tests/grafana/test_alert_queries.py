"""Every alert rule on the real engine, by its own query: when it fires, when it does not, and that it ends."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_ledger import filled_ledger
from grafana_macros import View, expand_in_backend

from factories import make_call, make_cost
from otel_llmcost.call import Amounts, Cost, LLMCall, Status
from otel_llmcost.detection.run import create
from otel_llmcost.exporters.clickhouse.client import Ledger
from otel_llmcost.exporters.clickhouse.migrations import prepare
from up_process import running_up

ROOT = Path(__file__).parents[2]
RULES = {
    rule["uid"]: rule
    for path in (ROOT / "grafana/provisioning/alerting").glob("*.yaml")
    for group in yaml.safe_load(path.read_text("utf-8")).get("groups", [])
    for rule in group["rules"]
}
WATCHED = {rule["uid"]: rule for rule in json.loads((ROOT / "otel_llmcost/watching/rules.json").read_text("utf-8"))}
RUNBOOKS = sorted((ROOT / "docs/runbooks").glob("*.md"))
NOW = datetime(2026, 11, 20, 14, 37, 23, tzinfo=UTC)
MINUTE = timedelta(minutes=1)

Row = tuple[Any, ...]


def spent(number: int, moment: datetime, usd: str | None, team: str = "cx", **more: Any) -> LLMCall:
    """One call of a team; without `usd` it has no price."""
    cost = Cost(Status.UNPRICED, reason="no price for the model")
    if usd is not None:
        cost = make_cost(effective=Amounts(input_usd=Decimal(usd).quantize(Decimal("1e-12"))))
    start_ns = int(moment.timestamp()) * 1_000_000_000
    return make_call(number, start_ns=start_ns, end_ns=start_ns + 1, tags={"team": team}, cost=cost, **more)


def hour_of(usd: Sequence[str | None], teams: Sequence[str] = ("cx",), days_ago: int = 0) -> list[LLMCall]:
    """A call a minute, newest first, of the teams in turn."""
    end = NOW - timedelta(days=days_ago)
    return [
        spent(1000 * days_ago + n, end - MINUTE * (n + 1), amount, teams[n % len(teams)])
        for n, amount in enumerate(usd, start=1)
    ]


def day_before(days: int) -> datetime:
    return NOW - timedelta(days=days)


def answer(ledger: Ledger, uid: str, now: datetime = NOW) -> list[Row]:
    """What the rule's query gives in Grafana, held against what `watch` asks."""
    data = RULES[uid]["data"][0]
    start = now - timedelta(seconds=data["relativeTimeRange"]["from"])
    rows = ledger.query(expand_in_backend(data["model"]["rawSql"], View(start, now)))
    assert all(isinstance(cell, str) for row in rows.rows for cell in row[:-1])
    assert all(isinstance(row[-1], float) for row in rows.rows)
    assert len({row[:-1] for row in rows.rows}) == len(rows.rows)
    assert rows == ledger.query("\n".join(WATCHED[uid]["sql"]), {"from": start, "to": now})
    return rows.rows


def fires(ledger: Ledger, uid: str, now: datetime = NOW) -> list[Row]:
    bound = RULES[uid]["data"][1]["model"]["conditions"][0]["evaluator"]["params"][0]
    return [row for row in answer(ledger, uid, now) if row[-1] > bound]


def write(path: Path, *statements: str) -> None:
    """Run statements on a ledger that has everything."""
    with Ledger.open(f"chdb://{path}", read_only=False) as ledger:
        prepare(ledger)
        create(ledger)
        for statement in statements:
            ledger.execute(statement)


def budget(name: str, amount_usd: str, scope: str = "{}", period: str = "month", since: str = "2026-01-01") -> str:
    columns = "(budget, valid_from, period, scope, amount_usd)"
    return f"INSERT INTO {{database}}.budgets {columns} VALUES ('{name}', '{since}', '{period}', {scope}, {amount_usd})"


def test_watch_has_the_rules_that_grafana_has() -> None:
    """
    The same rules, bounds, windows and times of waiting.
    """
    assert set(RULES) == set(WATCHED)
    for uid, rule in RULES.items():
        watched = WATCHED[uid]
        query, threshold = rule["data"]
        assert query["relativeTimeRange"]["from"] == watched["window_s"]
        assert threshold["model"]["conditions"][0]["evaluator"]["params"] == [watched["above"]]
        assert rule["for"] == f"{watched['pending_s'] // 60}m"
        assert rule["labels"] == watched["labels"]


def test_nothing_fires_and_nothing_fails_over_an_empty_ledger(tmp_path: Path) -> None:
    """
    No row from any rule.
    """
    write(tmp_path / "ledger")
    with filled_ledger(tmp_path / "ledger", []) as ledger:
        assert [] == [row for uid in RULES for row in answer(ledger, uid)]


def test_share_without_a_price_fires_above_one_percent_until_the_hour_is_over(tmp_path: Path) -> None:
    """
    Two of forty calls are 5 %. An hour in which all have a price is 0, and nineteen calls are too few.
    """
    calls = hour_of([None, None] + ["0.1"] * 38) + hour_of(["0.1"] * 40, days_ago=2) + hour_of([None] * 19, days_ago=4)

    with filled_ledger(tmp_path / "ledger", calls) as ledger:
        assert [("all", pytest.approx(5.0))] == fires(ledger, "llmcost-unpriced")
        assert [] == fires(ledger, "llmcost-unpriced", NOW + timedelta(minutes=61))
        assert [("all", 0.0)] == answer(ledger, "llmcost-unpriced", day_before(2))
        assert [] == answer(ledger, "llmcost-unpriced", day_before(4))


def test_share_without_a_team_fires_above_ten_percent_until_the_hour_is_over(tmp_path: Path) -> None:
    """
    A quarter of the spend. Nobody is told under a dollar, nor where no line of a week has a team.
    """
    teams = ("cx", "ml", "", "cx")
    calls = hour_of(["0.1"] * 40, teams) + hour_of(["0.01"] * 40, teams, 2) + hour_of(["0.1"] * 40, ("(none)",), 20)

    with filled_ledger(tmp_path / "ledger", calls) as ledger:
        assert [("all", pytest.approx(25.0))] == fires(ledger, "llmcost-unattributed")
        assert [] == fires(ledger, "llmcost-unattributed", NOW + timedelta(minutes=61))
        assert [] == answer(ledger, "llmcost-unattributed", day_before(2))
        assert [] == answer(ledger, "llmcost-unattributed", day_before(20))


def test_price_book_in_use_fires_after_thirty_days(tmp_path: Path) -> None:
    """
    The book of 40 days ago fires while lines are made with it, the one of yesterday does not.
    """
    books = "INSERT INTO {database}.price_books (version, data_version, archived_at) VALUES"
    rows = [(f"v{days}", NOW - timedelta(days=days)) for days in (1, 40, 90)]
    values = ", ".join(f"('{version}', '1', '{moment:%Y-%m-%d %H:%M:%S}')" for version, moment in rows)
    write(tmp_path / "ledger", f"{books} {values}")
    calls = [spent(n, NOW - MINUTE * (n + 1), "0.1") for n in range(1, 3)]
    calls = [_priced_with(call, book) for call, book in zip(calls, ("v1", "v40"), strict=True)]

    with filled_ledger(tmp_path / "ledger", calls) as ledger:
        assert [("v40", pytest.approx(40.0))] == fires(ledger, "llmcost-price-book")
        assert [] == fires(ledger, "llmcost-price-book", NOW + timedelta(minutes=70))


def _priced_with(call: LLMCall, book: str) -> LLMCall:
    from dataclasses import replace

    assert call.cost is not None
    return replace(call, cost=replace(call.cost, price_book=book))


def test_anomaly_fires_while_it_is_seen(tmp_path: Path) -> None:
    """
    One row per cause with its series; a quarter of an hour after its last minute it is over.
    """
    columns = (
        "(hour, series_kind, series_key, detector, direction, first_minute, last_minute, window_minutes, z, ratio,"
        " actual_usd, expected_usd, excess_usd)"
    )
    row = (
        "('2026-11-20 14:00:00', 'team', 'cx', 'spend_rise', 'rise', '2026-11-20 14:20:00', '2026-11-20 14:35:00', 5,"
        " 9, 3.5, 35, 10, 25)"
    )
    write(tmp_path / "ledger", f"INSERT INTO {{database}}.anomaly_signals {columns} VALUES {row}")

    with filled_ledger(tmp_path / "ledger", []) as ledger:
        (found,) = fires(ledger, "llmcost-anomaly")
        assert ("team=cx", "rise", 3.5) == found[1:]
        assert [] == fires(ledger, "llmcost-anomaly", NOW + timedelta(minutes=15))


def test_budget_is_told_at_thresholds_when_exceeded_and_before(tmp_path: Path) -> None:
    """
    88 of 100 USD are beyond 70 and 85 %, 88 of 80 beyond all, 88 of 1,000 beyond none. With 11 USD a day and 10 days
    left, 100 and 150 will be exceeded. The next month begins at 0.
    """
    calls = [spent(n, NOW - timedelta(days=n), "11") for n in range(1, 9)]
    budgets = [
        budget("cx", "100", "{'team': ['cx']}"),
        budget("next", "150"),
        budget("over", "80"),
        budget("wide", "1000"),
    ]
    write(tmp_path / "ledger", *budgets)

    with filled_ledger(tmp_path / "ledger", calls) as ledger:
        told = fires(ledger, "llmcost-budget")
        over = fires(ledger, "llmcost-budget-exceeded")
        assert [("cx", "70"), ("cx", "85"), ("over", "70"), ("over", "85"), ("over", "95")] == [
            (row[0], row[4]) for row in told
        ]
        assert ("cx", "month", "2026-11-01", "100", "70", pytest.approx(88.0)) == told[0]
        assert [("over", "100", pytest.approx(110.0))] == [(row[0], *row[4:]) for row in over]
        forecast = [("cx", "month", "2026-11-01", "100", 10.0), ("next", "month", "2026-11-01", "150", 10.0)]
        assert forecast == fires(ledger, "llmcost-budget-forecast")
        december = datetime(2026, 12, 1, 0, 5, tzinfo=UTC)
        assert [] == [row for uid in RULES if "budget" in uid for row in fires(ledger, uid, december)]


def test_all_rules_run_at_the_endpoint_of_up(tmp_path: Path) -> None:
    """
    Over HTTP, read-only: what the engine answers at once.
    """
    path = tmp_path / "ledger"
    write(path, budget("cx", "3.9", "{'team': ['cx']}"))
    calls = hour_of([None, None] + ["0.1"] * 38, ("cx", ""))
    with filled_ledger(path, calls) as ledger:
        expected = {uid: answer(ledger, uid) for uid in RULES}
    assert sum(map(bool, expected.values())) >= 2

    with running_up(f"chdb://{path}") as up, Ledger.open(f"clickhouse://127.0.0.1:{up.ports['ClickHouse']}") as ledger:
        assert expected == {uid: answer(ledger, uid) for uid in RULES}


def test_runbooks_say_what_it_means_and_their_queries_run(tmp_path: Path) -> None:
    """
    Meaning, what to look at, how to silence; every query runs.
    """
    queries = []
    for runbook in RUNBOOKS:
        text = runbook.read_text("utf-8")
        assert text.index("## What it means") < text.index("## Look first") < text.index("## Silence")
        queries += re.findall(r"```sql\n(.*?)```", text, re.DOTALL)

    assert len(RUNBOOKS) <= len(queries)
    write(tmp_path / "ledger")
    with filled_ledger(tmp_path / "ledger", [spent(1, datetime.now(UTC) - MINUTE, "1")]) as ledger:
        for query in queries:
            ledger.query(query)


# Prometheus


def tool(name: str) -> str:
    """A binary of Prometheus or Alertmanager, from the path or LLMCOST_PROMETHEUS_BIN."""
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("LLMCOST_PROMETHEUS_BIN", ""), os.environ["PATH"]]))
    if found is None:
        pytest.skip(f"{name} is not installed (Debian: prometheus, prometheus-alertmanager)")
    return found


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=PROMETHEUS)
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout


PROMETHEUS = ROOT / "grafana/prometheus"
PROMETHEUS_RULES: Mapping[str, Any] = {
    rule["alert"]: rule
    for path in sorted((PROMETHEUS / "rules").glob("*.yaml"))
    for group in yaml.safe_load(path.read_text("utf-8"))["groups"]
    for rule in group["rules"]
}


def test_prometheus_takes_the_rules() -> None:
    """
    `promtool check rules` finds nothing wrong.
    """
    assert "SUCCESS" in run(tool("promtool"), "check", "rules", *sorted((PROMETHEUS / "rules").glob("*.yaml")))


def test_prometheus_rules_fire_end_and_say_what_the_tests_say() -> None:
    """
    `promtool test rules`: firing, not firing, over again, with the exact texts.
    """
    assert 2 == run(tool("promtool"), "test", "rules", "tests.yaml", "tests-spend.yaml").count("SUCCESS")


def test_every_prometheus_rule_is_tested_and_has_a_runbook() -> None:
    """
    Each fires in one of promtool's tests and stays quiet in one.
    """
    cases = [
        case
        for path in PROMETHEUS.glob("tests*.yaml")
        for test in yaml.safe_load(path.read_text("utf-8"))["tests"]
        for case in test["alert_rule_test"]
    ]

    assert set(PROMETHEUS_RULES) == {case["alertname"] for case in cases if case["exp_alerts"]}
    assert set(PROMETHEUS_RULES) == {case["alertname"] for case in cases if not case["exp_alerts"]}
    for rule in PROMETHEUS_RULES.values():
        assert (ROOT / rule["annotations"]["runbook_url"]).is_file()


def test_alertmanager_takes_the_example() -> None:
    """
    `amtool check-config` finds nothing wrong.
    """
    assert "SUCCESS" in run(tool("amtool"), "check-config", "alertmanager.yaml")
