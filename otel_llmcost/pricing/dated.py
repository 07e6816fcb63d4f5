"""One row of a list through time: which of its prices holds when, compiled once.

genai-prices asks every constraint of a row for every call. Here the days and the times of day at which another price
may begin to hold cut time into pieces, the price of each piece is worked out by genai-prices' own rules, and a call
finds its piece by bisection.
"""

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import product
from typing import Final

from genai_prices.data_units import unit_data
from genai_prices.types import (
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    PriceVariant,
    StartDateConstraint,
    TieredPrices,
    TimeOfDateConstraint,
)

from otel_llmcost.call import BUCKETS, Bucket
from otel_llmcost.money import EXACT
from otel_llmcost.pricing.compiled import NO_MINIMUM, Price, both
from otel_llmcost.pricing.listings import is_free
from otel_llmcost.pricing.rates import NoPrice, Rate, Rates

STANDARD: Final[Mapping[str, frozenset[str]]] = {
    "service_tier": frozenset({"", "default", "standard", "auto", "on_demand"}),
    "processing": frozenset({"", "standard"}),
    "speed": frozenset({"", "standard"}),
}
"""What a context may say of a call at the plain price."""
FREE: Final = "free"
LEAST: Final[Mapping[tuple[str, str], Mapping[Bucket, int]]] = {
    ("groq", name): {Bucket.AUDIO_SECONDS: 10} for name in ("whisper-large-v3", "whisper-large-v3-turbo")
}
"""(list, model) → counts that are billed at least. Source: Groq's pricing of speech recognition."""

DAY_NS: Final = 86_400 * 10**9
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_TOKENS: Final = frozenset(bucket for bucket, kind in BUCKETS.items() if kind.direction)
_DIMENSIONS: Final = {name: frozenset(unit["dimensions"].items()) for name, unit in unit_data.items()}
_OF_THEIR_OWN: Final = frozenset({Bucket.INPUT_AUDIO, Bucket.OUTPUT_AUDIO, Bucket.OUTPUT_IMAGE, Bucket.OUTPUT_VIDEO})
"""Buckets whose rate is rarely that of text, up to twenty times it."""
_SLUG: Final = re.compile(r"[\s;]+")


def _covering(bucket: Bucket) -> Sequence[tuple[str, int]]:
    """Price keys of the units that cover a bucket, the most specific first, each with its number of units."""
    wanted = _DIMENSIONS[BUCKETS[bucket].unit]
    units = sorted((unit for unit in unit_data if _DIMENSIONS[unit] <= wanted), key=lambda u: -len(_DIMENSIONS[u]))
    return [(unit_data[unit]["price_key"], unit_data[unit]["per"]) for unit in units]


_COVERING: Final = {bucket: _covering(bucket) for bucket in Bucket}
_REQUESTS: Final = unit_data["requests"]


class Timeline:
    """Prices by time. `only` is the one that always holds, where there is but one; or the reason why there is none."""

    __slots__ = ("_days", "_prices", "_times", "only")

    def __init__(self, days: Sequence[int], times: Sequence[int], prices: Sequence[Price | NoPrice]) -> None:
        self._days = days
        self._times = times
        self._prices = prices
        self.only = prices[0] if len(prices) == 1 else None

    @classmethod
    def of(cls, price: Price | NoPrice) -> "Timeline":
        """One price for all time."""
        return cls((), (0,), (price,))

    def at(self, at_ns: int) -> Price | NoPrice:
        """The price at a time in nanoseconds since 1970."""
        times = self._times
        place = bisect_right(self._days, at_ns) * len(times)
        return self._prices[place + bisect_right(times, at_ns % DAY_NS) - 1 if len(times) > 1 else place]

    def marked(self, mark: str) -> "Timeline":
        """The same prices with one more reason; of reasons why there is none, nothing changes."""
        if not mark:
            return self
        prices = [p if isinstance(p, NoPrice) else p.marked(both(mark, p.rates.reason)) for p in self._prices]
        return Timeline(self._days, self._times, prices)


