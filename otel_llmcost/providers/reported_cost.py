"""What the provider itself says a call cost.

Sources: docs.x.ai "Cost tracking" (1 USD is 10^10 ticks, after discounts, tools included), OpenRouter "Usage
accounting" (`usage.cost` in credits of 1 USD), Perplexity's API reference (`usage.cost.total_cost`), Vercel AI Gateway.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from otel_llmcost.providers.fields import section, text
from otel_llmcost.wire.reading import Reading

TICKS_PER_USD: Final = 10**10

MAX_REPORTED_USD: Final = 1_000_000
"""No call costs more; such a number is a fault."""

COST_IN_USD: Final = frozenset({"openrouter", "vercel", "avian"})
"""Sellers whose `usage.cost` is a number of USD. Anybody else's has no unit that we know, and is not believed."""

_STATED: Final = frozenset({"cost_in_usd_ticks", "cost", "pydantic_ai_gateway"})


def read_reported_cost(usage: Mapping[str, Any], reading: Reading) -> None:
    """Take the stated cost out of a usage object, where there is one."""
    if _STATED.isdisjoint(usage):
        return
    found = _usd(usage.get("cost_in_usd_ticks"), TICKS_PER_USD)
    if found is None and reading.provider in COST_IN_USD:
        found = _usd(usage.get("cost"))
    if found is None:
        parts = section(usage, "cost")
        if text(parts, "currency") in ("", "USD"):
            found = _usd(parts.get("total_cost"))
    if found is None:
        found = _usd(section(usage, "pydantic_ai_gateway").get("cost_estimate"))
    if found is not None:
        reading.reported_usd = found


def _usd(value: object, units: int = 1) -> Decimal | None:
    """An amount; the shortest text of a float is the text it was parsed from, so nothing is lost by it."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    amount = Decimal(repr(value))
    if not amount.is_finite() or not 0 <= amount / units < MAX_REPORTED_USD:
        return None
    return amount / units
