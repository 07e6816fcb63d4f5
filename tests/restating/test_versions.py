"""Which version of a line wins: restated, original, fuller, imported again."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from factories import make_call, make_cost
from otel_llmcost.call import Bucket, LLMCall, Source, Status, Usage
from otel_llmcost.identity import version
from otel_llmcost.restating.rewriting import restated_versions
from otel_llmcost.restating.versions import MAX_GENERATION, SHIFT, first_version, generation_of, restated_version

BUCKETS = st.dictionaries(st.sampled_from(list(Bucket)), st.integers(1, 9), max_size=8)
COSTS = st.none() | st.sampled_from(list(Status)).map(lambda status: make_cost(status=status))


@st.composite
def records(draw: st.DrawFn) -> LLMCall:
    """Records of one call that know more or less of it."""
    source = draw(st.sampled_from(list(Source)))
    return make_call(
        1,
        source=source,
        host=draw(st.sampled_from(["", "api.openai.com", "gateway.internal"])),
        user=draw(st.sampled_from(["", "u"])),
        usage=Usage(draw(BUCKETS), rule=draw(st.sampled_from(["r", "estimate:x"]))),
        cost=draw(COSTS),
        emitter=draw(st.sampled_from(["a", "b", "c"])),
        duplicate_of=draw(st.sampled_from([b"", b"\1" * 16])),
        revision=draw(st.integers(1_700_000_000, 2**32 - 1)) if source is Source.IMPORT else 0,
    )


@given(records(), records())
def test_room_for_restatements_changes_no_order(one: LLMCall, other: LLMCall) -> None:
    """
    Records that nothing restated stand as identity orders them.
    """
    assert (version(one) < version(other)) == (first_version(one) < first_version(other))
    assert 0 <= first_version(one) < 2**63


@given(records(), st.integers(1, MAX_GENERATION), st.integers(1, MAX_GENERATION))
def test_the_later_restatement_wins_and_the_original_never(call: LLMCall, one: int, other: int) -> None:
    """
    A restated version is above the original and keeps its number; of two, that of the later run is higher.
    """
    original = first_version(call)
    first, second = (restated_version(original, call.source, number) for number in (one, other))

    assert original < first
    assert (one < other) == (first < second)
    assert (0, one) == (generation_of(original, call.source), generation_of(first, call.source))
    assert second == restated_version(first, call.source, other)


@given(records(), records(), st.integers(1, MAX_GENERATION))
def test_a_fuller_record_wins_against_a_restated_one(one: LLMCall, other: LLMCall, number: int) -> None:
    """
    What a record knows decides before any restatement does; the checksum of one that knows as much does not.
    """
    original = first_version(other)
    knows_more = first_version(one) >> SHIFT > original >> SHIFT

    if Source.IMPORT not in (one.source, other.source):
        assert knows_more == (first_version(one) > restated_version(original, other.source, number))


def test_a_later_import_of_a_row_wins_against_a_restated_one() -> None:
    """
    Importing the same rows again corrects them as a whole, whatever was restated meanwhile.
    """
    row = make_call(1, source=Source.IMPORT, revision=1_800_000_000)
    restated = restated_version(first_version(row), row.source, MAX_GENERATION)

    assert restated < first_version(replace(row, revision=1_800_000_001))


@given(st.lists(records(), min_size=1, max_size=5), st.integers(1, MAX_GENERATION))
@settings(deadline=None)
def test_columns_of_versions_are_restated_as_single_ones(calls: list[LLMCall], number: int) -> None:
    """
    The restatement of a column is the one of each of its versions.
    """
    lines = pa.table(
        {
            "version": pa.array([first_version(call) for call in calls], pa.uint64()),
            "source": pa.array([call.source.encode() for call in calls], pa.binary()),
        }
    )

    expected = [restated_version(first_version(call), call.source, number) for call in calls]
    assert expected == np.asarray(restated_versions(lines, number)).tolist()
