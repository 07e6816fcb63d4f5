"""`otel-llmcost up` from start to end, as a process."""

import http.client
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.trace.export import SpanExportResult

from otel_llmcost.cli import main
from up_process import FREE_PORTS, GENAI, connect, environment, export, ledger_url, running_up, spans


def up_fails(*options: str, **extra: str) -> tuple[int, str]:
    """Exit code and text of a command that cannot start."""
    command = [sys.executable, "-m", "otel_llmcost.cli", "up", *FREE_PORTS, *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment(**extra), check=False)
    return done.returncode, done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_lines_are_in_the_ledger_before_and_after_a_restart(tmp_path: Path, number: int) -> None:
    """Sent over gRPC and HTTP, twice the same, read at the ClickHouse port; a signal ends it with code 0."""
    count = "SELECT count(), toString(sum(cost_usd)) FROM calls"
    same = spans(GENAI, {"db.system": "postgresql"})
    with running_up(ledger_url(tmp_path)) as up:
        export(up, GENAI)
        exporter = HttpExporter(f"http://127.0.0.1:{up.ports['OTLP/HTTP']}/v1/traces")
        assert [SpanExportResult.SUCCESS] * 2 == [exporter.export(same), exporter.export(same)]
        with connect(up) as client:
            before = client.query(count).result_rows
        code, rest = up.stop(number)
    with running_up(ledger_url(tmp_path)) as up, connect(up) as client:
        after = client.query(count).result_rows

    assert (0, "otel-llmcost: draining\notel-llmcost: stopped\n") == (code, rest)
    assert [(2, "0.009")] == before == after


def test_a_new_ledger_has_its_tables_at_once(tmp_path: Path) -> None:
    """Dashboards find them before the first line comes."""
    with running_up(ledger_url(tmp_path)) as up, connect(up) as client:
        assert 0 == client.command("SELECT count() FROM calls")


def test_the_query_command_asks_the_running_process(tmp_path: Path) -> None:
    """The embedded ledger is open in one process; the other commands reach it at the ClickHouse port."""
    with running_up(ledger_url(tmp_path)) as up:
        export(up, GENAI)
        ledger = f"clickhouse://127.0.0.1:{up.ports['ClickHouse']}/llmcost"
        command = [sys.executable, "-m", "otel_llmcost.cli", "query", "SELECT sum(cost_usd) AS usd FROM calls"]
        done = subprocess.run(
            [*command, "--ledger", ledger, "--format", "csv"],
            capture_output=True,
            text=True,
            timeout=60,
            env=environment(),
            check=False,
        )

    assert (0, "usd\n0.004500000000\n") == (done.returncode, done.stdout), done.stderr


def post(port: int, body: bytes) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("POST", "/v1/traces", body, {"Content-Type": "application/x-protobuf"})
        return connection.getresponse()
    finally:
        connection.close()


def test_requests_under_way_are_finished_before_the_end(tmp_path: Path) -> None:
    """Senders in full flow: what was acknowledged is in the ledger, to the line."""
    acknowledged: list[int] = []

    def send(port: int) -> None:
        with suppress(OSError, http.client.HTTPException):  # the server is gone
            while len(acknowledged) < 1_000:
                body = encode_spans(spans(*[GENAI] * 20)).SerializeToString()
                acknowledged.append(post(port, body).status)

    with running_up(ledger_url(tmp_path)) as up:
        sender = threading.Thread(target=send, args=(up.ports["OTLP/HTTP"],))
        sender.start()
        deadline = time.monotonic() + 30
        while len(acknowledged) < 5 and time.monotonic() < deadline:
            time.sleep(0.01)
        code, _ = up.stop()
        sender.join(60)
    with running_up(ledger_url(tmp_path)) as up, connect(up) as client:
        stored = client.command("SELECT count() FROM calls")

    lines = 20 * acknowledged.count(200)
    assert (0, True) == (code, lines >= 100)
    assert lines <= stored <= lines + 20  # an answer may be lost on the way, a line not


@pytest.mark.parametrize("option", ["--grpc-port", "--http-port", "--clickhouse-port"])
def test_a_port_in_use_is_told(tmp_path: Path, option: str) -> None:
    """With the option that changes it, and without a traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, text = up_fails("--ledger", ledger_url(tmp_path), option, port)

    assert (2, 1) == (code, len(text.splitlines())), text
    assert f"127.0.0.1:{port}: Address already in use; choose another port with {option}" in text


def test_the_ledger_is_not_opened_to_the_network_without_a_password(tmp_path: Path) -> None:
    """A bind beyond loopback is refused; with a password of the environment or a file it starts."""
    password_file = tmp_path / "password"
    password_file.write_text("secret\n")
    refused = up_fails("--ledger", ledger_url(tmp_path), "--host", "0.0.0.0")

    assert 2 == refused[0]
    assert "set CLICKHOUSE_PASSWORD or --clickhouse-password-file" in refused[1]
    for options, extra in (
        (["--clickhouse-password-file", str(password_file)], {}),
        ([], {"CLICKHOUSE_PASSWORD": "secret"}),
    ):
        with running_up(ledger_url(tmp_path), "--host", "0.0.0.0", *options, **extra) as up:
            with connect(up, password="secret") as client:
                assert 0 == client.command("SELECT count() FROM calls")
            assert "password needed" in up.banner
            assert "secret" not in up.banner


def test_an_embedded_ledger_in_use_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The second process says who has it, and so does every command."""
    commands = ("ledger settle", "ledger rebuild", "schema status", "schema plan", "schema apply", "restate --dry-run")
    with running_up(ledger_url(tmp_path)) as up:
        code, text = up_fails("--ledger", ledger_url(tmp_path))
        told = f"in use by process {up.process.pid}"
        for command in commands:
            assert 4 == main([*command.split(), "--ledger", ledger_url(tmp_path)]), command
            assert told in capsys.readouterr().err
        assert 4 == main(["ledger", "copy", "--from", ledger_url(tmp_path), "--to", "clickhouse://127.0.0.1:1"])
        assert told in capsys.readouterr().err

    assert 4 == code
    assert told in text


@pytest.mark.parametrize("ledger", ["otlp://127.0.0.1:4317", "off", "mysql://x"])
def test_a_ledger_that_takes_no_rows_is_refused(ledger: str) -> None:
    """`up` writes to ClickHouse."""
    code, text = up_fails("--ledger", ledger)

    assert (2, 1) == (code, len(text.splitlines())), text


def test_a_server_ledger_that_is_down_loses_nothing() -> None:
    """No SQL endpoint is started, and senders are told to come again."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with running_up(f"clickhouse://127.0.0.1:{port}/llmcost") as up:
        response = post(up.ports["OTLP/HTTP"], encode_spans(spans(GENAI)).SerializeToString())

        assert {"OTLP/gRPC", "OTLP/HTTP"} == set(up.ports)
        assert (503, "1") == (response.status, response.headers["Retry-After"])
        assert 0 == up.stop()[0]
