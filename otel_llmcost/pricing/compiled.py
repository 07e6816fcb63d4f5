"""`Price`: rates made ready to be multiplied, in integers of pico-USD.

A rate per token is nearly always a whole number of pico-USD, and then a charge is one product of integers: exact, and
nothing to round. What is finer (audio by the hour, a rate with more digits) is a ratio of integers, rounded half-even
once per bucket. Both give what `Decimal` arithmetic gives.
"""

from bisect import bisect_left
from collections.abc import Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Final

from otel_llmcost.call import BUCKETS, Bucket, Part
from otel_llmcost.money import PICO, round_ratio
from otel_llmcost.pricing.rates import Rates

PARTS: Final = tuple(Part)
PLACES: Final[Mapping[Bucket, int]] = {bucket: PARTS.index(kind.part) for bucket, kind in BUCKETS.items()}
"""Where the part that a bucket is charged to stands among the parts, which is its place in `Amounts`."""
OTHER: Final = PARTS.index(Part.OTHER)
UNCACHED: Final[Mapping[Bucket, Bucket]] = {
    Bucket.CACHE_READ: Bucket.INPUT,
    Bucket.CACHE_READ_AUDIO: Bucket.INPUT_AUDIO,
    Bucket.CACHE_READ_IMAGE: Bucket.INPUT_IMAGE,
    Bucket.CACHE_READ_VIDEO: Bucket.INPUT_VIDEO,
    Bucket.CACHE_WRITE: Bucket.INPUT,
    Bucket.CACHE_WRITE_1H: Bucket.INPUT,
}
NO_MINIMUM: Final[Mapping[Bucket, int]] = MappingProxyType({})


class Level:
    """What each bucket costs in one range of input sizes.

    `plain` holds the buckets whose charge is one product: place among the parts, pico-USD per unit, and pico-USD that
    a unit saves against uncached input; not those of which more is to be said (`said`). `request` is the charge per
    call, in pico-USD.
    """

    __slots__ = ("_ratios", "plain", "request")

    def __init__(
        self, usd_by_bucket: Mapping[Bucket, Fraction], request_usd: Fraction, said: frozenset[Bucket]
    ) -> None:
        self._ratios = {bucket: (usd * PICO).as_integer_ratio() for bucket, usd in usd_by_bucket.items()}
        self.request = round_ratio(*(request_usd * PICO).as_integer_ratio())
        self.plain: dict[Bucket, tuple[int, int, int]] = {}
        for bucket in usd_by_bucket.keys() - {Bucket.AUDIO_SECONDS} - said:  # seconds decide what else is charged
            uncached = self._uncached(bucket)
            if self._ratios[bucket][1] == self._ratios[uncached][1] == 1:
                rate = self._ratios[bucket][0]
                self.plain[bucket] = (PLACES[bucket], rate, self._ratios[uncached][0] - rate)

    def charge(self, bucket: Bucket, count: int) -> int:
        """Pico-USD of so many units, rounded half-even.

        Raises:
            KeyError: the bucket has no price.
        """
        numerator, denominator = self._ratios[bucket]
        return round_ratio(numerator * count, denominator)

    def saving(self, bucket: Bucket, count: int) -> int:
        """Pico-USD that so many cached units save against uncached input."""
        uncached = self._uncached(bucket)
        return 0 if uncached is bucket else self.charge(uncached, count) - self.charge(bucket, count)

    def _uncached(self, bucket: Bucket) -> Bucket:
        uncached = UNCACHED.get(bucket, bucket)
        return uncached if uncached in self._ratios else bucket


class Price:
    """The price of one model at one time in one context, at every size of input.

    `starts` are the input sizes above which the next of `levels` holds; `flat` is the only level where there is one.
    `least` holds the counts that are billed at least. `stepwise` is set where more than its buckets decides a cost.
    """

    __slots__ = ("flat", "least", "levels", "rates", "starts", "stepwise")

    def __init__(self, rates: Rates, least: Mapping[Bucket, int] = NO_MINIMUM) -> None:
        self.rates = rates
        self.least = least
        all_rates = [*rates.by_bucket.values(), *([rates.request] if rates.request else [])]
        self.starts = sorted({start for rate in all_rates for start, _ in rate.tiers})
        self.levels = [_level(rates, above) for above in (0, *(start + 1 for start in self.starts))]
        self.flat = None if self.starts else self.levels[0]
        self.stepwise = rates.estimated or rates.second is not None

    def level(self, input_tokens: int) -> Level:
        """The level of a call with that much input."""
        return self.levels[bisect_left(self.starts, input_tokens)]

    def marked(self, reason: str) -> "Price":
        """The same price with another reason."""
        marked = object.__new__(Price)
        for name in Price.__slots__:
            setattr(marked, name, getattr(self, name))
        marked.rates = self.rates.marked(reason)
        return marked


def _level(rates: Rates, input_tokens: int) -> Level:
    usd_by_bucket = {bucket: rate.exact_at(input_tokens) for bucket, rate in rates.by_bucket.items()}
    request_usd = rates.request.exact_at(input_tokens) if rates.request else Fraction(0)
    return Level(usd_by_bucket, request_usd, rates.wider)


def both(*reasons: str) -> str:
    """One reason out of several, those that say nothing left out."""
    return "; ".join(filter(None, reasons))
