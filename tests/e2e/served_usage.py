"""What a bill must say, worked out from the provider's own log, independently of the product.

A second reading on purpose: nothing of otel_llmcost is imported here.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from genai_prices import Usage, calc_price

Entry = Mapping[str, Any]

COLUMN_OF_BUCKET = {
    "input": "input_cost_usd",
    "cache_read": "cache_read_cost_usd",
    "cache_write": "cache_write_cost_usd",
    "cache_write_1h": "cache_write_cost_usd",
    "output": "output_cost_usd",
    "reasoning": "output_cost_usd",
}
COST_COLUMNS = (*dict.fromkeys(COLUMN_OF_BUCKET.values()), "other_cost_usd")


def buckets(entry: Entry) -> dict[str, int]:
    """Exclusive counts of what the client was told, without zeros."""
    usage = entry["sent_usage"] or {}
    found = _messages(usage) if entry["seller"] == "anthropic" else _openai_like(usage)
    return {name: count for name, count in found.items() if count}


def _openai_like(usage: Mapping[str, Any]) -> dict[str, int]:
    """OpenAI and Groq: cached tokens are inside the input, reasoning is inside the output."""
    total_in = usage.get("prompt_tokens", usage.get("input_tokens", 0))
    total_out = usage.get("completion_tokens", usage.get("output_tokens", 0))
    details_in = usage.get("prompt_tokens_details", usage.get("input_tokens_details", {}))
    details_out = usage.get("completion_tokens_details", usage.get("output_tokens_details", {}))
    cached, reasoning = details_in.get("cached_tokens", 0), details_out.get("reasoning_tokens", 0)
    return {
        "input": total_in - cached,
        "cache_read": cached,
        "output": total_out - reasoning,
        "reasoning": reasoning,
    }


def _messages(usage: Mapping[str, Any]) -> dict[str, int]:
    """Anthropic: cached tokens are beside the input."""
    created = usage.get("cache_creation", {})
    return {
        "input": usage.get("input_tokens", 0),
        "cache_read": usage.get("cache_read_input_tokens", 0),
        "cache_write": created.get("ephemeral_5m_input_tokens", 0),
        "cache_write_1h": created.get("ephemeral_1h_input_tokens", 0),
        "output": usage.get("output_tokens", 0),
    }


def _usage_of(bucket: str, count: int) -> Usage:
    """One bucket in genai-prices' terms, where totals hold their parts."""
    if bucket in ("output", "reasoning"):
        return Usage(output_tokens=count, output_reasoning_tokens=count if bucket == "reasoning" else None)
    return Usage(
        input_tokens=count,
        cache_read_tokens=count if bucket == "cache_read" else None,
        cache_write_tokens=count if bucket.startswith("cache_write") else None,
        cache_write_1h_tokens=count if bucket == "cache_write_1h" else None,
    )


def costs(entry: Entry, at: datetime) -> dict[str, Decimal] | None:
    """USD per column of the ledger, each bucket rounded half-even to 1e-12; None where there is no price list."""
    amounts = dict.fromkeys(COST_COLUMNS, Decimal(0))
    for bucket, count in buckets(entry).items():
        price = _price(entry, _usage_of(bucket, count), at)
        if price is None:
            return None
        amounts[COLUMN_OF_BUCKET[bucket]] += price
    return amounts


def whole_cost(entry: Entry, at: datetime) -> Decimal | None:
    """The same call priced in one go: what genai-prices itself would answer for it."""
    count = buckets(entry)
    read, written_1h = count.get("cache_read", 0), count.get("cache_write_1h", 0)
    written = count.get("cache_write", 0) + written_1h
    usage = Usage(
        input_tokens=count.get("input", 0) + read + written,
        cache_read_tokens=read or None,
        cache_write_tokens=written or None,
        cache_write_1h_tokens=written_1h or None,
        output_tokens=count.get("output", 0) + count.get("reasoning", 0),
    )
    return _price(entry, usage, at)


def _price(entry: Entry, usage: Usage, at: datetime) -> Decimal | None:
    context = {"service_tier": entry["service_tier"]} if entry["service_tier"] else None
    try:
        found = calc_price(
            usage, entry["model"], provider_id=entry["seller"], genai_request_timestamp=at, price_context=context
        )
    except LookupError:
        return None
    return found.total_price.quantize(Decimal("1e-12"), rounding=ROUND_HALF_EVEN)
