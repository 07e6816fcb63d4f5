"""What every sink promises. A further sink is one more row of `LEDGERS`."""

import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest

from chdb_server import PASSWORD, USER, serve
from factories import make_call, make_cost
from otel_llmcost.call import UNKNOWN_USAGE, Amounts, Bucket, Cost, LLMCall, Source, Status, Usage
from otel_llmcost.errors import PermanentError
from otel_llmcost.exporters import Sink, open_sink
from otel_llmcost.exporters.clickhouse.client import Ledger
from otel_llmcost.exporters.clickhouse.rows import TAG_COLUMNS
from otel_llmcost.identity import version


class Line(NamedTuple):
    """What a sink must keep of a call, whatever its columns are called."""

    model: str
    status: str
    cost_usd: Decimal | None
    input_tokens: int
    output_tokens: int
    user: str
    tags: dict[str, str]


@dataclass
class Bench:
    """A sink under test and what it has stored, by call id in hex."""

    sink: Sink
    lines: Callable[[], dict[str, Line]]


def clickhouse_lines(url: str) -> dict[str, Line]:
    with Ledger.open(url) as ledger:
        rows = ledger.query(
            "SELECT call_id, model, toString(status), cost_usd, input_tokens, output_tokens, user,"
            " mapUpdate(tags, map('team', team, 'feature', feature, 'customer', customer)) FROM calls"
        ).rows
    ids = [row[0] for row in rows]
    assert len(set(ids)) == len(ids), "a call has more than one line"
    return {call_id: Line(*fields) for call_id, *fields in rows}


@contextmanager
def clickhouse_bench(url: str) -> Iterator[Bench]:
    sink = open_sink(url)
    try:
        yield Bench(sink, lambda: clickhouse_lines(url))
    finally:
        sink.close()


@contextmanager
def embedded(directory: Path) -> Iterator[Bench]:
    with clickhouse_bench(f"chdb://{quote(str(directory))}/ledger") as bench:
        yield bench


@contextmanager
def over_http(directory: Path) -> Iterator[Bench]:
    with serve(directory) as server:
        url = f"clickhouse://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{server.server_port}/llm-cost"
        with clickhouse_bench(url) as bench:
            yield bench


LEDGERS: dict[str, Callable[[Path], AbstractContextManager[Bench]]] = {"chdb": embedded, "clickhouse": over_http}


@pytest.fixture(params=sorted(LEDGERS))
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    with LEDGERS[request.param](tmp_path) as opened:
        yield opened


def expected_line(call: LLMCall) -> Line:
    effective = call.cost.effective if call.cost else None
    return Line(
        call.model,
        call.cost.status if call.cost else Status.UNPRICED,
        effective.total_usd if effective else None,
        call.usage.input_tokens,
        call.usage.output_tokens,
        call.user,
        {**dict.fromkeys(TAG_COLUMNS, ""), **call.tags},
    )


def random_call(number: int, rng: random.Random) -> LLMCall:
    """A call with amounts of all sizes; about one in five has no price."""

    def amount() -> Decimal:
        return Decimal(rng.randrange(10 ** rng.randint(1, 15))).scaleb(-12)

    amounts = Amounts(*(amount() for _ in range(5)))
    cost = Cost(Status.UNPRICED, reason="no price") if rng.random() < 0.2 else make_cost(effective=amounts)
    buckets = {bucket: rng.randrange(1, 10 ** rng.randint(1, 9)) for bucket in rng.sample(list(Bucket), 3)}
    return make_call(number, call_id=rng.randbytes(16), cost=cost, usage=Usage(buckets=buckets))


def test_every_written_call_is_one_line(bench: Bench) -> None:
    """
    What was written is there, each call once, with its money, tokens and tags.
    """
    calls = [make_call(number) for number in range(1, 4)]

    bench.sink.write(calls)

    assert {call.call_id.hex(): expected_line(call) for call in calls} == bench.lines()


def test_writing_nothing_and_closing_twice_are_harmless(bench: Bench) -> None:
    """
    An empty batch is no error, and a closed sink may be closed again.
    """
    bench.sink.write([])
    bench.sink.close()
    bench.sink.close()


def test_writing_again_changes_nothing(bench: Bench) -> None:
    """
    The same calls as the same batch, in other batches, or twice in one batch leave every line as it was.
    """
    calls = [make_call(number) for number in range(1, 11)]
    bench.sink.write(calls)
    before = bench.lines()

    bench.sink.write(calls)
    bench.sink.write(calls[5:] + calls[:5])
    bench.sink.write([calls[0], calls[0]])

    assert before == bench.lines()
    assert 10 == len(before)


def test_a_closed_sink_keeps_what_it_stored(bench: Bench) -> None:
    """
    Lines outlive the sink that wrote them.
    """
    bench.sink.write([make_call(1)])

    bench.sink.close()

    assert {make_call(1).call_id.hex()} == set(bench.lines())


@pytest.mark.parametrize("fuller_first", [False, True])
def test_the_fuller_record_of_a_call_is_kept(bench: Bench, fuller_first: bool) -> None:
    """
    Of two records of one call the one with the higher version is the line, whichever came first.
    """
    poor = make_call(1, source=Source.OTLP, usage=UNKNOWN_USAGE, cost=Cost(Status.UNPRICED), model="gpt-4o")
    full = make_call(1)
    assert version(poor) < version(full)

    for call in (full, poor) if fuller_first else (poor, full):
        bench.sink.write([call])

    assert {full.call_id.hex(): expected_line(full)} == bench.lines()


