"""The pipeline inside an application: OpenTelemetry SDK spans in, lines to the ledger, costs on exported spans.

A span processor cannot add attributes at a span's end (the SDK freezes them first), so the two outputs part:
`LedgerSpanProcessor` sees every ended span, sampled or not, and queues GenAI ones for the ledger;
`EnrichingExporter` stands in front of the user's exporter and writes `llmcost.*` on what is exported. Both run the
same pure pipeline in a background thread.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final
from weakref import WeakKeyDictionary

from opentelemetry import baggage
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import StatusCode

from otel_llmcost.annotate import cost_attributes
from otel_llmcost.call import LLMCall, Source
from otel_llmcost.dialects import is_genai
from otel_llmcost.exporters.delivery import Delivery
from otel_llmcost.guard import host_unharmed
from otel_llmcost.pipeline import Pipeline
from otel_llmcost.span import Span


def from_sdk(span: ReadableSpan) -> Span:
    """An ended SDK span as the core reads it."""
    context = span.get_span_context()
    assert context is not None
    parent = span.parent
    scope = span.instrumentation_scope
    start_ns = span.start_time or 0
    return Span(
        name=span.name,
        trace_id=context.trace_id.to_bytes(16, "big"),
        span_id=context.span_id.to_bytes(8, "big"),
        parent_span_id=parent.span_id.to_bytes(8, "big") if parent else b"",
        start_ns=start_ns,
        end_ns=span.end_time or start_ns,
        attributes=plain(span.attributes),
        resource=plain(span.resource.attributes),
        scope=scope.name if scope else "",
        failed=span.status.status_code is StatusCode.ERROR,
    )


_PRICED: Final[WeakKeyDictionary[ReadableSpan, tuple[Pipeline, Span, LLMCall | None]]] = WeakKeyDictionary()
"""What was made of spans that somebody still holds."""


def priced(span: ReadableSpan, pipeline: Pipeline) -> tuple[Span, LLMCall | None]:
    """An ended span as the core reads it, and its record.

    Made once for all who are handed the same span, in whatever thread: the ledger's, and those of the exporters.

    Raises:
        InputError: the span can never be read.
    """
    made = _PRICED.get(span)
    if made is not None and made[0] is pipeline:
        return made[1], made[2]
    plain = from_sdk(span)
    call = pipeline.process_span(plain, Source.SDK_SPAN)
    _PRICED[span] = (pipeline, plain, call)
    return plain, call


def plain(attributes: Mapping[str, Any] | None) -> dict[str, Any]:
    """The attributes as a dict: every look-up in the SDK's own mapping costs as much as the whole copy."""
    if isinstance(attributes, MappingProxyType | BoundedAttributes):
        attributes = attributes.copy()
    return attributes if isinstance(attributes, dict) else dict(attributes or {})


class BaggageSpanProcessor(SpanProcessor):
    """Copies the named baggage entries to GenAI spans as they start; no other entry ever becomes an attribute."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = tuple(keys)

    def on_start(self, span: SdkSpan, parent_context: Context | None = None) -> None:
        with host_unharmed("baggage"):
            if not is_genai(span.attributes or {}):
                return
            entries = baggage.get_all(parent_context)
            span.set_attributes({key: str(entries[key]) for key in self._keys if entries.get(key) is not None})


class LedgerSpanProcessor(SpanProcessor):
    """Queues every ended GenAI span for the ledger, sampled or not. `close` is called once nothing uses the ledger."""

    def __init__(self, delivery: Delivery[ReadableSpan], close: Callable[[], None]) -> None:
        self._delivery = delivery
        self._close = close

    def on_end(self, span: ReadableSpan) -> None:
        with host_unharmed("queue"):
            if is_genai(span.attributes or {}):
                self._delivery.put(span)

    def shutdown(self) -> None:
        # A ledger that hangs holds on to its connection: closing it would wait for the answer that does not come.
        if self._delivery.shutdown():
            self._close()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._delivery.flush(timeout_millis)


class EnrichingExporter(SpanExporter):
    """Writes `llmcost.*` on GenAI spans on their way to another exporter; every other span passes as it is."""

    def __init__(self, exporter: SpanExporter, pipeline: Pipeline, *, usage_cost: bool) -> None:
        self._exporter = exporter
        self._pipeline = pipeline
        self._usage_cost = usage_cost

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self._exporter.export([self._enriched(span) for span in spans])

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)

    def _enriched(self, span: ReadableSpan) -> ReadableSpan:
        if not is_genai(span.attributes or {}):
            return span
        with host_unharmed("enrich"):
            _, call = priced(span, self._pipeline)
            if call is not None:
                return _with_attributes(span, cost_attributes(call, usage_cost=self._usage_cost))
        return span


def _with_attributes(span: ReadableSpan, more: dict[str, str | float]) -> ReadableSpan:
    return ReadableSpan(
        name=span.name,
        context=span.get_span_context(),
        parent=span.parent,
        resource=span.resource,
        attributes={**(span.attributes or {}), **more},
        events=span.events,
        links=span.links,
        kind=span.kind,
        status=span.status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )
