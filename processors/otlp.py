"""OTLP trace messages → `Span`. No I/O: bytes in, spans out.

Everything here is hostile input: ids of any length, attributes of any depth, values of any kind, text in no encoding.
"""

import base64
import binascii
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_llmcost.dialects.fields import KEYS_OF
from otel_llmcost.dialects.kinds import GENAI_KEYS
from otel_llmcost.errors import InputError
from otel_llmcost.kinship import Seen
from otel_llmcost.lineage import who_of
from otel_llmcost.processors.otlp_schema import AnyValue, ArrayValue, KeyValue, KeyValueList, Request, Shallow
from otel_llmcost.processors.tree import TREE_KEYS, serves_inference
from otel_llmcost.semconv import is_believed
from otel_llmcost.span import MAX_DEPTH, AttributeValue, Span, problem_of

SERVER: Final = 2
"""SPAN_KIND_SERVER."""
STATUS_ERROR: Final = 2
_ID_FIELDS: Final = frozenset({"traceId", "spanId", "parentSpanId", "trace_id", "span_id", "parent_span_id"})

OtlpRequest = Any
"""`otlp_schema.Request`."""
OtlpSpan = Any
"""`Span` of `otlp_schema`."""
Pair = tuple[str, AttributeValue]


def decode_protobuf(body: bytes) -> OtlpRequest:
    """
    Raises:
        InputError: the body is no such message.
    """
    try:
        return Request.FromString(body)
    except DecodeError:
        raise InputError("the body is no protobuf ExportTraceServiceRequest") from None


def decode_json(body: bytes) -> OtlpRequest:
    """
    Raises:
        InputError: the body is no such message.
    """
    return decode_protobuf(protobuf_of_json(body, ExportTraceServiceRequest()))


def protobuf_of_json(body: bytes, request: Any) -> bytes:
    """OTLP's JSON as protobuf: protobuf's JSON with hexadecimal ids and unknown fields ignored.

    `request` is an empty message of the signal.

    Raises:
        InputError: the body is no such message.
    """
    try:
        document = json.loads(body.decode("utf-8"), object_hook=_ids_to_base64)
        if not isinstance(document, dict):  # ParseDict would take an empty list for an empty message
            raise TypeError
        ParseDict(document, request, ignore_unknown_fields=True)
    except (ParseError, ValueError, TypeError, AttributeError, RecursionError):
        raise InputError(f"the body is no JSON {request.DESCRIPTOR.name}") from None
    return bytes(request.SerializeToString())


def count_spans(body: bytes) -> int:
    """How many spans a message has; 0 where it is none."""
    try:
        request = Shallow.FromString(body)
    except DecodeError:
        return 0
    return sum([len(scope.spans) for resource in request.resource_spans for scope in resource.scope_spans])


def _skip(_span: OtlpSpan) -> None:
    """Nobody wants to see the other spans."""


def genai_spans(
    request: OtlpRequest, refuse: Callable[[str], None], other: Callable[[OtlpSpan], None] = _skip
) -> Iterator[Span]:
    """The spans that may stand for a GenAI call; `other` gets every other span, unread.

    `refuse` is called with the reason for each GenAI span that can never become a line.
    """
    for _, span in genai_messages(request, refuse, other):
        yield span


def genai_messages(
    request: OtlpRequest,
    refuse: Callable[[str], None],
    other: Callable[[OtlpSpan], None] = _skip,
    *,
    trusted: bool = False,
) -> Iterator[tuple[OtlpSpan, Span]]:
    """As `genai_spans`, each with its message. Of a `trusted` sender `llmcost.*` is believed."""
    for resource_spans in request.resource_spans:
        resource: dict[str, AttributeValue] | None = None
        for scope_spans in resource_spans.scope_spans:
            scope: str | None = None
            for span in scope_spans.spans:
                if not is_genai_message(span):
                    other(span)
                    continue
                try:
                    if resource is None:  # read once, and only where a GenAI span needs it
                        resource = attributes_of(resource_spans.resource.attributes, trusted=trusted)
                    if scope is None:
                        scope = _text(scope_spans.scope.name)
                    if problem := problem_of(span):
                        refuse(problem)
                        continue
                    found = _span_of(span, resource, scope, trusted=trusted)
                except DecodeError:
                    refuse("an attribute is no protobuf")
                    continue
                yield span, found


