"""The way that lines take in service: they land, detection is brought up to now each minute, an anomaly is there."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from factories import START_NS, make_call
from otel_llmcost.call import LLMCall
from otel_llmcost.detection import run
from otel_llmcost.exporters import open_sink
from otel_llmcost.exporters.clickhouse.client import Ledger

START = datetime.fromtimestamp(START_NS // 10**9, UTC)
MINUTE = timedelta(minutes=1)
HOURS = 4
"""Of lines before the test begins; detection's memory of the ten days before is made of theirs."""


def minute_of_calls(
    minute: int, feature: str, calls: int = 30, first: int = 0, second: float = 0.0
) -> Iterator[LLMCall]:
    """`calls` of a feature, spread over a minute (since START)."""
    place = {"chat": 0, "search": 1}[feature]
    for n in range(calls):
        at = START_NS + int((minute + n / calls) * 60e9)
        number = (minute + 1) * 10_000 + place * 1_000 + first + n
        tags = {"team": "cx", "feature": feature, "customer": feature}
        yield make_call(number, start_ns=at - 10**9, end_ns=at, user=feature, agent=feature, tags=tags)


def land(url: str, calls: Iterator[LLMCall]) -> None:
    """Insert lines as every host does."""
    sink = open_sink(url)
    sink.write(list(calls))
    sink.close()


def usual(first: int, last: int) -> Iterator[LLMCall]:
    """Two features of thirty calls a minute each."""
    for minute in range(first, last):
        for feature in ("chat", "search"):
            yield from minute_of_calls(minute, feature)


def update(url: str, now: datetime) -> list[set[tuple[str, str]]]:
    """Bring detection up to `now`; for each anomaly the series that it is about."""
    with Ledger.open(url, read_only=False) as ledger:
        run.update(ledger, now)
        rows = ledger.query("SELECT series_kind, series_key, folded FROM anomalies").rows
    return [{(kind, key), *folded} for kind, key, folded in rows]


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A ledger with four hours of lines, and detection's memory of ten days like them."""
    where = f"chdb://{tmp_path}/ledger"
    land(where, usual(0, HOURS * 60))
    with Ledger.open(where, read_only=False) as ledger:
        run.create(ledger)
        run.remember(ledger, START, START + timedelta(hours=HOURS))
        ledger.execute(
            "INSERT INTO {database}.series_hour SELECT h.* REPLACE (h.hour - back.k * 3600 * {hours:UInt32} AS hour)"
            " FROM {database}.series_hour AS h CROSS JOIN (SELECT number + 1 AS k FROM numbers(60)) AS back",
            {"hours": HOURS},
        )
    return where


def test_twice_the_calls_are_an_anomaly_within_sixty_seconds_of_landing(url: str) -> None:
    """
    A feature of thirty calls a minute that makes twice as many is an anomaly at the first evaluation after a minute of
    them landed, and the feature can be found from it; before, nothing is said.
    """
    now = HOURS * 60
    land(url, usual(now, now + 3))
    before = [update(url, START + minute * MINUTE + timedelta(seconds=20)) for minute in (now, now + 2)]
    land(url, minute_of_calls(now + 2, "search", calls=40, first=500))

    after = update(url, START + (now + 3) * MINUTE)

    assert [[], []] == before
    assert [True] == [("feature", "search") in about for about in after]


def test_a_minute_that_goes_on_is_judged_by_what_has_landed(url: str) -> None:
    """
    Ten times the usual calls are told by an evaluation within their minute; that half of a minute is silent is not.
    """
    now = HOURS * 60
    land(url, minute_of_calls(now, "search", calls=300))

    after = update(url, START + now * MINUTE + timedelta(seconds=55))

    assert [True] == [("feature", "search") in about for about in after]
    with Ledger.open(url) as ledger:
        assert [("rise",)] == ledger.query("SELECT DISTINCT direction FROM anomaly_signals").rows
