"""`otel-llmcost up` as a process of its own, on free loopback ports."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

FREE_PORTS = ("--grpc-port", "0", "--http-port", "0", "--clickhouse-port", "0")

GENAI = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.response.model": "gpt-4o-2024-08-06",
    "gen_ai.usage.input_tokens": 1_000,
    "gen_ai.usage.output_tokens": 200,
}
"""1,000 tokens at 2.50 USD and 200 at 10 USD per million: 0.0045 USD."""


class Up:
    """The running command; `ports` as its banner tells them."""

    def __init__(self, process: "subprocess.Popen[str]", banner: str) -> None:
        self.process = process
        self.banner = banner
        found = re.findall(r"(OTLP/gRPC|OTLP/HTTP|ClickHouse) +http://[^ ]*?:(\d+)", banner)
        self.ports = {name: int(port) for name, port in found}

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """The exit code and the rest of the output."""
        self.process.send_signal(number)
        rest, _ = self.process.communicate(timeout=60)
        return self.process.returncode, rest


def environment(**extra: str) -> dict[str, str]:
    """The environment without what would configure the command."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "CLICKHOUSE_"))}
    return kept | extra


@contextmanager
def running_up(ledger: str, *options: str, **extra: str) -> Iterator[Up]:
    """Start, wait for the banner, and end the process if the test has not."""
    command = [sys.executable, "-m", "otel_llmcost.cli", "up", "--ledger", ledger, *FREE_PORTS, *options]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment(**extra)
    )
    assert process.stdout is not None
    try:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "opentelemetry-instrument" in line:
                break
        yield Up(process, "".join(lines))
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def ledger_url(directory: Path) -> str:
    return f"chdb://{directory / 'ledger'}"


def spans(*attribute_sets: dict[str, object], service: str = "support-bot") -> list[ReadableSpan]:
    """Ended spans with these attributes, in one trace each."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    for number, attributes in enumerate(attribute_sets):
        provider.get_tracer("tests.up").start_span(f"span {number}", attributes=attributes).end()
    return list(exporter.get_finished_spans())


def export(up: Up, *attributes: dict[str, object]) -> None:
    """Send spans with these attributes over OTLP/gRPC; they are in the ledger afterwards."""
    exporter = OTLPSpanExporter(f"http://127.0.0.1:{up.ports['OTLP/gRPC']}", insecure=True)
    assert SpanExportResult.SUCCESS == exporter.export(spans(*attributes))
    exporter.shutdown()


def connect(up: Up, **options: object) -> Client:
    """The ordinary client library at the ClickHouse port."""
    return clickhouse_connect.get_client(host="127.0.0.1", port=up.ports["ClickHouse"], tz_mode="aware", **options)
