"""OTLP servers: gRPC and HTTP in front of one intake.

    request → decode → spans → pipeline → Kinship → LedgerWriter → durable → acknowledged

An answer says what the sender has to do. Success is told only of what is durable. What would fail again in the same
way is refused for good; everything else, also what nobody foresaw, is told to be sent again: senders drop what is
answered with any other code.
"""

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, Protocol

import grpc
import grpc.aio
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from otel_llmcost.call import LLMCall, Source
from otel_llmcost.content_encoding import TooLargeError, UnknownEncodingError, decompress
from otel_llmcost.errors import InputError, RetryableError
from otel_llmcost.kinship import Kinship, Seen
from otel_llmcost.processors.ledger_writer import LedgerWriter
from otel_llmcost.processors.otlp import decode_json, decode_protobuf, genai_spans, seen_plain
from otel_llmcost.processors.tree import seen_genai
from otel_llmcost.settings import IdentitySettings
from otel_llmcost.span import Span

logger = logging.getLogger(__name__)

MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024
"""Largest request, decompressed. Collectors send up to 4 MiB unless told otherwise."""
MAX_IN_FLIGHT: Final = 32
"""Requests that are worked on at once; more are told to come again."""
RETRY_AFTER_S: Final = 1
DECODE_THREADS: Final = 2

TRACE_SERVICE: Final = "opentelemetry.proto.collector.trace.v1.TraceService"
OTHER_SERVICES: Final = {
    "opentelemetry.proto.collector.logs.v1.LogsService": "logs",
    "opentelemetry.proto.collector.metrics.v1.MetricsService": "metrics",
}
NOT_TAKEN: Final = "otel-llmcost takes traces only: do not send {} here"

Decode = Callable[[bytes], ExportTraceServiceRequest]


class SpanPipeline(Protocol):
    """The step that makes bill lines; `otel_llmcost.pipeline.Pipeline` is one."""

    def process_span(self, span: Span, source: Source) -> LLMCall | None: ...


class BusyError(RetryableError):
    """As much is under way as may be."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a sender is told instead of success."""

    grpc_code: grpc.StatusCode
    http_status: int
    message: str


_REFUSALS: Final[tuple[tuple[type[Exception], grpc.StatusCode, int], ...]] = (
    (TooLargeError, grpc.StatusCode.RESOURCE_EXHAUSTED, 413),
    (UnknownEncodingError, grpc.StatusCode.INVALID_ARGUMENT, 415),
    (InputError, grpc.StatusCode.INVALID_ARGUMENT, 400),
    (RetryableError, grpc.StatusCode.UNAVAILABLE, 503),
)
"""The first row that an error is an instance of."""


def refusal_of(error: Exception) -> Refusal:
    """The one map from errors to answers."""
    for kind, grpc_code, http_status in _REFUSALS:
        if isinstance(error, kind):
            return Refusal(grpc_code, http_status, str(error))
    # The text of an unforeseen error may hold content of the message: only its name and place are told.
    place = traceback.extract_tb(error.__traceback__)[-1:]
    where = f" at {place[0].filename}:{place[0].lineno}" if place else ""
    logger.error("a request failed and will be sent again: %s%s", type(error).__name__, where)
    return Refusal(grpc.StatusCode.UNAVAILABLE, 503, f"internal error: {type(error).__name__}")


def kinship_of(settings: IdentitySettings) -> Kinship:
    """The memory of a receiver, which sees the spans of many processes, in any order."""
    return Kinship(settings.remembered_spans, names_unseen=True, counts_agents=bool(settings.closed_frameworks))


class TraceIntake:
    """Turns requests into durable bill lines; the same for gRPC and HTTP. Lives on one event loop."""

    def __init__(self, pipeline: SpanPipeline, writer: LedgerWriter, kinship: Kinship | None = None) -> None:
        self._pipeline = pipeline
        self._writer = writer
        self._kinship = kinship or kinship_of(IdentitySettings())
        self._threads = ThreadPoolExecutor(DECODE_THREADS, thread_name_prefix="llmcost-decode")
        self._tasks: set[asyncio.Task[ExportTraceServiceResponse]] = set()

    async def take(self, body: bytes, decode: Decode) -> ExportTraceServiceResponse:
        """The answer to a request, once all its lines are durable.

        Raises:
            InputError: never as it is.
            RetryableError: not now.
        """
        if len(self._tasks) >= MAX_IN_FLIGHT:
            raise BusyError(f"{MAX_IN_FLIGHT} requests are under way")
        task = asyncio.create_task(self._take(body, decode))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # A sender that hangs up ends its own wait only: its place is taken until the work is done.
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Finish what is under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)
        self._threads.shutdown()

    async def _take(self, body: bytes, decode: Decode) -> ExportTraceServiceResponse:
        loop = asyncio.get_running_loop()
        spans, refused = await loop.run_in_executor(self._threads, self._read, body, decode)
        rows = self._kinship.meet(spans)
        if rows:
            try:
                refused = refused + await asyncio.wrap_future(self._writer.submit(rows))
            except BaseException:
                self._kinship.forget(spans)  # they are not in the ledger, so nothing may rest on them
                raise
        response = ExportTraceServiceResponse()
        if refused:
            response.partial_success.rejected_spans = len(refused)
            response.partial_success.error_message = f"{len(refused)} spans refused, the first: {refused[0]}"[:1_024]
        return response

    def _read(self, body: bytes, decode: Decode) -> tuple[list[Seen], list[str]]:
        return read_request(decode(body), self._pipeline)


