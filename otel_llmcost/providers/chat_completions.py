"""OpenAI Chat Completions, and everybody who speaks it.

Source: the API reference of chat completions. `prompt_tokens` includes cached, audio and image tokens,
`completion_tokens` includes reasoning and audio tokens. Groq sends a stream's usage in `x_groq`, and again in `usage`.
"""

import re
from typing import Any, Final

from otel_llmcost.call import Bucket, Usage
from otel_llmcost.providers.fields import Counts, section, text
from otel_llmcost.providers.wire_format import WireFormat
from otel_llmcost.usage import Side, exclusive_usage
from otel_llmcost.wire.reading import Reading


def read(document: dict[str, Any], reading: Reading) -> None:
    """A response body, or one chunk of a stream."""
    reading.response_id = text(document, "id") or reading.response_id
    reading.model = text(document, "model") or reading.model
    reading.service_tier = text(document, "service_tier") or reading.service_tier
    choices = document.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        reading.finish_reason = text(choices[0], "finish_reason") or reading.finish_reason
    usage = section(document, "usage") or section(section(document, "x_groq"), "usage")
    if usage:
        reading.usage = read_usage(usage)


def read_usage(usage: dict[str, Any]) -> Usage:
    """A chat completions usage object → exclusive buckets."""
    counts = Counts()
    prompt, completion = section(usage, "prompt_tokens_details"), section(usage, "completion_tokens_details")
    return exclusive_usage(
        Side(
            counts.get(usage, "prompt_tokens"),
            {
                Bucket.CACHE_READ: counts.number(prompt, "cached_tokens"),
                Bucket.CACHE_WRITE: counts.number(prompt, "cache_write_tokens"),
                Bucket.INPUT_AUDIO: counts.number(prompt, "audio_tokens"),
                Bucket.INPUT_IMAGE: counts.number(prompt, "image_tokens"),
            },
        ),
        Side(
            counts.get(usage, "completion_tokens"),
            {
                Bucket.REASONING: counts.number(completion, "reasoning_tokens"),
                Bucket.OUTPUT_AUDIO: counts.number(completion, "audio_tokens"),
            },
        ),
        rule="chat_completions",
        flags=tuple(counts.flags),
    )


FORMAT: Final = WireFormat(
    name="chat_completions",
    operation="chat",
    path=re.compile(r"/chat/completions/?$"),
    read=read,
    interesting=re.compile(rb'"usage"\s*:\s*\{|"finish_reason"\s*:\s*"|"error"'),
)
