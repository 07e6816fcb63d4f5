"""The table of columns against the engine's own description of the schema, and what does not fit."""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from factories import make_call, make_cost
from otel_llmcost.call import Bucket, Usage
from otel_llmcost.exporters import open_sink
from otel_llmcost.exporters.clickhouse import ddl, pack
from otel_llmcost.exporters.clickhouse.client import Ledger
from otel_llmcost.exporters.clickhouse.rows import COLUMNS, columns

# Names that dashboards and queries rely on, as the design fixes them.
CONTRACT = [
    "ts",
    "call_id",
    "trace_id",
    "span_id",
    "service",
    "environment",
    "provider",
    "model",
    "requested_model",
    "operation",
    "streaming",
    "outcome",
    "service_tier",
    "team",
    "feature",
    "customer",
    "user",
    "agent",
    "workflow",
    "session",
    "run",
    "tags",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
    "duration_ms",
    "ttft_ms",
    "cost_usd",
    "list_cost_usd",
    "input_cost_usd",
    "output_cost_usd",
    "cache_read_cost_usd",
    "cache_write_cost_usd",
    "other_cost_usd",
    "cache_savings_usd",
    "reported_cost_usd",
    "status",
    "reason",
    "price_id",
    "price_book",
    "ingested_at",
]


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """A ledger with its schema and one call."""
    url = f"chdb://{tmp_path_factory.mktemp('rows')}"
    sink = open_sink(url)
    sink.write([make_call(1)])
    with Ledger.open(url) as opened:
        yield opened
    sink.close()


def described(ledger: Ledger, name: str) -> dict[str, str]:
    """Columns and their types."""
    return {row[0]: row[1] for row in ledger.query(f"DESCRIBE TABLE {name}").rows}


def filled_by_writers(ledger: Ledger) -> dict[str, str]:
    """Columns that no expression of the table fills, and their types."""
    rows = ledger.query("DESCRIBE TABLE call_versions").rows
    return {row[0]: row[1] for row in rows if row[2] in ("", "EPHEMERAL") and not row[3].startswith("now")}


def test_the_writer_fills_every_column_of_the_table(ledger: Ledger) -> None:
    """
    The table of getters names the stored columns, all and in their order, but those that the server fills.
    """
    filled = [*filled_by_writers(ledger), "shadow", "skew_h"]

    assert filled == list(COLUMNS)


def test_the_view_has_every_column_of_the_contract(ledger: Ledger) -> None:
    """
    `calls` has the promised names; ids are text, times have nanoseconds, unknown money can be told from none.
    """
    view = described(ledger, "calls")

    assert [] == [name for name in CONTRACT if name not in view]
    assert "DateTime64(9)" == view["ts"]
    assert {"String"} == {view[name] for name in ("call_id", "trace_id", "span_id")}
    assert "Map(LowCardinality(String), String)" == view["tags"]
    assert {"Nullable(Decimal(18, 12))"} == {type_ for name, type_ in view.items() if name.endswith("_usd")}


def test_every_object_of_the_schema_exists(ledger: Ledger) -> None:
    """
    Tables and views that the SQL files create are what the database holds.
    """
    rows = ledger.query("SELECT name FROM system.tables WHERE database = currentDatabase()").rows

    assert sorted([*ddl.object_names(), "schema_migrations"]) == sorted(name for (name,) in rows)
    assert {"calls", "calls_hourly", "calls_daily", "chargeback", "spend_rate", "coverage"} < ddl.object_names()


def test_a_line_shows_what_the_call_said(ledger: Ledger) -> None:
    """
    Ids are lower-case hex, times keep their nanoseconds, buckets stay apart, tags with a column are not repeated.
    """
    row = ledger.query(
        "SELECT call_id, trace_id, span_id, toUnixTimestamp64Nano(ts), duration_ms, ttft_ms, buckets, tags, team,"
        " input_tokens, cache_read_tokens, output_tokens, reasoning_tokens, cost_usd, list_cost_usd FROM calls"
    ).rows[0]

    call = make_call(1)
    assert (
        call.call_id.hex(),
        call.trace_id.hex(),
        call.span_id.hex(),
        call.start_ns,
        1250,
        310,
        {"input": 600, "cache_read": 400, "output": 150, "reasoning": 50},
        {"region": "eu"},
        "cx",
        1000,
        400,
        200,
        50,
        Decimal("0.0043"),
        Decimal("0.0054"),
    ) == row


def test_columns_are_as_long_as_the_calls() -> None:
    """
    Every column has one value per call, in the order of the calls.
    """
    filled = columns([make_call(number) for number in (3, 1, 2)])

    assert {3} == {len(column) for column in filled.values()}
    assert [make_call(number).call_id for number in (3, 1, 2)] == filled["call_id"]


