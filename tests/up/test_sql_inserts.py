"""INSERT at the ClickHouse port, where `--writable` allows it."""

import time
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client

from factories import make_call
from otel_llmcost.cli import main
from otel_llmcost.exporters import open_sink
from otel_llmcost.exporters.clickhouse.client import Ledger
from otel_llmcost.exporters.clickhouse.settling import rebuild
from sql_requests import KINDS_ROW, ask, basic, code_of
from up_process import Up, connect


@pytest.mark.parametrize(("compress", "number"), [(True, 1), ("gzip", 2), ("zstd", 3), ("lz4", 4), (False, 5)])
def test_a_client_inserts_where_it_may(writable: Up, compress: bool | str, number: int) -> None:
    """Every kind of column, every compression, and the summary counts the rows."""
    row = (number, *KINDS_ROW[1:])
    with connect(writable, password="pa:ss wörd", compress=compress) as client:
        names = client.query("SELECT * FROM kinds LIMIT 0").column_names
        summary = client.insert("kinds", [row] * 3, column_names=names)
        found = client.query("SELECT * FROM kinds WHERE i = {i:Int64}", {"i": number}, column_formats={"f": "bytes"})

    assert 3 == summary.written_rows
    assert [row] * 3 == found.result_rows


def test_inserts_of_other_forms(writable: Up, writer: Client) -> None:
    """VALUES in the URL or the body, a format with its data in the body, blank first bytes of data included."""
    credentials = {"user": "default", "password": "pa:ss wörd"}
    asked = [
        ask(writable, query="INSERT INTO kinds (i, a) VALUES (5000, ['a;b']), (5001, [])", **credentials),
        ask(writable, "INSERT INTO llmcost.kinds (i) FORMAT CSV\n5002\n5003\n", **credentials),
        ask(writable, b'{"i": 5004}\n', query="INSERT INTO `kinds` FORMAT JSONEachRow", **credentials),
        ask(writable, b"\n5005\n", query="INSERT INTO TABLE kinds (i) FORMAT LineAsString", **credentials),
    ]

    assert [200, 200, 200] == [response.status for response, _ in asked[:3]]
    assert asked[3][0].status >= 400
    # What stands behind a semicolon is data that is not read, and never a statement.
    ask(writable, "INSERT INTO kinds (i) VALUES (4999); DROP TABLE kinds", **credentials)
    assert [(5000 + n,) for n in range(5)] == writer.query(
        "SELECT i FROM kinds WHERE i BETWEEN 5000 AND 5999 ORDER BY i"
    ).result_rows


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO kinds (a) VALUES ([file('{canary}')])",
        "INSERT INTO kinds (a) SELECT [file('{canary}')]",
        "INSERT INTO kinds (a) SELECT a FROM file('{canary}')",
        "INSERT INTO kinds (a) SELECT ['x'] SETTINGS format_schema = '{canary}'",
        "INSERT INTO kinds (a) SELECT ['x']; DROP TABLE kinds",
        "INSERT INTO kinds (a) SELECT ['x'] INTO OUTFILE '{directory}/out'",
        "INSERT INTO FUNCTION file('{directory}/out', 'CSV', 'a String') SELECT 'x'",
        "INSERT INTO default.`{directory}/out.csv` SELECT 1",
        "DELETE FROM `{canary}` WHERE 1",
        "DELETE FROM kinds WHERE i IN (SELECT file('{canary}'))",
        "INSERT INTO kinds (a) FROM INFILE '{canary}' FORMAT CSV",
        "INSERT INTO FUNCTION file('{directory}/out') FORMAT CSV\n1\n",
        "INSERT INTO default.`{canary}` (c1) FORMAT CSV\n1\n",
        "INSERT INTO default.`{directory}/out.csv` (c1) FORMAT CSV\n1\n",
        "INSERT INTO `{directory}/out.csv` (c1) FORMAT CSV\n1\n",
        "INSERT INTO kinds (i) SETTINGS input_format_values_interpret_expressions = 1 VALUES (1 + 1)",
        "INSERT INTO kinds (i)",
        "DROP TABLE kinds",
        "CREATE TABLE llmcost.more (a Int8) ENGINE = Memory",
        "ALTER TABLE kinds DELETE WHERE 1",
    ],
)
def test_a_writer_writes_rows_and_nothing_else(writable: Up, writer: Client, tmp_path: Path, sql: str) -> None:
    """No DDL, no file, no expression that could read one, no second statement."""
    canary = tmp_path / "canary"
    canary.write_text("1\n")
    before = writer.query("SELECT count(), sum(length(a)) FROM kinds").result_rows
    for mark, value in {"{canary}": canary, "{directory}": tmp_path}.items():
        sql = sql.replace(mark, str(value))

    response, body = ask(writable, sql, headers=basic("default", "pa:ss wörd"))

    after = writer.query("SELECT count(), sum(length(a)) FROM kinds").result_rows
    assert ([canary], "1\n") == (list(tmp_path.iterdir()), canary.read_text())
    assert 1 == writer.command("SELECT count() FROM system.tables WHERE name = 'kinds'")
    assert (True, before) == (response.status >= 400, after), body


