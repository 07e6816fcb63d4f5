"""`otel-llmcost ledger copy`: from an embedded ledger to an endpoint and back, exact, and continued after a kill."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from chdb_server import serve_apart
from factories import START_NS, make_call
from otel_llmcost.call import Source
from otel_llmcost.cli import main
from otel_llmcost.exporters import open_sink
from otel_llmcost.exporters.clickhouse import copying, ddl, retention
from otel_llmcost.exporters.clickhouse.books import archive_book
from otel_llmcost.exporters.clickhouse.client import Ledger
from otel_llmcost.exporters.clickhouse.settling import settle
from otel_llmcost.pricing import PriceBook
from up_process import GENAI, Up, environment, export, running_up

LONG = "LLMCOST_LONG" in os.environ
DAY_NS = 86_400_000_000_000
LINES = 400
MADE_ANEW = {"touched_hours", "settled_units"} | set(retention.ROLLUPS)  # totals
MADE_ANEW |= {"series_hour", "series_expected", "series_usual", "anomaly_signals", "anomaly_links"}  # by detection
MADE_ANEW |= {"ledger_options", "copied_chunks", "watch_states", "watchers"}  # of each ledger and its processes
KILLED = """
import os, sys
from otel_llmcost.cli import main
from otel_llmcost.exporters.clickhouse import client, copying
copying.CHUNK_LINES = 50
copying.chunks.__defaults__ = (None, 50)
left, insert = int(sys.argv[1]), client.Ledger.insert
def counted(self, *arguments):
    global left
    insert(self, *arguments)
    left -= 1
    if left <= 0:
        os.kill(os.getpid(), 9)
