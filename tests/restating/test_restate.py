"""Restating on the embedded engine: sums, history, idempotence, late records, months, scopes."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledgers import CONTRACTED, LIST, book_with, call_of, contents, ledger_total, priced, some_calls, total_of

from factories import START_NS
from otel_llmcost.call import Bucket, LLMCall, Outcome, Source, Usage
from otel_llmcost.exporters.clickhouse.books import archived_book
from otel_llmcost.exporters.clickhouse.client import Ledger, LedgerUrl
from otel_llmcost.exporters.clickhouse.migrations import prepare
from otel_llmcost.exporters.clickhouse.rows import COLUMNS, columns, native_block
from otel_llmcost.pricing import PriceBook
from otel_llmcost.restating.run import Outcome as Restated
from otel_llmcost.restating.run import Restatement, dry_run
from otel_llmcost.restating.scope import Scope
from otel_llmcost.restating.trueing import trued_up


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """A ledger with its tables, made once."""
    url = LedgerUrl("chdb", path=str(tmp_path_factory.mktemp("restating")))
    with Ledger.connect(url, read_only=False) as opened:
        prepare(opened)
        yield opened


@pytest.fixture
def ledger(prepared: Ledger) -> Ledger:
    """The same, empty."""
    return emptied(prepared)


def emptied(ledger: Ledger) -> Ledger:
    for table, (rows, _) in contents(ledger).items():
        if rows and table != "schema_migrations":
            ledger.execute(f"TRUNCATE TABLE {{database}}.{table}")
    return ledger


def store(ledger: Ledger, calls: list[LLMCall]) -> None:
    filled = columns(calls)
    ledger.insert("call_versions", list(filled), native_block(filled), "Native")


def restate(ledger: Ledger, book: PriceBook, scope: Scope | None = None, lines: int = 1_000) -> Restated:
    return Restatement(ledger, scope or Scope(), book, who="finops", why="test").restate(lines=lines)


USAGE = st.dictionaries(st.sampled_from(list(Bucket)), st.integers(1, 10**7), max_size=4)
MODELS = [("openai", "gpt-4o"), ("openai", "gpt-4o-mini"), ("vllm.internal", "own"), ("nobody", "unknown")]


@st.composite
def calls(draw: st.DrawFn) -> list[LLMCall]:
    """Calls of known and unknown models, with and without usage, of two teams."""
    found = []
    for number in range(1, draw(st.integers(1, 12)) + 1):
        provider, model = draw(st.sampled_from(MODELS))
        known = draw(st.booleans()) or draw(st.booleans())
        usage = Usage(draw(USAGE), rule="test") if known else Usage(known=False, rule="none")
        found.append(
            call_of(
                number,
                provider,
                model,
                usage=usage,
                outcome=draw(st.sampled_from(list(Outcome))),
                source=draw(st.sampled_from([Source.WIRE, Source.OTLP, Source.IMPORT])),
                tags={"team": draw(st.sampled_from(["cx", "dev"]))},
            )
        )
    return found


@given(found=calls(), lines=st.integers(1, 5), there_and_back=st.booleans())
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_the_ledger_is_the_sum_of_the_new_costs(
    prepared: Ledger, found: list[LLMCall], lines: int, there_and_back: bool
) -> None:
    """
    After a restatement the total is that of the new book; old and delta make new, team by team; again is nothing.
    """
    ledger = emptied(prepared)
    store(ledger, [priced(call) for call in found])
    outcome = restate(ledger, CONTRACTED, lines=lines)
    after = contents(ledger)
    again = restate(ledger, CONTRACTED, lines=lines)

    assert total_of(found, CONTRACTED) == ledger_total(ledger)
    assert (0, 0, after) == (again.run_id, again.changed, contents(ledger))
    rows = ledger.query(
        "SELECT team, ifNull(sum(old_cost_usd), 0) + sum(delta_usd), ifNull(sum(cost_usd), 0) FROM restated"
        " GROUP BY team"
    ).rows
    assert all(old_and_delta == new for _, old_and_delta, new in rows)
    assert total_of(found, CONTRACTED) - total_of(found, LIST) == outcome.summary.total.delta_usd
    if there_and_back:
        restate(ledger, LIST, lines=lines)
        assert total_of(found, LIST) == ledger_total(ledger)


def test_every_old_amount_can_be_read_back(ledger: Ledger) -> None:
    """
    After merges have dropped the old versions, `adjustments` has each line as it was, column by column.
    """
    store(ledger, [priced(call) for call in some_calls(50)])
    names = ["cost_usd", "list_cost_usd", "input_cost_usd", "output_cost_usd", "cache_savings_usd", "status", "reason"]
    names += ["price_id", "price_book"]
    before = ledger.query(f"SELECT call_id, {', '.join(names)} FROM calls ORDER BY call_id").rows

    outcome = restate(ledger, CONTRACTED)
    ledger.execute("OPTIMIZE TABLE {database}.call_versions FINAL")

    old = ", ".join(f"old_{name}" for name in names)
    assert before == ledger.query(f"SELECT lower(hex(call_id)), {old} FROM adjustments ORDER BY call_id").rows
    assert (50, 50) == (outcome.changed, ledger.query("SELECT count() FROM call_versions WHERE shadow = 0").rows[0][0])
    assert [("finished", "finops", "test", 50, 50)] == ledger.query(
        "SELECT state, who, why, lines, changed FROM restatements FINAL"
    ).rows


def test_only_lines_that_cost_something_else_are_touched(ledger: Ledger) -> None:
    """
    A discount on one seller writes new versions of its lines alone, and of those everything but the price stays.
    """
    found = [priced(call_of(1)), priced(call_of(2, "anthropic", "claude-sonnet-4-5"))]
    store(ledger, found)
    kept = "call_id, ts, trace_id, span_id, source, service, provider, tags, buckets, usage_rule, user, duration_ms"
    before = ledger.query(f"SELECT {kept} FROM calls ORDER BY call_id").rows

    assert 1 == restate(ledger, CONTRACTED).changed
    assert before == ledger.query(f"SELECT {kept} FROM calls ORDER BY call_id").rows
    assert {LIST.version, CONTRACTED.version} == {row[0] for row in ledger.query("SELECT price_book FROM calls").rows}


def test_the_original_does_not_come_back(ledger: Ledger) -> None:
    """
    The record that was restated, delivered again, changes nothing, whatever book priced it on the way.
    """
    found = some_calls(20)
    store(ledger, [priced(call) for call in found])
    restate(ledger, CONTRACTED)
    for book in (LIST, book_with("discounts: [{id: x, from: 2025-01-01, percent_off: 50}]")):
        store(ledger, [priced(replace(call, emitter="another"), book) for call in found if call.cost is None])
        store(ledger, [priced(call, book) for call in found])

    known = [call for call in found if call.provider == "openai"]
    assert total_of(known, CONTRACTED) == sum(
        row[0] for row in ledger.query("SELECT cost_usd FROM calls WHERE provider = 'openai'").rows
    )


def test_a_fuller_record_that_comes_late_is_the_line_and_is_restated_next(ledger: Ledger) -> None:
    """
    The wire's record wins against the restated span at its own price; the next run changes that line alone.
    """
    span = call_of(1, source=Source.OTLP, usage=Usage({Bucket.INPUT: 10}, rule="test"))
    other = call_of(2)
    store(ledger, [priced(span), priced(other)])
    restate(ledger, CONTRACTED)
    wire = replace(span, source=Source.WIRE, usage=Usage({Bucket.INPUT: 10, Bucket.OUTPUT: 90}, rule="test"))
    store(ledger, [priced(wire)])

    assert total_of([wire], LIST) + total_of([other], CONTRACTED) == ledger_total(ledger)
    assert 1 == restate(ledger, CONTRACTED).changed
    assert total_of([wire, other], CONTRACTED) == ledger_total(ledger)


def test_a_restated_line_hides_a_late_record_beyond_midnight(ledger: Ledger) -> None:
    """
    Another clock's record of the call, a minute later and so a day later, is no second line after a restatement.
    """
    midnight_ns = START_NS + 12 * 3_600 * 1_000_000_000
    for number in range(1, 9):  # whichever of the two has the higher checksum
        before = call_of(number, source=Source.OTLP, start_ns=midnight_ns - 30 * 10**9, emitter="one")
        after = replace(before, start_ns=midnight_ns + 30 * 10**9, emitter="other")
        store(ledger, [priced(before)])
        restate(ledger, CONTRACTED)
        store(ledger, [priced(after)])

    assert [(8, 8)] == ledger.query("SELECT count(), uniqExact(call_id) FROM calls").rows


def test_a_dry_run_writes_nothing_and_tells_the_same(ledger: Ledger) -> None:
    """
    Its sums are those that the restatement then makes, and no table has a row more.
    """
    store(ledger, [priced(call) for call in some_calls(30)])
    before = contents(ledger)

    told = dry_run(ledger, Scope(), CONTRACTED, lines=7)

    assert before == contents(ledger)
    done = restate(ledger, CONTRACTED)
    assert (told.lines, told.changed, told.summary.lines) == (done.lines, done.changed, done.summary.lines)


def test_an_archived_book_takes_everything_back(ledger: Ledger) -> None:
    """
    Restated with the book that an earlier run left in the archive, lines cost what they cost by it.
    """
    found = some_calls(30)
    store(ledger, [priced(call) for call in found])
    restate(ledger, CONTRACTED)
    restate(ledger, book_with("discounts: [{id: gone, from: 2025-01-01, percent_off: 99}]"))

    restate(ledger, archived_book(ledger, CONTRACTED.version))

    assert total_of(found, CONTRACTED) == ledger_total(ledger)


@pytest.mark.parametrize(
    ("scope", "chosen"),
    [
        (Scope(start=datetime.fromtimestamp(START_NS / 1e9 + 10, UTC)), range(10, 31)),
        (Scope(end=datetime.fromtimestamp(START_NS / 1e9 + 10, UTC)), range(1, 10)),
        (Scope(providers=("open*",)), [n for n in range(1, 31) if n % 3 != 2]),
        (Scope(models=("gpt-4o",)), range(3, 31, 3)),
        (Scope(models=("GPT-4O%",)), []),
        (Scope(where={"team": "cx"}), range(1, 31)),
        (Scope(where={"team": "c'x"}), []),
    ],
)
def test_a_scope_chooses_lines(ledger: Ledger, scope: Scope, chosen: list[int]) -> None:
    """
    Times are half open; names take * and nothing else; quotes are text.
    """
    store(ledger, [priced(call) for call in some_calls(30)])

    assert len(chosen) == restate(ledger, CONTRACTED, scope).changed
    ids = {int(row[0], 16) for row in ledger.query("SELECT hex(call_id) FROM adjustments").rows}
    assert set(chosen) == ids


def test_lines_of_a_later_version_keep_what_they_have(ledger: Ledger) -> None:
    """
    A bucket that this version does not know is no 0: the line is counted and left alone.
    """
    store(ledger, [priced(call_of(1))])
    names = ", ".join(name for name in COLUMNS if name != "shadow")
    ledger.execute(
        f"INSERT INTO {{database}}.call_versions ({names}) SELECT * EXCEPT (ingested_at) REPLACE"
        " (unhex(repeat('ab', 16)) AS call_id, map('telepathy', 5) AS buckets) FROM {database}.current_versions"
    )

    outcome = restate(ledger, CONTRACTED)

    assert (2, 1, 1) == (outcome.lines, outcome.changed, outcome.unreadable)


def test_duplicates_are_no_lines(ledger: Ledger) -> None:
    """
    A record that repeats another call is not priced again.
    """
    store(ledger, [priced(call_of(1)), priced(call_of(2, duplicate_of=b"\1" * 16))])

    assert 1 == restate(ledger, CONTRACTED).lines


MACHINES = """
models:
  - id: own
    from: 2025-01-01
    provider: vllm.internal
    model: own
    gpu: {count: 2, per_hour: 1.5, expected_tokens_per_month: 1000000}
