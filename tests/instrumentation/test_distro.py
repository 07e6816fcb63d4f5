"""`opentelemetry-instrument` with OTEL_PYTHON_DISTRO=llmcost, as a user runs it."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from otel_llmcost.exporters.clickhouse.client import Ledger

APPLICATION = """\
import httpx2
from opentelemetry import trace

transport = httpx2.MockTransport(lambda request: httpx2.Response(200, json={
    "id": "chatcmpl-1", "model": "gpt-4o-2024-08-06", "usage": {"prompt_tokens": 1000, "completion_tokens": 10}}))
client = httpx2.Client(transport=transport)
for _ in range(3):
    client.post("https://api.openai.com/v1/chat/completions", json={"model": "gpt-4o"})
print("the application is done")
"""


def run(application: str = APPLICATION, **environ: str) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "PYTEST_"))}
    return subprocess.run(
        [str(Path(sys.executable).with_name("opentelemetry-instrument")), sys.executable, "-c", application],
        env={**clean, "OTEL_PYTHON_DISTRO": "llmcost", **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def unused_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def test_one_variable_prices_the_calls_of_an_application() -> None:
    """Exported spans carry the cost."""
    result = run(OTEL_TRACES_EXPORTER="console")
    assert "the application is done" in result.stdout
    assert 3 == result.stdout.count('"llmcost.cost.usd": 0.0026')


def lines_in(ledger: str) -> int:
    with Ledger.open(ledger, read_only=True) as found:
        return found.query("SELECT count() FROM llmcost.calls").rows[0][0]


def test_what_waits_when_the_application_ends_reaches_an_embedded_ledger(tmp_path) -> None:
    """Its engine is closed by an exit handler too: ours runs first, whenever the engine was opened."""
    ledger = f"chdb://{tmp_path / 'ledger'}"
    late = {
        "OTEL_LLMCOST_LEDGER": ledger,
        "OTEL_LLMCOST_DELIVERY_FLUSH_INTERVAL_MS": "3600000",
        "OTEL_LLMCOST_DELIVERY_SHUTDOWN_TIMEOUT_MS": "60000",
    }
    at_the_end = APPLICATION.replace("api.openai.com", "mock.internal")  # where each answer is a call of its own
    assert "missing" not in run(at_the_end, **late).stderr
    assert 3 == lines_in(ledger)
    call = 'client.post("https://mock.internal/v1/chat/completions", json={"model": "gpt-4o"})'
    before_too = at_the_end.replace("range(3)", "range(40)") + f"import time; time.sleep(2)\n{call}\n"
    assert "missing" not in run(before_too, OTEL_LLMCOST_DELIVERY_BATCH_SIZE="15", **late).stderr
    assert 3 + 41 == lines_in(ledger)


def test_declarative_configuration_gets_the_ledger_too(tmp_path) -> None:
    """OpenTelemetry is set up from OTEL_CONFIG_FILE, sampler and all; every call is in the ledger."""
    file = tmp_path / "otel.yaml"
    file.write_text(
        'file_format: "1.0"\n'
        "resource: {attributes: [{name: service.name, value: declared}, {name: team, value: cx}]}\n"
        "tracer_provider: {sampler: {always_off: }, processors: [{simple: {exporter: {console: }}}]}\n"
    )
    ledger = f"chdb://{tmp_path / 'ledger'}"
    run(APPLICATION.replace("api.openai.com", "mock.internal"), OTEL_CONFIG_FILE=str(file), OTEL_LLMCOST_LEDGER=ledger)
    with Ledger.open(ledger, read_only=True) as found:
        rows = found.query("SELECT service, team, count() FROM llmcost.calls GROUP BY 1, 2").rows
    assert [("declared", "cx", 3)] == [tuple(row) for row in rows]


def test_workers_of_multiprocessing_account_for_what_they_called() -> None:
    """A forked worker ends without exit handlers."""
    call = 'client.post("https://api.openai.com/v1/chat/completions", json={"model": "gpt-4o"})'
    application = APPLICATION.partition("for _")[0] + (
        "import multiprocessing\n"
        "context = multiprocessing.get_context('fork')\n"
        f"def work(): {call}\n"
        "workers = [context.Process(target=work) for _ in range(3)]\n"
        "for worker in workers: worker.start()\n"
        "for worker in workers: worker.join()\n"
    )
    ledger = f"clickhouse://127.0.0.1:{unused_port()}/llmcost"
    result = run(application, OTEL_LLMCOST_LEDGER=ledger, OTEL_LLMCOST_DELIVERY_SHUTDOWN_TIMEOUT_MS="500")
    assert 3 == result.stderr.count("calls are missing from the ledger (unreachable)")


@pytest.mark.parametrize("scheme", ["clickhouse", "otlp"])
def test_an_unreachable_ledger_is_logged_once_and_counted(scheme: str) -> None:
    """The application runs to its end and ends as it would."""
    result = run(
        OTEL_LLMCOST_LEDGER=f"{scheme}://127.0.0.1:{unused_port()}/llmcost",
        OTEL_LLMCOST_DELIVERY_FLUSH_INTERVAL_MS="10",
        OTEL_LLMCOST_DELIVERY_SHUTDOWN_TIMEOUT_MS="1500",
        OTEL_EXPORTER_OTLP_TIMEOUT="1",
        OTEL_METRICS_EXPORTER="console",
    )
    assert (0, 1) == (result.returncode, result.stdout.count("the application is done"))
    assert 1 == result.stderr.count("the ledger is not reachable, lines are kept and sent again")
    assert 1 == result.stderr.count("calls are missing from the ledger (unreachable)")
    assert '"name": "llmcost.dropped"' in result.stdout


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("OTEL_LLMCOST_LEDGR", "off", "OTEL_LLMCOST_LEDGR: unknown variable; did you mean 'OTEL_LLMCOST_LEDGER'?"),
        ("OTEL_LLMCOST_LEDGER", "mysql://x", "environment: ledger: must be 'off' or a URL"),
        ("OTEL_LLMCOST_ATTRIBUTION_RULES", "[{set: {teem: x}}]", "attribution.rules: 'teem' is no dimension"),
        ("OTEL_LLMCOST_CONFIG", "/nonexistent.yaml", "/nonexistent.yaml: cannot be read"),
    ],
)
def test_a_wrong_configuration_is_told_and_the_application_runs(variable: str, value: str, message: str) -> None:
    """Without costs, but unharmed."""
    result = run(**{variable: value})
    assert (0, "the application is done\n") == (result.returncode, result.stdout)
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_disabled_means_no_span_of_ours() -> None:
    """OpenTelemetry itself is set up all the same."""
    result = run(OTEL_LLMCOST_DISABLED="true", OTEL_TRACES_EXPORTER="console")
    assert "the application is done\n" == result.stdout
