"""Shadows: in a model of the table, and of any records of a call exactly one is a line."""

import os

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from rollup_account import HOUR_NS

from factories import START_NS, make_call
from otel_llmcost.call import LLMCall, Source
from otel_llmcost.exporters.clickhouse.rows import columns
from otel_llmcost.exporters.clickhouse.shadows import DAY_NS, SKEW_H, WIDE_SKEW_H

MIDNIGHT_NS = START_NS + 12 * HOUR_NS
ANOTHER = b"another call, now"[:16]


def marks(call: LLMCall) -> list[int]:
    """Days, counted from the call's own, in which its shadows stand."""
    filled = columns([call])
    assert {call.call_id} == set(filled["call_id"])
    assert 1 == len(set(filled["version"]))
    starts = [ts for ts, mark in zip(filled["ts"], filled["shadow"], strict=True) if mark]
    assert all(ts % DAY_NS == 0 for ts in starts)
    return sorted(ts // DAY_NS - call.start_ns // DAY_NS for ts in starts)


@pytest.mark.parametrize(
    ("after_midnight_ns", "narrow", "wide"),
    [
        (0, [-1], [-2, -1, 1]),
        (HOUR_NS - 1, [-1], [-2, -1, 1]),
        (HOUR_NS, [], [-2, -1, 1]),
        (2 * HOUR_NS - 1, [], [-2, -1, 1]),
        (2 * HOUR_NS, [], [-1, 1]),
        (22 * HOUR_NS - 1, [], [-1, 1]),
        (22 * HOUR_NS, [], [-1, 1, 2]),
        (23 * HOUR_NS - 1, [], [-1, 1, 2]),
        (23 * HOUR_NS, [1], [-1, 1, 2]),
    ],
)
def test_a_line_leaves_shadows_where_another_version_may_lie(
    after_midnight_ns: int, narrow: list[int], wide: list[int]
) -> None:
    """
    An hour around a captured call; 26 around an imported one and around one that hides another.
    """
    start_ns = MIDNIGHT_NS + after_midnight_ns

    assert narrow == marks(make_call(start_ns=start_ns)) == marks(make_call(start_ns=start_ns, source=Source.SDK_SPAN))
    assert wide == marks(make_call(start_ns=start_ns, source=Source.IMPORT))
    assert wide == marks(make_call(start_ns=start_ns, duplicate_of=ANOTHER))


def shown(batches: list[list[LLMCall]]) -> list[int]:
    """Times of the rows that a ReplacingMergeTree ordered by day and id shows, but shadows: the highest version of a
    key, the later of equal ones."""
    kept: dict[tuple[int, bytes], tuple[int, int, int]] = {}
    for batch in batches:
        filled = columns(batch)
        for call_id, version, ts, mark in zip(
            *(filled[n] for n in ("call_id", "version", "ts", "shadow")), strict=True
        ):
            key = (ts // DAY_NS, call_id)
            if key not in kept or version >= kept[key][0]:
                kept[key] = (version, ts, mark)
    return [ts for _, ts, mark in kept.values() if not mark]


@st.composite
def records(draw: st.DrawFn) -> LLMCall:
    source = draw(st.sampled_from([Source.WIRE, Source.SDK_SPAN, Source.IMPORT]))
    apart_ns = WIDE_SKEW_H * HOUR_NS // 2 if source is Source.IMPORT else SKEW_H * HOUR_NS // 2
    return make_call(
        source=source,
        start_ns=MIDNIGHT_NS + draw(st.integers(-1, 1)) * 12 * HOUR_NS + draw(st.integers(-apart_ns, apart_ns)),
        revision=draw(st.integers(1, 2)) if source is Source.IMPORT else 0,
        user=draw(st.sampled_from(["", "u"])),
    )


@settings(max_examples=2_000 if "LLMCOST_LONG" in os.environ else 300)
@given(st.lists(st.lists(records(), min_size=1, max_size=3), min_size=1, max_size=3))
def test_of_any_records_of_a_call_one_is_a_line(batches: list[list[LLMCall]]) -> None:
    """
    The one with the highest version, and of equal ones the last: in any batches, with times as far apart as clocks are.
    """
    written = [call for batch in batches for call in batch]
    last = max(enumerate(written), key=lambda numbered: (columns([numbered[1]])["version"][0], numbered[0]))[1]
    reach_ns = (WIDE_SKEW_H if last.source is Source.IMPORT else SKEW_H) * HOUR_NS
    assume(all(abs(call.start_ns - last.start_ns) <= reach_ns for call in written))

    assert [last.start_ns] == shown(batches)
