"""Any mix, order and repetition of deliveries gives the same bill."""

import os
from decimal import Decimal

from deliveries import Ledger, Told, billed, pipeline_with
from hypothesis import given, settings
from hypothesis import strategies as st
from scenarios import deliveries, pasts

from otel_llmcost.call import LLMCall

EXAMPLES = int(os.environ.get("LLMCOST_EXAMPLES", "300"))
"""LLMCOST_EXAMPLES=20000 is the long form."""

COUNTING = pipeline_with(closed_frameworks=["agent-*"])


def bill(ledger: Ledger) -> dict[bytes, tuple[object, ...]]:
    """What of the lines may not depend on the way they came."""
    return {line.call_id: _content(line) for line in ledger.lines}


def _content(line: LLMCall) -> tuple[object, ...]:
    assert line.cost is not None
    cost: Decimal | None = line.cost.effective.total_usd if line.cost.effective else None
    return line.usage.buckets, cost, line.provider, line.span_id, line.session, line.agent


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.data())
def test_any_order_and_repetition_gives_the_same_lines(data: st.DataObject) -> None:
    """Ids, numbers, costs and who, in one process that remembers."""
    spans: list[Told] = data.draw(pasts())
    assert bill(billed([spans])) == bill(billed(data.draw(deliveries(spans))))


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.data(), st.integers(1, 3))
def test_no_call_is_lost_whoever_received_its_records(data: st.DataObject, processes: int) -> None:
    """Something always stands for what is hidden: whatever was told, the chain of duplicates ends at a line."""
    ledger = billed(data.draw(deliveries(data.draw(pasts()))), processes=processes)
    for duplicate in ledger.duplicates:
        row, passed = duplicate, set()
        while row.duplicate_of:
            assert row.call_id not in passed, "records that hide one another"
            passed.add(row.call_id)
            row = ledger.rows[row.duplicate_of]


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.data(), st.integers(2, 3))
def test_processes_that_see_less_hide_less(data: st.DataObject, processes: int) -> None:
    """What one process that sees everything makes a line, several do too."""
    spans: list[Told] = data.draw(pasts())
    several = billed(data.draw(deliveries(spans)), processes=processes)
    assert bill(billed([spans])).keys() <= bill(several).keys()


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.data())
def test_counted_agents_are_lines_only_where_nothing_is_told_below_them(data: st.DataObject) -> None:
    """In any order."""
    spans: list[Told] = data.draw(pasts())
    once = bill(billed([spans], pipeline=COUNTING))
    assert once == bill(billed(data.draw(deliveries(spans)), pipeline=COUNTING))
