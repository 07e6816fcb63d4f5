"""What a price book lists: sellers, models, dates, contexts, as rows for people and for comparisons."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from genai_prices.data_snapshot import DataSnapshot
from genai_prices.data_units import unit_data
from genai_prices.types import ModelInfo, ModelPrice, Provider, StartDateConstraint, TieredPrices, TimeOfDateConstraint

from otel_llmcost.call import BUCKETS
from otel_llmcost.providers.sellers import SELLERS

KEYS: Final[Mapping[str, str]] = {
    unit["price_key"]: next((bucket.value for bucket, kind in BUCKETS.items() if kind.unit == name), name)
    for name, unit in unit_data.items()
}
"""Price key of genai-prices → the bucket that it prices, or their name where we have no such bucket."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A model of a seller, by the seller's name on bill lines."""

    seller: str
    info: ModelInfo

    @property
    def model(self) -> str:
        return self.info.id


@dataclass(frozen=True, slots=True)
class PriceRow:
    """One price of a model: when it begins (a day, an interval of the day, or always) and in which context."""

    begins: str
    context: str
    rates: Mapping[str, str]
    """Bucket → USD per million tokens (thousand pages or searches, hour of audio); `2.5, >200000: 5` with tiers."""


def listed_models(snapshot: DataSnapshot) -> Iterator[Listed]:
    """Every model of every seller, in order."""
    for seller, provider in sorted(sellers_of(snapshot).items()):
        for info in sorted(provider.models, key=lambda model: model.id):
            yield Listed(seller, info)


def sellers_of(snapshot: DataSnapshot) -> Mapping[str, Provider]:
    """Seller → its list. Sellers that share a list both have it."""
    by_id = {provider.id: provider for provider in snapshot.providers}
    named = {seller.name: by_id[seller.price_id] for seller in SELLERS if seller.price_id in by_id}
    taken = {provider.id for provider in named.values()}
    return named | {name: provider for name, provider in by_id.items() if name not in taken}


def models_by_seller(snapshot: DataSnapshot) -> Mapping[str, Sequence[str]]:
    """Seller → the ids of its models."""
    return {seller: [model.id for model in provider.models] for seller, provider in sellers_of(snapshot).items()}


def price_rows(info: ModelInfo) -> Iterator[PriceRow]:
    """All prices of a model: by date or time of day, then by context."""
    if isinstance(info.prices, ModelPrice):
        yield PriceRow("always", "", _rates(info.prices))
    else:
        for row in info.prices:
            yield PriceRow(_begins(row.constraint), "", _rates(row.prices))
    for variant in info.price_variants or ():
        context = ", ".join(f"{name}={value}" for name, value in variant.when.items())
        yield PriceRow(_begins(variant.constraint), context, _rates(variant.prices))


def _begins(constraint: StartDateConstraint | TimeOfDateConstraint | None) -> str:
    if constraint is None:
        return "always"
    if isinstance(constraint, StartDateConstraint):
        return constraint.start_date.isoformat()
    return f"{constraint.start_time:%H:%M}-{constraint.end_time:%H:%M} UTC"


def _rates(prices: ModelPrice) -> Mapping[str, str]:
    found = {}
    for key, price in vars(prices).items():
        if isinstance(price, TieredPrices):
            tiers = (f", >{tier.start}: {plain(tier.price)}" for tier in price.tiers)
            found[KEYS.get(key, key)] = plain(price.base) + "".join(tiers)
        elif isinstance(price, Decimal):
            found[KEYS.get(key, key)] = plain(price)
    return found


def plain(amount: Decimal) -> str:
    """All digits, no exponent, no trailing zeros."""
    return f"{amount.normalize():f}"
