"""genai-to-llmcost.yaml in a real OpenTelemetry Collector, between an exporter and `otel-llmcost up`."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.sdk.trace.export import SpanExportResult

from up_process import GENAI, connect, ledger_url, running_up, spans

CONFIG_DIRECTORY = Path(__file__).parents[2] / "collector-config"
CONFIG = CONFIG_DIRECTORY / "genai-to-llmcost.yaml"

OPENINFERENCE = {"openinference.span.kind": "LLM", "llm.model_name": "gpt-4o"}
DATABASE = {"db.system": "postgresql", "db.statement": "SELECT 1 -- gen_ai.request.model"}
BARE: dict[str, object] = {}


@pytest.fixture(scope="module")
def otelcol() -> Path:
    """The Collector's binary; building it takes minutes the first time."""
    if shutil.which("go") is None:
        pytest.skip("Go is not installed: no OpenTelemetry Collector to run the configuration in")
    built = subprocess.run(
        [CONFIG_DIRECTORY / "build_collector.sh"], check=True, stdout=subprocess.PIPE, text=True, timeout=1_800
    )
    return Path(built.stdout.strip())


class Backend(TraceServiceServicer):
    """What stands behind a trace pipeline; keeps the names of the spans it got."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def Export(  # noqa: N802 - the name of the RPC
        self, request: ExportTraceServiceRequest, context: grpc.ServicerContext
    ) -> ExportTraceServiceResponse:
        self.names += [
            span.name for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans
        ]
        return ExportTraceServiceResponse()


@contextmanager
def serving(backend: Backend) -> Iterator[int]:
    """The backend on a free port."""
    server = grpc.server(ThreadPoolExecutor(2))
    add_TraceServiceServicer_to_server(backend, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port
    finally:
        server.stop(None).wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def collecting(otelcol: Path, queue: Path, llmcost_port: int, backend_port: int) -> Iterator[int]:
    """The Collector with the configuration; its OTLP/gRPC port, once it answers there."""
    port = free_port()
    environ = {
        "OTLP_GRPC_ENDPOINT": f"127.0.0.1:{port}",
        "OTLP_HTTP_ENDPOINT": f"127.0.0.1:{free_port()}",
        "LLMCOST_ENDPOINT": f"127.0.0.1:{llmcost_port}",
        "LLMCOST_QUEUE_DIRECTORY": str(queue),
        "BACKEND_ENDPOINT": f"127.0.0.1:{backend_port}",
    }
    log = queue.with_suffix(".log")
    with log.open("w") as out:
        process = subprocess.Popen([otelcol, "--config", CONFIG], stdout=out, stderr=out, env=os.environ | environ)
    try:
        wait_until(lambda: process.poll() is not None or answers(port))
        assert process.poll() is None, log.read_text()
        yield port
    finally:
        process.terminate()
        process.wait(30)


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def wait_until(condition: Callable[[], bool], timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)


def export(port: int, *attributes: dict[str, object]) -> None:
    exporter = OTLPSpanExporter(f"http://127.0.0.1:{port}", insecure=True)
    assert SpanExportResult.SUCCESS == exporter.export(spans(*attributes))
    exporter.shutdown()


def test_the_configuration_is_valid(otelcol: Path) -> None:
    """As it stands, with every default."""
    done = subprocess.run([otelcol, "validate", "--config", CONFIG], capture_output=True, text=True, check=False)

    assert (0, "") == (done.returncode, done.stderr)


def test_only_genai_spans_leave_the_usual_pipeline(otelcol: Path, tmp_path: Path) -> None:
    """The usual backend gets every span, llmcost those with a GenAI attribute, whatever the dialect."""
    usual, llmcost = Backend(), Backend()
    with (
        serving(usual) as usual_port,
        serving(llmcost) as llmcost_port,
        collecting(otelcol, tmp_path / "queue", llmcost_port, usual_port) as port,
    ):
        export(port, GENAI, DATABASE, OPENINFERENCE, BARE)
        wait_until(lambda: len(usual.names) >= 4 and len(llmcost.names) >= 2)
        time.sleep(0.5)  # longer than a batch waits: what is not there now does not come

    assert ["span 0", "span 1", "span 2", "span 3"] == sorted(usual.names)
    assert ["span 0", "span 2"] == sorted(llmcost.names)


def test_from_an_exporter_through_the_collector_to_the_ledger(otelcol: Path, tmp_path: Path) -> None:
    """Calls become rows with their exact price; `up` is away first, and nothing is lost or doubled by that."""
    llmcost_port = free_port()
    with (
        serving(Backend()) as usual_port,
        collecting(otelcol, tmp_path / "queue", llmcost_port, usual_port) as port,
    ):
        export(port, GENAI, DATABASE)
        time.sleep(0.5)  # the Collector has tried in vain by now
        with running_up(ledger_url(tmp_path), "--grpc-port", str(llmcost_port)) as up:
            export(port, GENAI, GENAI, DATABASE)
            with connect(up) as client:
                wait_until(lambda: client.command("SELECT count() FROM calls") == 3)
                rows = client.query(
                    "SELECT service, model, status, count(), toString(sum(cost_usd)) FROM calls GROUP BY ALL"
                ).result_rows

    assert [("support-bot", "gpt-4o-2024-08-06", "exact", 3, "0.0135")] == rows


def test_what_waits_survives_a_restart_of_the_collector(otelcol: Path, tmp_path: Path) -> None:
    """The queue is on disk: a span that came while `up` was away is delivered by the next Collector."""
    llmcost = Backend()
    with serving(Backend()) as usual_port:
        with collecting(otelcol, tmp_path / "queue", free_port(), usual_port) as port:
            export(port, GENAI)
            time.sleep(0.5)
        with serving(llmcost) as llmcost_port, collecting(otelcol, tmp_path / "queue", llmcost_port, usual_port):
            wait_until(lambda: bool(llmcost.names))

    assert ["span 0"] == llmcost.names
