"""Gemini interactions: a body, or events that carry the interaction.

Source: the API reference of interactions. Thoughts lie beside the output and results of tools beside the input, both
inside the total. In background mode a GET of the same interaction tells the usage.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from otel_llmcost.call import Bucket, Usage
from otel_llmcost.providers.fields import Counts, objects, read_identity, read_times, section, text
from otel_llmcost.providers.sides import OUTPUT_OF, cached_by_modality, input_side, output_side, sums_by_modality
from otel_llmcost.providers.wire_format import WireFormat
from otel_llmcost.usage import Side, exclusive_usage
from otel_llmcost.wire.reading import Reading


def read(document: dict[str, Any], reading: Reading) -> None:
    """A response body, or one event of a stream."""
    interaction = section(document, "interaction") or document
    read_identity(interaction, reading)
    reading.finish_reason = text(interaction, "status") or reading.finish_reason
    reading.finished = reading.finished or text(document, "event_type") in _LAST_EVENTS
    reading.deferred = reading.deferred or interaction.get("background") is True
    read_times(interaction, reading, "created", "updated")
    usage = section(interaction, "usage")
    if usage:
        reading.usage = read_usage(usage)


def read_usage(usage: Mapping[str, Any]) -> Usage:
    """An interaction's usage object → exclusive buckets."""
    counts = Counts()
    media, told = _by_modality(usage, "input_tokens", counts), _by_modality(usage, "cached_tokens", counts)
    cached = counts.number(usage, "total_cached_tokens")
    cache = cached_by_modality(cached, told, media, counts.flags) if cached else {}
    inputs = input_side(counts.get(usage, "total_input_tokens"), cache, media, counts.flags)
    tools = counts.number(usage, "total_tool_use_tokens")
    if tools:
        inputs = Side((inputs.total or 0) + tools, {**inputs.parts, Bucket.INPUT_TOOL: tools})
    output = counts.get(usage, "total_output_tokens")
    thoughts = counts.number(usage, "total_thought_tokens", "total_reasoning_tokens")
    made = {OUTPUT_OF[name]: count for name, count in _by_modality(usage, "output_tokens", counts).items()}
    told_output = None if output is None and not thoughts else (output or 0) + thoughts
    total = counts.get(usage, "total_tokens")
    if total is not None and total != (inputs.total or 0) + (told_output or 0):
        counts.flags.append(f"total_tokens: {total} is not {inputs.total}+{told_output}")
    return exclusive_usage(
        inputs,
        output_side(told_output, {Bucket.REASONING: thoughts, **made}, counts.flags),
        rule="interactions",
        flags=tuple(counts.flags),
    )


def _by_modality(usage: Mapping[str, Any], name: str, counts: Counts) -> dict[str, int]:
    rows = objects(usage, f"{name}_by_modality")
    return sums_by_modality(
        (_PRICED_AS.get(text(row, "modality").lower(), ""), counts.number(row, "tokens")) for row in rows
    )


_PRICED_AS: Final = {"audio": "audio", "image": "image", "document": "image", "video": "video"}
_LAST_EVENTS: Final = frozenset({"interaction.completed", "interaction.complete", "interaction.failed"})

FORMAT: Final = WireFormat(
    name="interactions",
    operation="generate_content",
    path=re.compile(r"/interactions/?$"),
    read=read,
    interesting=re.compile(rb'"usage"\s*:\s*\{|"event_type"\s*:\s*"(?:interaction\.(?:complete|failed)|error)'),
    polled_path=re.compile(r"/interactions/[^/]+/?$"),
)