def test_no_calls_make_empty_columns() -> None:
    """
    An empty batch has every column, with nothing in it.
    """
    assert {name: [] for name in COLUMNS} == columns([])


def test_what_does_not_fit_is_replaced_and_flagged() -> None:
    """
    A count out of range is the nearest that fits, an amount out of range is unknown; the line names the columns.
    """
    cost = make_cost(reported_usd=Decimal(1_000_000))
    call = make_call(1, http_status=70_000, cost=cost, usage=Usage(buckets={Bucket.INPUT: 5}, flags=("input: odd",)))

    filled = columns([make_call(2), call])

    assert [200, 65_535] == filled["http_status"]
    assert [None, None] == filled["reported_cost_usd"]
    assert [
        [],
        [
            "input: odd",
            "http_status: value does not fit the column",
            "reported_cost_usd: value does not fit the column",
        ],
    ] == filled["usage_flags"]


def test_what_the_provider_reported_is_rounded_once() -> None:
    """
    A reported amount with more digits than the ledger keeps is rounded half-even, not cut off.
    """
    calls = [
        make_call(n, cost=None, reported_usd=Decimal(text)) for n, text in enumerate(["1e-13", "15e-13", "25e-13"])
    ]

    assert [Decimal("0e-12"), Decimal("2e-12"), Decimal("2e-12")] == columns(calls)["reported_cost_usd"]


def test_columns_are_packed_as_the_types_they_are_declared_with(ledger: Ledger) -> None:
    """
    The type that the writer packs a column as is the engine's own, word for word.
    """
    declared = {**filled_by_writers(ledger), "shadow": "UInt8", "skew_h": "UInt8"}

    assert declared == {name: kind.type.name for name, (kind, _) in COLUMNS.items()}


TEXTS = st.text(st.characters(codec="utf-8"), max_size=40)
AMOUNTS = st.none() | st.integers(-(10**18) + 1, 10**18 - 1).map(lambda units: Decimal(units).scaleb(-12))
VALUES = {
    pack.WORD: TEXTS,
    pack.TEXT: TEXTS | st.just("long " * 4_000),
    pack.UINT8: st.integers(0, 1),
    pack.UINT16: st.integers(0, 2**16 - 1),
    pack.UINT32: st.integers(0, 2**32 - 1),
    pack.UINT64: st.integers(0, 2**64 - 1),
    pack.nullable(pack.MONEY): AMOUNTS,
    pack.map_of(pack.WORD, pack.UINT64): st.dictionaries(TEXTS, st.integers(0, 2**64 - 1), max_size=5),
    pack.array_of(pack.TEXT): st.lists(TEXTS, max_size=4),
}


@given(data=st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_the_engine_reads_what_was_packed(ledger: Ledger, data: st.DataObject) -> None:
    """
    Any values of a type come back as they were, empty ones and hundreds of rows included.
    """
    kind = data.draw(st.sampled_from(list(VALUES)))
    values = data.draw(st.lists(VALUES[kind], min_size=1, max_size=12)) * data.draw(st.sampled_from([1, 1, 40]))
    block = pack.block([("n", pack.UINT32, list(range(len(values)))), ("value", kind, values)], len(values))

    with packed(ledger, kind.name, block) as table:
        assert values == [value for (value,) in ledger.query(f"SELECT value FROM {table} ORDER BY n").rows]


@pytest.mark.parametrize("words", [256, 257, 65_536, 65_537])
def test_dictionaries_of_any_width_are_read(ledger: Ledger, words: int) -> None:
    """
    Places in a dictionary take one, two or four bytes; the engine reads each.
    """
    values = [f"w{number}" for number in range(words)] + ["w0"]
    block = pack.block([("n", pack.UINT32, list(range(len(values)))), ("value", pack.WORD, values)], len(values))

    with packed(ledger, pack.WORD.name, block) as table:
        assert values == [value for (value,) in ledger.query(f"SELECT value FROM {table} ORDER BY n").rows]


@contextmanager
def packed(ledger: Ledger, type_name: str, block: bytes) -> Iterator[str]:
    """A table that took the block."""
    with Ledger.connect(ledger.url, read_only=False) as writable:
        writable.execute(f"CREATE OR REPLACE TABLE {{database}}.packed (n UInt32, value {type_name}) ENGINE = Memory")
        writable.client.raw_insert("llmcost.packed", ["n", "value"], block, fmt="Native")
        yield "packed"
        writable.execute("DROP TABLE {database}.packed")
