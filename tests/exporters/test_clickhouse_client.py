"""Ledger URLs, failures and what they say, locks, read-only access."""

import logging
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from chdb_server import PASSWORD, USER, ChdbServer, serve
from factories import make_call
from otel_llmcost.errors import (
    ConfigError,
    DeliveryError,
    LlmcostError,
    MissingExtraError,
    PermanentError,
    RetryableError,
)
from otel_llmcost.exporters import open_sink
from otel_llmcost.exporters.clickhouse import client
from otel_llmcost.exporters.clickhouse.access import Access
from otel_llmcost.exporters.clickhouse.client import Ledger, LedgerUrl

SECRET = "hunter2-s3cret"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ChdbServer]:
    with serve(tmp_path) as running:
        yield running


def url_of(server: ChdbServer, user: str = USER, password: str = PASSWORD) -> str:
    return f"clickhouse://{user}:{quote(password, safe='')}@127.0.0.1:{server.server_port}"


def text_of(error: BaseException | None) -> str:
    """An exception's text with that of everything a traceback would show behind it."""
    texts = []
    while error is not None:
        texts += [str(error), repr(error)]
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n".join(texts)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("clickhouse://ch", LedgerUrl("clickhouse", "ch", 8123, access=Access("default"))),
        ("clickhouses://u@ch/x", LedgerUrl("clickhouses", "ch", 8443, database="x", access=Access("u"))),
        ("clickhouse://u:p%40%2F@[::1]:99/", LedgerUrl("clickhouse", "::1", 99, access=Access("u", "p@/"))),
        ("chdb:///var/lib/a%20b", LedgerUrl("chdb", path="/var/lib/a b")),
    ],
)
def test_a_url_names_a_ledger(url: str, expected: LedgerUrl) -> None:
    """
    Ports, database and user have defaults; %XX stands for any character.
    """
    assert expected == LedgerUrl.parse(url, {})


def test_the_environment_gives_the_credentials_that_a_url_leaves_out() -> None:
    """
    A URL's own user and password win over CLICKHOUSE_USER and CLICKHOUSE_PASSWORD, each by itself.
    """
    environ = {"CLICKHOUSE_USER": "env-user", "CLICKHOUSE_PASSWORD": "env-password"}
    urls = ["clickhouse://ch", "clickhouse://u@ch", "clickhouse://u:p@ch"]

    found = [LedgerUrl.parse(url, environ) for url in urls]

    credentials = [(each.access.user, each.access.password) for each in found]
    assert [("env-user", "env-password"), ("u", "env-password"), ("u", "p")] == credentials


@pytest.mark.parametrize(
    "url",
    [
        "off",
        "",
        "postgres://u:{}@h/",
        "clickhouse://",
        "clickhouse://u:{}@",
        "clickhouse://u:{}/x@host",
        "clickhouse://u:{}@host:port",
        "clickhouse://u:{}@host:99999",
        "clickhouse://u:{}@host?secure=1",
        "clickhouse://u:{}@host/a`b",
        "clickhouse://u:{}@host/a/b",
        "clickhouse://u:{}@[host",
        "chdb://{}",
        "chdb:///",
        "chdb:///path?{}",
    ],
)
def test_a_wrong_url_is_refused_without_repeating_it(url: str) -> None:
    """
    Whatever is wrong with a URL, the error does not show the password in it.
    """
    with pytest.raises(ConfigError) as caught:
        open_sink(url.format(SECRET))

    assert SECRET not in text_of(caught.value)


def test_credentials_do_not_show() -> None:
    """
    Neither the parsed URL nor its address shows the user or the password.
    """
    parsed = LedgerUrl.parse(f"clickhouse://someone:{SECRET}@ch:1", {})

    assert "ch:1" == parsed.address
    assert not {"someone", SECRET} & set(repr(parsed).replace("'", " ").split())


