"""`Span`: what the core reads of a span, the same from every host.

The OpenTelemetry SDK, an OTLP message and a rotel processor each have a span class of their own; a host turns
its own into this one, so that every step behind it sees the same values.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