def test_observers_that_disagree_on_the_time_make_one_line(bench: Bench) -> None:
    """
    Two records of one call on two sides of midnight, of two services, are one line.
    """
    midnight_ns = 1_764_633_600 * 1_000_000_000
    wire = make_call(1, start_ns=midnight_ns + 1, end_ns=midnight_ns + 2)
    span = make_call(
        1, start_ns=midnight_ns - 1, end_ns=midnight_ns + 2, source=Source.SDK_SPAN, service="worker", model="gpt-4o"
    )

    bench.sink.write([span])
    bench.sink.write([wire])

    assert {wire.call_id.hex(): expected_line(wire)} == bench.lines()


@pytest.mark.parametrize("seed", [1, 2])
def test_the_order_of_arrival_does_not_matter(bench: Bench, seed: int) -> None:
    """
    Records of many calls in any order, cut into batches anywhere, repeated at random: the fullest of each stays.
    """
    rng = random.Random(seed)
    records: list[LLMCall] = []
    for number in range(1, 41):
        wire = random_call(number, rng)
        span = replace(wire, source=Source.SDK_SPAN, usage=Usage(buckets={Bucket.INPUT: number}), model="from-span")
        imported = replace(wire, source=Source.IMPORT, usage=UNKNOWN_USAGE, cost=None, model="from-import")
        records += [wire, span, imported, rng.choice([wire, span, imported])]
    fullest = {call.call_id.hex(): expected_line(call) for call in sorted(records, key=version)}
    rng.shuffle(records)

    while records:
        cut = rng.randint(1, 50)
        bench.sink.write(records[:cut])
        records = records[cut:]

    assert fullest == bench.lines()


def test_a_call_without_a_price_has_no_cost(bench: Bench) -> None:
    """
    Unknown is not 0: the cost of an unpriced call is absent, a free call costs exactly 0.
    """
    zero = Amounts()
    unpriced = make_call(1, cost=Cost(Status.UNPRICED, reason="unknown model"))
    free = make_call(2, cost=make_cost(effective=zero, list=zero, cache_savings_usd=zero.total_usd))
    unprocessed = make_call(3, cost=None)

    bench.sink.write([unpriced, free, unprocessed])

    lines = bench.lines()
    assert (None, Decimal(0), None) == tuple(lines[c.call_id.hex()].cost_usd for c in (unpriced, free, unprocessed))
    assert ("unpriced", "exact", "unpriced") == tuple(
        lines[c.call_id.hex()].status for c in (unpriced, free, unprocessed)
    )


def test_sums_are_exact_to_the_last_digit(bench: Bench) -> None:
    """
    Thousands of random amounts sum to what Decimal says, with no rounding.
    """
    rng = random.Random(20261123)
    calls = [random_call(number, rng) for number in range(3_000)]
    expected = sum((line.cost_usd for line in map(expected_line, calls) if line.cost_usd is not None), Decimal(0))

    for start in range(0, 3_000, 700):
        bench.sink.write(calls[start : start + 700])

    stored = bench.lines()
    assert 3_000 == len(stored)
    assert expected == sum((line.cost_usd for line in stored.values() if line.cost_usd is not None), Decimal(0))
    assert sum(call.usage.input_tokens for call in calls) == sum(line.input_tokens for line in stored.values())
    assert sum(call.cost.status is Status.UNPRICED for call in calls if call.cost) == sum(
        line.cost_usd is None for line in stored.values()
    )


HOSTILE_TEXTS = {
    "quote": "O'Neil",
    "sql": "'); DROP TABLE calls; --",
    "backslash": "a\\'b\\",
    "unicode": "Łódź 東京 🦆 \u202e",
    "nul": "before\x00after",
    "newlines": "a\tb\r\nc",
    "placeholder": "{database} %s %(x)s $1",
    "long": "x" * 200_000,
}


@pytest.mark.parametrize("name", sorted(HOSTILE_TEXTS))
def test_any_text_survives(bench: Bench, name: str) -> None:
    """
    A tag's value, a tag's name and a user come back as they went in.
    """
    text = HOSTILE_TEXTS[name]
    call = make_call(1, user=text, model=text, tags={"team": text, "note": text, text[:200]: "value"})

    bench.sink.write([call])

    assert {call.call_id.hex(): expected_line(call)} == bench.lines()


def test_a_hostile_call_does_not_keep_its_batch_out(bench: Bench) -> None:
    """
    Values that no column can hold cost neither the call its line nor its neighbours theirs.
    """
    fields: dict[str, Any] = {
        "user": "half a pair: \ud83e",
        "tags": {"team": "\udc00", "\ud800": "x"},
        "start_ns": -(10**30),
        "end_ns": 10**40,
        "ttft_ns": -5,
        "http_status": 10**9,
        "attempt": -1,
        "trace_id": b"short",
        "reported_usd": Decimal("NaN"),
        "usage": Usage(buckets={Bucket.INPUT: 2**70}),
        "cost": make_cost(effective=Amounts(input_usd=Decimal("1e9"))),
    }
    hostile = make_call(1, **fields)
    neighbour = make_call(2)

    bench.sink.write([hostile, neighbour])

    lines = bench.lines()
    assert expected_line(neighbour) == lines[neighbour.call_id.hex()]
    assert ("half a pair: ?", None, 2**64 - 1) == (
        lines[hostile.call_id.hex()].user,
        lines[hostile.call_id.hex()].cost_usd,
        lines[hostile.call_id.hex()].input_tokens,
    )


def test_a_call_without_an_id_is_refused(bench: Bench) -> None:
    """
    Nothing can stand in for a missing call id: two such calls would become one line.
    """
    with pytest.raises(PermanentError, match="call_id"):
        bench.sink.write([make_call(1), make_call(2, call_id=b"")])