client.Ledger.insert = counted
sys.exit(main(["ledger", "copy", "--from", sys.argv[2], "--to", sys.argv[3]]))
"""


def lines(count: int, first: int = 1) -> list:
    """Over four days, with unpriced calls, imports (whose shadows are wide), and records that repeat another."""
    made = []
    for number in range(first, first + count):
        start_ns = START_NS + (number % 4) * DAY_NS + number * 60_000_000_000
        call = make_call(number, start_ns=start_ns, end_ns=start_ns + 10**9)
        call = replace(call, call_id=(number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % (1 << 128)).to_bytes(16, "big"))
        if number % 7 == 0:
            call = replace(call, source=Source.IMPORT)
        if number % 11 == 0:
            call = replace(call, duplicate_of=made[0].call_id)
        made.append(call)
    return made


def write(url: str, calls: list) -> None:
    sink = open_sink(url)
    sink.write(calls)
    sink.close()


@pytest.fixture
def source(tmp_path) -> str:
    """A ledger with lines, some twice and some in a later and fuller version, and a price book."""
    url = f"chdb://{tmp_path / 'source'}"
    calls = lines(LINES)
    write(url, calls)
    write(url, calls[:50])
    with Ledger.open(url, read_only=False) as opened:
        archive_book(opened, PriceBook.bundled())
    return url


@pytest.fixture
def up(tmp_path) -> Iterator[Up]:
    with running_up(f"chdb://{tmp_path / 'served'}", "--writable") as running:
        yield running


@pytest.fixture
def server(tmp_path) -> Iterator[str]:
    """The URL of a ledger on a server that has nothing yet."""
    with serve_apart(tmp_path / "server") as url:
        yield url


def address(up: Up) -> str:
    return f"clickhouse://127.0.0.1:{up.ports['ClickHouse']}"


def copy(source: str, target: str, *options: str) -> int:
    return main(["ledger", "copy", "--from", source, "--to", target, *options])


def shown(url: str) -> list:
    """Everything that readers see, to the last column."""
    with Ledger.open(url) as ledger:
        rows = ledger.query("SELECT * FROM current_versions ORDER BY call_id").rows
        shadows = ledger.query(
            "SELECT call_id, version, ts FROM call_versions FINAL WHERE shadow = 1 ORDER BY ALL"
        ).rows
        prices = ledger.query("SELECT * FROM prices FINAL ORDER BY ALL").rows
        daily = ledger.query("SELECT day, sum(calls), sum(cost_usd) FROM calls_daily GROUP BY day ORDER BY day").rows
        books = ledger.query("SELECT version, document FROM price_books FINAL").rows
    return [rows, shadows, prices, daily, books]


def test_there_and_back_is_the_same_in_every_column(source, up, tmp_path, capsys) -> None:
    """
    Embedded → endpoint → another embedded ledger: lines, shadows, prices, books and totals are equal.
    """
    back = f"chdb://{tmp_path / 'back'}"
    before = shown(source)

    assert 0 == copy(source, address(up))
    assert 0 == copy(address(up), back)
    assert "same calls and amounts" in capsys.readouterr().out
    assert LINES == len(before[0])
    assert before[1]
    assert before == shown(address(up)) == shown(back)


def test_a_copy_that_is_killed_after_any_insert_is_continued(source, server) -> None:
    """
    Killed after the first inserts of each run, again and again, it comes to its end, and to the same ledger.

    LLMCOST_LONG: each run brings a single chunk or less; some thirty deaths.
    """
    deaths = 0
    for number in range(1, 80):
        inserts = number % 3 + 2 if LONG else 1 + 6 * number
        script = [sys.executable, "-c", KILLED, str(inserts), source, server]
        ended = subprocess.run(script, check=False, env=environment(), capture_output=True, text=True, timeout=60)
        assert ended.returncode in (0, -signal.SIGKILL), ended.stderr
        if ended.returncode == 0:
            break
        deaths += 1
    else:
        pytest.fail("no run came to its end")

    assert deaths >= (20 if LONG else 2)
    assert 0 == copy(source, server, "--verify-only")
    assert shown(source) == shown(server)


def test_a_server_that_has_nothing_gets_all_and_keeps_what_it_gets(source, server, capsys) -> None:
    """
    The tables are made, a second copy and one `--again` change nothing, and totals can be settled there.
    """
    assert [0, 0, 0] == [copy(source, server), copy(source, server), copy(source, server, "--again")]
    write(server, lines(1, first=9_000))
    with Ledger.open(server, read_only=False) as ledger:
        settled = settle(ledger, grace_s=0)
        counted = ledger.query("SELECT (SELECT count() FROM calls), (SELECT sum(calls) FROM calls_hourly)").rows

    assert settled.hours > 24
    assert counted[0][0] == counted[0][1] == 1 + sum(not call.duplicate_of for call in lines(LINES))
    assert 1 == copy(source, server)
    assert "the target has calls of its own" in capsys.readouterr().err


def test_every_table_is_copied_or_made_anew() -> None:
    """
    A new table of the schema has to be thought of here.
    """
    made = {s.creates for m in ddl.migrations() for s in m.statements if s.creates and "CREATE TABLE" in s.text}

    assert set() == made - {table.table for table in copying.TABLES} - MADE_ANEW


def test_hours_are_touched_before_their_lines_arrive(source, server, monkeypatch) -> None:
    """
    A settled hour of the target counts live before the first line of it is there, whoever dies in between.
    """
    tables, insert = [], Ledger.insert

    def noted(self, table, *arguments, **options) -> None:
        tables.append(table)
        insert(self, table, *arguments, **options)

    monkeypatch.setattr(Ledger, "insert", noted)
    assert 0 == copy(source, server)

    brought = [place for place, table in enumerate(tables) if table == copying.CALLS]
    assert len(brought) >= 4
    # A day of shadows only has no hour of its own.
    assert {"touched_hours"} >= {tables[place - 1] for place in brought} - {"copied_chunks"}
    assert tables.count("touched_hours") >= 4


def test_what_came_since_is_copied_by_the_next_run(source, up, capsys) -> None:
    """
    New lines and a fuller version of an old one; days without news are not copied again.
    """
    assert 0 == copy(source, address(up))
    write(source, lines(4, first=LINES + 1))
    assert 1 == copy(source, address(up), "--verify-only")
    assert "calls" in capsys.readouterr().out

    assert 0 == copy(source, address(up))
    assert 0 == copy(source, address(up))
    assert "copied 0 rows in 0 chunks" in capsys.readouterr().out
    assert shown(source) == shown(address(up))


def test_lines_that_only_the_target_has_are_told(source, up, capsys) -> None:
    """
    Each day and measure that differs is a row of a table, and the exit code is 1.
    """
    assert 0 == copy(source, address(up))
    export(up, GENAI)

    assert 1 == copy(source, address(up))
    out = capsys.readouterr().out
    assert all(word in out for word in ("measure", "ids", "cost_usd"))


def test_two_embedded_ledgers_need_one_to_be_served(source, tmp_path, capsys) -> None:
    """
    The text says how.
    """
    assert 2 == copy(source, f"chdb://{tmp_path / 'other'}")
    assert "otel-llmcost up" in capsys.readouterr().err


def test_a_dry_run_writes_nothing(source, tmp_path, capsys) -> None:
    """
    It shows the tables, and does not even connect to the target.
    """
    assert 0 == copy(source, "clickhouse://127.0.0.1:1", "--dry-run")
    assert "call_versions" in capsys.readouterr().out


def test_a_day_is_cut_into_chunks_that_cover_it_once(source) -> None:
    """
    Chunks of every size hold each stored row once.
    """
    with Ledger.open(source) as ledger:
        total = ledger.query("SELECT count() FROM call_versions FINAL").rows[0][0]
        for size in (7, 50, 1000):
            todo = [c for c in copying.chunks(ledger, lines=size) if c.source.table == copying.CALLS]
            sql = "SELECT count() FROM call_versions FINAL WHERE "
            assert total == sum(ledger.query(sql + c.condition, c.parameters).rows[0][0] for c in todo)
