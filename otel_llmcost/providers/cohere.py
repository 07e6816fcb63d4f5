"""Cohere chat, generate and embed, v1 and v2.

Source: Cohere's "How does pricing work" and the API references. `tokens` counts everything that went through the model,
its own hidden prompt included; `billed_units` is what is billed. The line holds what is billed, its rule says so.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from otel_llmcost.call import Bucket, Usage
from otel_llmcost.providers.fields import Counts, read_identity, section, text
from otel_llmcost.providers.wire_format import WireFormat
from otel_llmcost.usage import Side, exclusive_usage
from otel_llmcost.wire.reading import Reading

_LAST_EVENTS: Final = frozenset({"message-end", "stream-end"})


def read(document: dict[str, Any], reading: Reading) -> None:
    """A response body (v1 has its usage in `meta`, v2 in `usage`), or one event of a stream."""
    event = text(document, "type") or text(document, "event_type")
    # v2 wraps the end of a stream in `delta`, v1 in `response`; v1's first event has `generation_id`.
    body = section(document, "response") or section(document, "delta") or document
    read_identity({} if event and event != "message-start" else document, reading)
    reading.response_id = text(body, "response_id") or text(body, "generation_id") or reading.response_id
    reading.finish_reason = text(body, "finish_reason") or reading.finish_reason
    reading.finished = reading.finished or event in _LAST_EVENTS
    usage = section(body, "usage", "meta") or section(document, "meta")
    if usage:
        reading.usage = read_usage(usage)


def read_usage(usage: Mapping[str, Any]) -> Usage:
    """A `usage` or `meta` object → exclusive buckets."""
    counts = Counts()
    billed = section(usage, "billed_units")
    told = billed or section(usage, "tokens")
    images = counts.number(billed, "image_tokens")
    inputs = counts.get(told, "input_tokens")
    if images:
        inputs = (inputs or 0) + images  # embed counts images beside texts
    output = counts.get(told, "output_tokens")
    reasoning = counts.number(section(usage, "tokens"), "reasoning_tokens")
    parts = {Bucket.REASONING: reasoning} if reasoning and output and reasoning <= output else {}
    return exclusive_usage(
        Side(inputs, {Bucket.INPUT_IMAGE: images} if images else {}),
        Side(output, parts),
        rule="cohere:billed_units" if billed else "cohere:tokens",
        flags=tuple(counts.flags),
    )


_INTERESTING: Final = re.compile(rb'"billed_units"|"finish_reason"|"tokens"\s*:\s*\{')

CHAT: Final = WireFormat(
    name="cohere_chat",
    operation="chat",
    path=re.compile(r"/v2/chat/?$"),
    read=read,
    interesting=_INTERESTING,
)
CHAT_V1: Final = WireFormat(
    name="cohere_chat",
    operation="chat",
    path=re.compile(r"/v1/chat/?$"),
    read=read,
    interesting=_INTERESTING,
    sellers=frozenset({"cohere"}),
)
GENERATE: Final = WireFormat(
    name="cohere_generate",
    operation="text_completion",
    path=re.compile(r"/v1/generate/?$"),
    read=read,
    interesting=_INTERESTING,
    sellers=frozenset({"cohere"}),
)
EMBED: Final = WireFormat(
    name="cohere_embed",
    operation="embeddings",
    path=re.compile(r"/v[12]/embed/?$"),
    read=read,
    interesting=_INTERESTING,
)
