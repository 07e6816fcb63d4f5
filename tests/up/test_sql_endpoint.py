"""The ClickHouse port, as real clients and hostile ones see it."""

import datetime as dt
import json
import threading
import time
from decimal import Decimal
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from otel_llmcost.content_encoding import codecs, decompress
from sql_requests import KINDS_ROW, ask, basic, code_of
from up_process import Up, connect


def test_a_client_reads_the_ledger(client: Client) -> None:
    """Amounts are exact Decimals, and tables need no database name."""
    rows = client.query(
        "SELECT model, cost_usd, status FROM calls WHERE service = {service:String} ORDER BY status",
        parameters={"service": "support-bot"},
    ).result_rows

    assert [
        ("gpt-4o-2024-08-06", Decimal("0.004500000000"), "exact"),
        ("gpt-4o-2024-08-06", Decimal("0.004500000000"), "exact"),
    ] == rows[:2]
    assert ("no-such-model", "unpriced") == (rows[2][0], rows[2][2])


def test_every_kind_of_column_survives(client: Client) -> None:
    """Decimal, DateTime64(9), Map, FixedString, Nullable, Array, UUID, Enum and Bool."""
    assert [KINDS_ROW] == client.query("SELECT * FROM kinds", column_formats={"f": "bytes"}).result_rows
    assert [(123456789,)] == client.query("SELECT toUnixTimestamp64Nano(t) % 1000000000 FROM kinds").result_rows


def test_parameters_are_bound_by_the_engine(client: Client) -> None:
    """Of every type, and without a way out of their place."""
    hostile = "x'; DROP TABLE kinds --\t\n\\ é`"
    rows = client.query(
        "SELECT {text:String}, {numbers:Array(Int32)}, {amount:Decimal(18, 12)}, {day:Date}",
        parameters={
            "text": hostile,
            "numbers": [1, 2],
            "amount": Decimal("0.000000000001"),
            "day": dt.date(2026, 1, 2),
        },
    ).result_rows

    assert [(hostile, [1, 2], Decimal("0.000000000001"), dt.date(2026, 1, 2))] == rows


def test_long_parameters_come_as_a_form(client: Client) -> None:
    """The client library turns to multipart/form-data when a URL would be too long."""
    names = [f"service-{number}" for number in range(5_000)]

    assert [(5_000,)] == client.query("SELECT length({names:Array(String)})", parameters={"names": names}).result_rows


def test_columns_of_no_rows(client: Client) -> None:
    """A client may ask for the columns only."""
    assert ("cost_usd", "model") == client.query("SELECT cost_usd, model FROM calls LIMIT 0").column_names


def test_a_command_and_a_stream(client: Client) -> None:
    """Single values, and many blocks in a row."""
    assert 3 == client.command("SELECT count() FROM calls")
    with client.query_row_block_stream("SELECT number FROM numbers(300000)") as blocks:
        assert 300_000 == sum(len(block) for block in blocks)


def test_an_error_is_told_as_clickhouse_tells_it(up: Up, client: Client) -> None:
    """Code, name, header and status; the client library raises its own exception from them."""
    with pytest.raises(DatabaseError, match="UNKNOWN_TABLE") as caught:
        client.query("SELECT * FROM nope")
    asked = [ask(up, sql)[0] for sql in ("SELECT * FROM nope", "SELEC 1", "SELECT throwIf(1)", "SELECT {x:String}")]
    _, body = ask(up, "SELECT * FROM nope")

    assert 60 == caught.value.code
    assert [(404, "60"), (500, "164"), (500, "395"), (500, "456")] == [code_of(response) for response in asked]
    assert body.startswith(b"Code: 60. DB::Exception: ")
    assert body.endswith(b"(UNKNOWN_TABLE)\n")


@pytest.mark.parametrize(
    ("sql", "options", "content_type", "body"),
    [
        ("SELECT 1 AS x, 'a'", {}, "text/tab-separated-values; charset=UTF-8", b"1\ta\n"),
        ("SELECT 1 AS x FORMAT CSVWithNames", {}, "text/csv; charset=UTF-8; header=present", b'"x"\n1\n'),
        ("SELECT 1 AS x", {"default_format": "JSONEachRow"}, "application/x-ndjson; charset=UTF-8", b'{"x":1}\n'),
        ("SELECT 1 AS x;", {"default_format": "Values"}, "text/plain; charset=UTF-8", b"(1)"),
        ("/* c */ SELECT 1 AS format FORMAT TSV -- end", {}, "text/tab-separated-values; charset=UTF-8", b"1\n"),
    ],
)
def test_formats(up: Up, sql: str, options: dict[str, str], content_type: str, body: bytes) -> None:
    """The FORMAT clause, else default_format, else TabSeparated; the header names it."""
    response, found = ask(up, sql, **options)

    assert (200, content_type, body) == (response.status, response.headers["Content-Type"], found)
    assert response.headers["X-ClickHouse-Format"].lower() in (sql + str(options) + "tabseparated").lower()