def test_a_writer_may_fill_and_empty_a_table_from_a_query(writable: Up, writer: Client) -> None:
    """INSERT … SELECT and DELETE FROM change rows of the ledger; settings of limits may go with them."""
    headers = basic("default", "pa:ss wörd")
    filled = "INSERT INTO llmcost.kinds (i) SELECT number + 7000 FROM numbers(3)"
    filled += " SETTINGS max_partitions_per_insert_block = 0"

    assert [200, 200] == [
        ask(writable, sql, headers=headers)[0].status for sql in (filled, "DELETE FROM kinds WHERE i = 7001")
    ]
    assert [(7000,), (7002,)] == writer.query(
        "SELECT i FROM kinds WHERE i BETWEEN 7000 AND 7999 ORDER BY i"
    ).result_rows


def test_reading_stays_read_only_for_a_writer(writable: Up) -> None:
    """A SELECT has the reader's bounds, and a GET cannot insert."""
    headers = basic("default", "pa:ss wörd")

    assert b"1\n" == ask(writable, "SELECT getSetting('readonly')", headers=headers)[1]
    assert (500, "164") == code_of(
        ask(writable, method="GET", query="INSERT INTO kinds (i) VALUES (1)", headers=headers)[0]
    )


def test_an_applications_ledger_may_be_the_endpoint(writable: Up, writer: Client, monkeypatch) -> None:
    """Lines, the hours that they touch and their price book go in by statements that the endpoint takes."""
    monkeypatch.setenv("OTEL_LLMCOST_LEDGER_PASSWORD", "pa:ss wörd")
    sink = open_sink(f"clickhouse://default@127.0.0.1:{writable.ports['ClickHouse']}/llmcost")
    sink.write([make_call(number, service="through the endpoint") for number in range(1, 4)])
    sink.close()
    asked = "SELECT count(), (SELECT count() > 0 FROM touched_hours) FROM calls WHERE service = 'through the endpoint'"
    assert [(3, 1)] == [tuple(map(int, row)) for row in writer.query(asked).result_rows]


@pytest.mark.parametrize("command", ["settle", "rebuild"])
def test_totals_are_made_through_the_endpoint(writable: Up, command: str, monkeypatch, capsys) -> None:
    """`ledger settle` and `ledger rebuild` work on an endpoint that takes INSERT."""
    monkeypatch.setenv("OTEL_LLMCOST_LEDGER_PASSWORD", "pa:ss wörd")
    url = f"clickhouse://default@127.0.0.1:{writable.ports['ClickHouse']}/llmcost"
    sink = open_sink(url)
    sink.write([make_call(number, service=command) for number in range(1, 4)])
    sink.close()

    assert 0 == main(["ledger", command, "--ledger", url])
    out = capsys.readouterr().out

    assert "rebuilt 0 hours and 0 days" in out if command == "rebuild" else "settled 0 hours" in out
    asked = "SELECT sum(calls) FROM calls_hourly WHERE service = {service:String}"
    with Ledger.open(url, read_only=False) as ledger:
        assert [(3,)] == ledger.query(asked, {"service": command}).rows
        rebuild(ledger, grace_s=0)
        assert [(3,)] == ledger.query(asked, {"service": command}).rows
        assert 0 == ledger.query("SELECT countIf(settlement = 0) FROM day_states").rows[0][0]


def test_a_read_only_endpoint_says_what_would_let_totals_be_made(up: Up, capsys) -> None:
    """The command fails, and says what to do."""
    url = f"clickhouse://127.0.0.1:{up.ports['ClickHouse']}/llmcost"

    assert 0 != main(["ledger", "rebuild", "--ledger", url])

    assert "--writable" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["ledger settle", "ledger rebuild", "schema status", "query SELECT\xa01"])
def test_a_wrong_password_ends_a_command_at_once(writable: Up, monkeypatch, capsys, command: str) -> None:
    """A writer waits until it is corrected; a command says what to check, and not the password."""
    monkeypatch.setenv("OTEL_LLMCOST_LEDGER_PASSWORD", "wr0ng")
    url = f"clickhouse://default@127.0.0.1:{writable.ports['ClickHouse']}/llmcost"

    begin = time.monotonic()
    assert 4 == main([*command.split(" "), "--ledger", url])

    told = capsys.readouterr().err
    assert "check the user and the password" in told
    assert "wr0ng" not in told
    assert time.monotonic() - begin < 10


def test_who_changes_tables_is_told(writable: Up, monkeypatch, capsys) -> None:
    """`schema apply` cannot go through the endpoint, and says where it can."""
    monkeypatch.setenv("OTEL_LLMCOST_LEDGER_PASSWORD", "pa:ss wörd")
    monkeypatch.setenv("OTEL_LLMCOST_STORAGE_CALLS_DAYS", "4000")
    url = f"clickhouse://default@127.0.0.1:{writable.ports['ClickHouse']}/llmcost"

    assert 4 == main(["schema", "apply", "--ledger", url])

    assert "end `otel-llmcost up` and work at the ledger's directory" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["settle", "rebuild"])
def test_a_ledger_that_is_not_there_is_told_and_not_made(tmp_path: Path, command: str, capsys) -> None:
    """The engine would make an empty one."""
    assert 2 == main(["ledger", command, "--ledger", f"chdb://{tmp_path}/nothing"])

    assert "there is no ledger" in capsys.readouterr().err
    assert [] == list(tmp_path.iterdir())
