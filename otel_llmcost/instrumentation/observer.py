"""From a request to a GenAI span: which requests are calls, and what their span says. Knows no HTTP client."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from http import HTTPStatus
from time import perf_counter_ns, time_ns
from typing import Any, NamedTuple

from opentelemetry.instrumentation.utils import is_instrumentation_enabled
from opentelemetry.metrics import Meter
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, get_current_span, use_span

from otel_llmcost import semconv as sc
from otel_llmcost.call import Usage
from otel_llmcost.dialects import is_inference
from otel_llmcost.estimate import BACKGROUND, estimated_usage
from otel_llmcost.guard import host_unharmed
from otel_llmcost.instrumentation.attempts import Attempts
from otel_llmcost.instrumentation.metrics import CallTimes, ClientMetrics
from otel_llmcost.providers.endpoints import Endpoint, Endpoints
from otel_llmcost.providers.formats import model_of_form
from otel_llmcost.providers.host_map import HostMap
from otel_llmcost.settings import ProviderSettings
from otel_llmcost.wire.exchange import Answer, Exchange
from otel_llmcost.wire.json_document import parse_object
from otel_llmcost.wire.reading import Reading
from otel_llmcost.wire.stream_usage import ASKED_SELLERS, UsageChunkRemover, asking_for_usage

Told = Callable[[Mapping[str, Any], Usage, CallTimes], None]


class ObservedCall:
    """One provider call under way: its span and its exchange. Whatever happens, the span ends exactly once."""

    __slots__ = ("_ended", "_estimated", "_exchange", "_remover", "_span", "_times", "_told", "body")

    def __init__(
        self,
        span: Span | None,
        exchange: Exchange,
        body: bytes | None = None,
        estimated: Callable[[Answer], Usage] | None = None,
        told: Told | None = None,
    ) -> None:
        """`span` may be known only at the end (`_span_of`). `body`: what to send in place of the request's own body,
        which then asks for the stream's usage. `estimated`: counts the usage from the answer, where nobody tells it.
        `told`: hears the span's last attributes, the usage and the times."""
        self._estimated = estimated
        self._told = told
        self.body = body
        self._remover: UsageChunkRemover | None = None
        self._span = span
        self._exchange = exchange
        self._times = CallTimes(perf_counter_ns())
        self._ended = False

    def active(self) -> AbstractContextManager[Span | None]:
        """Make the span current, so that the HTTP client's own spans lie below it."""
        if self._span is None:
            return nullcontext()
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
                self._times.chunk(perf_counter_ns())
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
        """The client raised. A stream that breaks was billed up to there, like one that is aborted; one that breaks or
        is cancelled after the provider was done lost nothing."""
        if streaming:
            self.close()
        else:
            self._end(type(error).__name__)

    def _end(self, error_type: str, *, ended_by_provider: bool = False) -> None:
        if self._ended:
            return
        self._ended = True
        with host_unharmed("end"):
            reading = self._exchange.end()
            self._times.end(perf_counter_ns(), streamed=self._exchange.streamed)
            span = self._span_of(reading)
            if span is None:
                return
            error_type = error_type or reading.error_type or self._refusal()
            if ended_by_provider and not error_type and not self._exchange.whole:
                error_type = sc.ERROR_ABORTED
            if self._estimated is None or reading.usage.known or self._exchange.status != HTTPStatus.OK:
                self._tell(span, reading, error_type, reading.ended_ns if self._span is None else None)
            else:
                BACKGROUND.submit(partial(self._tell_estimated, span, reading, error_type, time_ns()))
            return
        if self._span is not None:
            self._span.end()

    def _tell(self, span: Span, reading: Reading, error_type: str, end_ns: int | None) -> None:
        try:
            if error_type:
                span.set_status(Status(StatusCode.ERROR))
            attributes = reading.attributes()
            self._add_outcome(attributes, error_type)
            span.set_attributes(attributes)
            if self._told is not None:
                self._told(attributes, reading.usage, self._times)
        finally:
            span.end(end_ns)

    def _tell_estimated(self, span: Span, reading: Reading, error_type: str, end_ns: int) -> None:
        """Off the caller's path: count what nobody told."""
        with host_unharmed("estimate"):
            answer = self._exchange.answer()
            if answer is not None and self._estimated is not None:
                reading.usage = self._estimated(answer)
        self._tell(span, reading, error_type, end_ns)

    def _span_of(self, _reading: Reading) -> Span | None:
        """The span to end; None where there is nothing to tell."""
        return self._span

    def _refusal(self) -> str:
        return str(self._exchange.status) if self._exchange.status >= 400 else ""

    def _add_outcome(self, attributes: dict[str, Any], error_type: str) -> None:
        if self._exchange.status:
            attributes[sc.HTTP_STATUS] = self._exchange.status
        if self._times.first_chunk_s is not None:
            attributes[sc.RESPONSE_TIME_TO_FIRST_CHUNK] = self._times.first_chunk_s
        if error_type:
            attributes[sc.ERROR_TYPE] = error_type


class PolledCall(ObservedCall):
    """A GET that may tell what an earlier request used: it makes a span at its end, with the earlier times, or none.

    The response id is the earlier request's, so both are one line, of which the one that knows the usage is kept.
    """

    __slots__ = ("_start_span",)

    def __init__(self, exchange: Exchange, start_span: Callable[[Reading], Span]) -> None:
        super().__init__(None, exchange)
        self._start_span = start_span

    def _span_of(self, reading: Reading) -> Span | None:
        return self._start_span(reading) if reading.tells_deferred_call else None


