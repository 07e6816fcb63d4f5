"""A processor file for rotel, a Collector in Rust that runs Python: prices the spans that pass through it.

    rotel-agent start --otlp-with-trace-processor "$(python -m otel_llmcost.processors.rotel)" …

rotel runs this file once, as a module of its own, and then calls `process_spans` with one `ResourceSpans` after the
other. The settings come from `OTEL_LLMCOST_CONFIG` and the environment, as everywhere; a wrong one stops rotel as it
starts. Needs the base install only, in the environment whose `python3` is first on the PATH.

What it cannot do, since rotel acknowledges what it has queued in memory: write lines to the ledger, or tell a sender
to come again. Lines come of the spans it forwards, from `otel-llmcost up`, the stage or ClickHouse behind it.

Two things about rotel that this file is built around (0.0.1-alpha10 to 0.2.1): it ends when a processor raises or
keeps a reference to what it was given, and reading an attribute without a value panics and leaves a lock behind that
ends it later, unless the attribute is gone by then.
"""

import logging
import os
from collections.abc import Callable, Iterator, Mapping, MutableSequence, Sequence
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
from otel_llmcost.processors.tree import TREE_KEYS, seen_genai, serves_inference
from otel_llmcost.settings import Settings, load_settings
from otel_llmcost.span import MAX_DEPTH, AttributeValue, OtlpFields, Span, problem_of

_SERVER: Final = 2
_ERROR: Final = 2

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

    `key_values` makes rotel's attributes; None is rotel's own class.
    """

    def __init__(self, pipeline: Pipeline, *, usage_cost: bool, key_values: Any = None) -> None:
        identity = pipeline.identity
        self._pipeline = pipeline
        self._kinship = Kinship(
            identity.remembered_spans, names_unseen=True, counts_agents=bool(identity.closed_frameworks)
        )
        self._usage_cost = usage_cost
        self._key_values = key_values or import_module("rotel_sdk.open_telemetry.common.v1").KeyValue

    def process(self, resource_spans: Any) -> None:
        """Price one `ResourceSpans`. A span that cannot be read passes as it came, without foreign `llmcost.*`."""
        found: list[tuple[RotelSpan, Seen]] = []
        resource: dict[str, AttributeValue] | None = None
        for scope, span in _spans_of(resource_spans):
            keys = _without_foreign(span.attributes)
            if not is_genai(keys):
                found.append((span, _seen_plain(span)))
                continue
            if resource is None:  # read once, and only where a GenAI span needs it
                resource = _resource_of(resource_spans)
            with host_unharmed("rotel"):
                seen = self._seen(span, resource, scope)
                if seen is not None:
                    found.append((span, seen))
        self._kinship.meet([seen for _, seen in found])  # completes the records in place
        for span, seen in found:
            if seen.call is not None:
                self._annotate(span.attributes, seen.call)

    def _seen(self, rotel_span: RotelSpan, resource: Mapping[str, AttributeValue], scope: str) -> Seen | None:
        if problem_of(rotel_span):
            return None
        span = Span(
            name=rotel_span.name,
            trace_id=rotel_span.trace_id,
            span_id=rotel_span.span_id,
            parent_span_id=rotel_span.parent_span_id,
            start_ns=rotel_span.start_time_unix_nano,
            end_ns=rotel_span.end_time_unix_nano,
            attributes=_read(rotel_span.attributes),
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


def _spans_of(resource_spans: Any) -> Iterator[tuple[str, RotelSpan]]:
    for scope_spans in resource_spans.scope_spans:
        scope = scope_spans.scope
        name = scope.name if scope is not None else ""
        for span in scope_spans.spans:
            yield name, span


def _without_foreign(attributes: MutableSequence[KeyValue]) -> list[str]:
    """Take away what only a trusted host may say; the keys that are left."""
    keys = [pair.key for pair in attributes]
    foreign = [index for index, key in enumerate(keys) if not sc.is_believed(key)]
    for index in reversed(foreign):
        del attributes[index], keys[index]
    return keys


def _resource_of(resource_spans: Any) -> dict[str, AttributeValue]:
    resource = resource_spans.resource
    if resource is None:
        return {}
    return {key: value for key, value in _read(resource.attributes).items() if sc.is_believed(key)}


def _read(
    attributes: MutableSequence[KeyValue], wanted: Callable[[str], bool] = lambda _key: True
) -> dict[str, AttributeValue]:
    """Attributes as a mapping. One without a value is taken away: once read, it would end rotel."""
    found: dict[str, AttributeValue] = {}
    broken: list[int] = []
    for index, pair in enumerate(attributes):
        key = pair.key
        if not wanted(key):
            continue
        try:
            found[key] = _plain(pair.value.value)
        except BaseException as error:
            if type(error).__name__ != "PanicException":  # of pyo3, which cannot be imported; it is no Exception
                raise
            broken.append(index)
    for index in reversed(broken):
        del attributes[index]
    return found


def _plain(value: Any, depth: int = MAX_DEPTH) -> AttributeValue:
    """The plain value of any kind; None where it is unset or lies deeper than `depth`."""
    if value is None or isinstance(value, str | bool | int | float | bytes):
        return value
    if isinstance(value, list):  # older releases give bytes as numbers
        return bytes(value)
    if depth <= 0:
        return None
    items: Sequence[Any] = [value[index] for index in range(len(value))]
    if type(value).__name__ == "KeyValueList":
        return {pair.key: _plain(pair.value.value, depth - 1) for pair in items}
    return tuple(_plain(item.value, depth - 1) for item in items)


def _seen_plain(span: RotelSpan) -> Seen:
    """A span that is none of GenAI: what lies between and around those that are."""
    told = _read(span.attributes, TREE_KEYS.__contains__)
    return Seen(
        key=span.trace_id + span.span_id,
        parent=span.trace_id + span.parent_span_id if len(span.parent_span_id) == 8 else b"",
        who=who_of(told),
        serves=span.kind == _SERVER and serves_inference(told),
    )


@cache
def _processor() -> RotelProcessor:
    """
    Raises:
        ConfigError: the configuration is wrong.
    """
    settings: Settings = load_settings(os.environ)
    pipeline = Pipeline.from_settings(settings)
    refresher = refreshing(pipeline, settings)
    if refresher is not None:
        refresher.start()
    return RotelProcessor(pipeline, usage_cost=settings.usage_cost_attribute)


def process_spans(resource_spans: Any) -> None:
    """Price the spans of one `ResourceSpans` in place. What rotel calls; raises nothing."""
    with host_unharmed("rotel"):
        _processor().process(resource_spans)


if __name__ == "__main__":
    print(__file__)
elif __name__.startswith("rotel_processor"):
    _processor()  # as rotel starts, so that a wrong configuration is told then and not by the first span