def test_a_wrong_password_costs_no_line_and_does_not_show(
    server: ChdbServer, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """
    The error says what to check, and to try again; no text, log line or output holds the password.
    """
    caplog.set_level(logging.DEBUG)

    with pytest.raises(RetryableError, match="check the user and the password") as caught:
        open_sink(url_of(server, password=SECRET)).write([make_call(1)])

    assert SECRET not in "".join([text_of(caught.value), caplog.text, *capfd.readouterr()])


def test_an_unreachable_server_is_retried_later() -> None:
    """
    The sink opens while nothing listens; the write says that there is no answer, and from where.
    """
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    sink = open_sink(f"clickhouse://u:{SECRET}@127.0.0.1:{port}")

    with pytest.raises(RetryableError, match=f"127.0.0.1:{port}: no answer") as caught:
        sink.write([make_call(1)])

    assert SECRET not in text_of(caught.value)
    sink.close()


def test_a_ledger_that_comes_up_later_takes_the_lines(tmp_path: Path) -> None:
    """
    A write fails while the server is down; the same sink writes once it is up.
    """
    with serve(tmp_path) as server:
        sink = open_sink(url_of(server))
        server.faults = [(503, 745), (502, None)]
        for _ in range(2):
            with pytest.raises(RetryableError):
                sink.write([make_call(1)])

        sink.write([make_call(1)])

        with Ledger.open(url_of(server)) as ledger:
            assert [(1,)] == ledger.query("SELECT count() FROM calls").rows
        sink.close()


def test_a_batch_whose_answer_was_lost_is_stored_once(server: ChdbServer) -> None:
    """
    The server stored the batch but the connection broke: sent again, it adds no row, not even a version.
    """
    sink = open_sink(url_of(server))
    server.faults = [("lost answer",)]

    sink.write([make_call(number) for number in range(1, 6)])
    sink.write([make_call(number) for number in range(1, 6)])
    sink.close()

    with Ledger.open(url_of(server)) as ledger:
        assert 3 == server.inserts
        assert [(5,)] == ledger.query("SELECT count() FROM call_versions").rows


def test_an_insert_does_not_repeat_values_in_its_error(server: ChdbServer) -> None:
    """
    The engine's words may quote what was inserted; an insert's error has its code only.
    """
    sink = open_sink(url_of(server))
    sink.write([make_call(1)])
    with Ledger.open(url_of(server), read_only=False) as ledger:
        ledger.execute("TRUNCATE TABLE {database}.call_versions")
        ledger.execute("ALTER TABLE {database}.call_versions MODIFY COLUMN user UInt8 CODEC(NONE)")

    with pytest.raises(PermanentError, match="CANNOT_PARSE_TEXT") as caught:
        sink.write([make_call(2, user=SECRET)])

    assert SECRET not in text_of(caught.value)
    sink.close()


def test_a_path_that_another_process_holds_is_retried_later(tmp_path: Path) -> None:
    """
    The error names the process and what to do; once that process is gone the write goes through.
    """
    url = f"chdb://{tmp_path}/ledger"
    script = "import sys; from otel_llmcost.exporters.clickhouse.client import Ledger\n"
    script += "with Ledger.open(sys.argv[1]): print('open', flush=True); sys.stdin.read()"
    sink = open_sink(url)
    with subprocess.Popen(
        [sys.executable, "-c", script, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert "open\n" == holder.stdout.readline()

        with pytest.raises(RetryableError, match=f"in use by process {holder.pid}.*clickhouse://"):
            sink.write([make_call(1)])
        holder.communicate("")

    sink.write([make_call(1)])
    sink.close()
    with Ledger.open(url) as ledger:
        assert [(1,)] == ledger.query("SELECT count() FROM calls").rows


def test_one_process_has_one_embedded_ledger(tmp_path: Path) -> None:
    """
    A second path is refused while the first is open, and the error says why.
    """
    with Ledger.open(f"chdb://{tmp_path}/a"), pytest.raises(RetryableError, match="open at another path"):
        Ledger.open(f"chdb://{tmp_path}/b")


def test_a_path_that_cannot_be_a_ledger_is_told(tmp_path: Path) -> None:
    """
    A file in the place of the directory gives an error that names the path.
    """
    (tmp_path / "file").write_text("")

    with pytest.raises(RetryableError, match="file: the embedded ledger cannot start"):
        Ledger.open(f"chdb://{tmp_path}/file")


def test_a_read_only_ledger_refuses_writes_and_disturbs_no_writer(tmp_path: Path) -> None:
    """
    Reading is the default; a sink of the same process goes on writing.
    """
    url = f"chdb://{tmp_path}"
    sink = open_sink(url)
    sink.write([make_call(1)])

    with Ledger.open(url) as ledger, pytest.raises(DeliveryError, match="READONLY"):
        ledger.execute("DROP TABLE {database}.call_versions")
    with Ledger.open(url) as ledger:
        sink.write([make_call(2)])
        assert [(2,)] == ledger.query("SELECT count() FROM calls").rows
    sink.close()


def test_a_query_takes_parameters_and_names_its_columns(server: ChdbServer) -> None:
    """
    A parameter is a value, whatever is in it; an error of a query has the engine's words.
    """
    open_sink(url_of(server)).write([make_call(1, tags={"team": "O'Neil"})])

    with Ledger.open(url_of(server)) as ledger:
        found = ledger.query(
            "SELECT team, count() AS n FROM calls WHERE team = {team:String} GROUP BY team", {"team": "O'Neil"}
        )
        with pytest.raises(DeliveryError, match="no_such_column"):
            ledger.query("SELECT no_such_column FROM calls")

    assert (("team", "n"), [("O'Neil", 1)]) == found


def test_a_ledger_without_a_table_is_completed(tmp_path: Path) -> None:
    """
    A view that somebody dropped is there again after the next start; what is stored stays.
    """
    url = f"chdb://{tmp_path}"
    sink = open_sink(url)
    sink.write([make_call(1)])
    with Ledger.open(url, read_only=False) as ledger:
        ledger.execute("DROP VIEW {database}.chargeback")
    sink.close()

    sink.write([make_call(2)])
    sink.close()

    with Ledger.open(url) as ledger:
        assert [(2,)] == ledger.query("SELECT sum(calls) FROM chargeback").rows


def test_a_dropped_table_is_created_again_at_the_next_attempt(tmp_path: Path) -> None:
    """
    The write that finds the table gone is to be retried, and the retry stores the lines.
    """
    url = f"chdb://{tmp_path}"
    sink = open_sink(url)
    sink.write([make_call(1)])
    with Ledger.open(url, read_only=False) as ledger:
        ledger.execute("DROP DATABASE {database} SYNC")

    with pytest.raises(RetryableError):
        sink.write([make_call(2)])
    sink.write([make_call(2)])
    sink.close()

    with Ledger.open(url) as ledger:
        assert [(1,)] == ledger.query("SELECT count() FROM calls").rows


def test_a_forked_child_leaves_the_embedded_ledger_to_its_parent(tmp_path: Path) -> None:
    """
    The child's write is refused at once instead of hanging in the parent's engine; the parent goes on.
    """
    sink = open_sink(f"chdb://{tmp_path}")
    sink.write([make_call(1)])
    child = os.fork()
    if child == 0:
        try:
            sink.write([make_call(2)])
        except RetryableError:
            os._exit(42)
        os._exit(1)

    _, status = os.waitpid(child, 0)

    assert 42 == os.waitstatus_to_exitcode(status)
    sink.write([make_call(3)])
    sink.close()


@pytest.mark.parametrize(("package", "extra"), [("chdb", "local"), ("clickhouse_connect", "clickhouse")])
def test_a_missing_package_is_told_when_the_sink_opens(
    monkeypatch: pytest.MonkeyPatch, package: str, extra: str
) -> None:
    """
    Without the package no line is taken in; the error names the extra that brings it.
    """
    found = client.find_spec
    monkeypatch.setattr(client, "find_spec", lambda name: None if name == package else found(name))

    with pytest.raises(MissingExtraError, match=rf"otel-llmcost\[{extra}\]"):
        open_sink("chdb:///nowhere" if package == "chdb" else "clickhouse://nowhere")


def test_opening_a_sink_imports_and_connects_nothing() -> None:
    """
    The client library and the engine load with the first write, not with the application.
    """
    script = "import sys; from otel_llmcost.exporters import open_sink\n"
    script += "open_sink('clickhouse://nowhere.invalid'); open_sink('chdb:///nowhere')\n"
    script += "sys.exit(bool({'clickhouse_connect', 'chdb', 'urllib3', 'pyarrow'} & set(sys.modules)))"

    assert 0 == subprocess.run([sys.executable, "-c", script], check=False).returncode


def test_off_is_no_sink() -> None:
    """
    A ledger that is switched off has no sink; the error says where to switch it on.
    """
    with pytest.raises(ConfigError, match="OTEL_LLMCOST_LEDGER") as caught:
        open_sink("off")

    assert isinstance(caught.value, LlmcostError)
