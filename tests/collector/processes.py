"""Collectors as processes on free loopback ports, what they send to, and what they are sent."""

import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import grpc
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import (
    MetricsServiceServicer,
    add_MetricsServiceServicer_to_server,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    TraceServiceStub,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans
from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan

from polling import wait_until

CONFIG_DIRECTORY = Path(__file__).parents[2] / "collector-config"
SETTLED_S = 0.5
"""Longer than any batch waits: what has not come by then does not come."""


class Sink(TraceServiceServicer):
    """What stands behind a pipeline; keeps all spans it got, and in `metrics` all metrics."""

    def __init__(self) -> None:
        self.received: list[ResourceSpans] = []
        self.metrics = MetricsSink()

    def Export(  # noqa: N802 - the name of the RPC
        self, request: ExportTraceServiceRequest, context: grpc.ServicerContext
    ) -> ExportTraceServiceResponse:
        self.received += request.resource_spans
        return ExportTraceServiceResponse()

    @property
    def spans(self) -> list[OtlpSpan]:
        return [span for resource in self.received for scope in resource.scope_spans for span in scope.spans]

    @property
    def ids(self) -> list[bytes]:
        return [span.span_id for span in self.spans]

    @property
    def names(self) -> list[str]:
        return [span.name for span in self.spans]

    def wait_for(self, count: int, timeout_s: float = 30) -> list[OtlpSpan]:
        """So many spans."""
        wait_until(lambda: len(self.spans) >= count, timeout_s)
        return self.spans


class MetricsSink(MetricsServiceServicer):
    """The last value of each sum, by name and attributes."""

    def __init__(self) -> None:
        self.sums: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}

    def Export(  # noqa: N802 - the name of the RPC
        self, request: ExportMetricsServiceRequest, context: grpc.ServicerContext
    ) -> ExportMetricsServiceResponse:
        scopes = [scope for resource in request.resource_metrics for scope in resource.scope_metrics]
        for metric in [metric for scope in scopes for metric in scope.metrics]:
            for point in metric.sum.data_points:
                told = frozenset((pair.key, pair.value.string_value) for pair in point.attributes)
                self.sums[metric.name, told] = point.as_int or point.as_double
        return ExportMetricsServiceResponse()

    def total(self, name: str) -> float:
        """Of a sum over all its attributes."""
        return sum(value for (metric, _), value in self.sums.items() if metric == name)


@contextmanager
def serving(sink: Sink, port: int = 0) -> Iterator[int]:
    """The sink on a port."""
    server = grpc.server(ThreadPoolExecutor(2), options=[("grpc.max_receive_message_length", 64 * 1024 * 1024)])
    add_TraceServiceServicer_to_server(sink, server)
    add_MetricsServiceServicer_to_server(sink.metrics, server)
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    try:
        yield port
    finally:
        server.stop(None).wait()


def free_port() -> int:
    """A port that nobody has, below those that connections take meanwhile."""
    while True:
        port = random.randrange(15_000, 32_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def clean_environment(**extra: str) -> dict[str, str]:
    """The environment without what would configure us, or make our guard raise as in a test."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "ROTEL_", "PYTEST_"))}
    return kept | extra


@contextmanager
def running(
    command: Sequence[object],
    log: Path,
    ports: Sequence[int],
    environ: Mapping[str, str] | None = None,
) -> Iterator["subprocess.Popen[bytes]"]:
    """A process, once it answers on its ports; what it says goes to the end of `log`."""
    with log.open("a") as out:
        process = subprocess.Popen(
            [str(word) for word in command],
            stdout=out,
            stderr=out,
            env=environ or clean_environment(),
            cwd=log.parent,
        )
    try:
        wait_until(lambda: process.poll() is not None or all(map(answers, ports)))
        assert process.poll() is None, log.read_text()
        yield process
    finally:
        end(process)


def end(process: "subprocess.Popen[bytes]", number: int = signal.SIGTERM) -> None:
    """End a process, by force if it takes long."""
    if process.poll() is None:
        process.send_signal(number)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(30)


@contextmanager
def running_rotel(
    agent: Path, directory: Path, next_port: int, *options: str, http_port: int = 0, **environ: str
) -> Iterator[int]:
    """rotel with our processor file; its OTLP/gRPC port."""
    port = free_port()
    command = [agent, "start", "--otlp-grpc-endpoint", f"127.0.0.1:{port}"]
    command += ["--otlp-http-endpoint", f"127.0.0.1:{http_port or free_port()}", "--pid-file", directory / "rotel.pid"]
    command += ["--exporter", "otlp", "--otlp-exporter-endpoint", f"http://127.0.0.1:{next_port}"]
    command += ["--otlp-with-trace-processor", processor_path(), *options]
    environ = {"PATH": path_with_python(), **environ}
    with running(command, directory / "rotel.log", [port], clean_environment(**environ)):
        yield port


def path_with_python() -> str:
    """rotel's Python finds its environment, as any embedded one, by the first python3 of the PATH."""
    return f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


def processor_path() -> str:
    """The file as a user of rotel finds it."""
    told = subprocess.run(
        [sys.executable, "-m", "otel_llmcost.processors.rotel"], capture_output=True, text=True, check=True
    )
    return told.stdout.strip()


def send(port: int, *resource_spans: ResourceSpans) -> None:
    """One message by OTLP/gRPC, acknowledged."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        response = TraceServiceStub(channel).Export(
            ExportTraceServiceRequest(resource_spans=resource_spans), timeout=30, wait_for_ready=True
        )
    assert 0 == response.partial_success.rejected_spans, response


def attributes_of(span: OtlpSpan) -> dict[str, AnyValue]:
    return {pair.key: pair.value for pair in span.attributes}


def without_costs(span: OtlpSpan) -> OtlpSpan:
    """The span as it was before it was priced; `gen_ai.usage.cost` is told apart by nothing, so it is left out too."""
    plain = OtlpSpan()
    plain.CopyFrom(span)
    del plain.attributes[:]
    plain.attributes.extend(pair for pair in span.attributes if not _is_cost(pair))
    return plain


def _is_cost(pair: KeyValue) -> bool:
    ours = pair.key.startswith("llmcost.") and not pair.key.startswith("llmcost.usage.")
    return ours or pair.key == "gen_ai.usage.cost"


def costs(span: OtlpSpan) -> dict[str, str | float]:
    """`llmcost.*` and `gen_ai.usage.cost` of a span."""
    return {
        pair.key: getattr(pair.value, str(pair.value.WhichOneof("value"))) for pair in span.attributes if _is_cost(pair)
    }


def stage_command(port: int, *options: str) -> list[object]:
    """`otel-llmcost stage` with its OTLP/gRPC port."""
    ports = ["--grpc-port", port, "--http-port", 0, "--admin-port", 0]
    return [sys.executable, "-m", "otel_llmcost.cli", "stage", *ports, *options]


@contextmanager
def running_stage(directory: Path, *options: str, **environ: str) -> Iterator[int]:
    """`otel-llmcost stage`; its OTLP/gRPC port."""
    port = free_port()
    with running(stage_command(port, *options), directory / "stage.log", [port], clean_environment(**environ)):
        yield port
