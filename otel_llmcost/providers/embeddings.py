"""OpenAI Embeddings and everybody who speaks it. Source: the API reference of embeddings; the answer has no id.

Voyage tells only `total_tokens`.
"""

import re
from typing import Any, Final

from otel_llmcost.providers.fields import read_identity, section
from otel_llmcost.providers.openai_usage import read_total
from otel_llmcost.providers.reported_cost import read_reported_cost
from otel_llmcost.providers.wire_format import WireFormat
from otel_llmcost.wire.reading import Reading


def read(document: dict[str, Any], reading: Reading) -> None:
    """A response body."""
    read_identity(document, reading)
    usage = section(document, "usage")
    if usage:
        read_reported_cost(usage, reading)
        reading.usage = read_total(usage, "embeddings")


FORMAT: Final = WireFormat(
    name="embeddings",
    operation="embeddings",
    path=re.compile(r"(?:/deployments/(?P<model>[^/]+))?/(?:multimodal|contextualized)?embeddings/?$"),
    read=read,
    interesting=re.compile(rb'"usage"\s*:\s*\{'),
    usage_last=True,
)
