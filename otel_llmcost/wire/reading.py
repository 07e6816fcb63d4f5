"""What is learnt about a call from its response, and how that becomes span attributes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from otel_llmcost import semconv as sc
from otel_llmcost.call import UNKNOWN_USAGE, Bucket, Usage

AttributeScalar = str | bool | int | float | list[str]


@dataclass(slots=True)
class Reading:
    """Filled by a wire format while the response goes by; later values replace earlier ones.

    `deferred`: the provider answers before it has computed (background responses, runs, predictions), so the usage is
    told by a later GET of the same response id; `started_ns` and `ended_ns` are then its own times, UTC.
    """

    provider: str = ""  # the seller, from the request
    response_id: str = ""
    model: str = ""
    service_tier: str = ""
    speed: str = ""
    finish_reason: str = ""
    error_type: str = ""
    usage: Usage = UNKNOWN_USAGE
    reported_usd: Decimal | None = None
    finished: bool = False  # the provider said that it is done
    deferred: bool = False
    started_ns: int | None = None
    ended_ns: int | None = None
    state: dict[str, Any] = field(default_factory=dict)  # what a format carries from event to event

    @property
    def tells_deferred_call(self) -> bool:
        """Whether a GET that gave this reading tells what an earlier request used, so that it makes a line."""
        return self.deferred and self.usage.known and bool(self.response_id) and self.started_ns is not None

    def attributes(self) -> dict[str, AttributeScalar]:
        """The reading as GenAI span attributes; what is not known is absent."""
        found = usage_attributes(self.usage)
        if self.response_id:
            found[sc.RESPONSE_ID] = self.response_id
        if self.model:
            found[sc.RESPONSE_MODEL] = self.model
        if self.service_tier:
            found[sc.OPENAI_SERVICE_TIER] = self.service_tier
        if self.speed:
            found[sc.USAGE_SPEED] = self.speed
        if self.finish_reason:
            found[sc.RESPONSE_FINISH_REASONS] = [self.finish_reason]
        if self.reported_usd is not None:
            found[sc.USAGE_COST_AMOUNT] = float(self.reported_usd)
            found[sc.USAGE_COST_CURRENCY] = "USD"
            found[sc.USAGE_COST_SOURCE] = "provider"
        return found


_TOLD_BY: Final[Mapping[Bucket, tuple[str, ...]]] = {
    Bucket.INPUT: (sc.USAGE_INPUT,),
    Bucket.INPUT_AUDIO: (sc.USAGE_INPUT, sc.USAGE_AUDIO_INPUT),
    Bucket.INPUT_IMAGE: (sc.USAGE_INPUT, sc.USAGE_IMAGE_INPUT),
    Bucket.INPUT_VIDEO: (sc.USAGE_INPUT, sc.USAGE_VIDEO_INPUT),
    Bucket.INPUT_TOOL: (sc.USAGE_INPUT, sc.USAGE_TOOL_INPUT),
    Bucket.CACHE_READ: (sc.USAGE_INPUT, sc.USAGE_CACHE_READ),
    Bucket.CACHE_READ_AUDIO: (
        sc.USAGE_INPUT,
        sc.USAGE_CACHE_READ,
        sc.USAGE_AUDIO_INPUT,
        sc.USAGE_AUDIO_CACHE_READ,
    ),
    Bucket.CACHE_READ_IMAGE: (
        sc.USAGE_INPUT,
        sc.USAGE_CACHE_READ,
        sc.USAGE_IMAGE_INPUT,
        sc.USAGE_IMAGE_CACHE_READ,
    ),
    Bucket.CACHE_READ_VIDEO: (sc.USAGE_INPUT, sc.USAGE_CACHE_READ, sc.USAGE_VIDEO_CACHE_READ),
    Bucket.CACHE_WRITE: (sc.USAGE_INPUT, sc.USAGE_CACHE_WRITE),
    Bucket.CACHE_WRITE_1H: (sc.USAGE_INPUT, sc.USAGE_CACHE_WRITE, sc.USAGE_CACHE_WRITE_1H),
    Bucket.OUTPUT: (sc.USAGE_OUTPUT,),
    Bucket.OUTPUT_AUDIO: (sc.USAGE_OUTPUT, sc.USAGE_AUDIO_OUTPUT),
    Bucket.OUTPUT_IMAGE: (sc.USAGE_OUTPUT, sc.USAGE_IMAGE_OUTPUT),
    Bucket.OUTPUT_VIDEO: (sc.USAGE_OUTPUT, sc.USAGE_VIDEO_OUTPUT),
    Bucket.OUTPUT_CITATION: (sc.USAGE_OUTPUT, sc.USAGE_CITATION_OUTPUT),
    Bucket.REASONING: (sc.USAGE_OUTPUT, sc.USAGE_REASONING),
    Bucket.WEB_SEARCHES: (sc.USAGE_WEB_SEARCHES,),
    Bucket.STORAGE_SEARCHES: (sc.USAGE_STORAGE_SEARCHES,),
    Bucket.RERANK_SEARCHES: (sc.USAGE_RERANK_SEARCHES,),
    Bucket.AUDIO_SECONDS: (sc.USAGE_AUDIO_SECONDS,),
    Bucket.DOCUMENT_PAGES: (sc.USAGE_DOCUMENT_PAGES,),
    Bucket.ANNOTATED_PAGES: (sc.USAGE_ANNOTATED_PAGES,),
}
"""The attributes that a bucket is counted in: the totals of the conventions include their parts."""


def usage_attributes(usage: Usage) -> dict[str, AttributeScalar]:
    """Exclusive buckets → the conventions' totals with their parts inside; `dialects.table.WIRE` reads them back."""
    found: dict[str, AttributeScalar] = {}
    if usage.flags:
        found[sc.USAGE_FLAGS] = list(usage.flags)
    if not usage.known:
        return found
    counts = {sc.USAGE_INPUT: 0, sc.USAGE_OUTPUT: 0}
    for bucket, count in usage.buckets.items():
        for name in _TOLD_BY[bucket]:
            counts[name] = counts.get(name, 0) + count
    found.update(counts)
    found[sc.USAGE_RULE] = usage.rule
    return found
