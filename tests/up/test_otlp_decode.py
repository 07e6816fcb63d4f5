"""OTLP messages → spans."""

import json

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan

from otel_llmcost.errors import InputError
from otel_llmcost.processors.otlp import decode_json, decode_protobuf, genai_spans, value_of
from otel_llmcost.span import MAX_DEPTH, Span

TRACE_ID = bytes(range(1, 17))
SPAN_ID = bytes(range(1, 9))


def text(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=value))


def message(*attributes: KeyValue, **fields: object) -> ExportTraceServiceRequest:
    """One span with a model and these attributes."""
    request = ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add()
    resource_spans.resource.attributes.append(text("service.name", "support-bot"))
    scope_spans = resource_spans.scope_spans.add()
    scope_spans.scope.name = "some.instrumentation"
    defaults = {"trace_id": TRACE_ID, "span_id": SPAN_ID, "start_time_unix_nano": 10, "end_time_unix_nano": 20}
    span = OtlpSpan(**(defaults | fields))
    span.attributes.extend([text("gen_ai.request.model", "gpt-4o"), *attributes])
    scope_spans.spans.append(span)
    return request


def read(request: ExportTraceServiceRequest) -> tuple[list[Span], list[str]]:
    refused: list[str] = []
    return list(genai_spans(decode_protobuf(request.SerializeToString()), refused.append)), refused


def test_a_span_keeps_its_ids_times_scope_and_resource() -> None:
    """Ids are raw bytes, times nanoseconds, and an error status is a failed span."""
    request = message(parent_span_id=b"\x09" * 8, name="chat gpt-4o", status={"code": 2})

    (span,), refused = read(decode_protobuf(request.SerializeToString()))

    assert [] == refused
    assert (
        Span(
            name="chat gpt-4o",
            trace_id=TRACE_ID,
            span_id=SPAN_ID,
            parent_span_id=b"\x09" * 8,
            start_ns=10,
            end_ns=20,
            attributes={"gen_ai.request.model": "gpt-4o"},
            resource={"service.name": "support-bot"},
            scope="some.instrumentation",
            failed=True,
        )
        == span
    )


def test_every_kind_of_value_is_read() -> None:
    """Strings, booleans, integers, doubles, bytes, lists, maps and nothing at all."""
    inner = AnyValue(kvlist_value=KeyValueList(values=[KeyValue(key="k", value=AnyValue(int_value=-3))]))
    values = [
        AnyValue(string_value="s"),
        AnyValue(bool_value=False),
        AnyValue(int_value=2**62),
        AnyValue(double_value=0.5),
        AnyValue(bytes_value=b"\xff"),
        AnyValue(array_value=ArrayValue(values=[inner, AnyValue(string_value="x")])),
        inner,
        AnyValue(),
    ]

    found = [value_of(value.SerializeToString()) for value in values]

    assert ["s", False, 2**62, 0.5, b"\xff", ({"k": -3}, "x"), {"k": -3}, None] == found


def test_nesting_is_read_to_a_bound_only() -> None:
    """What lies deeper than the bound becomes None, whatever its depth."""
    value = AnyValue(string_value="bottom")
    for _ in range(MAX_DEPTH + 5):
        value = AnyValue(array_value=ArrayValue(values=[value]))

    found, depth = value_of(value.SerializeToString()), 0
    while isinstance(found, tuple):
        found, depth = found[0], depth + 1

    assert (None, MAX_DEPTH) == (found, depth)


def test_foreign_llmcost_attributes_are_not_believed() -> None:
    """Money, identity and payers from outside are stripped, on the span and the resource; usage detail stays."""
    request = message(
        text("llmcost.cost.usd", "0"),
        text("llmcost.call.id", "00"),
        text("llmcost.tag.team", "somebody-else"),
        KeyValue(key="llmcost.usage.cache_write_1h", value=AnyValue(int_value=7)),
    )
    request.resource_spans[0].resource.attributes.append(text("llmcost.tag.team", "somebody-else"))

    (span,), _ = read(request)

    assert {"gen_ai.request.model": "gpt-4o", "llmcost.usage.cache_write_1h": 7} == span.attributes
    assert {"service.name": "support-bot"} == span.resource


def test_spans_without_genai_attributes_are_skipped() -> None:
    """A database span is neither converted nor refused, even with ids that no line could have."""
    request = message()
    other = request.resource_spans[0].scope_spans[0].spans.add()
    other.attributes.append(text("db.system", "postgresql"))

    found, refused = read(request)

    assert (1, []) == (len(found), refused)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"trace_id": b"\x01" * 15}, "invalid trace_id"),
        ({"trace_id": bytes(16)}, "invalid trace_id"),
        ({"span_id": b""}, "invalid span_id"),
        ({"parent_span_id": b"\x01"}, "invalid parent_span_id"),
        ({"start_time_unix_nano": 0}, "time out of range"),
        ({"end_time_unix_nano": 2**64 - 1}, "time out of range"),
    ],
)
def test_a_span_that_can_never_be_a_line_is_refused(fields: dict[str, object], problem: str) -> None:
    """The reason is told, and the other spans of the request are not touched by it."""
    assert ([], [problem]) == read(message(**fields))


def test_json_says_the_same_as_protobuf() -> None:
    """Ids are hexadecimal in OTLP's JSON, numbers may be strings, and unknown fields are ignored."""
    document = {
        "resourceSpans": [
            {
                "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "support-bot"}}]},
                "scopeSpans": [
                    {
                        "scope": {"name": "some.instrumentation"},
                        "unknownField": 1,
                        "spans": [
                            {
                                "traceId": TRACE_ID.hex().upper(),
                                "spanId": SPAN_ID.hex(),
                                "startTimeUnixNano": "10",
                                "endTimeUnixNano": 20,
                                "kind": 3,
                                "attributes": [
                                    {"key": "gen_ai.request.model", "value": {"stringValue": "gpt-4o"}},
                                    {"key": "gen_ai.usage.input_tokens", "value": {"intValue": "1000"}},
                                ],
                            }
                        ],
                    }
                ],
            }
        ]
    }
    expected = message(KeyValue(key="gen_ai.usage.input_tokens", value=AnyValue(int_value=1_000)))

    found = list(genai_spans(decode_json(json.dumps(document).encode()), pytest.fail))

    assert (found, []) == read(expected)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"resourceSpans": 1}',
        b"\xff",
        b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "no hex"}]}]}]}',
        b'{"resourceSpans":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"startTimeUnixNano": ' + b"9" * 6_000 + b"}]}]}]}",
    ],
)
def test_a_broken_json_body_is_an_input_error(body: bytes) -> None:
    """However it is broken, and without repeating any of it."""
    with pytest.raises(InputError, match="the body"):
        decode_json(body)


@pytest.mark.parametrize("body", [b"\xff\xff", b"\x0a\x05abc", b"\x0a" * 3])
def test_a_broken_protobuf_body_is_an_input_error(body: bytes) -> None:
    """However it is broken."""
    with pytest.raises(InputError, match="no protobuf"):
        decode_protobuf(body)