class HttpRequest(NamedTuple):
    """A request about to be sent. `port` is None for the scheme's default; `body` is empty where it is a stream.

    `streamed`: the client takes the response as a stream, so that its chunks can be changed on their way.
    `form_model`: the field `model` of a form whose body is a stream.
    """

    method: str
    scheme: str
    host: str
    port: int | None
    path: str
    headers: Mapping[str, str]
    body: bytes
    streamed: bool = False
    form_model: str = ""


class Observer:
    """Starts an `ObservedCall` for every request that is an inference call."""

    def __init__(self, tracer: Tracer, meter: Meter, settings: ProviderSettings) -> None:
        self._tracer = tracer
        self._metrics = ClientMetrics(meter)
        self._attempts = Attempts()
        self._endpoints = Endpoints(settings.hosts)
        self._stream_usage = settings.stream_usage
        self._estimate = settings.estimate
        self._stream_usage_hosts = HostMap(settings.stream_usage_hosts)

    def start(self, request: HttpRequest) -> ObservedCall | None:
        """The call, or None where the request is none of ours."""
        with host_unharmed("start"):
            endpoint = self._endpoints.find(request.host, request.port, request.path, request.method)
            if endpoint is None or not is_instrumentation_enabled():
                return None
            parent = get_current_span()
            if _is_ours(parent):
                return None
            return self._poll(request, endpoint) if endpoint.polled else self._start(request, endpoint, parent)
        return None

    def _start(self, request: HttpRequest, endpoint: Endpoint, parent: Span) -> ObservedCall | None:
        document = parse_object(request.body) or {}
        model = endpoint.requested_model(document) or model_of_form(request.body) or request.form_model
        if not endpoint.known_host and not model:
            return None
        _mark_as_told_at_wire(parent)
        attributes = _request_attributes(request, endpoint, model)
        attempt, sent = _attempt_told(request.headers), None
        if not attempt:
            sent = (request.host + request.path, request.body, parent.get_span_context().span_id)
            attempt = self._attempts.number(*sent)
        if attempt > 1:
            attributes[sc.HTTP_RESEND_COUNT] = attempt - 1
        if document.get("stream") is True or endpoint.streaming:
            attributes[sc.REQUEST_STREAM] = True
        span = self._tracer.start_span(_name(endpoint, model), kind=SpanKind.CLIENT, attributes=attributes)
        asks = self._asks_for_usage(request, endpoint) and asking_for_usage(request.body, document)
        estimated = None
        if self._estimate and endpoint.wire_format.text is not None and document.get("stream") is True:
            estimated = partial(estimated_usage, document, model)
        exchange = Exchange(endpoint.wire_format, endpoint.provider)
        return ObservedCall(span, exchange, asks or None, estimated, partial(self._told, sent, attempt, attributes))

    def _told(  # noqa: PLR0913, PLR0917 - what is known of a call at its end
        self,
        sent: tuple[str, bytes, int] | None,
        attempt: int,
        at_start: Mapping[str, Any],
        at_end: Mapping[str, Any],
        usage: Usage,
        times: CallTimes,
    ) -> None:
        self._metrics.record(at_start, at_end, usage, times)
        if sent is not None and sc.ERROR_TYPE in at_end:
            self._attempts.failed(*sent, attempt, at_end.get(sc.HTTP_STATUS, 0))
        elif sent is not None and attempt > 1:
            self._attempts.succeeded(*sent)

    def _poll(self, request: HttpRequest, endpoint: Endpoint) -> ObservedCall:
        def start_span(reading: Reading) -> Span:
            attributes = _request_attributes(request, endpoint, reading.model)
            name = _name(endpoint, reading.model)
            return self._tracer.start_span(
                name, kind=SpanKind.CLIENT, attributes=attributes, start_time=reading.started_ns
            )

        return PolledCall(Exchange(endpoint.wire_format, endpoint.provider), start_span)

    def _asks_for_usage(self, request: HttpRequest, endpoint: Endpoint) -> bool:
        if endpoint.wire_format.name != "chat_completions" or not request.streamed:
            return False
        said = self._stream_usage_hosts.find(request.host, request.port, request.path)
        return said if said is not None else self._stream_usage and endpoint.provider in ASKED_SELLERS


def _is_ours(span: Span) -> bool:
    """Inside an observed call already: a client and its class are both instrumented, or a transport sends again."""
    scope = getattr(span, "instrumentation_scope", None)
    return scope is not None and scope.name.startswith(sc.WIRE_SCOPE)


def _mark_as_told_at_wire(parent: Span) -> None:
    """Some SDKs and instrumentations have a span of their own around the call, one for all its attempts."""
    attributes = getattr(parent, "attributes", None)
    if parent.is_recording() and attributes and is_inference(attributes):
        parent.set_attribute(sc.USAGE_AT_WIRE, True)


def _name(endpoint: Endpoint, model: str) -> str:
    operation = endpoint.wire_format.operation
    return f"{operation} {model}" if model else operation


def _request_attributes(request: HttpRequest, endpoint: Endpoint, model: str) -> dict[str, Any]:
    attributes: dict[str, Any] = {
        sc.OPERATION_NAME: endpoint.wire_format.operation,
        sc.PROVIDER_NAME: endpoint.provider,
        sc.SERVER_ADDRESS: request.host,
        sc.SERVER_PORT: request.port or (443 if request.scheme == "https" else 80),
    }
    if model:
        attributes[sc.REQUEST_MODEL] = model
    return attributes


def _attempt_told(headers: Mapping[str, str]) -> int:
    """The attempt as an SDK counts it, from 1; 0 where it does not."""
    retries = headers.get("x-stainless-retry-count", "")
    return int(retries[:4]) + 1 if retries.isdecimal() else 0
