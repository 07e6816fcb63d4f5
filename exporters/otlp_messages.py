"""Ended spans ↔ bytes: what is spooled on the way to an `otlp://` ledger.

A span is kept as the OTLP message that will be sent, without what a bill line has no use for: events, links and the
status text, and attributes that hold prompts, answers or long text. Imported with the extra `otlp` only.
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from typing import Any, Final

from google.protobuf.message import DecodeError
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace.status import Status

from otel_llmcost.errors import InputError

MAX_TEXT_CHARS: Final = 4_096
_CONTENT: Final = re.compile(
    r"messages?\b|system_instructions|prompt(?!_tokens|[._](name|version|id)\b)|completion(?!_tokens)|content\b|tool\.definitions"
    r"|arguments|tool\.call\.result|^(input|output)\.value$|entity\.(input|output)$|response\.text"
)
"""Attributes that, as text, are what people wrote: of the conventions, OpenInference, OpenLLMetry, Vercel's AI SDK."""


class SpanCodec:
    """Messages of one span as records of a spool."""

    kind: Final = "span"

    def encode(self, request: ExportTraceServiceRequest) -> bytes:
        return b64encode(request.SerializeToString())

    def decode(self, record: bytes) -> ExportTraceServiceRequest:
        """
        Raises:
            InputError: no such message.
        """
        try:
            request: ExportTraceServiceRequest = ExportTraceServiceRequest.FromString(b64decode(record, validate=True))
        except (DecodeError, ValueError):
            raise InputError("no OTLP message") from None
        return request


def message_of(span: ReadableSpan) -> ExportTraceServiceRequest:
    """The span as an OTLP message, without content."""
    lean = ReadableSpan(
        name=span.name,
        context=span.get_span_context(),
        parent=span.parent,
        resource=span.resource,
        attributes={key: value for key, value in (span.attributes or {}).items() if not _is_content(key, value)},
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )
    return encode_spans([lean])


class SpanOrMessageExporter(OTLPSpanExporter):
    """OpenTelemetry's exporter, with its settings, for spans or for messages that are made already."""

    def _translate_data(self, data: Sequence[Any]) -> ExportTraceServiceRequest:
        if data and isinstance(data[0], ExportTraceServiceRequest):
            return _merged(data)
        return super()._translate_data(data)


def _merged(messages: Iterable[ExportTraceServiceRequest]) -> ExportTraceServiceRequest:
    merged = ExportTraceServiceRequest()
    for message in messages:
        merged.resource_spans.extend(message.resource_spans)
    return merged


def _is_content(key: str, value: object) -> bool:
    if isinstance(value, int | float):  # token counts, whatever they are called
        return False
    return (isinstance(value, str) and len(value) > MAX_TEXT_CHARS) or bool(_CONTENT.search(key))
