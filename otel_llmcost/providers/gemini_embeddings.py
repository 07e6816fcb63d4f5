"""Gemini and Vertex embeddings.

Source: the API references of embedContent, batchEmbedContents and of Vertex's text embeddings, which tell the tokens
of each input. gemini-embedding-001 on the Gemini API tells none.
"""

import re
from typing import Any, Final

from otel_llmcost.providers.fields import Counts, objects, section, text
from otel_llmcost.providers.generate_content import read_usage
from otel_llmcost.providers.wire_format import WireFormat
from otel_llmcost.usage import Side, exclusive_usage
from otel_llmcost.wire.reading import Reading


def read(document: dict[str, Any], reading: Reading) -> None:
    """A response body."""
    reading.model = text(document, "modelVersion") or reading.model
    usage = section(document, "usageMetadata")
    if usage:
        reading.usage = read_usage(usage)
        return
    counts = Counts()
    statistics = (section(section(row, "embeddings"), "statistics") for row in objects(document, "predictions"))
    found = [count for row in statistics if (count := counts.get(row, "token_count")) is not None]
    total = Side(sum(found)) if found else Side()
    reading.usage = exclusive_usage(total, Side(), rule="gemini_embeddings", flags=tuple(counts.flags))


FORMAT: Final = WireFormat(
    name="gemini_embeddings",
    operation="embeddings",
    path=re.compile(
        r"/models/(?P<model>[^/:]+):(?:embedContent|batchEmbedContents)$"
        r"|/models/(?P<predicted>[^/:]*embedding[^/:]*):predict$"  # other models predict other things
    ),
    read=read,
    interesting=re.compile(rb'"usageMetadata"|"statistics"'),
)
