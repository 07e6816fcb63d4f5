"""What else could price spans on their way, beside the stage: the same spans through each, on loopback.

    python benchmarks/stage_peers.py [--spans 100000] [--only rotel]

    stage          `otel-llmcost stage`, acknowledges what the next hop has
    stage-ledger   the same with an embedded ledger: what it acknowledges is a line, too
    otelcol        a Collector that does nothing: what receiving and sending cost it
    otelcol-ottl   a Collector with collector-config/ottl-pricing: a list of models, floats
    rotel          rotel with a Python processor of four lines that multiplies two numbers
    rotel-llmcost  rotel with our processor file: the core of the stage, without a ledger

Spans a second and core: spans that reached the sink per second of a target's own CPU time. Latency: from sending a
message to its arrival at the sink, for rotel acknowledges before it sends; its batches are off for that. The
Collectors send without a queue, as the stage does.
"""

import argparse
import asyncio
import multiprocessing
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import grpc
import grpc.aio
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from stage import EXPORT, UNLIMITED, Target, genai_message, plain_message, send_all, stage

ROOT = Path(__file__).parents[1]
CONFIGURATIONS = ROOT / "collector-config"

BARE = """
receivers: {otlp: {protocols: {grpc: {endpoint: "${env:OTLP_GRPC_ENDPOINT}"}}}}
exporters: {otlp_grpc/backend: {endpoint: "${env:BACKEND_ENDPOINT}", tls: {insecure: true}}}
service:
  pipelines: {traces: {receivers: [otlp], exporters: [otlp_grpc/backend]}}
  telemetry: {metrics: {level: none}}
"""

TRIVIAL = """
from rotel_sdk.open_telemetry.common.v1 import KeyValue


def process_spans(resource_spans):
    for scope_spans in resource_spans.scope_spans:
        for span in scope_spans.spans:
            found = {pair.key: pair.value for pair in span.attributes}
            if "gen_ai.usage.input_tokens" in found:
                tokens = [found[f"gen_ai.usage.{part}_tokens"].value for part in ("input", "output")]
                usd = tokens[0] * 0.0000025 + tokens[1] * 0.00001
                span.attributes.append(KeyValue.new_double_value("llmcost.cost.usd", usd))
"""


@contextmanager
def stage_with_ledger(sink_port: int, *_options: str) -> Iterator[Target]:
    with tempfile.TemporaryDirectory() as folder, stage(sink_port, "--ledger", f"chdb://{folder}/ledger") as target:
        yield target


@contextmanager
def stage_alone(sink_port: int, *_options: str) -> Iterator[Target]:
    with stage(sink_port) as target:
        yield target


@contextmanager
def otelcol_bare(sink_port: int, *_options: str) -> Iterator[Target]:
    with otelcol(sink_port, "yaml:" + BARE) as target:
        yield target


@contextmanager
def otelcol_ottl(sink_port: int, *_options: str) -> Iterator[Target]:
    with otelcol(sink_port, str(CONFIGURATIONS / "ottl-pricing" / "config.yaml")) as target:
        yield target


@contextmanager
def otelcol(sink_port: int, config: str) -> Iterator[Target]:
    """The Collector that collector-config/build_collector.sh builds."""
    binary = _built("build_collector.sh")
    port = _free_port()
    variables = {
        "OTLP_GRPC_ENDPOINT": f"127.0.0.1:{port}",
        "OTLP_HTTP_ENDPOINT": f"127.0.0.1:{_free_port()}",
        "HEALTH_ENDPOINT": f"127.0.0.1:{_free_port()}",
        "BACKEND_ENDPOINT": f"127.0.0.1:{sink_port}",
    }
    command = [binary, "--config", config, "--set", "exporters::otlp_grpc/backend::sending_queue::enabled=false"]
    with _answering(command, port, variables) as target:
        yield target


@contextmanager
def rotel_trivial(sink_port: int, *options: str) -> Iterator[Target]:
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "trivial.py"
        script.write_text(TRIVIAL)
        with rotel(sink_port, str(script), *options) as target:
            yield target


@contextmanager
def rotel_llmcost(sink_port: int, *options: str) -> Iterator[Target]:
    command = [sys.executable, "-m", "otel_llmcost.processors.rotel"]
    path = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603 - our own
    with rotel(sink_port, path, *options) as target:
        yield target


