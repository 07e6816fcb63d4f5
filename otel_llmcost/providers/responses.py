"""OpenAI Responses: a body, or events that carry the response object.

Source: the API reference of responses. `input_tokens` includes cached tokens, `output_tokens` includes reasoning.
"""

import re
from typing import Any, Final

from otel_llmcost.call import Bucket, Usage
from otel_llmcost.providers.fields import Counts, section, text
from otel_llmcost.providers.wire_format import WireFormat
from otel_llmcost.usage import Side, exclusive_usage
from otel_llmcost.wire.reading import Reading

_LAST_EVENTS: Final = frozenset({"response.completed", "response.incomplete", "response.failed"})


def read(document: dict[str, Any], reading: Reading) -> None:
    """A response body, or one event of a stream."""
    response = section(document, "response") or document
    reading.response_id = text(response, "id") or reading.response_id
    reading.model = text(response, "model") or reading.model
    reading.service_tier = text(response, "service_tier") or reading.service_tier
    reading.finish_reason = text(response, "status") or reading.finish_reason
    reading.finished = reading.finished or text(document, "type") in _LAST_EVENTS
    usage = section(response, "usage")
    if usage:
        reading.usage = read_usage(usage)


def read_usage(usage: dict[str, Any]) -> Usage:
    """A Responses usage object → exclusive buckets."""
    counts = Counts()
    input_details, output_details = section(usage, "input_tokens_details"), section(usage, "output_tokens_details")
    return exclusive_usage(
        Side(
            counts.get(usage, "input_tokens"),
            {
                Bucket.CACHE_READ: counts.number(input_details, "cached_tokens"),
                Bucket.CACHE_WRITE: counts.number(input_details, "cache_write_tokens"),
            },
        ),
        Side(counts.get(usage, "output_tokens"), {Bucket.REASONING: counts.number(output_details, "reasoning_tokens")}),
        rule="responses",
        flags=tuple(counts.flags),
    )


FORMAT: Final = WireFormat(
    name="responses",
    operation="chat",
    path=re.compile(r"/responses/?$"),
    read=read,
    interesting=re.compile(rb'"usage"\s*:\s*\{|"type"\s*:\s*"(?:response\.(?:completed|incomplete|failed)|error)"'),
)
