"""The OTLP stage between a sender and a sink, on loopback: spans a second and core, memory, added latency.

    python benchmarks/stage.py [--spans 100000] [--batch 2000] [--only stage]
    python benchmarks/stage.py --spans 400000               # the long form

One sender, one target, one sink that acknowledges whatever comes without reading it, each a process of its own. A
target's rate is the spans that went through per second of its own CPU time, so that it does not matter what else the
machine has to do. GenAI spans are as our wire instrumentation writes them, each with ids of its own; plain spans are
those of an HTTP server. Before anything is timed, one message is looked at behind each target.

A target is a row of `TARGETS`: a context manager that starts it in front of a sink's port. Peers: stage_peers.py.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import grpc
import grpc.aio
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from pipeline import make_span

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
PLAIN = {
    "http.request.method": "GET",
    "url.path": "/v1/orders/17",
    "http.route": "/v1/orders/{id}",
    "http.response.status_code": 200,
    "server.address": "orders.internal",
    "server.port": 8080,
    "user_agent.original": "python-httpx/0.28.1",
    "network.protocol.version": "1.1",
}
HOST_CLOCK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Target:
    """What stands between sender and sink. `pids`: all of its processes."""

    port: int
    pids: Sequence[int]

    def cpu_s(self) -> float:
        return sum(_cpu_s(pid) for pid in self.pids)

    def peak_mb(self) -> float:
        return sum(_status_kb(pid, "VmHWM") for pid in self.pids) / 1024


@contextmanager
def stage(sink_port: int, *options: str, **environment: str) -> Iterator[Target]:
    """`otel-llmcost stage` with spans to the sink."""
    command = [sys.executable, "-m", "otel_llmcost.cli", "stage", "--next-hop", f"otlp://127.0.0.1:{sink_port}"]
    command += ["--grpc-port", "0", "--http-port", "0", "--admin-port", "0", *options]
    with _running(command, "otel-llmcost: ready", environment) as (process, output):
        port = re.search(r"OTLP/gRPC +http://[^ ]*:(\d+)", output)
        assert port is not None
        yield Target(int(port[1]), [process.pid])


@contextmanager
def direct(sink_port: int) -> Iterator[Target]:
    """Nothing in between: what sender and sink can do by themselves."""
    yield Target(sink_port, [])


TARGETS: dict[str, Callable[[int], AbstractContextManager[Target]]] = {"direct": direct, "stage": stage}
"""Name → what starts it in front of a sink."""


@contextmanager
def _running(
    command: list[str], until: str, environment: dict[str, str]
) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
    process = subprocess.Popen(  # noqa: S603 - our own command
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=kept | environment
    )
    assert process.stdout is not None
    try:
        output = ""
        for line in process.stdout:
            output += line
            if until in line:
                break
        yield process, output
    finally:
        process.terminate()
        process.communicate(timeout=60)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / HOST_CLOCK


def _status_kb(pid: int, name: str) -> int:
    found = re.search(rf"{name}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) if found else 0


def genai_message(first: int, spans: int) -> bytes:
    """GenAI spans with ids of their own."""
    request, added = _message("otel_llmcost.instrumentation.httpx2")
    for number in range(first, first + spans):
        span = make_span(number)
        added.add(
            name=span.name,
            kind=3,
            trace_id=span.trace_id,
            span_id=span.span_id,
            start_time_unix_nano=span.start_ns,
            end_time_unix_nano=span.end_ns,
            attributes=_pairs(span.attributes),
        )
    return bytes(request.SerializeToString())


def plain_message(first: int, spans: int) -> bytes:
    """Spans of an HTTP server."""
    request, added = _message("opentelemetry.instrumentation.asgi")
    for number in range(first, first + spans):
        added.add(
            name="GET /v1/orders/{id}",
            kind=2,
            trace_id=(number + 1).to_bytes(16, "big"),
            span_id=(number + 1).to_bytes(8, "big"),
            start_time_unix_nano=1_795_000_000_000_000_000 + number,
            end_time_unix_nano=1_795_000_000_100_000_000 + number,
            attributes=_pairs(PLAIN),
        )
    return bytes(request.SerializeToString())


def _message(scope: str) -> tuple[ExportTraceServiceRequest, object]:
    request = ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add()
    resource_spans.resource.attributes.extend(_pairs({"service.name": "support-bot", "k8s.namespace.name": "cx"}))
    scope_spans = resource_spans.scope_spans.add()
    scope_spans.scope.name = scope
    return request, scope_spans.spans


def _pairs(attributes: object) -> list[KeyValue]:
    return [KeyValue(key=key, value=_value(value)) for key, value in attributes.items()]  # type: ignore[attr-defined]


def _value(value: object) -> AnyValue:
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, tuple):
        return AnyValue(array_value=ArrayValue(values=[_value(each) for each in value]))
    return AnyValue(string_value=str(value))


def run_sink(pipe: Connection) -> None:
    """Acknowledges everything; keeps the last message."""
    last = b""

    async def export(body: bytes, _context: object) -> bytes:
        nonlocal last
        last = body
        return b""

    async def serve() -> None:
        server = grpc.aio.server(options=UNLIMITED)
        method = grpc.unary_unary_rpc_method_handler(export)
        service = EXPORT.split("/")[1]
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Export": method}),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        pipe.send(port)
        while await asyncio.to_thread(pipe.recv):
            pipe.send(last)
        await server.stop(0)

    asyncio.run(serve())


@contextmanager
def sink() -> Iterator[tuple[int, Callable[[], bytes]]]:
    """The port of a sink, and what gives the last message that it got."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=run_sink, args=(theirs,), daemon=True)
    process.start()

    def last() -> bytes:
        ours.send(True)
        return bytes(ours.recv())

    try:
        yield ours.recv(), last
    finally:
        ours.send(False)
        process.join(10)


