"""OpenAI Embeddings and everybody who speaks it. Source: the API reference of embeddings; the answer has no id."""

import re
from typing import Any, Final

from otel_llmcost.providers.fields import Counts, section, text
from otel_llmcost.providers.wire_format import WireFormat
from otel_llmcost.usage import Side, exclusive_usage
from otel_llmcost.wire.reading import Reading


def read(document: dict[str, Any], reading: Reading) -> None:
    """A response body."""
    reading.response_id = text(document, "id") or reading.response_id
    reading.model = text(document, "model") or reading.model
    usage = section(document, "usage")
    if usage:
        counts = Counts()
        prompt = counts.get(usage, "prompt_tokens")
        total = prompt if prompt is not None else counts.get(usage, "total_tokens")
        reading.usage = exclusive_usage(Side(total), Side(), rule="embeddings", flags=tuple(counts.flags))


FORMAT: Final = WireFormat(
    name="embeddings",
    operation="embeddings",
    path=re.compile(r"/embeddings/?$"),
    read=read,
    interesting=re.compile(rb'"usage"\s*:\s*\{'),
)
