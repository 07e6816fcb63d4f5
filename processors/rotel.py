"""A processor file for rotel, a Collector in Rust that runs Python: prices the spans that pass through it.

    rotel-agent start --otlp-with-trace-processor "$(python -m otel_llmcost.processors.rotel)" …

rotel runs this file once, as a module of its own, and then calls `process_spans` with one `ResourceSpans` after the
other. The settings come from `OTEL_LLMCOST_CONFIG` and the environment, as everywhere; a wrong one stops rotel as it
starts. Needs the base install only, in the environment whose `python3` is first on the PATH.

What it cannot do, since rotel acknowledges what it has queued in memory: write lines to the ledger, or tell a sender
to come again. Lines come of the spans it forwards, from `otel-llmcost up`, the stage or ClickHouse behind it.

What this file knows about rotel, up to 0.2.1: it ends when a processor raises or keeps a reference to what it was
given; reading an attribute without a value panics and leaves a lock behind that ends it later, unless the attribute is
gone by then; and it turns the lists of every attribute round that a processor has looked at, so they are turned back.
"""

import logging
import os
import re
import subprocess
from collections.abc import Iterator, MutableSequence
from functools import cache
from importlib import import_module
from typing import Any, Final, Protocol

from otel_llmcost import semconv as sc
from otel_llmcost.annotate import cost_attributes
from otel_llmcost.call import LLMCall, Source
from otel_llmcost.dialects import is_genai
from otel_llmcost.errors import InputError
from otel_llmcost.guard import host_unharmed
from otel_llmcost.kinship import Kinship, Seen
from otel_llmcost.lineage import who_of
from otel_llmcost.pipeline import Pipeline
from otel_llmcost.pricing.configured import refreshing
from otel_llmcost.processors.tree import mark_repeats, seen_genai, serves_inference
from otel_llmcost.settings import load_settings
from otel_llmcost.span import MAX_DEPTH, Attributes, AttributeValue, OtlpFields, Span, problem_of

_SERVER: Final = 2
_ERROR: Final = 2
_LAST_THAT_TURNS_LISTS: Final = (0, 2, 1)

logger = logging.getLogger(__name__)


class KeyValue(Protocol):
    """rotel's attribute. `value` is an object whose own `value` is the plain one; without one, reading it panics."""

    key: str
    value: Any


class RotelSpan(OtlpFields, Protocol):
    """rotel's span, as far as it is read here."""

    name: str
    kind: int
    status: Any
    attributes: MutableSequence[KeyValue]


class RotelProcessor:
    """Prices the spans of rotel's messages in place: adds `llmcost.*`, and takes away what came in under that name.

    `turns_lists`: whether this release of rotel turns lists round.
    """

    def __init__(self, pipeline: Pipeline, *, usage_cost: bool, turns_lists: bool) -> None:
        identity = pipeline.identity
        self._pipeline = pipeline
        self._kinship = Kinship(
            identity.remembered_spans, names_unseen=True, counts_agents=bool(identity.closed_frameworks)
        )
        self._usage_cost = usage_cost
        self._read = AttributeReader(turns_lists=turns_lists)
        self._key_values = import_module("rotel_sdk.open_telemetry.common.v1").KeyValue

    def process(self, resource_spans: Any) -> None:
        """Price one `ResourceSpans`. A span that cannot be read passes as it came, without foreign `llmcost.*`."""
        found: list[tuple[RotelSpan, Seen]] = []
        resource = self._resource_of(resource_spans)
        for scope, span in self._spans_of(resource_spans):
            _strip_foreign(span.attributes)
            attributes = self._read(span.attributes)
            with host_unharmed("rotel"):
                seen = self._seen(span, attributes, resource, scope)
                if seen is not None:
                    found.append((span, seen))
        told = [seen for _, seen in found]
        self._kinship.meet(told)  # completes the records in place
        mark_repeats(told)
        for span, seen in found:
            if seen.call is not None:
                self._annotate(span.attributes, seen.call)

    def _resource_of(self, resource_spans: Any) -> Attributes:
        resource = resource_spans.resource
        if resource is None:
            return {}
        _strip_foreign(resource.attributes)
        return self._read(resource.attributes)

    def _spans_of(self, resource_spans: Any) -> Iterator[tuple[str, RotelSpan]]:
        for scope_spans in resource_spans.scope_spans:
            scope = scope_spans.scope
            if scope is not None and len(scope.attributes):
                _strip_foreign(scope.attributes)
                self._read(scope.attributes)  # turns its lists back
            name = scope.name if scope is not None else ""
            for span in scope_spans.spans:
                yield name, span

    def _seen(self, rotel_span: RotelSpan, attributes: Attributes, resource: Attributes, scope: str) -> Seen | None:
        if not is_genai(attributes):
            return _seen_plain(rotel_span, attributes)
        if problem_of(rotel_span):
            return None
        span = Span(
            name=rotel_span.name,
            trace_id=rotel_span.trace_id,
            span_id=rotel_span.span_id,
            parent_span_id=rotel_span.parent_span_id,
            start_ns=rotel_span.start_time_unix_nano,
            end_ns=rotel_span.end_time_unix_nano,
            attributes=attributes,
            resource=resource,
            scope=scope,
            failed=rotel_span.status is not None and rotel_span.status.code == _ERROR,
        )
        try:
            return seen_genai(span, self._pipeline.process_span(span, Source.OTLP))
        except InputError as error:
            logger.warning("a span passes without a price: %s", error)
            return None

    def _annotate(self, attributes: Any, call: LLMCall) -> None:
        """Write the cost; an attribute that is there already, such as `gen_ai.usage.cost`, is overwritten."""
        places = {pair.key: index for index, pair in enumerate(attributes)}
        for key, value in cost_attributes(call, usage_cost=self._usage_cost).items():
            make = self._key_values.new_string_value if isinstance(value, str) else self._key_values.new_double_value
            if key in places:
                attributes[places[key]] = make(key, value)
            else:
                attributes.append(make(key, value))