async def send_all(port: int, messages: Sequence[bytes], at_once: int = 8) -> float:
    """Send every message, again until it is acknowledged; the seconds it took."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", UNLIMITED) as channel:
        export = channel.unary_unary(EXPORT)
        waiting = list(reversed(messages))

        async def sender() -> None:
            while waiting:
                body = waiting.pop()
                while True:
                    try:
                        await export(body, timeout=60)
                        break
                    except grpc.aio.AioRpcError as error:
                        if error.code() is not grpc.StatusCode.UNAVAILABLE:
                            raise
                        await asyncio.sleep(0.05)

        await channel.channel_ready()
        started = time.perf_counter()
        await asyncio.gather(*(sender() for _ in range(at_once)))
        return time.perf_counter() - started


async def latencies(port: int, messages: Sequence[bytes], per_s: float) -> list[float]:
    """Seconds that each message took, sent at even distances whatever became of those before."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", UNLIMITED) as channel:
        export = channel.unary_unary(EXPORT)
        await channel.channel_ready()
        found: list[float] = []

        async def one(body: bytes, due: float) -> None:
            await asyncio.sleep(due - time.perf_counter())
            await export(body, timeout=60)
            found.append(time.perf_counter() - due)

        begin = time.perf_counter() + 0.1
        await asyncio.gather(*(one(body, begin + number / per_s) for number, body in enumerate(messages)))
        return found


@dataclass(frozen=True)
class Row:
    """What was measured of a target."""

    target: str
    what: str
    per_core: float
    per_s: float
    peak_mb: float


def throughput(name: str, what: str, messages: Sequence[bytes], batch: int, *, priced: bool) -> Row:
    """Send all messages through a fresh target."""
    with sink() as (sink_port, last), TARGETS[name](sink_port) as target:
        asyncio.run(send_all(target.port, messages[:2]))
        if name != "direct":
            assert priced == (b"llmcost.cost.usd" in last()), f"{name} does not do what is measured"
        before = target.cpu_s()
        took_s = asyncio.run(send_all(target.port, messages[2:]))
        spans = (len(messages) - 2) * batch
        cpu_s = target.cpu_s() - before
        return Row(name, what, spans / cpu_s if cpu_s else 0.0, spans / took_s, target.peak_mb())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spans", type=int, default=100_000, help="GenAI spans; of plain ones five times as many")
    parser.add_argument("--batch", type=int, default=2_000, help="spans of a message")
    parser.add_argument("--only", help="one target")
    parser.add_argument("--latency-spans", type=int, default=100, help="spans of a message whose latency is measured")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    names = [options.only] if options.only else list(TARGETS)
    count = options.spans // options.batch + 2
    genai = [genai_message(number * options.batch, options.batch) for number in range(count)]
    plain = [plain_message(number * options.batch, options.batch) for number in range(10)]
    rows = []
    for name in names:
        rows.append(throughput(name, "GenAI spans", genai, options.batch, priced=name != "direct"))
        rows.append(throughput(name, "plain spans", plain * (count // 2 + 1), options.batch, priced=False))
    small = [genai_message(10**9 + n * options.latency_spans, options.latency_spans) for n in range(400)]
    delays = {}
    for name in dict.fromkeys(["direct", *names]):
        with sink() as (sink_port, _), TARGETS[name](sink_port) as target:
            asyncio.run(send_all(target.port, small[:20]))
            delays[name] = asyncio.run(latencies(target.port, small[20:], 50))
    _print(rows, delays, options)


def _print(rows: list[Row], delays: dict[str, list[float]], options: argparse.Namespace) -> None:
    percentiles = {name: statistics.quantiles(found, n=100) for name, found in delays.items()}
    if options.json:
        told = {name: {"p50_ms": found[49] * 1e3, "p99_ms": found[98] * 1e3} for name, found in percentiles.items()}
        print(json.dumps({"throughput": [row.__dict__ for row in rows], "latency": told}, indent=2))
        return
    heads = f"{'target':14} {'what':12} {'per core and s':>15} {'per s':>10} {'peak MB':>8}"
    print(f"{heads}   {options.batch} spans a message")
    for row in rows:
        per_core = f"{row.per_core:15,.0f}" if row.per_core else f"{'-':>15}"
        print(f"{row.target:14} {row.what:12} {per_core} {row.per_s:10,.0f} {row.peak_mb:8.0f}")
    print(f"\nlatency of messages of {options.latency_spans} GenAI spans, 50 a second (ms; added to `direct`)")
    direct_ = percentiles["direct"]
    for name, found in percentiles.items():
        told = [f"p{at + 1} {found[at] * 1e3:7.2f} (+{(found[at] - direct_[at]) * 1e3:.2f})" for at in (49, 98)]
        print(f"{name:14} {'   '.join(told)}")


if __name__ == "__main__":
    main()
