"""Ledgers as they come: empty, of one line, with gaps, odd names, unpriced lines and clocks that are wrong."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from factories import START_NS, make_call
from otel_llmcost.call import Cost, LLMCall, Status
from otel_llmcost.detection import run
from otel_llmcost.exporters import open_sink
from otel_llmcost.exporters.clickhouse.client import Ledger

MINUTE_NS = 60_000_000_000
START = datetime.fromtimestamp(START_NS // 10**9, UTC)
NAMES = (
    "O'Neil",
    'the "best"',
    "back\\slash",
    "tab\tand\nline",
    "{database}",
    "{key:String}",
    "名前",
    "--",
    "; DROP TABLE",
)


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return f"chdb://{tmp_path}/ledger"


def ledger_of(url: str, calls: Sequence[LLMCall]) -> Iterator[Ledger]:
    """A ledger with these lines and detection's tables."""
    sink = open_sink(url)
    sink.write(list(calls))
    sink.close()
    with Ledger.open(url, read_only=False) as ledger:
        run.create(ledger)
        yield ledger


def test_nothing_is_said_of_an_empty_ledger(folder: str) -> None:
    """
    Without a line there is nothing to remember, expect or judge, and nothing fails.
    """
    sink = open_sink(folder)
    sink.write([make_call(1)])  # the sink creates its tables with the first line
    sink.close()
    with Ledger.open(folder, read_only=False) as ledger:
        ledger.execute("TRUNCATE TABLE {database}.call_versions")
        run.create(ledger)
        run.update(ledger, START + timedelta(days=40))

        assert [(0,)] == ledger.query("SELECT count() FROM anomalies").rows
        assert [(0,)] == ledger.query("SELECT count() FROM series_hour").rows


def test_one_line_is_no_anomaly(folder: str) -> None:
    """
    The first call of a ledger is remembered by its series, and is no news.
    """
    for ledger in ledger_of(folder, [make_call(1)]):
        run.update(ledger, START + timedelta(hours=3))

        kinds = [kind for (kind,) in ledger.query("SELECT series_kind FROM series_hour ORDER BY series_kind").rows]
        assert ["agent", "customer", "feature", "host", "model", "service", "team", "total", "user"] == kinds
        assert [(0,)] == ledger.query("SELECT count() FROM anomalies").rows


def test_names_are_values_whatever_is_in_them(folder: str) -> None:
    """
    Quotes, backslashes, line ends, braces and SQL in a name stay a name, from the line to the anomaly and its parts.
    """
    calls = [
        make_call(
            number * 1_000 + minute,
            start_ns=START_NS + minute * MINUTE_NS,
            end_ns=START_NS + minute * MINUTE_NS + 1,
            tags={"team": name, "feature": name, "customer": name},
        )
        for number, name in enumerate(NAMES, 1)
        for minute in range(0, 600, 20)
    ]
    for ledger in ledger_of(folder, calls):
        run.update(ledger, START + timedelta(hours=11))

        found = ledger.query("SELECT DISTINCT series_key FROM series_hour WHERE series_kind = 'team'").rows
        assert set(NAMES) == {name for (name,) in found}
        for name in NAMES:
            parts = run.explain(ledger, ("team", name), START, START + timedelta(hours=1))["parts"]
            assert parts.rows[0][2] > 0


def test_lines_without_a_price_cost_nothing_here(folder: str) -> None:
    """
    Series of unpriced lines are remembered with their calls and without cost, and judged without a word.
    """
    unpriced = Cost(Status.UNPRICED, reason="unknown_model:x")
    calls = [
        make_call(n, start_ns=START_NS + n * MINUTE_NS, end_ns=START_NS + n * MINUTE_NS, cost=unpriced)
        for n in range(1, 200)
    ]
    for ledger in ledger_of(folder, calls):
        run.update(ledger, START + timedelta(hours=5), since=START)

        assert [(199, 0.0)] == ledger.query(
            "SELECT sum(calls), sum(cost_usd) FROM series_hour WHERE series_kind = 'total'"
        ).rows
        assert [(0,)] == ledger.query("SELECT count() FROM anomaly_signals").rows


def test_wrong_clocks_do_no_harm(folder: str) -> None:
    """
    Lines of next year and of the year 2015 are not judged now, and do not hide those of today.
    """
    odd = [
        make_call(n, start_ns=START_NS + days * 24 * 60 * MINUTE_NS, end_ns=START_NS + days * 24 * 60 * MINUTE_NS + 1)
        for n, days in enumerate((-3_900, 365, 366), 1)
    ]
    usual = [make_call(n, start_ns=START_NS + n * MINUTE_NS, end_ns=START_NS + n * MINUTE_NS) for n in range(10, 100)]
    for ledger in ledger_of(folder, odd + usual):
        run.update(ledger, START + timedelta(hours=2))
        run.update(ledger, START + timedelta(hours=3))

        assert [(90,)] == ledger.query("SELECT sum(calls) FROM series_hour FINAL WHERE series_kind = 'total'").rows


def test_updating_each_minute_takes_in_what_is_new_and_no_more(folder: str) -> None:
    """
    A second update within the minute changes nothing; one of the next hour remembers that hour.
    """
    calls = [make_call(n, start_ns=START_NS + n * MINUTE_NS, end_ns=START_NS + n * MINUTE_NS) for n in range(1, 180)]
    count = "SELECT count() FROM series_hour WHERE series_kind = 'total'"
    for ledger in ledger_of(folder, calls):
        run.update(ledger, START + timedelta(hours=2, minutes=5))
        first = ledger.query(count).rows
        run.update(ledger, START + timedelta(hours=2, minutes=5, seconds=20))
        same = ledger.query(count).rows
        run.update(ledger, START + timedelta(hours=3, minutes=1))
        ledger.execute("OPTIMIZE TABLE {database}.series_hour FINAL")

        assert first == same == [(2,)]
        assert [(3,)] == ledger.query(count).rows
