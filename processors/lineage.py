"""The tree of open spans inside an application: what a call takes from above, and what an outer record learns of it.

    starts below a GenAI span:  ids that only the span above tells (session, agent, workflow) are written on it
    ends below another record:  what it told is written on that one, `llmcost.usage.inner`, while that is still open

So the pipeline can tell from a span alone whether it repeats a call that was told below it, in any host that the span
travels to. Spans that have no GenAI span above them cost one look-up.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.trace import SpanKind, get_current_span

from otel_llmcost import semconv as sc
from otel_llmcost.call import Source
from otel_llmcost.dialects import is_genai, is_inference
from otel_llmcost.guard import host_unharmed
from otel_llmcost.lineage import as_attributes, who_of
from otel_llmcost.pipeline import MAX_INNER, Pipeline
from otel_llmcost.processors.sdk import from_sdk, plain
from otel_llmcost.processors.tree import serves_inference
from otel_llmcost.same_call import Facts
from otel_llmcost.span import Attributes

MAX_OPEN: Final = 100_000


class _Open:
    """An open span that is a GenAI span or below one."""

    __slots__ = ("above", "inner", "span")

    def __init__(self, span: SdkSpan, above: "_Open | None") -> None:
        self.span = span
        self.above = above
        self.inner: tuple[str, ...] = ()


class LineageSpanProcessor(SpanProcessor):
    """Stands before the processors that take ended spans."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._counts_agents = bool(pipeline.identity.closed_frameworks)
        self._open: dict[int, _Open] = {}

    def on_start(self, span: SdkSpan, parent_context: Context | None = None) -> None:
        with host_unharmed("lineage"):
            attributes = plain(span.attributes)
            above = self._open.get(span.parent.span_id) if self._open and span.parent else None
            genai = is_genai(attributes)
            if above is None and not genai:
                return
            context = span.get_span_context()
            assert context is not None
            self._open[context.span_id] = here = _Open(span, above)
            if len(self._open) > MAX_OPEN:  # spans that somebody never ended
                self._open.pop(next(iter(self._open)), None)
            if genai and is_inference(attributes):
                _pass_down(here, attributes, parent_context)

    def on_end(self, span: ReadableSpan) -> None:
        if not self._open:
            return
        with host_unharmed("lineage"):
            context = span.get_span_context()
            here = self._open.pop(context.span_id, None) if context else None
            if here is None or here.above is None or not is_inference(span.attributes or {}):
                return
            around = [
                each for each in _records_around(here) if (each.span.attributes or {}).get(sc.USAGE_AT_WIRE) is not True
            ]
            if around:
                self._tell(span, around)
            if self._counts_agents:
                for agent in _agents_above(here):
                    agent.span.set_attribute(sc.USAGE_CALLS_BELOW, True)

    def _tell(self, span: ReadableSpan, around: Sequence[_Open]) -> None:
        """Write what a call told on the open spans around it."""
        call = self._pipeline.identified(from_sdk(span), Source.SDK_SPAN)
        if call is not None:
            told = Facts.of(call).encoded()
            for each in around:
                each.inner = (*each.inner, told)[-MAX_INNER:]
                each.span.set_attribute(sc.USAGE_INNER, each.inner)


def _above(here: _Open) -> Iterator[_Open]:
    above = here.above
    while above is not None:
        yield above
        above = above.above


def _records_around(here: _Open) -> Iterator[_Open]:
    """Open spans of inference around a call, up to the agent or tool that it works for."""
    for each in _above(here):
        attributes = each.span.attributes or {}
        if is_inference(attributes):
            if each.span.is_recording():
                yield each
        elif is_genai(attributes):
            return


def _agents_above(here: _Open) -> Iterator[_Open]:
    for each in _above(here):
        attributes = each.span.attributes or {}
        if is_genai(attributes) and not is_inference(attributes) and each.span.is_recording():
            yield each


def _pass_down(here: _Open, own: Attributes, parent_context: Context | None) -> None:
    """Write on a call what the spans above tell and it does not, the nearest first."""
    span = here.span
    parents = [each.span for each in _above(here)]
    if not parents:
        parent = get_current_span(parent_context)  # a span of the application may tell the session
        parents = [parent] if isinstance(parent, SdkSpan) else []
    found: dict[str, str] = {}
    for parent in parents:
        attributes = plain(parent.attributes)
        for field, value in who_of(attributes).items():
            found.setdefault(field, value)
        if parent.kind is SpanKind.SERVER and serves_inference(attributes):
            span.set_attribute(sc.USAGE_GATEWAY, True)
    if found:
        span.set_attributes(as_attributes(found, own))
