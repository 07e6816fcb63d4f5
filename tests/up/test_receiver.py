"""The OTLP servers: real gRPC and HTTP clients on one side, a sink in memory on the other."""

import asyncio
import gzip
import http.client
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from google.rpc.status_pb2 import Status
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2_grpc import LogsServiceStub
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import MetricsServiceStub
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub
from opentelemetry.sdk.trace.export import SpanExportResult

from otel_llmcost.call import LLMCall
from otel_llmcost.errors import RetryableError
from otel_llmcost.pipeline import Pipeline
from otel_llmcost.processors.gate import MAX_IN_FLIGHT, Gate
from otel_llmcost.processors.grpc_server import MAX_MESSAGE_BYTES, grpc_server
from otel_llmcost.processors.http_app import http_app
from otel_llmcost.processors.intake import TraceIntake
from otel_llmcost.processors.ledger_writer import LedgerWriter
from otel_llmcost.processors.serving import HttpServer, listen
from otel_llmcost.settings import load_settings
from up_process import GENAI, spans

PROTOBUF = "application/x-protobuf"
JSON = "application/json"


@dataclass
class Sink:
    """Keeps calls. `error` is raised by the next writes; `go` holds writes back until it is set."""

    calls: list[LLMCall] = field(default_factory=list)
    error: Exception | None = None
    go: threading.Event = field(default_factory=threading.Event)

    def write(self, calls: Sequence[LLMCall]) -> None:
        self.go.wait(20)
        if self.error is not None:
            raise self.error
        self.calls += calls

    def close(self) -> None: ...


@dataclass
class Servers:
    """Both servers on free ports, their event loop in a thread of its own."""

    sink: Sink
    grpc_port: int = 0
    http_port: int = 0

    async def run(self, ready: threading.Event, stop: asyncio.Event) -> None:
        writer = LedgerWriter(self.sink)
        intake = TraceIntake(Pipeline.from_settings(load_settings({})), writer)
        bound = listen("127.0.0.1", 0, "--http-port")
        self.http_port = bound.getsockname()[1]
        gate, intakes = Gate(), {"traces": intake}
        over_http, over_grpc = HttpServer(http_app(intakes, gate), bound, 5), grpc_server(intakes, gate)
        self.grpc_port = over_grpc.add_insecure_port("127.0.0.1:0")
        await over_http.start()
        await over_grpc.start()
        ready.set()
        await stop.wait()
        await over_http.stop()
        await over_grpc.stop(5)
        await gate.drain()
        intake.close()
        await asyncio.to_thread(writer.close)

    def channel(self) -> grpc.Channel:
        """A channel with a connection of its own."""
        options = [("grpc.max_send_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
        return grpc.insecure_channel(f"127.0.0.1:{self.grpc_port}", options=options)

    def post(
        self, body: bytes, content_type: str = PROTOBUF, path: str = "/v1/traces", **headers: str
    ) -> tuple[http.client.HTTPResponse, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=20)
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request("POST", path, body, {"Content-Type": content_type} | names)
            response = connection.getresponse()
            return response, response.read()
        finally:
            connection.close()


@pytest.fixture
def servers() -> Iterator[Servers]:
    found = Servers(Sink())
    found.sink.go.set()
    ready, stop = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_until_complete, args=(found.run(ready, stop),))
    thread.start()
    assert ready.wait(20)
    try:
        yield found
    finally:
        found.sink.go.set()
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)
        loop.close()


def request(*attributes: dict[str, Any]) -> ExportTraceServiceRequest:
    return encode_spans(spans(*(attributes or (GENAI,))))


def export(servers: Servers, message: ExportTraceServiceRequest) -> ExportTraceServiceResponse:
    with servers.channel() as channel:
        return TraceServiceStub(channel).Export(message, timeout=20)


