"""What the entries that hold for a call make of its list price: one rate and one factor per bucket.

Every kind of entry comes down to that, so a call costs a few multiplications, and each bucket is rounded once.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final

from otel_llmcost.call import BUCKETS, Bucket, LLMCall
from otel_llmcost.money import ZERO, round_usd
from otel_llmcost.pricing.overlays.matching import EVERYTHING, REQUEST
from otel_llmcost.pricing.rates import SECOND_NS, Rate, Rates

ONE: Final = Decimal(1)
NOTHING: Final = Decimal(0)
TOKEN_BUCKETS: Final = frozenset(bucket for bucket, kind in BUCKETS.items() if kind.direction)
_EVEN: Final[Mapping[str, Decimal]] = dict.fromkeys(EVERYTHING, ONE)


@dataclass(frozen=True, slots=True)
class Effect:
    """How a call is charged instead of by the list.

    `rates` replace those of the list; `factors` say what part of the charge remains, bucket by bucket and for the
    price per request; `request_usd` and `second_usd` come on top, per call and per second of its duration.
    """

    rates: Mapping[Bucket, Rate] = field(default_factory=dict)
    factors: Mapping[str, Decimal] = field(default_factory=lambda: _EVEN)
    request_usd: Decimal = NOTHING
    second_usd: Decimal = NOTHING

    def scaled(self, factor: Decimal) -> "Effect":
        """All of it, times a factor."""
        return replace(
            self,
            factors={charge: part * factor for charge, part in self.factors.items()},
            request_usd=self.request_usd * factor,
            second_usd=self.second_usd * factor,
        )

    def scaled_at(self, charges: frozenset[str], factor: Decimal) -> "Effect":
        """Those charges, times a factor."""
        return replace(
            self,
            factors={charge: part * factor if charge in charges else part for charge, part in self.factors.items()},
        )

    def without(self, charges: frozenset[str]) -> "Effect":
        """Those charges back at list price, to be charged otherwise."""
        return replace(
            self,
            rates={bucket: rate for bucket, rate in self.rates.items() if bucket not in charges},
            factors={charge: ONE if charge in charges else part for charge, part in self.factors.items()},
        )

    def charged_at(self, rates: Mapping[Bucket, Rate]) -> "Effect":
        """Those buckets at other rates."""
        return replace(self.without(frozenset(rates)), rates={**self.rates, **rates})

    def plus(self, request_usd: Decimal = NOTHING, second_usd: Decimal = NOTHING) -> "Effect":
        """With a fixed amount per call or per second on top."""
        return replace(self, request_usd=self.request_usd + request_usd, second_usd=self.second_usd + second_usd)

    def over(self, listed: Rates) -> "Priced":
        """The effect on one list price."""
        rates = {}
        for bucket in {*listed.by_bucket, *self.rates}:
            rate = self.rates.get(bucket) or listed.by_bucket[bucket]
            factor = self.factors[bucket]
            rates[bucket] = Rate(rate.base * factor, tuple((above, usd * factor) for above, usd in rate.tiers))
        return Priced(self, listed, rates)


class Priced:
    """Rates that an effect makes of a list price; a call costs one product per bucket."""

    __slots__ = ("_bases", "_effect", "_is_plain", "_rates", "listed")

    def __init__(self, effect: Effect, listed: Rates, rates: Mapping[Bucket, Rate]) -> None:
        self.listed = listed
        self._effect = effect
        self._rates = rates
        has_tiers = any(rate.tiers for rate in rates.values())
        self._bases = None if has_tiers else {bucket: rate.base for bucket, rate in rates.items()}
        self._is_plain = not (listed.request or listed.second or effect.request_usd or effect.second_usd)

    def charges(self, call: LLMCall, billed: Iterable[Bucket]) -> dict[Bucket, Decimal]:
        """USD for each bucket that is billed, rounded once."""
        used, bases = call.usage.buckets, self._bases
        if bases is not None:
            return {bucket: round_usd(bases[bucket] * used[bucket]) for bucket in billed}
        input_tokens = call.usage.input_tokens
        return {bucket: round_usd(self._rates[bucket].at(input_tokens) * used[bucket]) for bucket in billed}

    def request_charge(self, call: LLMCall) -> Decimal:
        """USD for the call as such, rounded once."""
        if self._is_plain:
            return ZERO
        effect = self._effect
        usd = self.listed.per_call(call, call.usage.input_tokens) * effect.factors[REQUEST] + effect.request_usd
        if effect.second_usd:
            usd += effect.second_usd * call.duration_ns / SECOND_NS
        return round_usd(usd)


UNCHANGED: Final = Effect()
