"""Anthropic Messages: a body, or events that tell usage in two steps.

Source: the API reference of messages, of prompt caching, compaction and the advisor tool. `input_tokens` leaves cached
tokens out; cache writes are told apart by time to live in `cache_creation`. In a stream `message_start` has the input
and `message_delta` the cumulative output, or corrections of any of them: the later value that is not null counts.

`iterations` tell the sampling steps of one request. The totals leave compaction steps out, although they are billed at
the same rates, so those are added; the steps of an advisor are another model's, and are flagged.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from otel_llmcost.call import Bucket, Usage
from otel_llmcost.providers.fields import Counts, objects, read_identity, section, text
from otel_llmcost.providers.reported_cost import read_reported_cost
from otel_llmcost.providers.wire_format import WireFormat
from otel_llmcost.usage import UNREADABLE, Side, exclusive_usage
from otel_llmcost.wire.reading import Reading


def read(document: dict[str, Any], reading: Reading) -> None:
    """A response body, or one event of a stream."""
    message = section(document, "message") or document
    if message.get("type") == "message":
        read_identity(message, reading)
    stop = section(document, "delta") or message
    reading.finish_reason = text(stop, "stop_reason") or reading.finish_reason
    reading.finished = reading.finished or document.get("type") == "message_stop"
    usage = section(message, "usage")
    if usage:
        merged = reading.state.setdefault("usage", {})
        merged.update({key: value for key, value in usage.items() if value is not None})
        reading.service_tier = text(merged, "service_tier") or reading.service_tier
        reading.speed = text(merged, "speed") or reading.speed
        read_reported_cost(merged, reading)
        reading.usage = read_usage(merged)


def read_usage(usage: Mapping[str, Any]) -> Usage:
    """A Messages usage object → exclusive buckets."""
    counts = Counts()
    compactions = [step for step in objects(usage, "iterations") if step.get("type") == "compaction"]
    _of_other_models(usage, counts)
    steps = [usage, *compactions]
    cache: dict[Bucket, int] = {}
    for step in steps:
        for bucket, count in _cache(step, counts).items():
            cache[bucket] = cache.get(bucket, 0) + count
    reasoning = sum(counts.number(section(step, "output_tokens_details"), "thinking_tokens") for step in steps)
    searches = counts.number(section(usage, "server_tool_use"), "web_search_requests")
    return exclusive_usage(
        Side(_sum(steps, "input_tokens", counts), cache, inside=False),
        Side(_sum(steps, "output_tokens", counts), {Bucket.REASONING: reasoning} if reasoning else {}),
        other={Bucket.WEB_SEARCHES: searches} if searches else {},
        rule="messages:with_compaction" if compactions else "messages",
        flags=tuple(counts.flags),
    )


def _cache(usage: Mapping[str, Any], counts: Counts) -> dict[Bucket, int]:
    """Cache reads and writes, which lie beside the input; 0 left out."""
    written = counts.number(usage, "cache_creation_input_tokens")
    by_ttl = section(usage, "cache_creation")
    one_hour = counts.number(by_ttl, "ephemeral_1h_input_tokens")
    if one_hour > written:
        if written:
            counts.flags.append(f"cache_creation: 1h {one_hour} exceeds total {written}")
        written = one_hour + counts.number(by_ttl, "ephemeral_5m_input_tokens")
    found = {
        Bucket.CACHE_READ: counts.number(usage, "cache_read_input_tokens"),
        Bucket.CACHE_WRITE: written - one_hour,
        Bucket.CACHE_WRITE_1H: one_hour,
    }
    return {bucket: count for bucket, count in found.items() if count}


def _sum(steps: list[Mapping[str, Any]], key: str, counts: Counts) -> int | None:
    """The sum of a count; None where no step has it."""
    found = [count for step in steps if (count := counts.get(step, key)) is not None]
    return sum(found) if found else None


def _of_other_models(usage: Mapping[str, Any], counts: Counts) -> None:
    """Flag each step that another model did: it is billed at that model's rates, so this line is less than the bill."""
    for step in objects(usage, "iterations"):
        if text(step, "type") == "advisor_message":
            used = f"{counts.number(step, 'input_tokens')} in {counts.number(step, 'output_tokens')} out"
            counts.flags.append(f"{UNREADABLE}iterations: {text(step, 'model')[:100]} used {used} beside this line")


def read_legacy(document: dict[str, Any], reading: Reading) -> None:
    """A Text Completions body or event: it tells no usage."""
    read_identity(document, reading)
    reading.finish_reason = text(document, "stop_reason") or reading.finish_reason
    reading.finished = reading.finished or bool(text(document, "stop_reason"))


FORMAT: Final = WireFormat(
    name="messages",
    operation="chat",
    path=re.compile(
        r"/v1/messages/?$"
        r"|/publishers/anthropic/models/(?P<model>[^/:]+):(?:rawPredict|(?P<stream>streamRawPredict))$"
    ),
    read=read,
    interesting=re.compile(rb'"usage"\s*:\s*\{|"type"\s*:\s*"(?:message_stop|error)"'),
)
LEGACY: Final = WireFormat(
    name="text_completions",
    operation="text_completion",
    path=re.compile(r"/v1/complete/?$"),
    read=read_legacy,
    interesting=re.compile(rb'"stop_reason"\s*:\s*"|"error"'),
    sellers=frozenset({"anthropic"}),
)
