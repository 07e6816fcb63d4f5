"""What a price is before it meets a usage: rates by bucket, or the reason why there are none."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from otel_llmcost.call import Bucket


@dataclass(frozen=True, slots=True)
class Rate:
    """USD per unit: `base`, or the last of `tiers` whose start the call's total input exceeds."""

    base: Decimal
    tiers: tuple[tuple[int, Decimal], ...] = ()

    def at(self, input_tokens: int) -> Decimal:
        """The rate for a call with that much input; crossing a tier sets the rate of all its tokens."""
        found = self.base
        for start, usd in self.tiers:
            if input_tokens > start:
                found = usd
        return found


@dataclass(frozen=True, slots=True)
class Rates:
    """What one model costs at one time in one context. `reason` says where the row is not the plain one."""

    price_id: str
    by_bucket: Mapping[Bucket, Rate]
    request: Rate | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class NoPrice:
    """Why there is no price."""

    reason: str
