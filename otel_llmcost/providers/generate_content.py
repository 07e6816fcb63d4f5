"""Gemini and Vertex generateContent: a body, or chunks that each carry the usage so far.

Source: the API reference of generateContent (UsageMetadata) and the pricing pages. `promptTokenCount` includes cached
tokens; thoughts lie beside the candidates and results of server tools beside the prompt, both inside the total. Tokens
are told by modality, as names or as the numbers of the enum. The last chunk counts; what it leaves out stands from an
earlier one. Grounding is billed by the prompt up to Gemini 2.5 and by the search since.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from otel_llmcost.call import Bucket, Usage
from otel_llmcost.providers.fields import Counts, first_object, objects, section, text
from otel_llmcost.providers.sides import OUTPUT_OF, cached_by_modality, input_side, output_side, sums_by_modality
from otel_llmcost.providers.wire_format import WireFormat
from otel_llmcost.usage import Side, exclusive_usage
from otel_llmcost.wire.reading import Reading

_MODALITY: Final[Mapping[object, str]] = {
    **dict.fromkeys(("IMAGE", "DOCUMENT", 2, 5), "image"),  # a page of a document is priced as an image
    **dict.fromkeys(("VIDEO", 3), "video"),
    **dict.fromkeys(("AUDIO", 4), "audio"),
}
_TIER_OF_TRAFFIC: Final[Mapping[object, str]] = {
    **dict.fromkeys(("ON_DEMAND", 1), "standard"),
    **dict.fromkeys(("PROVISIONED_THROUGHPUT", 2), "provisioned_throughput"),
    "ON_DEMAND_FLEX": "flex",
    "ON_DEMAND_PRIORITY": "priority",
}
_BILLED_BY_PROMPT: Final = re.compile(r"gemini-[12]\b")


def read(document: dict[str, Any], reading: Reading) -> None:
    """A response body, or one chunk of a stream."""
    reading.response_id = text(document, "responseId") or reading.response_id
    reading.model = text(document, "modelVersion") or reading.model
    candidate = first_object(document, "candidates")
    reading.finish_reason = text(candidate, "finishReason") or reading.finish_reason
    reading.finished = reading.finished or bool(reading.finish_reason)
    state = reading.state
    queries = section(candidate, "groundingMetadata").get("webSearchQueries")
    if isinstance(queries, list):
        state["queries"] = max(len(queries), state.get("queries", 0))
    usage = section(document, "usageMetadata")
    if usage:
        merged = state.setdefault("usage", {})
        merged.update({key: value for key, value in usage.items() if value is not None})
        reading.service_tier = _tier(merged) or reading.service_tier
    if state.get("usage"):
        reading.usage = read_usage(state["usage"], _searches(state.get("queries", 0), reading.model))


def read_usage(usage: Mapping[str, Any], searches: int = 0) -> Usage:
    """A UsageMetadata object → exclusive buckets."""
    counts = Counts()
    prompt = counts.get(usage, "promptTokenCount")
    media = sums_by_modality(_details(usage, ("promptTokensDetails", "promptTokenDetails"), counts))
    told = sums_by_modality(_details(usage, ("cacheTokensDetails",), counts))
    cached = counts.number(usage, "cachedContentTokenCount")
    cache = cached_by_modality(cached, told, media, counts.flags) if cached else {}
    inputs = input_side(prompt, cache, media, counts.flags)
    tools = counts.number(usage, "toolUsePromptTokenCount")
    if tools:  # beside the prompt
        inputs = Side((inputs.total or 0) + tools, {**inputs.parts, Bucket.INPUT_TOOL: tools})
    return exclusive_usage(
        inputs,
        _outputs(usage, counts, (prompt or 0) + tools),
        other={Bucket.WEB_SEARCHES: searches} if searches else {},
        rule="generate_content",
        flags=tuple(counts.flags),
    )


def _outputs(usage: Mapping[str, Any], counts: Counts, inputs: int) -> Side:
    """Candidates and thoughts; beside each other unless the total has room for the candidates alone."""
    candidates = counts.get(usage, "candidatesTokenCount", "responseTokenCount")
    thoughts = counts.number(usage, "thoughtsTokenCount")
    media = sums_by_modality(_details(usage, ("candidatesTokensDetails", "responseTokensDetails"), counts))
    parts = {Bucket.REASONING: thoughts, **{OUTPUT_OF[name]: count for name, count in media.items()}}
    total = counts.get(usage, "totalTokenCount")
    inside = total == inputs + (candidates or 0)
    told = inputs + (candidates or 0) + (0 if inside else thoughts)
    if total is not None and total != told:
        counts.flags.append(f"totalTokenCount: {total} is not {told}")
    if candidates is None and not thoughts:
        return output_side(None, parts, counts.flags)
    return output_side((candidates or 0) + (0 if inside else thoughts), parts, counts.flags)


def _details(usage: Mapping[str, Any], keys: tuple[str, ...], counts: Counts) -> Iterator[tuple[str, int]]:
    for key in keys:
        for row in objects(usage, key):
            modality = row.get("modality")
            name = _MODALITY.get(modality, "") if isinstance(modality, str | int) else ""
            yield name, counts.number(row, "tokenCount")


def _tier(usage: Mapping[str, Any]) -> str:
    """`serviceTier` of Gemini, `trafficType` of Vertex; one that is not known stays visible as it is."""
    traffic = usage.get("trafficType")
    known = _TIER_OF_TRAFFIC.get(traffic, "") if isinstance(traffic, str | int) else ""
    unknown = f"traffic_type_{traffic}".lower()[:100] if isinstance(traffic, str | int) and traffic else ""
    return text(usage, "serviceTier").lower() or known or unknown


def _searches(queries: int, model: str) -> int:
    return min(queries, 1) if _BILLED_BY_PROMPT.match(model) else queries


FORMAT: Final = WireFormat(
    name="generate_content",
    operation="generate_content",
    path=re.compile(
        r"/(?:models|tunedModels|endpoints)/(?P<model>[^/:]+):(?:generateContent|(?P<stream>streamGenerateContent))$"
    ),
    read=read,
    interesting=re.compile(rb'"usageMetadata"|"finishReason"|"webSearchQueries"|"error"'),
)
