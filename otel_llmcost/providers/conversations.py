"""Mistral conversations: a body, or events of which the last one has the usage.

Source: the API reference of Mistral's conversations. The answer has the conversation's id and none of its own, so the
span is the call. `connector_tokens` are what the provider's tools gave back to the model; the total says whether they
are part of the prompt or beside it.
"""

import re
from typing import Any, Final

from otel_llmcost.call import Bucket
from otel_llmcost.providers.fields import Counts, section, text
from otel_llmcost.providers.wire_format import WireFormat
from otel_llmcost.usage import Side, exclusive_usage
from otel_llmcost.wire.reading import Reading


def read(document: dict[str, Any], reading: Reading) -> None:
    """A response body, or one event of a stream."""
    reading.model = text(document, "model") or reading.model
    reading.finished = reading.finished or document.get("type") == "conversation.response.done"
    usage = section(document, "usage")
    if usage:
        counts = Counts()
        prompt, completion = counts.get(usage, "prompt_tokens"), counts.get(usage, "completion_tokens")
        inside = counts.get(usage, "total_tokens") == (prompt or 0) + (completion or 0)
        reading.usage = exclusive_usage(
            Side(prompt, {Bucket.INPUT_TOOL: counts.number(usage, "connector_tokens")}, inside),
            Side(completion),
            rule="conversations",
            flags=tuple(counts.flags),
        )


FORMAT: Final = WireFormat(
    name="conversations",
    operation="chat",
    path=re.compile(r"/v1/conversations(?:/[^/]+(?:/restart)?)?/?$"),
    read=read,
    interesting=re.compile(rb'"usage"\s*:\s*\{|"type"\s*:\s*"conversation\.response\.(?:done|error)"'),
    sellers=frozenset({"mistral_ai"}),
)