@contextmanager
def rotel(sink_port: int, processor: str, *options: str) -> Iterator[Target]:
    """rotel's agent out of its wheel."""
    binary = _built("install_rotel.sh", sys.executable)
    port = _free_port()
    with tempfile.TemporaryDirectory() as folder:
        command = [binary, "start", "--otlp-grpc-endpoint", f"127.0.0.1:{port}", "--pid-file", f"{folder}/pid"]
        command += ["--otlp-http-endpoint", f"127.0.0.1:{_free_port()}", "--exporter", "otlp"]
        command += ["--otlp-exporter-endpoint", f"http://127.0.0.1:{sink_port}"]
        command += ["--otlp-grpc-max-recv-msg-size-mib", "64", "--otlp-with-trace-processor", processor, *options]
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        with _answering(command, port, {"PATH": path}) as target:
            yield target


Start = Callable[..., AbstractContextManager[Target]]

PEERS: dict[str, Start] = {
    "stage": stage_alone,
    "stage-ledger": stage_with_ledger,
    "otelcol": otelcol_bare,
    "otelcol-ottl": otelcol_ottl,
    "rotel": rotel_trivial,
    "rotel-llmcost": rotel_llmcost,
}
"""Name → what starts it in front of a sink's port."""


def _built(script: str, *arguments: str) -> str:
    command = [str(CONFIGURATIONS / script), *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()  # noqa: S603 - our own


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def _answering(command: Sequence[str], port: int, environment: dict[str, str]) -> Iterator[Target]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "ROTEL_"))}
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, env=kept | environment, **silent)  # noqa: S603 - what is measured
    try:
        deadline = time.monotonic() + 30
        while socket.socket().connect_ex(("127.0.0.1", port)):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command[0]} does not start")
            time.sleep(0.05)
        yield Target(port, [process.pid])
    finally:
        process.terminate()
        process.wait(60)


class Sink:
    """Counts what arrives, in a process of its own."""

    def __init__(self, pipe: Connection, port: int) -> None:
        self._pipe = pipe
        self.port = port

    def spans(self) -> int:
        """How many have arrived."""
        self._pipe.send("spans")
        return int(self._pipe.recv())

    def arrivals(self) -> dict[bytes, float]:
        """Trace id of the first span of each message → when it arrived."""
        self._pipe.send("arrivals")
        found: dict[bytes, float] = self._pipe.recv()
        return found

    def is_priced(self) -> bool:
        """Whether the last message has costs."""
        self._pipe.send("priced")
        return bool(self._pipe.recv())


def run_sink(pipe: Connection) -> None:
    bodies: list[tuple[float, bytes]] = []

    async def export(body: bytes, _context: object) -> bytes:
        bodies.append((time.perf_counter(), body))
        return b""

    spans, arrivals, priced = 0, {}, False

    def count() -> None:
        nonlocal spans, priced
        while bodies:
            at, body = bodies.pop(0)
            priced = b"llmcost.cost.usd" in body
            scopes = [s for r in ExportTraceServiceRequest.FromString(body).resource_spans for s in r.scope_spans]
            spans += sum(len(scope.spans) for scope in scopes)
            arrivals[scopes[0].spans[0].trace_id] = at

    async def serve() -> None:
        server = grpc.aio.server(options=UNLIMITED)
        method = grpc.unary_unary_rpc_method_handler(export)
        service = EXPORT.split("/")[1]
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Export": method}),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        pipe.send(port)
        while question := await asyncio.to_thread(pipe.recv):
            count()
            pipe.send({"spans": spans, "arrivals": arrivals, "priced": priced}[question])
        await server.stop(0)

    asyncio.run(serve())


@contextmanager
def sink() -> Iterator[Sink]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=run_sink, args=(theirs,), daemon=True)
    process.start()
    try:
        yield Sink(ours, ours.recv())
    finally:
        ours.send("")
        process.join(10)


@dataclass(frozen=True)
class Row:
    """What was measured of a target. `per_core`: spans per second of CPU time."""

    target: str
    per_core: float
    per_s: float
    peak_mb: float
    priced: bool


