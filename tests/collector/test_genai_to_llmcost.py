"""genai-to-llmcost.yaml in a real OpenTelemetry Collector, between an exporter and `otel-llmcost up`."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import SpanExportResult

from collector.processes import CONFIG_DIRECTORY, SETTLED_S, Sink, clean_environment, free_port, running, serving
from polling import wait_until
from up_process import GENAI, connect, ledger_url, running_up, spans

CONFIG = CONFIG_DIRECTORY / "genai-to-llmcost" / "config.yaml"

OPENINFERENCE = {"openinference.span.kind": "LLM", "llm.model_name": "gpt-4o"}
DATABASE = {"db.system": "postgresql", "db.statement": "SELECT 1 -- gen_ai.request.model"}
BARE: dict[str, object] = {}


@contextmanager
def collecting(otelcol: Path, queue: Path, llmcost_port: int, backend_port: int) -> Iterator[int]:
    """The Collector with the configuration; its OTLP/gRPC port, once it answers there."""
    port = free_port()
    environ = clean_environment(
        OTLP_GRPC_ENDPOINT=f"127.0.0.1:{port}",
        OTLP_HTTP_ENDPOINT=f"127.0.0.1:{free_port()}",
        LLMCOST_ENDPOINT=f"127.0.0.1:{llmcost_port}",
        LLMCOST_QUEUE_DIRECTORY=str(queue),
        BACKEND_ENDPOINT=f"127.0.0.1:{backend_port}",
    )
    with running([otelcol, "--config", CONFIG], queue.with_suffix(".log"), [port], environ):
        yield port


def export(port: int, *attributes: dict[str, object]) -> None:
    exporter = OTLPSpanExporter(f"http://127.0.0.1:{port}", insecure=True)
    assert SpanExportResult.SUCCESS == exporter.export(spans(*attributes))
    exporter.shutdown()


def test_only_genai_spans_leave_the_usual_pipeline(otelcol: Path, tmp_path: Path) -> None:
    """The usual backend gets every span, llmcost those with a GenAI attribute, whatever the dialect."""
    usual, llmcost = Sink(), Sink()
    with (
        serving(usual) as usual_port,
        serving(llmcost) as llmcost_port,
        collecting(otelcol, tmp_path / "queue", llmcost_port, usual_port) as port,
    ):
        export(port, GENAI, DATABASE, OPENINFERENCE, BARE)
        wait_until(lambda: len(usual.names) >= 4 and len(llmcost.names) >= 2)
        time.sleep(SETTLED_S)  # longer than a batch waits: what is not there now does not come

    assert ["span 0", "span 1", "span 2", "span 3"] == sorted(usual.names)
    assert ["span 0", "span 2"] == sorted(llmcost.names)


def test_from_an_exporter_through_the_collector_to_the_ledger(otelcol: Path, tmp_path: Path) -> None:
    """Calls become rows with their exact price; `up` is away first, and nothing is lost or doubled by that."""
    llmcost_port = free_port()
    with (
        serving(Sink()) as usual_port,
        collecting(otelcol, tmp_path / "queue", llmcost_port, usual_port) as port,
    ):
        export(port, GENAI, DATABASE)
        time.sleep(SETTLED_S)  # the Collector has tried in vain by now
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
    llmcost = Sink()
    with serving(Sink()) as usual_port:
        with collecting(otelcol, tmp_path / "queue", free_port(), usual_port) as port:
            export(port, GENAI)
            time.sleep(SETTLED_S)
        with serving(llmcost) as llmcost_port, collecting(otelcol, tmp_path / "queue", llmcost_port, usual_port):
            wait_until(lambda: bool(llmcost.names))

    assert ["span 0"] == llmcost.names