"""


def test_a_month_that_is_over_costs_what_its_machines_cost(ledger: Ledger) -> None:
    """
    The fixed cost of December is shared out over what was measured; restated again, it is the same.
    """
    usage = Usage({Bucket.INPUT: 700, Bucket.OUTPUT: 300}, rule="test")
    found = [call_of(number, "vllm.internal", "own", usage=usage) for number in range(1, 101)]
    store(ledger, [priced(call, book_with(MACHINES)) for call in found])
    scope = Scope(datetime(2025, 12, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC))
    expected, now = book_with(MACHINES), datetime(2026, 2, 1, tzinfo=UTC)

    restate(ledger, trued_up(expected, ledger, scope, now), scope)

    assert Decimal(2 * 24 * 31) * Decimal("1.5") == ledger_total(ledger).quantize(Decimal("1e-6"))
    assert {"exact"} == {row[0] for row in ledger.query("SELECT status FROM calls").rows}
    assert 0 == restate(ledger, trued_up(expected, ledger, scope, now), scope).changed
    book = ledger.query("SELECT DISTINCT price_book FROM calls").rows[0][0]
    assert book == archived_book(ledger, book).version


def test_a_month_that_is_not_over_keeps_its_expectation(ledger: Ledger) -> None:
    """
    In the middle of December nothing is measured.
    """
    store(ledger, [priced(call_of(1, "vllm.internal", "own"), book_with(MACHINES))])
    book = book_with(MACHINES)

    assert book.version == trued_up(book, ledger, Scope(), datetime(2025, 12, 20, tzinfo=UTC)).version