def throughput(name: str, messages: Sequence[bytes], batch: int) -> Row:
    """Send all messages through a fresh target, and wait for the last one to arrive."""
    with sink() as behind, PEERS[name](behind.port) as target:
        asyncio.run(send_all(target.port, messages[:2]))
        _arrived(behind, 2 * batch)
        before, started = target.cpu_s(), time.perf_counter()
        asyncio.run(send_all(target.port, messages[2:]))
        took_s = _arrived(behind, len(messages) * batch) - started
        cpu_s = target.cpu_s() - before
        spans = (len(messages) - 2) * batch
        return Row(name, spans / cpu_s, spans / took_s, target.peak_mb(), behind.is_priced())


def _arrived(behind: Sink, spans: int) -> float:
    """When so many were there."""
    deadline = time.perf_counter() + 120
    while (found := behind.spans()) < spans:
        if time.perf_counter() > deadline:
            raise RuntimeError(f"{found} of {spans} spans have arrived")
        time.sleep(0.02)
    return time.perf_counter()


def latencies(name: str, messages: Sequence[bytes], per_s: float) -> list[float]:
    """Seconds from when each message was due to be sent to its arrival."""
    ids = [_trace_id(message) for message in messages]
    options = ["--disable-batching"] if name.startswith("rotel") else []
    with sink() as behind, PEERS[name](behind.port, *options) as target:
        due = asyncio.run(_send_evenly(target.port, messages, per_s))
        _arrived(behind, sum(_count(message) for message in messages))
        arrivals = behind.arrivals()
    return [arrivals[key] - at for key, at in zip(ids, due, strict=True)][20:]


async def _send_evenly(port: int, messages: Sequence[bytes], per_s: float) -> list[float]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", UNLIMITED) as channel:
        export = channel.unary_unary(EXPORT)
        await channel.channel_ready()
        begin = time.perf_counter() + 0.1
        due = [begin + number / per_s for number in range(len(messages))]

        async def one(body: bytes, at: float) -> None:
            await asyncio.sleep(at - time.perf_counter())
            while True:
                try:
                    await export(body, timeout=60)
                    return
                except grpc.aio.AioRpcError as error:
                    if error.code() is not grpc.StatusCode.UNAVAILABLE:
                        raise
                    await asyncio.sleep(0.05)

        await asyncio.gather(*map(one, messages, due))
        return due


def _trace_id(message: bytes) -> bytes:
    spans = ExportTraceServiceRequest.FromString(message).resource_spans[0].scope_spans[0].spans
    return bytes(spans[0].trace_id)


def _count(message: bytes) -> int:
    return len(ExportTraceServiceRequest.FromString(message).resource_spans[0].scope_spans[0].spans)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spans", type=int, default=100_000)
    parser.add_argument("--batch", type=int, default=2_000, help="spans of a message")
    parser.add_argument("--latency-spans", type=int, default=100, help="spans of a message whose latency is measured")
    parser.add_argument("--per-s", type=float, default=20, help="messages a second whose latency is measured")
    parser.add_argument("--only", choices=PEERS)
    options = parser.parse_args()
    names = [options.only] if options.only else list(PEERS)
    count = options.spans // options.batch + 2
    numbers = [number * options.batch for number in range(count)]
    made = {"GenAI": genai_message, "plain": plain_message}
    print(f"{'spans':6} {'target':14} {'per core and s':>15} {'us CPU each':>12} {'per s':>10} {'peak MB':>8}  priced")
    for kind, make in made.items():
        messages = [make(first, options.batch) for first in numbers]
        for name in names:
            row = throughput(name, messages, options.batch)
            print(
                f"{kind:6} {name:14} {row.per_core:15,.0f} {1e6 / row.per_core:12.1f} {row.per_s:10,.0f}"
                f" {row.peak_mb:8.0f}  {'yes' if row.priced else 'no'}",
                flush=True,
            )
    print(
        f"\nfrom sending to arrival, messages of {options.latency_spans} GenAI spans, {options.per_s:g} a second (ms)"
    )
    small = [genai_message(10**9 + n * options.latency_spans, options.latency_spans) for n in range(300)]
    for name in names:
        found = statistics.quantiles(latencies(name, small, options.per_s), n=100)
        print(f"{name:14} p50 {found[49] * 1e3:8.2f}   p99 {found[98] * 1e3:8.2f}", flush=True)


if __name__ == "__main__":
    main()