def refused(call: Callable[[], object]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code(), caught.value.details()


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_the_grpc_exporter_of_the_sdk_delivers(servers: Servers, compression: grpc.Compression) -> None:
    """A GenAI span becomes a priced line; another span becomes nothing, and both are acknowledged."""
    exporter = GrpcExporter(f"http://127.0.0.1:{servers.grpc_port}", insecure=True, compression=compression)

    result = exporter.export(spans(GENAI, {"db.system": "postgresql"}))
    exporter.shutdown()

    assert SpanExportResult.SUCCESS == result
    (call,) = servers.sink.calls
    assert ("support-bot", "gpt-4o-2024-08-06", "otlp") == (call.service, call.model, call.source)
    assert call.cost is not None
    assert call.cost.effective is not None
    assert "0.004500000000" == str(call.cost.effective.total_usd)


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip])
def test_the_http_exporter_of_the_sdk_delivers(servers: Servers, compression: Compression) -> None:
    """As over gRPC."""
    exporter = HttpExporter(f"http://127.0.0.1:{servers.http_port}/v1/traces", compression=compression)

    result = exporter.export(spans(GENAI, {"db.system": "postgresql"}))
    exporter.shutdown()

    assert SpanExportResult.SUCCESS == result
    assert ["gpt-4o-2024-08-06"] == [call.model for call in servers.sink.calls]


def test_an_answer_is_in_the_content_type_of_the_request(servers: Servers) -> None:
    """Protobuf for protobuf and JSON for JSON, success and failure alike."""
    ok, ok_body = servers.post(request().SerializeToString())
    ok_json, ok_json_body = servers.post(b'{"resourceSpans": []}', JSON + "; charset=utf-8")
    bad, bad_body = servers.post(b"\xff\xff")
    bad_json, bad_json_body = servers.post(b"{", JSON)

    assert [(200, PROTOBUF), (200, JSON), (400, PROTOBUF), (400, JSON)] == [
        (response.status, response.headers["Content-Type"]) for response in (ok, ok_json, bad, bad_json)
    ]
    assert (ExportTraceServiceResponse(), {}) == (
        ExportTraceServiceResponse.FromString(ok_body),
        json.loads(ok_json_body),
    )
    assert "no protobuf" in Status.FromString(bad_body).message
    assert "no JSON" in json.loads(bad_json_body)["message"]


@pytest.mark.parametrize("error", [RetryableError("ledger down"), ZeroDivisionError("of content")])
def test_what_is_not_stored_is_to_be_sent_again(servers: Servers, error: Exception) -> None:
    """A ledger that is down and a fault nobody foresaw are UNAVAILABLE, 503 with Retry-After; content is not told."""
    servers.sink.error = error

    code, details = refused(lambda: export(servers, request()))
    response, body = servers.post(request().SerializeToString())

    assert (grpc.StatusCode.UNAVAILABLE, 503, "1") == (code, response.status, response.headers["Retry-After"])
    assert "of content" not in details + Status.FromString(body).message

    servers.sink.error = None
    assert ExportTraceServiceResponse() == export(servers, request())


def test_nothing_is_acknowledged_before_it_is_stored(servers: Servers) -> None:
    """The answer waits for the write, and comes with it."""
    servers.sink.go.clear()
    with servers.channel() as channel:
        future = TraceServiceStub(channel).Export.future(request(), timeout=20)

        with pytest.raises(grpc.FutureTimeoutError):
            future.result(0.5)
        assert [] == servers.sink.calls
        servers.sink.go.set()

        assert ExportTraceServiceResponse() == future.result(20)
        assert 1 == len(servers.sink.calls)


def test_a_malformed_message_is_refused_for_good(servers: Servers) -> None:
    """INVALID_ARGUMENT: sent again it would fail again."""
    with servers.channel() as channel:
        raw = channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")
        code, _ = refused(lambda: raw(b"\xff\xff", timeout=20))

    assert grpc.StatusCode.INVALID_ARGUMENT == code


def test_a_message_that_is_too_large_is_refused_for_good(servers: Servers) -> None:
    """RESOURCE_EXHAUSTED without RetryInfo, and 413."""
    message = request(GENAI | {"padding": "x" * MAX_MESSAGE_BYTES})

    with servers.channel() as channel, pytest.raises(grpc.RpcError) as caught:
        TraceServiceStub(channel).Export(message, timeout=20)
    response, _ = servers.post(message.SerializeToString())

    assert grpc.StatusCode.RESOURCE_EXHAUSTED == caught.value.code()
    assert [] == [key for key, _ in caught.value.trailing_metadata() if key == "grpc-status-details-bin"]
    assert 413 == response.status