def seen_plain(span: OtlpSpan) -> Seen:
    """A span that is none of GenAI: what lies between and around those that are."""
    told: dict[str, AttributeValue] = {}
    for data in span.attributes:
        if key_of(data) in _TREE:
            try:
                key, told_value = pair_of(data)
            except DecodeError:
                continue
            told[key] = told_value
    return Seen(
        key=span.trace_id + span.span_id,
        parent=span.trace_id + span.parent_span_id if len(span.parent_span_id) == 8 else b"",
        who=who_of(told),
        serves=span.kind == SERVER and serves_inference(told),
    )


def key_of(data: bytes) -> bytes:
    """The key of an encoded attribute; empty where it is no protobuf."""
    try:
        key: bytes = KeyValue.FromString(data).key
    except DecodeError:
        return b""
    return key


def is_genai_message(span: OtlpSpan) -> bool:
    """Whether a span may stand for a GenAI call, or for something around one."""
    for data in span.attributes:
        found = _PAIRS.get(data)
        if (found[0] in GENAI_KEYS) if found is not None else (key_of(data) in _GENAI):
            return True
    return False


_GENAI: Final = frozenset(key.encode() for key in GENAI_KEYS)
_TREE: Final = frozenset(key.encode() for key in TREE_KEYS)


def attributes_of(encoded: Iterable[bytes], *, trusted: bool = False) -> dict[str, AttributeValue]:
    """Attributes as a mapping, without what only a trusted host may say.

    `llmcost.*` from outside is not believed: it would let a sender set prices and payers. The exception is
    `llmcost.usage.*`, with which our own wire instrumentation says what was used.

    Raises:
        DecodeError: an attribute is no protobuf.
    """
    found = dict([_PAIRS.get(data) or pair_of(data) for data in encoded])
    if not trusted:
        for key in [key for key in found if not is_believed(key)]:
            del found[key]
    return found


_MAX_PAIRS: Final = 65_536
_MAX_PAIR_BYTES: Final = 128
_PAIRS: Final[dict[bytes, Pair]] = {}
"""Attributes that came before: of fifteen of a span, twelve are the same on the next one."""
_ONE_OFF: Final = frozenset(KEYS_OF["response_id"])


def pair_of(data: bytes) -> Pair:
    """Key and value of an encoded attribute.

    Raises:
        DecodeError: it is no protobuf.
    """
    pair = KeyValue.FromString(data)
    key = _text(pair.key)
    found = (key, value_of(pair.value))
    if len(data) <= _MAX_PAIR_BYTES and key not in _ONE_OFF:
        if len(_PAIRS) >= _MAX_PAIRS:
            _PAIRS.clear()
        _PAIRS[data] = found
    return found


def value_of(data: bytes, depth: int = MAX_DEPTH) -> AttributeValue:
    """The plain value of any kind; None where it is unset or lies deeper than `depth`.

    Raises:
        DecodeError: it is no protobuf.
    """
    value = AnyValue.FromString(data)
    kind = value.WhichOneof("value")
    if kind == "string_value":
        return _text(value.string_value)
    if kind is None or (depth <= 0 and kind in ("array_value", "kvlist_value")):
        return None
    if kind == "array_value":
        return tuple(value_of(item, depth - 1) for item in ArrayValue.FromString(value.array_value).values)
    if kind == "kvlist_value":
        pairs = map(KeyValue.FromString, KeyValueList.FromString(value.kvlist_value).values)
        return {_text(pair.key): value_of(pair.value, depth - 1) for pair in pairs}
    plain: AttributeValue = getattr(value, kind)
    return plain


def _text(data: bytes) -> str:
    return str(data, "utf-8", "replace")


def _span_of(span: OtlpSpan, resource: dict[str, AttributeValue], scope: str, *, trusted: bool) -> Span:
    return Span(
        name=_text(span.name),
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_span_id=span.parent_span_id,
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        attributes=attributes_of(span.attributes, trusted=trusted),
        resource=resource,
        scope=scope,
        failed=span.status.code == STATUS_ERROR,
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