def test_a_query_may_stand_in_the_url_the_body_or_both(up: Up) -> None:
    """GET and POST; what stands in both is one text."""
    assert b"1\n" == ask(up, method="GET", query="SELECT 1")[1]
    assert b"1\n" == ask(up, "SELECT 1")[1]
    assert b"1\n" == ask(up, "FROM numbers(2) WHERE number > 0", query="SELECT number")[1]
    assert b"Ok.\n" == ask(up, method="GET")[1] == ask(up, method="GET", path="/ping")[1]


def test_the_summary_counts_what_was_read(up: Up) -> None:
    """Clients show it, and read the query's id and the time zone beside it."""
    response, _ = ask(up, "SELECT sum(number) FROM numbers(1000)", query_id="my-query")
    summary = json.loads(response.headers["X-ClickHouse-Summary"])

    assert "1000" == summary["read_rows"]
    assert int(summary["elapsed_ns"]) > 0
    assert ("my-query", "Etc/UTC") == (
        response.headers["X-ClickHouse-Query-Id"],
        response.headers["X-ClickHouse-Timezone"],
    )


@pytest.mark.parametrize("encoding", ["gzip", "zstd", "lz4", "deflate"])
def test_answers_are_compressed_as_the_client_accepts(up: Up, encoding: str) -> None:
    """And left plain where they are small or the client says no."""
    assert encoding in codecs()
    sql, headers = "SELECT number FROM numbers(10000) FORMAT TSV", {"Accept-Encoding": f"br, {encoding};q=0.5"}
    plain = ask(up, sql)[1]

    response, body = ask(up, sql, headers=headers)

    assert (encoding, plain) == (response.headers["Content-Encoding"], decompress(body, encoding, len(plain)))
    assert len(body) < len(plain)
    assert ask(up, "SELECT 1", headers=headers)[0].headers["Content-Encoding"] is None
    assert ask(up, sql, headers=headers, enable_http_compression="0")[0].headers["Content-Encoding"] is None


@pytest.mark.parametrize("compress", [True, "gzip", "zstd", "lz4", False])
def test_the_client_library_accepts_every_compression(up: Up, compress: bool | str) -> None:
    """As negotiated by itself."""
    with connect(up, compress=compress) as client:
        assert 10_000 == len(client.query("SELECT number FROM numbers(10000)").result_rows)


WRITES = [
    "INSERT INTO kinds (i) VALUES (1)",
    "CREATE TABLE llmcost.more (a Int8) ENGINE = Memory",
    "DROP TABLE kinds",
    "ALTER TABLE kinds DELETE WHERE 1",
    "TRUNCATE TABLE kinds",
    "OPTIMIZE TABLE kinds",
    "SYSTEM FLUSH LOGS",
    "SYSTEM SHUTDOWN",
    "KILL QUERY WHERE 1",
    "SET readonly = 0",
    "USE system",
    "GRANT ALL ON *.* TO default",
    "CREATE USER somebody",
    "BACKUP TABLE kinds TO File('{directory}/backup')",
    "ATTACH TABLE x",
    "WITH 1 AS x INSERT INTO kinds (i) SELECT x",
    "EXPLAIN SELECT 1; DROP TABLE kinds",
    "SELECT 1; INSERT INTO kinds (i) VALUES (1)",
    "SELECT 1 SETTINGS readonly = 0",
    "SELECT 1 SETTINGS max_execution_time = 0",
    "",
]

