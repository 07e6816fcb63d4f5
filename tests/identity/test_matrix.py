"""One provider call seen by every pair of instrumentations: one line, with the provider's numbers."""

from collections.abc import Sequence

import pytest
from deliveries import Told, billed, numbers
from emitters import CACHED, FRAMEWORKS, INPUT, OUTPUT, SDK_LEVEL, WIRE

from otel_llmcost.call import Bucket

OUTER = {**{f"sdk: {name}": row for name, row in SDK_LEVEL.items() if row is not WIRE}}
OUTER |= {f"framework: {name}": row for name, row in FRAMEWORKS.items() if name != "uncached input only"}
HAS_ID = {name for name, (_, attributes) in OUTER.items() if "gen_ai.response.id" in attributes}


def nested(outer: str, inner: str) -> tuple[Told, Told]:
    """A request's span, the outer record, and the inner one below it; the request's span is not told."""
    (outer_scope, around), (inner_scope, within) = OUTER[outer], SDK_LEVEL[inner]
    return (
        Told(2, around, parent=1, scope=outer_scope, start_s=0, end_s=2),
        Told(3, within, parent=2, scope=inner_scope, start_s=0.5, end_s=1.5),
    )


def arrivals(spans: Sequence[Told]) -> dict[str, list[list[Told]]]:
    """Every way two spans can come."""
    first, second = spans
    return {
        "together": [[first, second]],
        "inner first": [[second], [first]],
        "outer first": [[first], [second]],
        "all twice": [[second], [first], [first, second], [second]],
    }


@pytest.mark.parametrize("inner", SDK_LEVEL)
@pytest.mark.parametrize("outer", OUTER)
@pytest.mark.parametrize("arrival", ["together", "inner first", "outer first", "all twice"])
def test_a_record_around_another_of_the_same_call_is_no_line(outer: str, inner: str, arrival: str) -> None:
    """In one process, in any order."""
    ledger = billed(arrivals(nested(outer, inner))[arrival])
    assert [(INPUT, OUTPUT)] == [numbers(line) for line in ledger.lines]


@pytest.mark.parametrize("inner", SDK_LEVEL)
@pytest.mark.parametrize("outer", OUTER)
@pytest.mark.parametrize("arrival", ["inner first", "outer first"])
def test_two_processes_that_know_nothing_of_each_other_make_one_line(outer: str, inner: str, arrival: str) -> None:
    """Through the ledger alone. What that cannot show is a pair whose outer record alone has a response id: the inner
    one cannot name it, nor it the inner one (docs/identity.md)."""
    ledger = billed(arrivals(nested(outer, inner))[arrival], processes=2)
    cannot_show = outer in HAS_ID and inner.startswith("no id")
    assert [(INPUT, OUTPUT)] * (2 if cannot_show else 1) == [numbers(line) for line in ledger.lines]


@pytest.mark.parametrize("outer", OUTER)
def test_the_wires_buckets_are_the_lines(outer: str) -> None:
    """Where the wire tells what was cached, the line does."""
    for batches in arrivals(nested(outer, "wire")).values():
        (line,) = billed(batches).lines
        assert CACHED == line.usage.buckets[Bucket.CACHE_READ]


@pytest.mark.parametrize("inner", [name for name, (_, told) in SDK_LEVEL.items() if CACHED in told.values()])
def test_a_framework_that_leaves_cached_input_out_is_recognised(inner: str) -> None:
    """By the numbers of an inner record that tells what was cached, in the process that sees both."""
    outer = Told(2, FRAMEWORKS["uncached input only"][1], parent=1)
    within = Told(3, SDK_LEVEL[inner][1], parent=2, scope=SDK_LEVEL[inner][0])
    for batches in arrivals((outer, within)).values():
        assert [(INPUT, OUTPUT)] == [numbers(line) for line in billed(batches).lines]


@pytest.mark.parametrize("depth", [3, 4])
def test_records_around_records_around_a_call_are_no_lines(depth: int) -> None:
    """A framework around a framework around an SDK, in any order of arrival and with spans between."""
    rows = [FRAMEWORKS["no id"], FRAMEWORKS["no usage"], FRAMEWORKS["id"], SDK_LEVEL["no id"]][-depth:]
    spans = [Told(1, {}, kind=1)]
    for scope, attributes in rows:
        spans.append(Told(len(spans) + 1, attributes, parent=len(spans), scope=scope))
        spans.append(Told(len(spans) + 1, {"http.request.method": "POST"}, parent=len(spans)))
    for batches in ([spans], [[s] for s in spans], [[s] for s in reversed(spans)]):
        assert [(INPUT, OUTPUT)] == [numbers(line) for line in billed(batches).lines]


def test_a_record_that_knows_the_usage_stands_for_one_that_does_not() -> None:
    """The inner instrumentation does not read streams, the framework does."""
    scope, attributes = SDK_LEVEL["no id"]
    silent = {key: value for key, value in attributes.items() if ".usage." not in key}
    outer = Told(2, FRAMEWORKS["no id"][1], parent=1, scope=FRAMEWORKS["no id"][0])
    inner = Told(3, silent, parent=2, scope=scope)
    for batches in arrivals((outer, inner)).values():
        ledger = billed(batches)
        assert [(INPUT, OUTPUT)] == [numbers(line) for line in ledger.lines]
        assert ledger.lines[0].call_id == ledger.duplicates[0].duplicate_of


def test_two_instrumentations_of_one_sdk_tell_one_call_beside_each_other() -> None:
    """After the fact, as LiteLLM does; the server is nobody's, and its id is not random."""
    answer = {**SDK_LEVEL["id and host"][1], "gen_ai.response.id": "chatcmpl-17", "server.address": "10.0.0.7"}
    sdk = Told(2, answer, parent=1, scope="opentelemetry.instrumentation.openai_v2")
    after = Told(3, {**answer, "server.address": ""}, parent=1, scope="litellm", start_s=0.1)
    for batches in arrivals((sdk, after)).values():
        assert 1 == len(billed(batches).lines)