def _strip_foreign(attributes: MutableSequence[KeyValue]) -> None:
    """Take away what only a trusted host may say."""
    foreign = [index for index, pair in enumerate(attributes) if not sc.is_believed(pair.key)]
    for index in reversed(foreign):
        del attributes[index]


class AttributeReader:
    """rotel's attributes → a mapping of plain values.

    An attribute without a value is taken away: once read, it would end rotel. With `turns_lists`, lists are turned
    round, so that they come out as they came in.
    """

    def __init__(self, *, turns_lists: bool) -> None:
        self._turns_lists = turns_lists

    def __call__(self, attributes: MutableSequence[KeyValue]) -> dict[str, AttributeValue]:
        found: dict[str, AttributeValue] = {}
        broken: list[int] = []
        for index, pair in enumerate(attributes):
            try:
                found[pair.key] = self._plain(pair.value.value, MAX_DEPTH)
            except BaseException as error:
                if type(error).__name__ != "PanicException":  # of pyo3, which cannot be imported; it is no Exception
                    raise
                broken.append(index)
        for index in reversed(broken):
            del attributes[index]
        return found

    def _plain(self, value: Any, depth: int) -> AttributeValue:
        """The plain value of any kind; None where it is unset or lies deeper than `depth`."""
        if value is None or isinstance(value, str | bool | int | float | bytes):
            return value
        if isinstance(value, list):  # older releases give bytes as numbers
            return bytes(value)
        if depth <= 0:
            return None
        items = [value[index] for index in range(len(value))]
        if type(value).__name__ == "KeyValueList":
            return {pair.key: self._plain(pair.value.value, depth - 1) for pair in items}
        plain = tuple(self._plain(item.value, depth - 1) for item in items)
        if self._turns_lists:
            for index, item in enumerate(reversed(items)):
                value[index] = item
        return plain


def _seen_plain(span: RotelSpan, attributes: Attributes) -> Seen:
    """A span that is none of GenAI: what lies between and around those that are."""
    return Seen(
        key=span.trace_id + span.span_id,
        parent=span.trace_id + span.parent_span_id if len(span.parent_span_id) == 8 else b"",
        who=who_of(attributes),
        serves=span.kind == _SERVER and serves_inference(attributes),
    )


def _turns_lists() -> bool:
    """Whether the rotel that runs us is known to turn lists round; a later release is believed to be better."""
    told = subprocess.run(["/proc/self/exe", "--version"], capture_output=True, text=True, timeout=10, check=False)
    found = re.search(r"(\d+)\.(\d+)\.(\d+)", told.stdout)
    return found is not None and tuple(map(int, found.groups())) <= _LAST_THAT_TURNS_LISTS


@cache
def _processor() -> RotelProcessor:
    """
    Raises:
        ConfigError: the configuration is wrong.
    """
    settings = load_settings(os.environ)
    pipeline = Pipeline.from_settings(settings)
    refresher = refreshing(pipeline, settings)
    if refresher is not None:
        refresher.start()
    return RotelProcessor(pipeline, usage_cost=settings.usage_cost_attribute, turns_lists=_turns_lists())


def process_spans(resource_spans: Any) -> None:
    """Price the spans of one `ResourceSpans` in place. What rotel calls; raises nothing."""
    with host_unharmed("rotel"):
        _processor().process(resource_spans)


if __name__ == "__main__":
    print(__file__)
elif __name__.startswith("rotel_processor"):
    _processor()  # as rotel starts, so that a wrong configuration is told then and not by the first span