ESCAPES = [
    "SELECT file('{canary}')",
    "SELECT FILE('{canary}')",
    "SELECT file/* */('{canary}')",
    "SELECT file\u00a0('{canary}')",
    "SELECT `file`('{canary}')",
    "SELECT \"file\"('{canary}')",
    "SELECT \u201cfile\u201d('{canary}')",
    "SELECT `fi\\x6ce`('{canary}')",
    "SELECT arrayMap(file, ['{canary}'])",
    "SELECT arrayMap(x -> file(x), ['{canary}'])",
    "SELECT * APPLY file FROM (SELECT '{canary}')",
    "SELECT * APPLY(file) FROM (SELECT '{canary}')",
    "SELECT COLUMNS('p') APPLY(x -> file(x)) FROM (SELECT '{canary}' AS p)",
    "SELECT 1 # '\n, file('{canary}')",
    "SELECT $a$'$a$, file('{canary}')",
    "SELECT 1 WHERE 1 IN (SELECT length(file('{canary}')))",
    "SELECT * FROM file('{canary}', 'LineAsString')",
    "SELECT * FROM FILE('{canary}', 'LineAsString')",
    "FROM file('{canary}', 'LineAsString') SELECT *",
    "SELECT * FROM view(SELECT * FROM file('{canary}', 'LineAsString'))",
    "SELECT * FROM fileCluster('x', '{canary}', 'LineAsString')",
    "SELECT * FROM default.`{canary}`",
    "SELECT * FROM `{canary}`",
    "DESCRIBE file('{canary}')",
    "DESCRIBE TABLE default.`{canary}`",
    "DESC url('http://127.0.0.1:{port}/x', 'LineAsString')",
    "EXISTS default.`{canary}`",
    "SELECT * FROM url('http://127.0.0.1:{port}/x', 'LineAsString', 's String')",
    "SELECT * FROM s3('http://127.0.0.1:{port}/bucket/x.csv')",
    "DESCRIBE s3('http://127.0.0.1:{port}/bucket/x.csv')",
    "DESCRIBE hdfs('hdfs://127.0.0.1:{port}/bucket/x.csv')",
    "SELECT * FROM remote('127.0.0.1:{port}', 'system', 'one')",
    "DESCRIBE remote('127.0.0.1:{port}', 'system', 'one')",
    "DESCRIBE mysql('127.0.0.1:{port}', 'a', 'b', 'c', 'd')",
    "SELECT * FROM postgresql('127.0.0.1:{port}', 'a', 'b', 'c', 'd')",
    "SELECT * FROM executable('x', 'TSV', 'a String')",
    "SELECT * FROM python(x)",
    "SELECT * FROM Python(x)",
    "SELECT * FROM sqlite('{canary}', 'x')",
    "SELECT * FROM filesystem('{directory}')",
    "SELECT * FROM eval('SELECT 1')",
    "SELECT aiGenerate('x')",
    "SELECT 1 INTO OUTFILE '{directory}/out'",
    "SELECT 1 INTO/**/OUTFILE '{directory}/out' FORMAT CSV",
    "SHOW TABLES INTO OUTFILE '{directory}/out'",
    "INSERT INTO FUNCTION file('{directory}/out', 'CSV') SELECT 1",
    "SELECT 1 FORMAT Protobuf SETTINGS format_schema = '{canary}:X'",
]


class Tripwire:
    """A port that nothing may connect to."""

    def __init__(self) -> None:
        import socket

        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(0.05)
        self.port = self.listener.getsockname()[1]

    def touched(self) -> bool:
        try:
            self.listener.accept()[0].close()
        except TimeoutError:
            return False
        return True


@pytest.mark.parametrize("sql", WRITES + ESCAPES)
def test_a_reader_reaches_nothing_but_the_ledger(up: Up, tmp_path: Path, sql: str) -> None:
    """No write, no DDL, no file read or written, no connection made, whatever the spelling."""
    canary = tmp_path / "canary"
    canary.write_text("tweet tweet")
    tripwire = Tripwire()
    before = ask(up, "SELECT count(), (SELECT count() FROM system.tables WHERE database = 'llmcost') FROM kinds")[1]
    for mark, value in {"{canary}": canary, "{directory}": tmp_path, "{port}": tripwire.port}.items():
        sql = sql.replace(mark, str(value))

    response, body = ask(up, sql, method="POST", query=" ")

    assert response.status >= 400, body
    assert response.headers["X-ClickHouse-Exception-Code"]
    assert b"tweet" not in body
    assert [canary] == list(tmp_path.iterdir())
    assert "tweet tweet" == canary.read_text()
    assert not tripwire.touched()
    assert (
        before
        == ask(up, "SELECT count(), (SELECT count() FROM system.tables WHERE database = 'llmcost') FROM kinds")[1]
    )


@pytest.mark.parametrize("value", ["file", "FILE", " file "])
def test_a_parameter_cannot_name_a_function(up: Up, tmp_path: Path, value: str) -> None:
    """An Identifier parameter may stand where a function's name may."""
    (tmp_path / "canary").write_text("tweet tweet")

    response, body = ask(up, f"SELECT arrayMap({{f:Identifier}}, ['{tmp_path / 'canary'}'])", param_f=value)

    assert ((403, "497"), False) == (code_of(response), b"tweet" in body)


