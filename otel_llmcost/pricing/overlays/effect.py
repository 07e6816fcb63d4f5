"""What the entries that hold for a call make of its list price: one rate and one factor per bucket.

Every kind of entry comes down to that, so a call costs a few multiplications, and each bucket is rounded once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final

from otel_llmcost.call import BUCKETS, Bucket, LLMCall
from otel_llmcost.money import round_usd
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

    def charges(self, call: LLMCall, listed: Rates, counts: Mapping[Bucket, Decimal]) -> dict[Bucket, Decimal]:
        """USD per bucket, each rounded once. `counts` holds the list price of every bucket that is charged."""
        used = call.usage.buckets
        input_tokens = call.usage.input_tokens
        found = {}
        for bucket in counts:
            rate = self.rates.get(bucket) or listed.by_bucket[bucket]
            found[bucket] = round_usd(rate.at(input_tokens) * used[bucket] * self.factors[bucket])
        return found

    def request_charge(self, call: LLMCall, listed: Rates) -> Decimal:
        """USD for the call as such."""
        usd = listed.per_call(call, call.usage.input_tokens) * self.factors[REQUEST] + self.request_usd
        if self.second_usd:
            usd += self.second_usd * call.duration_ns / SECOND_NS
        return round_usd(usd)


UNCHANGED: Final = Effect()