def read_request(request: ExportTraceServiceRequest, pipeline: SpanPipeline) -> tuple[list[Seen], list[str]]:
    """What a request tells of calls, and the reasons why some of its spans cannot be lines."""
    refused: list[str] = []
    found: list[Seen] = []
    for span in genai_spans(request, refused.append, lambda span: found.append(seen_plain(span))):
        try:
            call = pipeline.process_span(span, Source.OTLP)
        except InputError as error:
            refused.append(str(error))
            continue
        found.append(seen_genai(span, call))
    return found, refused


def grpc_server(intake: TraceIntake) -> grpc.aio.Server:
    """An OTLP/gRPC server without a port yet."""

    async def export(body: bytes, context: Any) -> ExportTraceServiceResponse:
        try:
            return await intake.take(body, decode_protobuf)
        except Exception as error:  # noqa: BLE001 - left alone it would be UNKNOWN, which senders drop
            refusal = refusal_of(error)
        await context.abort(refusal.grpc_code, refusal.message)
        raise AssertionError("abort returns never")

    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.so_reuseport", 0),  # a second server on the port must fail, not share it
            ("grpc.max_concurrent_streams", MAX_IN_FLIGHT),
        ]
    )
    server.add_generic_rpc_handlers((_service(TRACE_SERVICE, export),))
    for service, signal in OTHER_SERVICES.items():
        server.add_generic_rpc_handlers((_service(service, _unimplemented(NOT_TAKEN.format(signal))),))
    return server


def _to_protobuf(message: Message) -> bytes:
    return bytes(message.SerializeToString())


def _service(name: str, export: Callable[[bytes, Any], Awaitable[Message]]) -> grpc.GenericRpcHandler:
    # Without a deserializer the handler gets the bytes, and decoding stays off the event loop.
    method = grpc.unary_unary_rpc_method_handler(
        export, response_serializer=lambda message: message.SerializeToString()
    )
    return grpc.method_handlers_generic_handler(name, {"Export": method})


def _unimplemented(message: str) -> Callable[[bytes, Any], Awaitable[Message]]:
    async def export(_body: bytes, context: Any) -> Message:
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, message)
        raise AssertionError("abort returns never")

    return export


@dataclass(frozen=True, slots=True)
class _Content:
    """A content type of OTLP/HTTP; answers are in the type of the request."""

    media_type: str
    decode: Decode
    encode: Callable[[Message], bytes]


_CONTENTS: Final[Mapping[str, _Content]] = {
    content.media_type: content
    for content in (
        _Content("application/x-protobuf", decode_protobuf, _to_protobuf),
        _Content("application/json", decode_json, lambda message: MessageToJson(message, indent=None).encode()),
    )
}


def http_app(intake: TraceIntake) -> Starlette:
    """OTLP/HTTP: POST /v1/traces."""

    async def traces(request: Request) -> Response:
        content = _content_of(request)
        if content is None:
            return _answer(
                _CONTENTS["application/json"], 415, f"the content type must be one of {', '.join(_CONTENTS)}"
            )
        try:
            body = await read_body(request, MAX_MESSAGE_BYTES)
            encoding = request.headers.get("content-encoding", "")
            response = await intake.take(
                body, lambda data: content.decode(decompress(data, encoding, MAX_MESSAGE_BYTES))
            )
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it
        except Exception as error:  # noqa: BLE001 - left alone it would be 500, which senders drop
            refusal = refusal_of(error)
            return _answer(content, refusal.http_status, refusal.message)
        return Response(content.encode(response), media_type=content.media_type)

    def not_taken(signal: str) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            return _answer(_content_of(request) or _CONTENTS["application/json"], 404, NOT_TAKEN.format(signal))

        return endpoint

    return Starlette(
        routes=[
            Route("/v1/traces", traces, methods=["POST"]),
            Route("/v1/logs", not_taken("logs"), methods=["POST"]),
            Route("/v1/metrics", not_taken("metrics"), methods=["POST"]),
        ]
    )


async def read_body(request: Request, max_bytes: int) -> bytes:
    """The body as it was sent.

    Raises:
        TooLargeError: there is more than `max_bytes`; the rest is not read.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise TooLargeError(f"the body is larger than {max_bytes} bytes")
    return bytes(body)


def _content_of(request: Request) -> _Content | None:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return _CONTENTS.get(media_type)


def _answer(content: _Content, http_status: int, message: str) -> Response:
    """A failure, as OTLP wants it: a google.rpc.Status in the content type of the request."""
    headers = {"Retry-After": str(RETRY_AFTER_S)} if http_status == 503 else {}
    return Response(content.encode(Status(message=message)), http_status, headers, content.media_type)
