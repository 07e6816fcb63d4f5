"""OTLP trace messages → `Span`. No I/O: bytes in, spans out.

Everything here is hostile input: ids of any length, attributes of any depth, values of any kind.
"""

import base64
import binascii
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from otel_llmcost.dialects import is_genai
from otel_llmcost.errors import InputError
from otel_llmcost.kinship import Seen
from otel_llmcost.lineage import who_of
from otel_llmcost.processors.tree import TREE_KEYS, serves_inference
from otel_llmcost.semconv import is_believed
from otel_llmcost.span import MAX_DEPTH, AttributeValue, Span, problem_of

_ID_FIELDS: Final = frozenset({"traceId", "spanId", "parentSpanId", "trace_id", "span_id", "parent_span_id"})


def decode_protobuf(body: bytes) -> ExportTraceServiceRequest:
    """
    Raises:
        InputError: the body is no such message.
    """
    try:
        request: ExportTraceServiceRequest = ExportTraceServiceRequest.FromString(body)
    except DecodeError:
        raise InputError("the body is no protobuf ExportTraceServiceRequest") from None
    return request


def decode_json(body: bytes) -> ExportTraceServiceRequest:
    """Read OTLP's JSON, which is protobuf's JSON with hexadecimal ids and unknown fields ignored.

    Raises:
        InputError: the body is no such message.
    """
    request = ExportTraceServiceRequest()
    try:
        document = json.loads(body, object_hook=_ids_to_base64)
        if not isinstance(document, dict):  # ParseDict would take an empty list for an empty message
            raise TypeError
        ParseDict(document, request, ignore_unknown_fields=True)
    except (ParseError, ValueError, TypeError, AttributeError, RecursionError):
        raise InputError("the body is no JSON ExportTraceServiceRequest") from None
    return request


def _skip(_span: OtlpSpan) -> None:
    """Nobody wants to see the other spans."""


def genai_spans(
    request: ExportTraceServiceRequest, refuse: Callable[[str], None], other: Callable[[OtlpSpan], None] = _skip
) -> Iterator[Span]:
    """The spans that may stand for a GenAI call; `other` gets every other span, unread.

    `refuse` is called with the reason for each GenAI span that can never become a line.
    """
    for resource_spans in request.resource_spans:
        resource: dict[str, AttributeValue] | None = None
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                if not is_genai([pair.key for pair in span.attributes]):
                    other(span)
                    continue
                if resource is None:  # read once, and only where a GenAI span needs it
                    resource = attributes_of(resource_spans.resource.attributes)
                if problem := problem_of(span):
                    refuse(problem)
                else:
                    yield _span_of(span, resource, scope_spans.scope.name)


def seen_plain(span: OtlpSpan) -> Seen:
    """A span that is none of GenAI: what lies between and around those that are."""
    told = attributes_of([pair for pair in span.attributes if pair.key in TREE_KEYS])
    return Seen(
        key=span.trace_id + span.span_id,
        parent=span.trace_id + span.parent_span_id if len(span.parent_span_id) == 8 else b"",
        who=who_of(told),
        serves=span.kind == OtlpSpan.SPAN_KIND_SERVER and serves_inference(told),
    )


def attributes_of(pairs: Iterable[KeyValue]) -> dict[str, AttributeValue]:
    """Attributes as a mapping, without what only a trusted host may say.

    `llmcost.*` from outside is not believed: it would let a sender set prices and payers. The exception is
    `llmcost.usage.*`, with which our own wire instrumentation says what was used.
    """
    return {pair.key: value_of(pair.value) for pair in pairs if is_believed(pair.key)}


def value_of(value: AnyValue, depth: int = MAX_DEPTH) -> AttributeValue:
    """The plain value of any kind; None where it is unset or lies deeper than `depth`."""
    kind = value.WhichOneof("value")
    if kind is None or (depth <= 0 and kind in ("array_value", "kvlist_value")):
        return None
    if kind == "array_value":
        return tuple(value_of(item, depth - 1) for item in value.array_value.values)
    if kind == "kvlist_value":
        return {pair.key: value_of(pair.value, depth - 1) for pair in value.kvlist_value.values}
    plain: AttributeValue = getattr(value, kind)
    return plain


def _span_of(span: OtlpSpan, resource: dict[str, AttributeValue], scope: str) -> Span:
    return Span(
        name=span.name,
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_span_id=span.parent_span_id,
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        attributes=attributes_of(span.attributes),
        resource=resource,
        scope=scope,
        failed=span.status.code == Status.STATUS_CODE_ERROR,
    )


def _ids_to_base64(fields: dict[str, Any]) -> dict[str, Any]:
    for name in _ID_FIELDS & fields.keys():
        if isinstance(fields[name], str):
            fields[name] = _hex_to_base64(fields[name])
    return fields


def _hex_to_base64(text: str) -> str:
    try:
        return base64.b64encode(binascii.unhexlify(text)).decode("ascii")
    except (binascii.Error, ValueError):
        raise InputError("the body has an id that is not hexadecimal") from None