@pytest.mark.parametrize(
    "sql",
    [
        'SELECT 1 AS url, 2 AS input, 3 AS "cost/day"',
        "SELECT 'file(x); INTO OUTFILE' -- file(x);",
        "(SELECT 1) UNION ALL (SELECT 2)",
        "WITH x AS (SELECT 1 AS y) SELECT y FROM x",
        "SHOW TABLES",
        "DESCRIBE TABLE calls",
        "EXISTS TABLE calls",
        "SHOW CREATE TABLE kinds",
        "EXPLAIN SELECT sum(cost_usd) FROM calls",
        "SELECT * FROM merge('llmcost', '^kinds$')",
        "SELECT format('{}-{}', 'a', 'b'), generateUUIDv4() FROM numbers(3)",
        "SELECT value FROM system.settings WHERE name = 'max_threads' ;;",
    ],
)
def test_ordinary_reading_is_not_in_the_way(up: Up, sql: str) -> None:
    """Words that are forbidden as calls are free as names and in texts."""
    response, body = ask(up, sql)

    assert (200, True) == (response.status, bool(body)), body


def test_settings_steer_a_query_but_not_its_bounds(up: Up) -> None:
    """A time limit may be lowered and not raised; settings that open files or change the language are refused."""
    limits = "SELECT getSetting('max_execution_time'), getSetting('max_result_bytes'), getSetting('readonly')"

    assert b"60\t536870912\t1\n" == ask(up, limits)[1]
    assert b"60\t536870912\t1\n" == ask(up, limits, max_execution_time="0", max_result_bytes="9" * 15)[1]
    assert b"5\t1000\t1\n" == ask(up, limits, max_execution_time="5", max_result_bytes="1000")[1]
    assert (408, "159") == code_of(ask(up, "SELECT sum(sleepEachRow(1)) FROM numbers(3)", max_execution_time="1")[0])
    assert (404, "115") == code_of(ask(up, "SELECT 1", max_no_such_setting="1")[0])
    for name in ("readonly", "dialect", "format_schema", "allow_introspection_functions", "x; SET y"):
        assert (403, "497") == code_of(ask(up, "SELECT 1", **{name: "0"})[0])


def test_settings_end_with_their_query(up: Up) -> None:
    """Nothing sticks: neither a setting nor a database."""
    before = ask(up, "SELECT currentDatabase(), getSetting('max_block_size')")[1]

    during = ask(up, "SELECT currentDatabase(), getSetting('max_block_size')", database="system", max_block_size="7")[1]

    assert b"system\t7\n" == during
    assert before == ask(up, "SELECT currentDatabase(), getSetting('max_block_size')")[1]
    assert (404, "81") == code_of(ask(up, "SELECT 1", database="no`such")[0])


def test_a_long_query_stands_in_nobodys_way(up: Up) -> None:
    """While one runs, the server answers pings, short queries and the next of many."""
    slow = threading.Thread(target=ask, args=(up, "SELECT sum(sleepEachRow(0.5)) FROM numbers(4)"))
    started = time.monotonic()
    slow.start()

    assert b"Ok.\n" == ask(up, method="GET", path="/ping")[1]
    assert b"1\n" == ask(up, "SELECT 1")[1]
    waited_s = time.monotonic() - started
    slow.join()

    assert waited_s < 1.5


def test_too_large_a_result_is_an_error(up: Up) -> None:
    """Instead of all the memory there is."""
    response, _ = ask(up, "SELECT number FROM numbers(1000000)", max_result_bytes="100000")

    assert (500, "396") == code_of(response)


def test_too_long_a_statement_is_an_error(up: Up) -> None:
    """ClickHouse's own bound."""
    assert (413, "223") == code_of(ask(up, "SELECT '" + "x" * 262_144 + "'")[0])


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:8123"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
    ],
)
def test_a_web_page_cannot_ask(up: Up, headers: dict[str, str]) -> None:
    """Without a password, neither a foreign name for this machine nor a foreign page gets an answer."""
    assert (403, "516") == code_of(ask(up, "SELECT 1", headers=headers)[0])


def test_a_password_is_asked_for(writable: Up) -> None:
    """In each of the three places where ClickHouse takes it; everything else is refused."""
    right = [
        ask(writable, "SELECT 1", headers=basic("default", "pa:ss wörd")),
        ask(writable, "SELECT 1", user="default", password="pa:ss wörd"),
    ]
    wrong = [
        ask(writable, "SELECT 1"),
        ask(writable, "SELECT 1", headers=basic("default", "wrong")),
        ask(writable, "SELECT 1", headers=basic("somebody", "pa:ss wörd")),
        ask(writable, "SELECT 1", headers={"X-ClickHouse-User": "default", "X-ClickHouse-Key": "wrong"}),
        ask(writable, "SELECT 1", headers={"Authorization": "Basic %%%"}),
        ask(writable, "SELECT 1", user="default", password="wrong"),
    ]

    assert [(200, b"1\n")] * 2 == [(response.status, body) for response, body in right]
    assert [(403, "516")] * 6 == [code_of(response) for response, _ in wrong]
    assert b"Ok.\n" == ask(writable, method="GET", path="/ping")[1]
    assert "pa:ss" not in writable.banner