def test_a_small_body_may_not_unfold_into_a_large_one(servers: Servers) -> None:
    """The bound holds for the decompressed size."""
    response, body = servers.post(gzip.compress(bytes(MAX_MESSAGE_BYTES + 1)), Content_Encoding="gzip")
    with servers.channel() as channel:
        raw = channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")
        code, _ = refused(lambda: raw(bytes(MAX_MESSAGE_BYTES + 1), timeout=20, compression=grpc.Compression.Gzip))

    assert (413, True) == (response.status, "decompressed" in Status.FromString(body).message)
    assert grpc.StatusCode.RESOURCE_EXHAUSTED == code


@pytest.mark.parametrize(
    ("content_type", "headers", "status"),
    [
        ("text/plain", {}, 415),
        (PROTOBUF, {"Content_Encoding": "snappy"}, 415),
        (PROTOBUF, {"Content_Encoding": "gzip"}, 400),
    ],
)
def test_a_body_of_another_kind_is_refused(
    servers: Servers, content_type: str, headers: dict[str, str], status: int
) -> None:
    """An unknown type or encoding is told as such; a broken one is a broken body."""
    response, _ = servers.post(request().SerializeToString(), content_type, **headers)

    assert (status, []) == (response.status, servers.sink.calls)


def test_logs_and_metrics_are_not_taken(servers: Servers) -> None:
    """Nothing is acknowledged and thrown away: UNIMPLEMENTED and 404 say what is taken."""
    with servers.channel() as channel:
        logs = refused(lambda: LogsServiceStub(channel).Export(ExportLogsServiceRequest(), timeout=20))
        metrics = refused(lambda: MetricsServiceStub(channel).Export(ExportMetricsServiceRequest(), timeout=20))
    over_http = [servers.post(b"", path=path) for path in ("/v1/logs", "/v1/metrics")]

    assert [grpc.StatusCode.UNIMPLEMENTED] * 2 == [logs[0], metrics[0]]
    assert ["do not send logs here", "do not send metrics here"] == [text.split(": ")[1] for _, text in (logs, metrics)]
    assert [404, 404] == [response.status for response, _ in over_http]
    assert "do not send logs here" in Status.FromString(over_http[0][1]).message


def test_a_span_that_can_never_be_a_line_is_told_apart(servers: Servers) -> None:
    """The others are stored; the answer counts the refused one and says why."""
    message = request(GENAI, GENAI)
    message.resource_spans[0].scope_spans[0].spans[0].trace_id = b"short"

    response = export(servers, message)

    assert (1, 1) == (response.partial_success.rejected_spans, len(servers.sink.calls))
    assert "invalid trace_id" in response.partial_success.error_message


def test_a_delivery_that_comes_again_has_the_same_identity(servers: Servers) -> None:
    """The ledger collapses lines by call_id, so a request that was answered too late makes no second line."""
    message = request()

    export(servers, message)
    export(servers, message)

    first, second = servers.sink.calls
    assert first == second


def test_more_requests_than_may_be_under_way_are_told_to_come_again(servers: Servers) -> None:
    """UNAVAILABLE at once, while those before wait for the ledger; later ones go through."""
    servers.sink.go.clear()
    message = request()
    channels = [servers.channel() for _ in range(2)]  # each connection may have that many streams
    stubs = [TraceServiceStub(channel) for channel in channels]
    futures = [stubs[n % 2].Export.future(message, timeout=20) for n in range(MAX_IN_FLIGHT + 8)]
    failed = threading.Semaphore(0)
    for future in futures:
        future.add_done_callback(lambda _: failed.release())
    told_at_once = [failed.acquire(timeout=10) for _ in range(8)]
    servers.sink.go.set()

    codes = [future.exception(20) for future in futures]

    assert all(told_at_once)
    assert MAX_IN_FLIGHT == codes.count(None)
    assert {grpc.StatusCode.UNAVAILABLE} == {error.code() for error in codes if error is not None}
    for channel in channels:
        channel.close()
