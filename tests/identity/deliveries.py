"""Spans as they arrive over OTLP, processes that receive them, and the one ledger they write to."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Status
from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan

from factories import SECOND_NS, START_NS
from otel_llmcost.call import LLMCall
from otel_llmcost.identity import version
from otel_llmcost.pipeline import Pipeline
from otel_llmcost.processors.intake import kinship_of, read_request
from otel_llmcost.processors.otlp import decode_protobuf
from otel_llmcost.settings import Settings

TRACE = 7
INTERNAL, SERVER, CLIENT = OtlpSpan.SPAN_KIND_INTERNAL, OtlpSpan.SPAN_KIND_SERVER, OtlpSpan.SPAN_KIND_CLIENT


@dataclass(frozen=True)
class Told:
    """A span that somebody exports. Ids are small numbers, 0 is none; times are seconds after START_NS."""

    span: int
    attributes: Mapping[str, Any] = field(default_factory=dict)
    parent: int = 0
    trace: int = TRACE
    scope: str = "some.instrumentation"
    service: str = "app"
    start_s: float = 0.0
    end_s: float = 1.0
    kind: int = CLIENT
    failed: bool = False

    def message(self) -> ResourceSpans:
        """The span alone, in a message of its own."""
        code = Status.STATUS_CODE_ERROR if self.failed else Status.STATUS_CODE_UNSET
        span = OtlpSpan(
            name="span",
            trace_id=self.trace.to_bytes(16, "big"),
            span_id=self.span.to_bytes(8, "big"),
            parent_span_id=self.parent.to_bytes(8, "big") if self.parent else b"",
            start_time_unix_nano=START_NS + int(self.start_s * SECOND_NS),
            end_time_unix_nano=START_NS + int(self.end_s * SECOND_NS),
            attributes=_pairs(self.attributes),
            kind=self.kind,
            status=Status(code=code),
        )
        return ResourceSpans(
            resource=Resource(attributes=_pairs({"service.name": self.service})),
            scope_spans=[ScopeSpans(scope=InstrumentationScope(name=self.scope), spans=[span])],
        )


def _pairs(attributes: Mapping[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=key, value=_value(value)) for key, value in attributes.items()]


def _value(value: Any) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, tuple | list):
        return AnyValue(array_value=ArrayValue(values=[_value(item) for item in value]))
    return AnyValue(string_value=str(value))


class Ledger:
    """What ReplacingMergeTree(version) ORDER BY call_id and the view `calls` make of the rows."""

    def __init__(self) -> None:
        self.rows: dict[bytes, LLMCall] = {}
        self.written: list[LLMCall] = []

    def write(self, calls: Iterable[LLMCall]) -> None:
        for call in calls:
            self.written.append(call)
            kept = self.rows.get(call.call_id)
            if kept is None or version(kept) < version(call):
                self.rows[call.call_id] = call

    @property
    def lines(self) -> list[LLMCall]:
        """The bill, in the order of its ids."""
        return [self.rows[key] for key in sorted(self.rows) if not self.rows[key].duplicate_of]

    @property
    def duplicates(self) -> list[LLMCall]:
        return [self.rows[key] for key in sorted(self.rows) if self.rows[key].duplicate_of]


class Process:
    """One receiver: everything between the decoded message and the ledger, as `otel-llmcost up` has it."""

    def __init__(self, ledger: Any, pipeline: Pipeline | None = None) -> None:
        self.pipeline = pipeline or PIPELINE
        self.kinship = kinship_of(self.pipeline.identity)
        self._ledger = ledger

    def take(self, *spans: Told) -> None:
        """One message."""
        request = ExportTraceServiceRequest(resource_spans=[span.message() for span in spans])
        seen, refused = read_request(decode_protobuf(request.SerializeToString()), self.pipeline)
        assert [] == refused
        rows = self.kinship.meet(seen)
        if rows:
            self._ledger.write(rows)


PIPELINE = Pipeline.from_settings(Settings())


def pipeline_with(**identity: Any) -> Pipeline:
    """A pipeline of a configuration with this section `identity`."""
    return Pipeline.from_settings(Settings.model_validate({"identity": identity}))


def billed(batches: Sequence[Sequence[Told]], *, processes: int = 1, pipeline: Pipeline | None = None) -> Ledger:
    """The ledger after these messages, which go to the processes in turn."""
    ledger = Ledger()
    receivers = [Process(ledger, pipeline) for _ in range(processes)]
    for number, batch in enumerate(batches):
        receivers[number % processes].take(*batch)
    return ledger


def numbers(line: LLMCall) -> tuple[int, int]:
    """What the provider counted."""
    return line.usage.input_tokens, line.usage.output_tokens


__all__ = ["Ledger", "Process", "Told", "billed", "numbers", "pipeline_with", "replace"]
