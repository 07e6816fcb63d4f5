"""OTLP over HTTP in front of the intakes: POST /v1/traces, /v1/logs and /v1/metrics."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

import grpc
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from otel_llmcost.content_encoding import IDENTITY, TooLargeError, decompress
from otel_llmcost.processors.answers import Refusal
from otel_llmcost.processors.gate import Gate, Intake, Visit
from otel_llmcost.processors.grpc_server import NOT_TAKEN, Limits
from otel_llmcost.processors.otlp import protobuf_of_json
from otel_llmcost.processors.signals import SIGNALS, Signal


def _to_protobuf(message: Message) -> bytes:
    return bytes(message.SerializeToString())


def _to_json(message: Message) -> bytes:
    text: str = MessageToJson(message, indent=None)
    return text.encode()


@dataclass(frozen=True, slots=True)
class _Content:
    """A content type of OTLP/HTTP; answers are in the type of the request."""

    media_type: str
    encode: Callable[[Message], bytes]


_PROTOBUF: Final = _Content("application/x-protobuf", _to_protobuf)
_JSON: Final = _Content("application/json", _to_json)
_CONTENTS: Final[Mapping[str, _Content]] = {content.media_type: content for content in (_PROTOBUF, _JSON)}
_UNKNOWN_TYPE: Final = Refusal(
    grpc.StatusCode.INVALID_ARGUMENT, 415, f"the content type must be one of {', '.join(_CONTENTS)}"
)


def http_app(intakes: Mapping[str, Intake], gate: Gate, limits: Limits | None = None) -> Starlette:
    """OTLP/HTTP. `intakes`: by the name of the signal; others are refused."""
    routes = []
    for signal in SIGNALS:
        intake = intakes.get(signal.name)
        endpoint = _not_taken(signal) if intake is None else _Endpoint(signal, intake, gate, limits or Limits()).answer
        routes.append(Route(signal.path, endpoint, methods=["POST"]))
    return Starlette(routes=routes)


@dataclass(frozen=True, slots=True)
class _Endpoint:
    signal: Signal
    intake: Intake
    gate: Gate
    limits: Limits

    async def answer(self, request: Request) -> Response:
        content = _content_of(request)
        if content is None:
            return _refuse(_JSON, _UNKNOWN_TYPE)
        visit = self.gate.visit(self.signal.name)
        try:
            response = await self._take(request, content, visit)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it
        except Exception as error:  # noqa: BLE001 - left alone it would be 500, which senders drop
            return _refuse(content, visit.refused(error))
        finally:
            visit.release()
        if content is not _PROTOBUF:
            response = content.encode(self.signal.response.FromString(response))
        return Response(response, media_type=content.media_type)

    async def _take(self, request: Request, content: _Content, visit: Visit) -> bytes:
        visit.enter(request.headers.get("authorization", ""))
        most = self.limits.max_message_bytes
        async with asyncio.timeout(self.limits.read_timeout_s):
            body = await read_body(request, most, visit.hold)
        encoding = request.headers.get("content-encoding", "")
        if content is _JSON or encoding not in IDENTITY:
            body = await asyncio.to_thread(self._plain, body, encoding, content)
            visit.hold(len(body))
        return await visit.take(body, self.intake)

    def _plain(self, body: bytes, encoding: str, content: _Content) -> bytes:
        """The message as protobuf."""
        body = decompress(body, encoding, self.limits.max_message_bytes)
        return protobuf_of_json(body, self.signal.request()) if content is _JSON else body


def _not_taken(signal: Signal) -> Callable[[Request], Awaitable[Response]]:
    refusal = Refusal(grpc.StatusCode.UNIMPLEMENTED, 404, NOT_TAKEN.format(signal.name))

    async def endpoint(request: Request) -> Response:
        return _refuse(_content_of(request) or _JSON, refusal)

    return endpoint


async def read_body(request: Request, max_bytes: int, hold: Callable[[int], None] | None = None) -> bytes:
    """The body as it was sent; `hold` is told of bytes as they come, and may raise.

    Raises:
        TooLargeError: there is more than `max_bytes`; the rest is not read.
    """
    body = bytearray()
    async for chunk in request.stream():
        if hold is not None:
            hold(len(chunk))
        body += chunk
        if len(body) > max_bytes:
            raise TooLargeError(f"the body is larger than {max_bytes} bytes")
    return bytes(body)


def _content_of(request: Request) -> _Content | None:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return _CONTENTS.get(media_type)


def _refuse(content: _Content, refusal: Refusal) -> Response:
    """A failure, as OTLP wants it: a google.rpc.Status in the content type of the request."""
    body = content.encode(Status(code=refusal.grpc_code.value[0], message=refusal.message))
    return Response(body, refusal.http_status, refusal.headers(), content.media_type)
