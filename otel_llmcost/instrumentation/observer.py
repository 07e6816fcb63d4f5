"""From a request to a GenAI span: which requests are calls, and what their span says. Knows no HTTP client."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Any

from opentelemetry.instrumentation.utils import is_instrumentation_enabled
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, use_span

from otel_llmcost import semconv as sc
from otel_llmcost.guard import host_unharmed
from otel_llmcost.providers.endpoints import Endpoint, Endpoints
from otel_llmcost.wire.exchange import Exchange, parse_object


class ObservedCall:
    """One provider call under way: its span and its exchange. Whatever happens, the span ends exactly once."""

    __slots__ = ("_ended", "_exchange", "_first_chunk_ns", "_span", "_started_ns")

    def __init__(self, span: Span, exchange: Exchange) -> None:
        self._span = span
        self._exchange = exchange
        self._started_ns = perf_counter_ns()
        self._first_chunk_ns: int | None = None
        self._ended = False

    def active(self) -> AbstractContextManager[Span]:
        """Make the span current, so that the HTTP client's own spans lie below it."""
        return use_span(self._span, end_on_exit=False, record_exception=False, set_status_on_exception=False)

    def respond(self, status: int, headers: Mapping[str, str], *, decoded: bool = False) -> None:
        """The response's head has come."""
        with host_unharmed("respond"):
            self._exchange.respond(status, headers, decoded=decoded)

    def feed(self, chunk: bytes) -> None:
        """A chunk of the body goes by on its way to the client."""
        if self._ended:
            return
        with host_unharmed("feed"):
            if self._first_chunk_ns is None:
                self._first_chunk_ns = perf_counter_ns()
            self._exchange.feed(chunk)

    def complete(self) -> None:
        """The body was read to its end; a stream may have been cut there, before the provider was done."""
        self._end("", ended_by_provider=True)

    def close(self) -> None:
        """The client closed the response: an abort, unless the provider had said that it was done or had refused."""
        if not self._ended:
            self._end("" if self._exchange.finished else sc.ERROR_ABORTED)

    def fail(self, error: BaseException, *, streaming: bool = False) -> None:
        """The client raised. A stream that breaks was billed up to there, like one that is aborted."""
        self._end(sc.ERROR_ABORTED if streaming else type(error).__name__)

    def _end(self, error_type: str, *, ended_by_provider: bool = False) -> None:
        if self._ended:
            return
        self._ended = True
        with host_unharmed("end"):
            reading = self._exchange.end()
            attributes: dict[str, Any] = reading.attributes()
            status = self._exchange.status
            if status:
                attributes[sc.HTTP_STATUS] = status
            if self._first_chunk_ns is not None and self._exchange.streamed:
                attributes[sc.RESPONSE_TIME_TO_FIRST_CHUNK] = (self._first_chunk_ns - self._started_ns) / 1e9
            error_type = error_type or reading.error_type or (str(status) if status >= 400 else "")
            if ended_by_provider and not error_type and not self._exchange.whole:
                error_type = sc.ERROR_ABORTED
            if error_type:
                attributes[sc.ERROR_TYPE] = error_type
                self._span.set_status(Status(StatusCode.ERROR))
            self._span.set_attributes(attributes)
        self._span.end()


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request about to be sent. `port` is None for the scheme's default; `body` is empty where it is a stream."""

    method: str
    scheme: str
    host: str
    port: int | None
    path: str
    headers: Mapping[str, str]
    body: bytes


class Observer:
    """Starts an `ObservedCall` for every request that is an inference call."""

    def __init__(self, tracer: Tracer, endpoints: Endpoints) -> None:
        self._tracer = tracer
        self._endpoints = endpoints

    def start(self, request: HttpRequest) -> ObservedCall | None:
        """The call, or None where the request is none of ours."""
        if request.method != "POST" or not is_instrumentation_enabled():
            return None
        with host_unharmed("start"):
            endpoint = self._endpoints.find(request.host, request.port, request.path)
            return self._start(request, endpoint) if endpoint else None
        return None

    def _start(self, request: HttpRequest, endpoint: Endpoint) -> ObservedCall | None:
        document = parse_object(request.body) or {}
        model = document.get("model")
        if not endpoint.known_host and not isinstance(model, str):
            return None
        operation = endpoint.wire_format.operation
        span = self._tracer.start_span(
            f"{operation} {model}" if isinstance(model, str) else operation,
            kind=SpanKind.CLIENT,
            attributes={
                **_request_attributes(endpoint, document, request.headers),
                sc.SERVER_ADDRESS: request.host,
                sc.SERVER_PORT: request.port or (443 if request.scheme == "https" else 80),
            },
        )
        return ObservedCall(span, Exchange(endpoint.wire_format))


def _request_attributes(endpoint: Endpoint, request: Mapping[str, Any], headers: Mapping[str, str]) -> dict[str, Any]:
    attributes: dict[str, Any] = {
        sc.OPERATION_NAME: endpoint.wire_format.operation,
        sc.PROVIDER_NAME: endpoint.provider,
    }
    if isinstance(request.get("model"), str):
        attributes[sc.REQUEST_MODEL] = request["model"]
    if request.get("stream") is True:
        attributes[sc.REQUEST_STREAM] = True
    retries = headers.get("x-stainless-retry-count", "")
    if retries.isdecimal() and int(retries[:4]) > 0:
        attributes[sc.HTTP_RESEND_COUNT] = int(retries[:4])
    return attributes
