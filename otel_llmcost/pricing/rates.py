"""What a price is before it meets a usage: rates by bucket, or the reason why there are none."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

from otel_llmcost.call import Bucket, LLMCall
from otel_llmcost.money import ZERO

SECOND_NS = Decimal(1_000_000_000)


@dataclass(frozen=True, slots=True)
class Rate:
    """USD per unit: `base`, or the last of `tiers` whose start the call's total input exceeds.

    `listed` is what a list says, in USD per so many units, where that is no finite decimal per unit (an hour of audio).
    """

    base: Decimal
    tiers: tuple[tuple[int, Decimal], ...] = ()
    listed: tuple[Decimal, int] | None = None

    def at(self, input_tokens: int) -> Decimal:
        """The rate for a call with that much input; crossing a tier sets the rate of all its tokens."""
        found = self.base
        for start, usd in self.tiers:
            if input_tokens > start:
                found = usd
        return found

    def exact_at(self, input_tokens: int) -> Fraction:
        """The same rate, exactly."""
        if self.listed is not None:
            return Fraction(self.listed[0]) / self.listed[1]
        return Fraction(self.at(input_tokens))


@dataclass(frozen=True, slots=True)
class Rates:
    """What one model costs at one time in one context.

    `request` is USD per call, `second` USD per second that it lasts; `reason` says where the row is not the plain one;
    `estimated` is set where it rests on what a month is expected to come to. `wider` holds the buckets that have the
    rate of text for want of one of their own, where other models have another.
    """

    price_id: str
    by_bucket: Mapping[Bucket, Rate]
    request: Rate | None = None
    reason: str = ""
    second: Decimal | None = None
    estimated: bool = False
    wider: frozenset[Bucket] = frozenset()

    def marked(self, reason: str) -> "Rates":
        """The same rates with another reason."""
        return replace(self, reason=reason)

    @property
    def without_usage(self) -> bool:
        """Whether the call costs the same whatever it used: a model sold by the call or by the second."""
        flat = self.request is not None or self.second is not None
        return flat and not any(rate.base or rate.tiers for rate in self.by_bucket.values())

    def per_call(self, call: LLMCall, input_tokens: int) -> Decimal:
        """USD for the call as such, beside its buckets; not rounded."""
        usd = self.request.at(input_tokens) if self.request else ZERO
        return usd + self.second * call.duration_ns / SECOND_NS if self.second else usd


@dataclass(frozen=True, slots=True)
class NoPrice:
    """Why there is no price."""

    reason: str
