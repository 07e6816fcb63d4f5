"""The golden spans as they travel, and what the SDK host makes of them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from otel_llmcost.pipeline import Pipeline
from otel_llmcost.processors.lineage import LineageSpanProcessor
from otel_llmcost.processors.sdk import EnrichingExporter
from otel_llmcost.settings import Settings

GOLDEN = sorted((Path(__file__).parents[1] / "dialects" / "golden").glob("*.json"))

ENDS_LATER = "vercel-ai-7-embeddings"
"""Recording whose inner span ends after the outer one, which has no numbers of its own.

A Collector sees both and knows them for one call; the SDK host has exported the outer one by then as a call without
usage. In the ledger they are one line in any case.
"""

Costs = dict[str, str | float]


def documents() -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in GOLDEN]


def expected_costs() -> dict[bytes, Costs]:
    """What a Collector has to write, by span id: what the SDK host writes."""
    found: dict[bytes, Costs] = {}
    for path, document in zip(GOLDEN, documents(), strict=True):
        told = in_sdk_host(document)
        if path.stem == ENDS_LATER:
            outer, inner = (bytes.fromhex(raw["span_id"]) for raw in document["spans"])
            told[outer] = {"llmcost.call.id": told[inner]["llmcost.call.id"]}
        found |= told
    return found


def message_of(document: Mapping[str, Any]) -> list[ResourceSpans]:
    """The spans of a recording as OpenTelemetry's exporter encodes them."""
    return list(encode_spans([_readable(document, raw) for raw in document["spans"]]).resource_spans)


def in_sdk_host(document: Mapping[str, Any]) -> dict[bytes, Costs]:
    """What the application's own exporter sends of these spans when the SDK host runs in it, by span id."""
    pipeline = Pipeline.from_settings(Settings())
    ids = _Replayed()
    exported = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource(document["resource"]), id_generator=ids, shutdown_on_exit=False)
    provider.add_span_processor(LineageSpanProcessor(pipeline))
    provider.add_span_processor(SimpleSpanProcessor(EnrichingExporter(exported, pipeline, usage_cost=True)))
    opened: dict[str, Span] = {}
    spans = document["spans"]
    for raw in sorted(spans, key=lambda raw: (raw["start_ns"], -raw["end_ns"])):
        ids.next = raw
        parent = opened.get(raw["parent_id"]) or NonRecordingSpan(_context(raw, raw["parent_id"] or "0"))
        opened[raw["span_id"]] = provider.get_tracer(raw["scope"]).start_span(
            raw["name"],
            set_span_in_context(parent),
            SpanKind[raw["kind"]],
            raw["attributes"],
            start_time=raw["start_ns"],
        )
    numbered = list(enumerate(spans))  # of two that end at once, the inner one ends first
    for _, raw in sorted(numbered, key=lambda each: (each[1]["end_ns"], -each[1]["start_ns"], -each[0])):
        span = opened[raw["span_id"]]
        span.set_status(StatusCode.ERROR if raw["failed"] else StatusCode.UNSET)
        span.end(raw["end_ns"])
    return {
        span.context.span_id.to_bytes(8, "big"): costs_of(span.attributes or {})
        for span in exported.get_finished_spans()
    }


def costs_of(attributes: Mapping[str, Any]) -> Costs:
    """`llmcost.*` and `gen_ai.usage.cost`, without what our own processors tell each other."""
    return {
        key: value
        for key, value in attributes.items()
        if key == "gen_ai.usage.cost" or (key.startswith("llmcost.") and not key.startswith("llmcost.usage."))
    }


class _Replayed(IdGenerator):
    next: Mapping[str, Any]

    def generate_span_id(self) -> int:
        return int(self.next["span_id"], 16)

    def generate_trace_id(self) -> int:
        return int(self.next["trace_id"], 16)


def _readable(document: Mapping[str, Any], raw: Mapping[str, Any]) -> ReadableSpan:
    return ReadableSpan(
        name=raw["name"],
        context=_context(raw, raw["span_id"]),
        parent=_context(raw, raw["parent_id"]) if raw["parent_id"] else None,
        resource=Resource(document["resource"]),
        attributes=raw["attributes"],
        kind=SpanKind[raw["kind"]],
        status=Status(StatusCode.ERROR if raw["failed"] else StatusCode.UNSET),
        start_time=raw["start_ns"],
        end_time=raw["end_ns"],
        instrumentation_scope=InstrumentationScope(raw["scope"]),
    )


def _context(raw: Mapping[str, Any], span_id: str) -> SpanContext:
    return SpanContext(int(raw["trace_id"], 16), int(span_id, 16), is_remote=False, trace_flags=TraceFlags(1))
