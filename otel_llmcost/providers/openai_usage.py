"""The usage object of OpenAI's endpoints and of everybody who speaks them.

Two spellings (`prompt_tokens`/`completion_tokens`, `input_tokens`/`output_tokens`) of one thing. By OpenAI's reference,
cached, audio and image tokens are inside the input and reasoning tokens inside the output. Where a seller counts in
another way, its own `total_tokens` says so: xAI leaves reasoning out of the completion, Mistral audio out of the
prompt. What the total cannot tell is known by seller.
"""

from collections.abc import Mapping
from typing import Any, Final

from otel_llmcost.call import Bucket, Usage
from otel_llmcost.providers.fields import Counts, section
from otel_llmcost.providers.sides import (
    OUTPUT_OF,
    cached_by_modality,
    input_side,
    output_side,
)
from otel_llmcost.usage import exclusive_usage
from otel_llmcost.wire.reading import Reading

_INPUT_DETAILS: Final = (
    "prompt_tokens_details",
    "input_tokens_details",
    "input_token_details",
    "prompt_token_details",  # runs
)
_OUTPUT_DETAILS: Final = ("completion_tokens_details", "output_tokens_details", "output_token_details")
_MEDIA_KEYS: Final = (("audio", "audio_tokens"), ("image", "image_tokens"), ("video", "video_tokens"))
_CACHED: Final = ("cached_tokens", "num_cached_tokens", "prompt_cache_hit_tokens", "cache_read_input_tokens")
_WRITTEN: Final = ("cache_write_tokens", "cache_creation_tokens", "cache_creation_input_tokens")
_UNITS: Final = frozenset({"server_tool_use_details", "server_tool_use", "prompt_audio_seconds", "seconds"})

REASONING_BESIDE: Final = frozenset({"x_ai", "perplexity"})
"""Sellers who leave reasoning out of the completion; decides only where no total does."""

REASONING_HIDDEN: Final = frozenset({"gcp.gemini", "gcp.vertex_ai"})
"""Sellers whose chat endpoint tells thinking only as the part of the total that is neither prompt nor completion."""


def read_usage(usage: Mapping[str, Any], reading: Reading, rule: str) -> Usage:
    """A usage object → exclusive buckets. `reading` knows the seller and the model."""
    counts = Counts()
    details = section(usage, *_INPUT_DETAILS)
    media = _media(details, counts)
    output_parts = _output_parts(usage, counts)
    totals = _Totals(usage, counts, output_parts.get(Bucket.REASONING, 0), media.get("audio", 0))
    rule = totals.settle(reading, rule, counts.flags)
    if totals.hidden_reasoning:
        output_parts[Bucket.REASONING] = totals.hidden_reasoning
    if "citation_tokens" in usage:  # Perplexity: beside the completion, and in no total
        citations = output_parts[Bucket.OUTPUT_CITATION] = counts.number(usage, "citation_tokens")
        totals.output = (totals.output or 0) + citations
    return exclusive_usage(
        input_side(totals.input, _cache(usage, details, media, counts), media, counts.flags, confirmed=totals.agree),
        output_side(totals.output, output_parts, counts.flags),
        other=_units(usage, reading, counts),
        rule=rule,
        flags=tuple(counts.flags),
    )


def read_total(usage: Mapping[str, Any], rule: str) -> Usage:
    """Usage of an endpoint that generates nothing (embeddings, rerank): all is input, some tell only the total."""
    counts = Counts()
    total = counts.get(usage, "prompt_tokens", "input_tokens", "total_tokens")
    return exclusive_usage(
        input_side(total, {}, {}, counts.flags),
        output_side(None, {}, counts.flags),
        rule=rule,
        flags=tuple(counts.flags),
    )


