"""From a request to a GenAI span: which requests are calls, and what their span says. Knows no HTTP client."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Any

from opentelemetry.instrumentation.utils import is_instrumentation_enabled
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, get_current_span, use_span

from otel_llmcost import semconv as sc
from otel_llmcost.dialects import is_inference
from otel_llmcost.guard import host_unharmed
from otel_llmcost.providers.endpoints import Endpoint, Endpoints
from otel_llmcost.providers.formats import model_of_form
from otel_llmcost.providers.host_map import HostMap
from otel_llmcost.settings import ProviderSettings
from otel_llmcost.wire.exchange import Exchange, parse_object
from otel_llmcost.wire.stream_usage import ASKED_SELLERS, UsageChunkRemover, asking_for_usage


class ObservedCall:
    """One provider call under way: its span and its exchange. Whatever happens, the span ends exactly once."""

    __slots__ = ("_ended", "_exchange", "_first_chunk_ns", "_remover", "_span", "_started_ns", "body")

    def __init__(self, span: Span, exchange: Exchange, body: bytes | None = None) -> None:
        """`body`: what to send in place of the request's own body, which then asks for the stream's usage."""
        self.body = body
        self._remover: UsageChunkRemover | None = None
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
            # The plain body was asked for; of one that is encoded all the same, nothing can be taken out.
            if self.body is not None and status < 400 and not headers.get("content-encoding"):
                self._remover = UsageChunkRemover()

    def feed(self, chunk: bytes) -> bytes:
        """A chunk of the body goes by; returns what the client gets of it."""
        if not self._ended:
            with host_unharmed("feed"):
                if self._first_chunk_ns is None:
                    self._first_chunk_ns = perf_counter_ns()
                self._exchange.feed(chunk)
        return chunk if self._remover is None else self._remover.feed(chunk)

    def rest(self) -> bytes:
        """What the client still gets when the body is over."""
        return b"" if self._remover is None else self._remover.close()

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
    """A request about to be sent. `port` is None for the scheme's default; `body` is empty where it is a stream.

    `streamed`: the client takes the response as a stream, so that its chunks can be changed on their way.
    """

    method: str
    scheme: str
    host: str
    port: int | None
    path: str
    headers: Mapping[str, str]
    body: bytes
    streamed: bool = False


class Observer:
    """Starts an `ObservedCall` for every request that is an inference call."""

    def __init__(self, tracer: Tracer, settings: ProviderSettings) -> None:
        self._tracer = tracer
        self._endpoints = Endpoints(settings.hosts)
        self._stream_usage = settings.stream_usage
        self._stream_usage_hosts = HostMap(settings.stream_usage_hosts)

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
        model = endpoint.requested_model(document) or model_of_form(request.body)
        if not endpoint.known_host and not model:
            return None
        _mark_as_told_at_wire(get_current_span())
        operation = endpoint.wire_format.operation
        span = self._tracer.start_span(
            f"{operation} {model}" if model else operation,
            kind=SpanKind.CLIENT,
            attributes={
                **_request_attributes(endpoint, model, document, request.headers),
                sc.SERVER_ADDRESS: request.host,
                sc.SERVER_PORT: request.port or (443 if request.scheme == "https" else 80),
            },
        )
        asks = self._asks_for_usage(request, endpoint) and asking_for_usage(request.body, document)
        return ObservedCall(span, Exchange(endpoint.wire_format, endpoint.provider), asks or None)

    def _asks_for_usage(self, request: HttpRequest, endpoint: Endpoint) -> bool:
        if endpoint.wire_format.name != "chat_completions" or not request.streamed:
            return False
        said = self._stream_usage_hosts.find(request.host, request.port, request.path)
        return said if said is not None else self._stream_usage and endpoint.provider in ASKED_SELLERS


def _mark_as_told_at_wire(parent: Span) -> None:
    """Some SDKs and instrumentations have a span of their own around the call, one for all its attempts."""
    attributes = getattr(parent, "attributes", None)
    if parent.is_recording() and attributes and is_inference(attributes):
        parent.set_attribute(sc.USAGE_AT_WIRE, True)


def _request_attributes(
    endpoint: Endpoint, model: str, request: Mapping[str, Any], headers: Mapping[str, str]
) -> dict[str, Any]:
    attributes: dict[str, Any] = {
        sc.OPERATION_NAME: endpoint.wire_format.operation,
        sc.PROVIDER_NAME: endpoint.provider,
    }
    if model:
        attributes[sc.REQUEST_MODEL] = model
    if request.get("stream") is True or endpoint.streaming:
        attributes[sc.REQUEST_STREAM] = True
    retries = headers.get("x-stainless-retry-count", "")
    if retries.isdecimal() and int(retries[:4]) > 0:
        attributes[sc.HTTP_RESEND_COUNT] = int(retries[:4])
    return attributes
