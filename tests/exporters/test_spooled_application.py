"""An application with a spool, set up as OpenTelemetry's users do, forked as web servers and workers do."""

import json
import os
import socket
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from urllib.parse import quote

import pytest

from chdb_server import PASSWORD, USER, ChdbServer, serve
from otel_llmcost.exporters.clickhouse.client import Ledger

CALLS = """\
import httpx2, os, signal, sys, time
from opentelemetry import trace

transport = httpx2.MockTransport(lambda request: httpx2.Response(200, json={
    "id": "chatcmpl-1", "model": "gpt-4o-2024-08-06", "usage": {"prompt_tokens": 1000, "completion_tokens": 10}}))
client = httpx2.Client(transport=transport)

def call():
    client.post("https://mock.internal/v1/chat/completions", json={"model": "gpt-4o"})
"""

PREFORK = (
    CALLS
    + """
for _ in range(4):
    call()  # the parent has a thread and a segment before it forks
children = []
for number in range(4):
    child = os.fork()
    if child == 0:
        for _ in range(10):
            call()
        time.sleep(1.5)  # the spool's interval is 20 ms
        if number < 2:
            os.kill(os.getpid(), signal.SIGKILL)
        sys.exit(0)
    children.append(child)
for child in children:
    os.waitpid(child, 0)
call()
trace.get_tracer_provider().force_flush()
"""
)


def run(application: str, **environ: str) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "PYTEST_"))}
    command = [str(Path(sys.executable).with_name("opentelemetry-instrument")), sys.executable, "-c", application]
    environ = {"OTEL_PYTHON_DISTRO": "llmcost", "OTEL_LLMCOST_DELIVERY_SPOOL_INTERVAL_MS": "20", **environ}
    return subprocess.run(command, env={**clean, **environ}, capture_output=True, text=True, timeout=60, check=False)


def url_of(server: ChdbServer) -> str:
    return f"clickhouse://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{server.server_port}/llmcost"


def calls_in(url: str) -> int:
    with Ledger.open(url) as ledger:
        return ledger.query("SELECT count() FROM calls").rows[0][0]


@pytest.fixture
def server(tmp_path):
    with serve(tmp_path / "ledger") as running:
        yield running


def test_forked_workers_account_for_every_call_also_those_that_were_killed(server, tmp_path) -> None:
    """Each process delivers its own; what the killed ones left is in the ledger after the next start."""
    url = url_of(server)
    environ = {"OTEL_LLMCOST_LEDGER": url, "OTEL_LLMCOST_DELIVERY_SPOOL": str(tmp_path / "spool")}
    result = run(PREFORK, **environ)
    assert (0, "") == (result.returncode, result.stderr)
    run("import time; time.sleep(0.5)", **environ)
    assert 4 + 4 * 10 + 1 == calls_in(url)
    assert [] == [path for path in (tmp_path / "spool").rglob("*") if path.is_file()]


def test_an_application_may_end_while_its_ledger_is_away(server, tmp_path) -> None:
    """At once, without a dropped line; the next start delivers, though it makes no call itself."""
    url = url_of(server)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        away = f"clickhouse://127.0.0.1:{listener.getsockname()[1]}/llmcost"
    result = run(
        CALLS + "for _ in range(3): call()\n",
        OTEL_LLMCOST_LEDGER=away,
        OTEL_LLMCOST_DELIVERY_SPOOL=str(tmp_path / "spool"),
        OTEL_METRICS_EXPORTER="console",
    )
    assert "the next start delivers them" in result.stderr
    assert "llmcost.dropped" not in result.stdout
    assert "llmcost.spool.size" in result.stdout
    (folder,) = (tmp_path / "spool").iterdir()
    command = [
        sys.executable,
        "-m",
        "otel_llmcost.cli",
        "ledger",
        "replay",
        "--ledger",
        url,
        "--directory",
        str(folder),
    ]
    replayed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (0, 3) == (replayed.returncode, calls_in(url)), replayed.stderr


def test_lines_on_disk_hold_no_content_and_no_credentials(server, tmp_path) -> None:
    """Neither the request's and answer's texts nor the password of the ledger's URL."""
    server.faults = [(503, None)] * 1_000
    secret = "the vault's password"
    application = CALLS.replace('"id"', f'"choices": [{{"message": {{"content": "{secret}"}}}}], "id"').replace(
        '"model": "gpt-4o"}', f'"model": "gpt-4o", "messages": [{{"role": "user", "content": "{secret}"}}]}}'
    )
    run(
        application + "call()\n",
        OTEL_LLMCOST_LEDGER=url_of(server),
        OTEL_LLMCOST_DELIVERY_SPOOL=str(tmp_path / "spool"),
        OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT="true",
    )
    (segment,) = (tmp_path / "spool").rglob("*.spool")
    text = segment.read_text()
    line = json.loads(text.partition(" ")[2])
    assert ("gpt-4o-2024-08-06", str(Decimal(1000))) == (line["model"], str(line["usage"]["buckets"]["input"]))
    assert secret not in text
    assert PASSWORD not in text + str(segment)