class _Totals:
    """Input, output and grand total as told; `settle` adds what a seller leaves out of the first two."""

    def __init__(self, usage: Mapping[str, Any], counts: Counts, reasoning: int, audio: int) -> None:
        self.input = counts.get(usage, "prompt_tokens", "input_tokens")
        self.output = counts.get(usage, "completion_tokens", "output_tokens")
        self._all = counts.get(usage, "total_tokens")
        self._reasoning = reasoning
        self._audio = audio
        self.hidden_reasoning = 0

    @property
    def agree(self) -> bool:
        """The grand total is the sum of input and output."""
        return self._all is not None and self._all == (self.input or 0) + (self.output or 0)

    def settle(self, reading: Reading, rule: str, flags: list[str]) -> str:
        """The rule's name, with what was found to lie beside the totals."""
        if self.input is None and self.output is None:
            return rule
        gap = 0 if self._all is None else self._all - (self.input or 0) - (self.output or 0)
        if self._reasoning and self._reasoning_beside(gap, reading):
            self.output = (self.output or 0) + self._reasoning
            gap -= self._reasoning if gap else 0
            rule += ":reasoning_beside"
        if gap and gap == self._audio:
            self.input = (self.input or 0) + self._audio
            return rule + ":audio_beside"
        if gap > 0 and not self._reasoning and reading.provider in REASONING_HIDDEN:
            self.hidden_reasoning = gap
            self.output = (self.output or 0) + gap
            flags.append(f"completion_tokens: {gap} more in total_tokens, taken as reasoning")
        elif gap:
            flags.append(f"total_tokens: {self._all} is not {self.input}+{self.output}")
        return rule

    def _reasoning_beside(self, gap: int, reading: Reading) -> bool:
        if gap:
            return gap in (self._reasoning, self._reasoning + self._audio)
        if reading.provider == "vercel":  # its total leaves out what it left out of the completion
            return reading.model.startswith("google/")
        return reading.provider in REASONING_BESIDE and (self._all is None or reading.provider == "perplexity")


def _cache(
    usage: Mapping[str, Any], details: Mapping[str, Any], media: Mapping[str, int], counts: Counts
) -> dict[Bucket, int]:
    cached = counts.get(details, "cached_tokens")
    if cached is None:
        cached = counts.number(usage, *_CACHED)
    written = counts.get(details, *_WRITTEN)
    if written is None:
        written = counts.number(usage, *_WRITTEN)
    found = {Bucket.CACHE_WRITE: written} if written else {}
    if cached:
        told = _media(section(details, "cached_tokens_details"), counts)
        found |= cached_by_modality(cached, told, media, counts.flags)
    return found


def _output_parts(usage: Mapping[str, Any], counts: Counts) -> dict[Bucket, int]:
    details = section(usage, *_OUTPUT_DETAILS)
    reasoning = counts.get(details, "reasoning_tokens", "thinking_tokens")
    if reasoning is None:
        reasoning = counts.number(usage, "reasoning_tokens")
    found = {Bucket.REASONING: reasoning} if reasoning else {}
    for name, count in _media(details, counts).items():
        found[OUTPUT_OF[name]] = count
    return found


def _media(details: Mapping[str, Any], counts: Counts) -> dict[str, int]:
    """Tokens of each modality that is priced apart; 0 left out."""
    found: dict[str, int] = {}
    for name, key in _MEDIA_KEYS if details else ():
        if details.get(key):
            count = counts.number(details, key)
            if count:
                found[name] = count
    return found


def _units(usage: Mapping[str, Any], reading: Reading, counts: Counts) -> dict[Bucket, int]:
    """What is billed beside tokens: searches, and audio by the second."""
    if reading.provider == "perplexity" and "deep-research" in reading.model:
        # Of its other models the price of a request includes the searches.
        return {Bucket.WEB_SEARCHES: counts.number(usage, "num_search_queries")}
    if _UNITS.isdisjoint(usage):
        return {}
    tools = section(usage, "server_tool_use_details", "server_tool_use")
    return {
        Bucket.WEB_SEARCHES: counts.number(tools, "web_search_requests"),
        Bucket.AUDIO_SECONDS: counts.number(usage, "prompt_audio_seconds", "seconds"),
    }
