"""Counts that emitters write as one structured value: JSON, the text of a Python dict, or a map."""

import ast
import json
from collections.abc import Mapping
from typing import Any, Final

from otel_llmcost.call import Bucket
from otel_llmcost.dialects.fields import INPUT, OUTPUT

MAX_DETAILS: Final = 4_096
"""Longest text that is parsed; a dozen counts take a tenth of it."""

_FOR_FIVE_MINUTES: Final = "ephemeral_5m_input_tokens"
_FOR_AN_HOUR: Final = "ephemeral_1h_input_tokens"
INSIDE_INPUT: Final[Mapping[str, Bucket]] = {
    "cache_read": Bucket.CACHE_READ,
    "cached_tokens": Bucket.CACHE_READ,
    "cache_creation": Bucket.CACHE_WRITE,
    "cache_write": Bucket.CACHE_WRITE,
    _FOR_AN_HOUR: Bucket.CACHE_WRITE_1H,
    "audio": Bucket.INPUT_AUDIO,
    "image": Bucket.INPUT_IMAGE,
}
"""Details of LangChain's usage metadata, as LangSmith writes them: inside the totals."""
INSIDE_OUTPUT: Final[Mapping[str, Bucket]] = {
    "reasoning": Bucket.REASONING,
    "audio": Bucket.OUTPUT_AUDIO,
    "image": Bucket.OUTPUT_IMAGE,
}

_DISJOINT: Final[Mapping[str, str]] = {
    "input": INPUT,
    "output": OUTPUT,
    **{f"input_{name}": bucket for name, bucket in INSIDE_INPUT.items()},
    **{f"output_{name}": bucket for name, bucket in INSIDE_OUTPUT.items()},
    "input_audio_tokens": Bucket.INPUT_AUDIO,
    "input_cache_creation_tokens": Bucket.CACHE_WRITE,
    "output_reasoning_tokens": Bucket.REASONING,
    "output_audio_tokens": Bucket.OUTPUT_AUDIO,
    "cache_read_input_tokens": Bucket.CACHE_READ,
    "cache_creation_input_tokens": Bucket.CACHE_WRITE,
    "cache_creation_ephemeral_1h_input_tokens": Bucket.CACHE_WRITE_1H,  # inside the one before
}
"""Langfuse's own usage types: every one beside every other."""


_METADATA: Final[Mapping[str, Bucket]] = {
    **dict.fromkeys(("cachedPromptTokens", "promptCacheHitTokens"), Bucket.CACHE_READ),  # OpenAI, DeepSeek
    **dict.fromkeys(("cacheReadInputTokens", "cache_read_input_tokens"), Bucket.CACHE_READ),
    **dict.fromkeys(("cacheCreationInputTokens", "cache_creation_input_tokens"), Bucket.CACHE_WRITE),
    "cacheWriteInputTokens": Bucket.CACHE_WRITE,
    "reasoningTokens": Bucket.REASONING,
}
"""What Vercel's SDK 4 and 5 tell in the provider's metadata alone."""

_ANTHROPIC_ONLY: Final = frozenset({"cache_read_input_tokens", "cache_creation_input_tokens", "cache_creation"})


def parse_details(value: object) -> Mapping[str, Any] | None:
    """The counts by name; None where the value is no such thing. Never evaluates anything but literals."""
    if isinstance(value, Mapping):
        return value
    if not isinstance(value, str) or len(value) > MAX_DETAILS:
        return None
    for parse in (json.loads, ast.literal_eval):
        try:
            found = parse(value)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(found, dict) and all(isinstance(key, str) for key in found):
            return found
    return None


def with_all_written(details: Mapping[str, Any]) -> Mapping[str, Any]:
    """LangChain's details with all cache writes in `cache_creation`, which leaves out those told by time to live."""
    by_time = [details[name] for name in (_FOR_FIVE_MINUTES, _FOR_AN_HOUR) if type(details.get(name)) is int]
    other = details.get("cache_creation") or 0
    return {**details, "cache_creation": other + sum(by_time)} if by_time and type(other) is int else details


def is_messages_usage(details: Mapping[str, Any]) -> bool:
    """Whether a provider's usage object is one of Anthropic's Messages, whose cached tokens lie beside the input."""
    return "input_tokens" in details and not _ANTHROPIC_ONLY.isdisjoint(details)


def metadata_counts(metadata: Mapping[str, Any]) -> dict[Bucket, tuple[str, Any]]:
    """Vercel's metadata of providers → bucket, with the name and the count that it was told by."""
    found: dict[Bucket, tuple[str, Any]] = {}
    for told in metadata.values():
        if not isinstance(told, Mapping):
            continue
        usage = told.get("usage")
        for names in (told, usage if isinstance(usage, Mapping) else {}):
            for name, count in names.items():
                bucket = _METADATA.get(name)
                if bucket is not None and count is not None:
                    found.setdefault(bucket, (name, count))
    return found


def gemini_usage(value: object) -> Mapping[str, Any] | None:
    """Gemini's usage object in Vercel's metadata of providers, where it is there."""
    told = [each for each in (parse_details(value) or {}).values() if isinstance(each, Mapping)]
    found = next((each["usageMetadata"] for each in told if "usageMetadata" in each), None)
    return found if isinstance(found, Mapping) else None


def are_disjoint(details: Mapping[str, Any]) -> bool:
    """Whether usage details are Langfuse's own types; else they are a provider's usage object as it is."""
    return "input" in details or "output" in details


def disjoint_counts(details: Mapping[str, Any]) -> dict[str, tuple[str, Any]]:
    """Langfuse's usage types → field or bucket, with the name and the count that it was told by.

    Types that are told again by modality, and those of the user's own making, are left out.
    """
    return {field: (name, count) for name, count in details.items() if (field := _DISJOINT.get(name)) is not None}
