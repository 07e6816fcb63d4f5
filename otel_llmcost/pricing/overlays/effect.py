"""What the entries that hold for a call make of its list price: one rate and one factor per bucket.

Every kind of entry comes down to that, so a call costs a few multiplications, and each bucket is rounded once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final

from otel_llmcost.call import BUCKETS, Bucket
from otel_llmcost.pricing.overlays.matching import EVERYTHING, REQUEST
from otel_llmcost.pricing.rates import Rate, Rates

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

    def over(self, listed: Rates) -> Rates:
        """What a list price becomes."""
        by_bucket = {}
        for bucket in {*listed.by_bucket, *self.rates}:
            rate = self.rates.get(bucket) or listed.by_bucket[bucket]
            by_bucket[bucket] = _times(rate, self.factors[bucket])
        request = _times(listed.request or Rate(NOTHING), self.factors[REQUEST])
        tiers = tuple((above, usd + self.request_usd) for above, usd in request.tiers)
        second = (listed.second or NOTHING) * self.factors[REQUEST] + self.second_usd
        return Rates(listed.price_id, by_bucket, Rate(request.base + self.request_usd, tiers), "", second or None)


def _times(rate: Rate, factor: Decimal) -> Rate:
    if factor == ONE:
        return rate
    listed = (rate.listed[0] * factor, rate.listed[1]) if rate.listed else None
    return Rate(rate.base * factor, tuple((above, usd * factor) for above, usd in rate.tiers), listed)


UNCHANGED: Final = Effect()
