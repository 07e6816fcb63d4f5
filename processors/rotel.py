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

import gc
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
_PLAIN: Final = frozenset({str, bool, int, float, bytes, type(None)})

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
        self._told_unpriced = False
        self._read = AttributeReader(turns_lists=turns_lists)
        self._key_values = import_module("rotel_sdk.open_telemetry.common.v1").KeyValue

    def process(self, resource_spans: Any) -> None:
        """Price one `ResourceSpans`. A span that cannot be read passes as it came, without foreign `llmcost.*`."""
        told: list[Seen] = []
        priced: list[tuple[Any, Attributes, LLMCall]] = []
        resource = self._resource_of(resource_spans)
        for scope, span in self._spans_of(resource_spans):
            pairs = span.attributes
            attributes = self._read(pairs)
            with host_unharmed("rotel"):
                seen = self._seen(span, attributes, resource, scope)
                if seen is not None:
                    told.append(seen)
                    if seen.call is not None:
                        priced.append((pairs, attributes, seen.call))
        self._kinship.meet(told)  # completes the records in place
        mark_repeats(told)
        for each in priced:
            self._annotate(*each)

    def _resource_of(self, resource_spans: Any) -> Attributes:
        resource = resource_spans.resource
        if resource is None:
            return {}
        return self._read(resource.attributes)

    def _spans_of(self, resource_spans: Any) -> Iterator[tuple[str, RotelSpan]]:
        for scope_spans in resource_spans.scope_spans:
            scope = scope_spans.scope
            if scope is not None and len(scope.attributes):
                self._read(scope.attributes)
            name = scope.name if scope is not None else ""
            for span in scope_spans.spans:
                yield name, span

    def _seen(self, rotel_span: RotelSpan, attributes: Attributes, resource: Attributes, scope: str) -> Seen | None:
        if not is_genai(attributes):
            return _seen_plain(rotel_span, attributes)
        if problem := problem_of(rotel_span):
            self._tell_unpriced(problem)
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
            self._tell_unpriced(str(error))
            return None

    def _tell_unpriced(self, reason: str) -> None:
        """Such spans come from broken or hostile senders, in any number: the first one is told."""
        if not self._told_unpriced:
            self._told_unpriced = True
            logger.warning("otel-llmcost: a span passes without a price: %s. Further ones are not told.", reason)

    def _annotate(self, pairs: Any, attributes: Attributes, call: LLMCall) -> None:
        """Write the cost; what the span says of a cost under a name of others is overwritten."""
        key_values = self._key_values
        added = cost_attributes(call, usage_cost=self._usage_cost)
        if sc.USAGE_COST in attributes and sc.USAGE_COST in added:
            for index in reversed([index for index, pair in enumerate(pairs) if pair.key == sc.USAGE_COST]):
                del pairs[index]
        pairs.append_attributes(
            [
                key_values.new_string_value(key, value)
                if isinstance(value, str)
                else key_values.new_double_value(key, value)
                for key, value in added.items()
            ]
        )


class AttributeReader:
    """rotel's attributes → a mapping of plain values.

    What only a trusted host may say is taken away, and so is an attribute without a value: once read, it would end
    rotel. With `turns_lists`, lists are turned round, so that they come out as they came in.
    """

    def __init__(self, *, turns_lists: bool) -> None:
        self._turns_lists = turns_lists

    def __call__(self, attributes: MutableSequence[KeyValue]) -> dict[str, AttributeValue]:
        found: dict[str, AttributeValue] = {}
        unwanted: list[int] = []
        for index, pair in enumerate(attributes):
            key = pair.key
            if not sc.is_believed(key):
                unwanted.append(index)
                continue
            try:
                value = pair.value.value
                found[key] = value if type(value) in _PLAIN else self._plain(value, MAX_DEPTH)
            except BaseException as error:
                if type(error).__name__ != "PanicException":  # of pyo3, which cannot be imported; it is no Exception
                    raise
                unwanted.append(index)
        for index in reversed(unwanted):
            del attributes[index]
        return found

    def _plain(self, value: Any, depth: int) -> AttributeValue:
        """The plain value of any kind; None where it is unset or lies deeper than `depth`."""
        if type(value) in _PLAIN:
            plain: AttributeValue = value
            return plain
        if isinstance(value, list):  # older releases give bytes as numbers
            return bytes(value)
        if depth <= 0:
            return None
        items = [value[index] for index in range(len(value))]
        if type(value).__name__ == "KeyValueList":
            return {pair.key: self._plain(pair.value.value, depth - 1) for pair in items}
        values = tuple(self._plain(item.value, depth - 1) for item in items)
        if self._turns_lists:
            for index, item in enumerate(reversed(items)):
                value[index] = item
        return values


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


def _prepare() -> None:
    """Load all there is to load, and have the garbage collector leave it alone: a fifth of all CPU went into looking
    through the price book again and again."""
    _processor()
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def process_spans(resource_spans: Any) -> None:
    """Price the spans of one `ResourceSpans` in place. What rotel calls; raises nothing."""
    with host_unharmed("rotel"):
        _processor().process(resource_spans)


if __name__ == "__main__":
    print(__file__)
elif __name__.startswith("rotel_processor"):
    _prepare()  # as rotel starts, so that a wrong configuration is told then and not by the first span
