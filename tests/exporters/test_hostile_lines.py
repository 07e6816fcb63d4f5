"""Lines as hostile or broken senders make them: all of them are stored, and totals stay exact."""

import os
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from rollup_account import HOUR_NS

from factories import START_NS, make_call
from otel_llmcost.call import LLMCall, Source
from otel_llmcost.exporters import open_sink
from otel_llmcost.exporters.clickhouse.client import Ledger
from otel_llmcost.exporters.clickhouse.settling import rebuild, settle

DAY_NS = 24 * HOUR_NS
YEAR_NS = 365 * DAY_NS
LAST_NS = (1 << 63) - 1
LONG = "LLMCOST_LONG" in os.environ
FIELDS = (
    "service",
    "environment",
    "provider",
    "host",
    "operation",
    "requested_model",
    "model",
    "service_tier",
    "agent",
)
FIELDS += ("error_type", "finish_reason", "user", "session", "workflow", "run", "emitter")
TEXTS = {
    "a null byte": "a\0b",
    "what separates": "\t\n\r\\t\\b\\\\\x1f'\"`{x:String}",
    "SQL": "'); DROP TABLE calls; --",
    "half of a pair": "a\ud800b",
    "right to left": "\u202eabc\u2066\ufeff",
    "megabytes": "é" * (5_000_000 if LONG else 500_000),
}


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"chdb://{tmp_path}/ledger"


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    sink = open_sink(url)
    sink.write([make_call(1)])
    sink.close()
    with Ledger.open(url, read_only=False) as opened:
        yield opened


def store(url: str, calls: list[LLMCall]) -> None:
    sink = open_sink(url)
    sink.write(calls)
    sink.close()


@pytest.mark.parametrize("kind", TEXTS)
def test_any_text_is_stored_as_it_is_beside_its_neighbours(ledger: Ledger, url: str, kind: str) -> None:
    """
    In every field of words, as a tag's name and value; totals by them are the sum of the lines.
    """
    text = TEXTS[kind]
    told = make_call(2, **dict.fromkeys(FIELDS, text), tags={"team": text, "customer": text, f"t{text}": text})
    store(url, [told, make_call(3)])

    stored = text.encode("utf-8", "replace").decode()
    sql = (
        f"SELECT {', '.join(FIELDS)}, team, customer, substring(mapKeys(tags)[1], 2) FROM calls WHERE call_id LIKE '%2'"
    )
    assert [True] * (len(FIELDS) + 3) == [value == stored for value in ledger.query(sql).rows[0]]
    for _ in range(2):
        for view in ("calls_hourly", "calls_daily", "chargeback", "users_daily"):
            assert [(3, Decimal("0.0129"))] == ledger.query(f"SELECT sum(calls), sum(cost_usd) FROM {view}").rows
        settle(ledger, grace_s=0)


def test_a_huge_map_is_stored(ledger: Ledger, url: str) -> None:
    """
    Twenty thousand tags of a line.
    """
    store(url, [make_call(2, tags={f"tag{number}": "x" * 100 for number in range(20_000)}), make_call(3)])

    assert [(20_000,)] == ledger.query("SELECT max(length(tags)) FROM calls").rows
    assert [(3,)] == ledger.query("SELECT sum(calls) FROM chargeback").rows


def test_clocks_that_are_years_off_and_days_out_of_order(ledger: Ledger, url: str) -> None:
    """
    From 1970 to 2262, and back, in one batch: each is a line, in its own time, live and settled.
    """
    starts = [0, 1, 40 * YEAR_NS, START_NS - 3 * YEAR_NS, START_NS + 3 * YEAR_NS, 130 * YEAR_NS, 136 * YEAR_NS]
    starts += [136 * YEAR_NS + 200 * DAY_NS, 200 * YEAR_NS, LAST_NS - 10**10, START_NS - DAY_NS, START_NS + DAY_NS]
    calls = [make_call(number, start_ns=ns, end_ns=ns + 10**9) for number, ns in enumerate(reversed(starts), 10)]
    calls += [make_call(n, start_ns=ns, end_ns=ns, source=Source.IMPORT) for n, ns in enumerate(starts, 40)]
    calls.append(make_call(80, start_ns=START_NS, end_ns=START_NS - YEAR_NS))  # ends before it began
    store(url, calls)

    for step in (lambda: None, lambda: settle(ledger, grace_s=0), lambda: rebuild(ledger, grace_s=0)):
        step()
        shown = ledger.query("SELECT toUnixTimestamp64Nano(ts) FROM calls ORDER BY ts").rows
        assert sorted([make_call(1).start_ns, *(call.start_ns for call in calls)]) == [ns for (ns,) in shown]
        for view in ("calls_hourly", "calls_by_minute", "calls_daily", "users_daily"):
            assert [(1 + len(calls),)] == ledger.query(f"SELECT sum(calls) FROM {view}").rows, view
        days = (
            "SELECT toString(day) FROM calls_daily GROUP BY day EXCEPT SELECT toString(toDate32(ts, 'UTC')) FROM calls"
        )
        assert [] == ledger.query(days).rows
