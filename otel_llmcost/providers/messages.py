"""Anthropic Messages: a body, or events that tell usage in two steps.

Source: the API reference of messages and of prompt caching. `input_tokens` leaves cached tokens out; cache writes are
told apart by time to live in `cache_creation`. In a stream `message_start` has the input and `message_delta` the
cumulative output, or corrections of any of them: the later value that is not null counts.
"""

import re
from typing import Any, Final

from otel_llmcost.call import Bucket, Usage
from otel_llmcost.providers.fields import Counts, section, text
from otel_llmcost.providers.wire_format import WireFormat
from otel_llmcost.usage import Side, exclusive_usage
from otel_llmcost.wire.reading import Reading


def read(document: dict[str, Any], reading: Reading) -> None:
    """A response body, or one event of a stream."""
    message = section(document, "message") or document
    if message.get("type") == "message":
        reading.response_id = text(message, "id") or reading.response_id
        reading.model = text(message, "model") or reading.model
    stop = section(document, "delta") or message
    reading.finish_reason = text(stop, "stop_reason") or reading.finish_reason
    reading.finished = reading.finished or document.get("type") == "message_stop"
    usage = section(message, "usage")
    if usage:
        merged = reading.state.setdefault("usage", {})
        merged.update({key: value for key, value in usage.items() if value is not None})
        reading.service_tier = text(merged, "service_tier") or reading.service_tier
        reading.usage = read_usage(merged)


def read_usage(usage: dict[str, Any]) -> Usage:
    """A Messages usage object → exclusive buckets."""
    counts = Counts()
    written = counts.number(usage, "cache_creation_input_tokens")
    by_ttl = section(usage, "cache_creation")
    one_hour = counts.number(by_ttl, "ephemeral_1h_input_tokens")
    if one_hour > written:
        if written:
            counts.flags.append(f"cache_creation: 1h {one_hour} exceeds total {written}")
        written = one_hour + counts.number(by_ttl, "ephemeral_5m_input_tokens")
    return exclusive_usage(
        Side(
            counts.get(usage, "input_tokens"),
            {
                Bucket.CACHE_READ: counts.number(usage, "cache_read_input_tokens"),
                Bucket.CACHE_WRITE: written - one_hour,
                Bucket.CACHE_WRITE_1H: one_hour,
            },
            inside=False,
        ),
        Side(counts.get(usage, "output_tokens")),
        other={Bucket.WEB_SEARCHES: counts.number(section(usage, "server_tool_use"), "web_search_requests")},
        rule="messages",
        flags=tuple(counts.flags),
    )


FORMAT: Final = WireFormat(
    name="messages",
    operation="chat",
    path=re.compile(r"/v1/messages/?$"),
    read=read,
    interesting=re.compile(rb'"usage"\s*:\s*\{|"type"\s*:\s*"(?:message_stop|error)"'),
)
