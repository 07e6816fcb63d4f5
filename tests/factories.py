"""Calls for tests: deterministic ids and times, every field overridable."""

from decimal import Decimal
from typing import Any

from otel_llmcost.call import Amounts, Bucket, Cost, LLMCall, Source, Status, Usage

START_NS = 1_764_590_400_000_000_000
"""2025-12-01T12:00:00Z."""

SECOND_NS = 1_000_000_000


def make_cost(**overrides: Any) -> Cost:
    """An exact price: 0.0043 USD effective, 0.0054 USD list."""
    amounts = Amounts(
        input_usd=Decimal("0.001500000000"),
        output_usd=Decimal("0.002000000000"),
        cache_read_usd=Decimal("0.000500000000"),
        cache_write_usd=Decimal("0.000200000000"),
        other_usd=Decimal("0.000100000000"),
    )
    listed = Amounts(
        input_usd=Decimal("0.002000000000"),
        output_usd=Decimal("0.002500000000"),
        cache_read_usd=Decimal("0.000600000000"),
        cache_write_usd=Decimal("0.000200000000"),
        other_usd=Decimal("0.000100000000"),
    )
    fields: dict[str, Any] = {
        "status": Status.EXACT,
        "list": listed,
        "effective": amounts,
        "cache_savings_usd": Decimal("0.004500000000"),
        "price_id": "openai/gpt-4o@2024-05-13",
        "price_book": "2026.11.1",
    }
    return Cost(**(fields | overrides))


def make_call(number: int = 1, **overrides: Any) -> LLMCall:
    """Call number `number`: its ids follow from the number, its time is `number` seconds after `START_NS`."""
    fields: dict[str, Any] = {
        "call_id": number.to_bytes(16, "big"),
        "trace_id": (number + (1 << 64)).to_bytes(16, "big"),
        "span_id": number.to_bytes(8, "big"),
        "parent_span_id": (number + (1 << 32)).to_bytes(8, "big"),
        "source": Source.WIRE,
        "emitter": "otel_llmcost.httpx",
        "service": "support-bot",
        "environment": "production",
        "start_ns": START_NS + number * SECOND_NS,
        "end_ns": START_NS + number * SECOND_NS + 1_250_000_000,
        "ttft_ns": 310_000_000,
        "provider": "openai",
        "host": "api.openai.com",
        "operation": "chat",
        "requested_model": "gpt-4o",
        "model": "gpt-4o-2024-08-06",
        "response_id": f"chatcmpl-{number:029d}",
        "streaming": True,
        "service_tier": "default",
        "price_context": {"service_tier": "default"},
        "http_status": 200,
        "finish_reason": "stop",
        "usage": Usage(
            buckets={Bucket.INPUT: 600, Bucket.CACHE_READ: 400, Bucket.OUTPUT: 150, Bucket.REASONING: 50},
            rule="openai.chat",
        ),
        "user": "u-17",
        "session": "s-42",
        "agent": "triage",
        "workflow": "answer-ticket",
        "run": "r-7",
        "tags": {"team": "cx", "feature": "support", "customer": "acme", "region": "eu"},
        "cost": make_cost(),
    }
    return LLMCall(**(fields | overrides))
