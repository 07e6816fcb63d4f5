"""The ClickHouse port with the other ways of clickhouse-connect: Arrow, numpy, streams, columns."""

import threading
from decimal import Decimal
from io import BytesIO
from itertools import count

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError, ProgrammingError

from otel_llmcost.errors import RetryableError
from otel_llmcost.exporters.clickhouse.client import Ledger
from up_process import Up, connect

numbers = count(50_000_000)
SUMS = "SELECT model, status, sum(cost_usd) AS usd, count() AS calls FROM calls GROUP BY ALL ORDER BY ALL"


def test_answers_as_arrow_are_exact(client: Client) -> None:
    """Amounts are decimals there too."""
    found = client.query_arrow(SUMS, use_strings=True).to_pydict()
    with client.query_arrow_stream("SELECT number FROM numbers(200000)") as stream:
        streamed = sum(batch.num_rows for batch in stream)

    assert [Decimal("0.009"), None] == found["usd"]
    assert [2, 1] == found["calls"]
    assert 200_000 == streamed


def test_answers_as_numpy_and_as_blocks(client: Client) -> None:
    """Whole and in a stream; rows and columns."""
    assert [0, 1, 2] == client.query_np("SELECT number FROM numbers(3)")[:, 0].tolist()
    with client.query_column_block_stream("SELECT number FROM numbers(150000)") as blocks:
        assert 150_000 == sum(len(block[0]) for block in blocks)
    with client.query_rows_stream("SELECT number FROM numbers(150000)") as rows:
        assert 150_000 == sum(1 for _ in rows)


def test_answers_as_data_frames(client: Client) -> None:
    """Where pandas is."""
    pytest.importorskip("pandas", reason="pandas is not installed: data frames are not tried")
    frame = client.query_df(SUMS)

    assert ["model", "status", "usd", "calls"] == list(frame.columns)
    assert 3 == frame["calls"].sum()


def test_an_answer_of_any_format_is_streamed(client: Client) -> None:
    """As a file that something else reads."""
    with client.raw_stream("SELECT number FROM numbers(3)", fmt="CSV") as stream:
        assert b"0\n1\n2\n" == stream.read()
    parquet = pytest.importorskip("pyarrow.parquet")
    raw = client.raw_query("SELECT model, cost_usd FROM calls ORDER BY status", fmt="Parquet")
    assert 3 == parquet.read_table(BytesIO(raw)).num_rows


def test_rows_go_in_by_columns_by_arrow_and_raw(writer: Client) -> None:
    """Each is there, once."""
    arrow = pytest.importorskip("pyarrow")
    keys = [next(numbers) for _ in range(4)]
    writer.insert("kinds", [[keys[0]], [["a"]]], column_names=["i", "a"], column_oriented=True)
    writer.insert_arrow("kinds", arrow.table({"i": [keys[1]], "a": [["b", "c"]]}))
    writer.raw_insert("kinds", ["i", "a"], f"{keys[2]}\t['d']\n".encode(), fmt="TabSeparated")
    context = writer.create_insert_context("kinds", ["i"])
    context.data = [(keys[3],)]
    writer.insert(context=context)

    found = writer.query("SELECT i, a FROM kinds WHERE i IN {keys:Array(Int64)} ORDER BY i", {"keys": keys}).result_rows
    assert [(keys[0], ["a"]), (keys[1], ["b", "c"]), (keys[2], ["d"]), (keys[3], [])] == found


def test_errors_carry_their_codes(writable: Up, writer: Client, client: Client) -> None:
    """Of the statement, of rows that do not fit, of a reader that writes, of a wrong password, of a query too long."""
    asked = {
        47: lambda: client.query("SELECT no_such_column FROM calls"),
        46: lambda: client.query("SELECT no_such_function(1)"),
        60: lambda: writer.raw_insert("no_such_table", ["i"], b"1\n", fmt="TabSeparated"),
        16: lambda: writer.raw_insert("kinds", ["no_such_column"], b"1\n", fmt="TabSeparated"),
        27: lambda: writer.raw_insert("kinds", ["i"], b"x\n", fmt="TabSeparated"),
        164: lambda: client.raw_insert("kinds", ["i"], b"1\n", fmt="TabSeparated"),
        516: lambda: connect(writable, password="wrong"),
        159: lambda: client.query("SELECT sleepEachRow(1) FROM numbers(3)", settings={"max_execution_time": 1}),
    }
    for code, ask in asked.items():
        with pytest.raises((DatabaseError, OperationalError)) as caught:
            ask()
        assert code == caught.value.code, caught.value


def test_many_clients_ask_at_once(up: Up) -> None:
    """Each has its own answer, and none waits for ever."""
    answers: dict[int, int] = {}

    def ask(number: int) -> None:
        with connect(up) as own:
            for step in range(5):
                answers[number * 5 + step] = own.command(
                    f"SELECT {number * 5 + step} + sum(number) * 0 FROM numbers(9)"
                )

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert {number: number for number in range(60)} == answers


def test_settings_go_with_a_query_and_an_insert(client: Client, writer: Client) -> None:
    """Those that the endpoint knows; others are refused by name, and none lifts the bounds."""
    key = next(numbers)
    steered = {"limit": 2, "session_timezone": "Asia/Tokyo"}
    rows = client.query("SELECT number FROM numbers(9)", settings=steered).result_rows
    writer.insert("kinds", [(key,)], ["i"], settings={"async_insert": 0, "insert_deduplication_token": "a"})

    assert 2 == len(rows)
    assert 1 == writer.command(f"SELECT count() FROM kinds WHERE i = {key}")
    for refused in ({"readonly": 0}, {"format_schema": "/etc/passwd"}, {"dialect": "kusto"}):
        with pytest.raises((DatabaseError, ProgrammingError)):
            client.query("SELECT 1", settings=refused)
    assert 60 >= float(client.command("SELECT getSetting('max_execution_time')", settings={"max_execution_time": 900}))


def test_a_reader_of_the_ledger_cannot_write(up: Up) -> None:
    """Our own client says what would let it."""
    row = b"2026-01-01\t2026-01-01 00:00:00\n"
    with (
        Ledger.open(f"clickhouse://127.0.0.1:{up.ports['ClickHouse']}/llmcost", read_only=False) as ledger,
        pytest.raises(RetryableError, match="--writable"),
    ):
        ledger.insert("touched_hours", ("day", "hour"), row, "TabSeparated")