class DatedModel:
    """A row of a list as a seller sells it: its prices by time and context."""

    def __init__(self, seller: str, list_id: str, info: ModelInfo, in_own_list: bool) -> None:
        self._seller = seller
        self._info = info
        self._variants = info.price_variants or () if in_own_list else ()  # another's list says nothing of tiers here
        self._least = LEAST.get((list_id, info.id), NO_MINIMUM)
        self._days, self._times = _boundaries([*_conditions(info), *self._variants])
        self._timelines: dict[tuple[object, ...], Timeline] = {}

    def timeline(self, context: Mapping[str, str], mark: str = "") -> Timeline:
        """The prices in a context; `mark` is what is to be said of how the row was found."""
        key = (mark, *sorted(context.items()))
        found = self._timelines.get(key)
        if found is None:
            if len(self._timelines) >= MAX_CONTEXTS:
                self._timelines.clear()
            found = self._timelines[key] = self._compiled(context).marked(mark)
        return found

    def _compiled(self, context: Mapping[str, str]) -> Timeline:
        days = [_EPOCH if not self._days else self._days[0] - timedelta(days=1), *self._days]
        prices = [self._price(day + after, context) for day, after in product(days, self._times)]
        return Timeline([_ns(day - _EPOCH) for day in self._days], [_ns(after) for after in self._times], prices)

    def _price(self, at: datetime, context: Mapping[str, str]) -> Price:
        prices = self._info.get_prices(at, context if self._variants else None)
        free = is_free(self._info)
        by_bucket = dict.fromkeys(_TOKENS, Rate(Decimal(0))) if free else _rates_of(prices)
        request = _as_rate(prices.__dict__.get(_REQUESTS["price_key"]), _REQUESTS["per"])
        price_id = f"{self._seller}/{self._info.id}@{_valid_from(self._info, at)}"
        reason = both(FREE if free else "", *self._not_priced(at, context))
        told = prices.__dict__
        wider = frozenset(b for b in _OF_THEIR_OWN & by_bucket.keys() if told.get(_COVERING[b][0][0]) is None)
        return Price(Rates(price_id, by_bucket, request, reason, wider=frozenset() if free else wider), self._least)

    def _not_priced(self, at: datetime, context: Mapping[str, str]) -> list[str]:
        """What the context says that no price of the row is for: the plain price is the best there is."""
        found = []
        for name, value in context.items():
            known = any(
                variant.when.get(name) == value and (variant.constraint is None or variant.constraint.active(at))
                for variant in self._variants
            )
            if not known and value not in STANDARD.get(name, ()):
                what = "tier" if name == "service_tier" else name
                found.append(f"no_price_for_{what}:{_SLUG.sub('_', value)}")
        return found


MAX_CONTEXTS: Final = 64
"""Contexts of one row that are kept compiled; their words come from outside."""


def _conditions(info: ModelInfo) -> Sequence[ConditionalPrice]:
    return [] if isinstance(info.prices, ModelPrice) else info.prices


def _boundaries(
    rows: Sequence[ConditionalPrice | PriceVariant],
) -> tuple[Sequence[datetime], Sequence[timedelta]]:
    """The days and the times of day (UTC) at which another price may begin to hold."""
    constraints = [row.constraint for row in rows]
    days = {c.start_date for c in constraints if isinstance(c, StartDateConstraint)}
    timed = [c for c in constraints if isinstance(c, TimeOfDateConstraint)]
    times = {timedelta(0), *(_since_midnight(t) for c in timed for t in (c.start_time, c.end_time))}
    return sorted(datetime(day.year, day.month, day.day, tzinfo=UTC) for day in days), sorted(times)


def _since_midnight(value: time) -> timedelta:
    """A time of day in UTC; one without a zone is UTC."""
    aware = value if value.tzinfo else value.replace(tzinfo=UTC)
    at = datetime.combine(date(1970, 1, 2), aware).astimezone(UTC)
    return at - at.replace(hour=0, minute=0, second=0, microsecond=0)


def _ns(value: timedelta) -> int:
    return value // _MICROSECOND * 1_000


def _rates_of(prices: ModelPrice) -> dict[Bucket, Rate]:
    """The rate of each bucket: that of the most specific priced unit that covers it."""
    told = prices.__dict__
    found = {}
    for bucket, keys in _COVERING.items():
        rates = (_as_rate(told.get(key), per) for key, per in keys)
        rate = next((rate for rate in rates if rate is not None), None)
        if rate is not None:
            found[bucket] = rate
    return found


def _as_rate(price: Decimal | TieredPrices | None, per: int) -> Rate | None:
    if price is None:
        return None
    if isinstance(price, TieredPrices):
        tiers = tuple((tier.start, EXACT.divide(tier.price, per)) for tier in price.tiers)
        return Rate(EXACT.divide(price.base, per), tiers)
    usd = EXACT.divide(price, per)
    return Rate(usd, listed=None if EXACT.multiply(usd, per) == price else (price, per))


def _valid_from(info: ModelInfo, at: datetime) -> str:
    """When the price that holds at a time began to: a date, a daily interval, or `always`."""
    for row in reversed(_conditions(info)):
        constraint = row.constraint
        if constraint is None:
            break
        if constraint.active(at):
            if isinstance(constraint, StartDateConstraint):
                return constraint.start_date.isoformat()
            return f"{constraint.start_time:%H:%M}-{constraint.end_time:%H:%M}"
    return "always"
