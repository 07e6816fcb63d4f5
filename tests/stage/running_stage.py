"""`otel-llmcost stage` in this process or of its own, between real clients and a real OTLP sink."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_llmcost.processors.signals import SIGNALS, TRACES, Signal
from otel_llmcost.processors.stage import run
from otel_llmcost.processors.stage.metrics import StageMetrics
from otel_llmcost.settings import Settings
from up_process import GENAI, spans


@dataclass
class Sink:
    """An OTLP/gRPC receiver. `answer` is what it says; `refuse` (code, text, trailers) is said in its place."""

    port: int = 0
    bodies: list[tuple[str, bytes]] = field(default_factory=list)
    metadata: list[dict[str, Any]] = field(default_factory=list)
    answer: bytes = b""
    refuse: tuple[grpc.StatusCode, str, tuple[tuple[str, bytes], ...]] | None = None

    def requests(self) -> list[ExportTraceServiceRequest]:
        return [ExportTraceServiceRequest.FromString(body) for name, body in self.bodies if name == "traces"]

    def handler(self, signal: Signal) -> Callable[[bytes, Any], Any]:
        async def export(body: bytes, context: Any) -> bytes:
            self.metadata.append(dict(context.invocation_metadata()))
            if self.refuse is not None:
                await context.abort(*self.refuse)
            self.bodies.append((signal.name, body))
            return self.answer

        return export

    async def start(self) -> grpc.aio.Server:
        server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1)])
        for signal in SIGNALS:
            method = grpc.unary_unary_rpc_method_handler(self.handler(signal))
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(signal.service, {"Export": method}),))
        self.port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        return server


@dataclass
class Stage:
    """A running stage and the sink behind it."""

    sink: Sink
    grpc_port: int = 0
    http_port: int = 0
    metrics: StageMetrics | None = None

    def send(self, message: Any, signal: Signal = TRACES, **metadata: str) -> bytes:
        """The answer over gRPC, as bytes."""
        body = message if isinstance(message, bytes) else message.SerializeToString()
        options = [("grpc.max_send_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
        with grpc.insecure_channel(f"127.0.0.1:{self.grpc_port}", options) as channel:
            answer: bytes = channel.unary_unary(signal.method)(body, timeout=30, metadata=tuple(metadata.items()))
        return answer

    def refused(self, message: Any, signal: Signal = TRACES, **metadata: str) -> grpc.RpcError:
        with pytest.raises(grpc.RpcError) as caught:
            self.send(message, signal, **metadata)
        return caught.value

    def counted(self) -> dict[str, float]:
        """Samples of `/metrics` without labels, summed."""
        assert self.metrics is not None
        found: dict[str, float] = {}
        for family in self.metrics.families():
            for (name, _), value in family.samples.items():
                found[name] = found.get(name, 0.0) + value
        return found


@contextmanager
def running(settings: dict[str, Any] | None = None, *, sink: Sink | None = None, **top: Any) -> Iterator[Stage]:
    """A stage in front of a sink; `settings` are keys of `stage`, `top` of the whole configuration."""
    found = Stage(sink or Sink())
    ready, stop = threading.Event(), asyncio.Event()
    failed: list[BaseException] = []

    async def serve() -> None:
        behind = await found.sink.start()
        said: dict[str, Any] = {"grpc_port": 0, "http_port": 0, "drain_s": 5, **(settings or {})}
        hop = {"url": f"otlp://127.0.0.1:{found.sink.port}", **said.pop("next_hop", {})}
        try:
            async with AsyncExitStack() as stack:
                configured = Settings.model_validate({"stage": {**said, "next_hop": hop}, **top})
                run.check(configured)
                found.metrics = StageMetrics(("team",), 1_000)
                found.grpc_port, found.http_port = await run.start(configured, found.metrics, stack)
                ready.set()
                await stop.wait()
        finally:
            await behind.stop(0)

    def in_thread() -> None:
        try:
            loop.run_until_complete(serve())
        except BaseException as error:  # noqa: BLE001 - raised in the test
            failed.append(error)
            ready.set()

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=in_thread)
    thread.start()
    assert ready.wait(30)
    try:
        if failed:
            raise failed[0]
        yield found
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(60)
        loop.close()


def request(*attributes: dict[str, Any]) -> ExportTraceServiceRequest:
    """Spans with these attributes; one of GenAI by default."""
    return encode_spans(spans(*(attributes or (GENAI,))))
