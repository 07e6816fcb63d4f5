"""The rule "LLM spend rate is unusual" on the real engine: when it fires, and when it must not."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import blake2b
from pathlib import Path
from statistics import median

import pytest
import yaml
from grafana_ledger import filled_ledger
from grafana_macros import View, expand_in_backend

from factories import make_call, make_cost
from otel_llmcost.call import Amounts, LLMCall
from otel_llmcost.exporters.clickhouse.client import Ledger

GRAFANA = Path(__file__).parents[2] / "grafana"
GROUP = yaml.safe_load((GRAFANA / "provisioning/alerting/spend.yaml").read_text("utf-8"))["groups"][0]
RULE = next(rule for rule in GROUP["rules"] if rule["uid"] == "llmcost-spend-rate")
QUERY, THRESHOLD = RULE["data"]
BOUND = THRESHOLD["model"]["conditions"][0]["evaluator"]["params"][0]
NOW = datetime(2026, 11, 20, 14, 37, 23, tzinfo=UTC)
EVERY = timedelta(minutes=20)  # three calls an hour

Instance = tuple[str, str]  # scope, team


def steady(team: str, usd_per_hour: str, days: int, until: datetime = NOW) -> list[LLMCall]:
    """Calls of one team, evenly over the last days."""
    count = days * 72
    return [spent(team, until - EVERY * n - timedelta(minutes=2), Decimal(usd_per_hour) / 3) for n in range(count)]


def spent(team: str, moment: datetime, usd: Decimal) -> LLMCall:
    """One call; its id follows from the team and the time."""
    start_ns = int(moment.timestamp()) * 1_000_000_000
    call_id = blake2b(f"{team} {start_ns} {usd}".encode(), digest_size=16).digest()
    cost = make_cost(effective=Amounts(input_usd=usd.quantize(Decimal("1e-12"))))
    return make_call(1, call_id=call_id, start_ns=start_ns, end_ns=start_ns + 1, tags={"team": team}, cost=cost)


def ratios(ledger: Ledger, now: datetime = NOW) -> dict[Instance, float]:
    """What the rule's query answers: instance → times the usual."""
    span = QUERY["relativeTimeRange"]
    view = View(now - timedelta(seconds=span["from"]), now - timedelta(seconds=span["to"]))
    answer = ledger.query(expand_in_backend(QUERY["model"]["rawSql"], view))
    assert answer.columns == (("scope", "team", "series", "times_usual") if answer.rows else ())
    assert all(series in ("total", f"team={team}") for _scope, team, series, _ratio in answer.rows)
    return {(scope, team): ratio for scope, team, _series, ratio in answer.rows}


def firing(found: dict[Instance, float]) -> set[Instance]:
    """The instances that Grafana's threshold expression turns on."""
    assert "gt" == THRESHOLD["model"]["conditions"][0]["evaluator"]["type"]
    return {instance for instance, ratio in found.items() if ratio > BOUND}


def fired(tmp_path: Path, calls: Iterable[LLMCall]) -> set[Instance]:
    with filled_ledger(tmp_path / "ledger", list(calls)) as ledger:
        return firing(ratios(ledger))


def test_three_times_the_usual_hour_fires_for_the_team_and_the_total(tmp_path: Path) -> None:
    """
    A team that spends 3 times its usual hour fires, and so does the total that it pulls up; the calm team does not.
    """
    calls = steady("cx", "30", days=15) + steady("O'Neil", "6", days=15)
    extra = [spent("cx", NOW - timedelta(minutes=m), Decimal(1)) for m in range(1, 61)]

    with filled_ledger(tmp_path / "ledger", calls + extra) as ledger:
        found = ratios(ledger)

    assert {("team", "cx"), ("total", "")} == firing(found)
    assert pytest.approx(3.0) == found["team", "cx"]
    assert pytest.approx(96 / 36) == found["total", ""]
    assert pytest.approx(1.0) == found["team", "O'Neil"]


def test_flat_spend_is_silent(tmp_path: Path) -> None:
    """
    The same spend every hour of 15 days is 1 time the usual.
    """
    with filled_ledger(tmp_path / "ledger", steady("cx", "30", days=15)) as ledger:
        found = ratios(ledger)

    assert {("team", "cx"): pytest.approx(1.0), ("total", ""): pytest.approx(1.0)} == found


def test_empty_ledger_is_silent(tmp_path: Path) -> None:
    """
    No calls is no row, which the rule takes for OK.
    """
    assert "OK" == RULE["noDataState"]
    with filled_ledger(tmp_path / "ledger", []) as ledger:
        assert {} == ratios(ledger)


def test_young_ledger_is_silent(tmp_path: Path) -> None:
    """
    Before the fifth day there is no usual hour, whatever is spent; on the fifth there is.
    """
    extra = [spent("cx", NOW - timedelta(minutes=m), Decimal(10)) for m in range(1, 61)]

    with filled_ledger(tmp_path / "four days", steady("cx", "30", days=4) + extra) as ledger:
        assert {} == ratios(ledger)
    with filled_ledger(tmp_path / "six days", steady("cx", "30", days=6) + extra) as ledger:
        assert {("team", "cx"), ("total", "")} == firing(ratios(ledger))


def test_cents_are_silent(tmp_path: Path) -> None:
    """
    Ten times next to nothing wakes nobody: the usual hour is taken as 1 USD at least.
    """
    extra = [spent("cx", NOW - timedelta(minutes=m), Decimal("0.015")) for m in range(1, 61)]

    assert set() == fired(tmp_path, steady("cx", "0.1", days=15) + extra)


def test_spend_at_a_quiet_hour_fires(tmp_path: Path) -> None:
    """
    A nightly job that runs in the afternoon has a usual hour of 0 there, and fires.
    """
    nights = [NOW.replace(hour=2, minute=30) - timedelta(days=n) for n in range(15)]
    nightly = [spent("batch", night, Decimal(40)) for night in nights]

    assert set() == fired(tmp_path / "usual", nightly)
    assert {("team", "batch"), ("total", "")} == fired(
        tmp_path / "afternoon", [*nightly, spent("batch", NOW - timedelta(minutes=10), Decimal(40))]
    )


def test_usual_is_the_median_of_the_same_hour(tmp_path: Path) -> None:
    """
    One wild day among the last ten does not move the usual; days without calls count as 0.
    """
    spend_usd = [12, 10, 11, 400, 0, 9, 13, 10, 12, 11]  # 1 to 10 days ago
    calls = [
        spent("cx", NOW - timedelta(days=ago, minutes=30), Decimal(usd))
        for ago, usd in enumerate(spend_usd, start=1)
        if usd
    ]
    now = [spent("cx", NOW - timedelta(minutes=30), Decimal(22))]

    with filled_ledger(tmp_path / "ledger", calls + now) as ledger:
        assert pytest.approx(22 / median(spend_usd)) == ratios(ledger)["team", "cx"]


def test_team_called_like_the_total_is_its_own_instance(tmp_path: Path) -> None:
    """
    Grafana refuses two rows with equal labels; a team named "" or "total" does not meet the total's.
    """
    calls = steady("", "30", days=6) + steady("total", "30", days=6)

    with filled_ledger(tmp_path / "ledger", calls) as ledger:
        span = QUERY["relativeTimeRange"]["from"]
        sql = expand_in_backend(QUERY["model"]["rawSql"], View(NOW - timedelta(seconds=span), NOW))
        labels = [row[:2] for row in ledger.query(sql).rows]

    assert [("team", ""), ("team", "total"), ("total", "")] == labels
