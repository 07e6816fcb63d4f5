"""`Span`: what the core reads of a span, the same from every host.

The OpenTelemetry SDK, an OTLP message and a rotel processor each have a span class of their own; a host turns
its own into this one, so that every step behind it sees the same values.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

AttributeValue = str | bool | int | float | bytes | Sequence["AttributeValue"] | Mapping[str, "AttributeValue"] | None
Attributes = Mapping[str, AttributeValue]


@dataclass(frozen=True, slots=True)
class Span:
    """An ended span. Ids are raw bytes (16 and 8 long), times UTC nanoseconds."""

    name: str
    trace_id: bytes
    span_id: bytes
    parent_span_id: bytes
    start_ns: int
    end_ns: int
    attributes: Attributes
    resource: Attributes
    scope: str
    failed: bool = False


MAX_DEPTH: Final = 16
"""Deepest nesting of attribute values that is read; what lies deeper becomes None."""
MAX_TIME_NS: Final = 2**63 - 1
"""Last instant of the ledger's DateTime64(9): the year 2262."""


class OtlpFields(Protocol):
    """What OTLP requires of a span, as its protobuf class and rotel's name it."""

    trace_id: bytes
    span_id: bytes
    parent_span_id: bytes
    start_time_unix_nano: int
    end_time_unix_nano: int


def problem_of(span: OtlpFields) -> str:
    """Why a span that came in can never be a line; empty where it can."""
    if len(span.trace_id) != 16 or not any(span.trace_id):
        return "invalid trace_id"
    if len(span.span_id) != 8 or not any(span.span_id):
        return "invalid span_id"
    if span.parent_span_id and len(span.parent_span_id) != 8:
        return "invalid parent_span_id"
    if not 0 < span.start_time_unix_nano <= MAX_TIME_NS or span.end_time_unix_nano > MAX_TIME_NS:
        return "time out of range"
    return ""
