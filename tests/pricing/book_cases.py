"""Every case in which a row of genai-prices can give another price: rows, times, contexts, usages.

Times, contexts and usages are taken from the rows themselves, not from our reading of them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import combinations, islice
from zlib import crc32

from genai_prices import Usage as GenaiUsage
from genai_prices.data_snapshot import DataSnapshot
from genai_prices.data_units import unit_data
from genai_prices.types import (
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    TieredPrices,
    TimeOfDateConstraint,
)

from otel_llmcost.call import BUCKETS, Bucket, LLMCall, Source, Usage
from otel_llmcost.pricing import PriceBook
from otel_llmcost.pricing.rates import Rates
from otel_llmcost.providers.sellers import SELLERS

TICK = timedelta(microseconds=1)
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
DIMENSIONS = {name: unit["dimensions"].items() for name, unit in unit_data.items()}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Row:
    """A row as a seller sells it, and a reference that finds it in the book."""

    seller: str
    provider: Provider
    info: ModelInfo
    reference: str

    def __str__(self) -> str:
        return f"{self.seller}/{self.info.id}"


def rows_of(book: PriceBook) -> tuple[list[Row], list[str]]:
    """Rows that a reference finds, those that a seller takes from another's list included; and those none finds."""
    names = {provider.id: provider.id for provider in book.snapshot.providers}
    names |= {seller.price_id: seller.name for seller in reversed(SELLERS) if seller.price_id in names}
    by_id = {provider.id: provider for provider in book.snapshot.providers}
    found, hidden = [], []
    for provider in book.snapshot.providers:
        owners = [provider, *(by_id[owner] for owner in provider.fallback_model_providers or ())]
        for owner in owners:
            for info in owner.models:
                reference = _reference(book, names[provider.id], info, owner is provider)
                if reference is not None:
                    found.append(Row(names[provider.id], provider, info, reference))
                elif owner is provider:
                    hidden.append(f"{provider.id}/{info.id}")
    return found, hidden


def _reference(book: PriceBook, seller: str, info: ModelInfo, own: bool) -> str | None:
    """A name whose row is this one, and which genai-prices' own rules of the row take or which is its id."""
    for name in (info.id, *_equal_names(info.match)):
        rates = book.rates(seller, name, ns(NOON), {})
        if not isinstance(rates, Rates) or rates.price_id.rpartition("@")[0] != f"{seller}/{info.id}":
            continue
        if own == ("price_of:" not in rates.reason):
            return name
    return None


def _equal_names(clause: object) -> Iterator[str]:
    for part in getattr(clause, "or_", [clause]):
        for name in ("equals", "starts_with", "contains", "ends_with"):
            if hasattr(part, name):
                yield getattr(part, name)


def ns(at: datetime) -> int:
    return (at - EPOCH) // TICK * 1_000


def times_of(info: ModelInfo) -> list[datetime]:
    """Just before, at and just after every day and every time of day at which a price may change, on each such day."""
    rows = [*([] if isinstance(info.prices, ModelPrice) else info.prices), *(info.price_variants or ())]
    constraints = [row.constraint for row in rows]
    days = {
        datetime(c.start_date.year, c.start_date.month, c.start_date.day, tzinfo=UTC)
        for c in constraints
        if isinstance(c, StartDateConstraint)
    }
    edges = {t for c in constraints if isinstance(c, TimeOfDateConstraint) for t in (c.start_time, c.end_time)}
    midnights = {*days, *(day - timedelta(days=1) for day in days), NOON.replace(hour=0)}
    changes = {*days, *(datetime.combine(day, edge, edge.tzinfo or UTC) for day in midnights for edge in edges)}
    return sorted({NOON, *(change + tick for change in changes for tick in (-TICK, timedelta(0), TICK))})


def contexts_of(info: ModelInfo) -> list[Mapping[str, str]]:
    """None, each that a variant is for, each two of them together, and one that nobody knows."""
    whens = [variant.when for variant in info.price_variants or ()]
    mixed = [one | other for one, other in combinations(whens, 2)]
    found = [{}, *whens, *mixed, {"service_tier": "no-such-tier"}]
    return [dict(items) for items in dict.fromkeys(tuple(sorted(context.items())) for context in found)]


def prices_of(info: ModelInfo) -> Iterator[ModelPrice]:
    if isinstance(info.prices, ModelPrice):
        yield info.prices
    else:
        yield from (row.prices for row in info.prices)
    yield from (variant.prices for variant in info.price_variants or ())


def usages_of(info: ModelInfo) -> list[dict[Bucket, int]]:
    """Usages of every kind, and of every size at which a tier begins."""
    tokens = {bucket: 1_000 + 7 * place for place, bucket in enumerate(Bucket) if BUCKETS[bucket].direction}
    units = {bucket: 1 + place for place, bucket in enumerate(Bucket) if not BUCKETS[bucket].direction}
    shapes: list[dict[Bucket, int]] = [
        {Bucket.INPUT: 928, Bucket.OUTPUT: 344},
        {Bucket.INPUT: 928, Bucket.CACHE_READ: 3_072, Bucket.OUTPUT: 344, Bucket.REASONING: 256},
        {Bucket.INPUT: 1, Bucket.CACHE_WRITE: 4_001, Bucket.CACHE_WRITE_1H: 503, Bucket.OUTPUT: 1},
        {Bucket.INPUT: 33, Bucket.WEB_SEARCHES: 3, Bucket.OUTPUT: 9},
        {bucket: count for bucket, count in tokens.items() if "image" not in bucket and "video" not in bucket},
        tokens,
        units,
        *({bucket: count} for bucket, count in (tokens | units).items()),
        *({Bucket.AUDIO_SECONDS: seconds} for seconds in (1, 10, 11, 3_599)),
    ]
    values = [value for prices in prices_of(info) for value in vars(prices).values()]
    starts = {tier.start for value in values if isinstance(value, TieredPrices) for tier in value.tiers}
    for start in sorted(starts):
        for total in (start - 1, start, start + 1, 3 * start):
            shapes.append({Bucket.INPUT: total, Bucket.OUTPUT: 77})
            shapes.append({Bucket.INPUT: total - 900, Bucket.CACHE_READ: 700, Bucket.CACHE_WRITE: 200})
            shapes.append({Bucket.INPUT: 1, Bucket.CACHE_READ: total - 1, Bucket.REASONING: 5})
    return shapes


@dataclass(frozen=True)
class Case:
    row: Row
    at: datetime
    context: Mapping[str, str]
    usage: Mapping[Bucket, int]

    def call(self) -> LLMCall:
        return LLMCall(
            call_id=bytes(16),
            source=Source.WIRE,
            start_ns=ns(self.at),
            end_ns=ns(self.at),
            provider=self.row.seller,
            model=self.row.reference,
            price_context=self.context,
            usage=Usage(buckets=self.usage),
        )

    def prices(self) -> ModelPrice:
        """What genai-prices takes for it; another's list is taken without its variants."""
        own = any(self.row.info is model for model in self.row.provider.models)
        return self.row.info.get_prices(self.at, dict(self.context) if own else None)

    def genai_usage(self) -> GenaiUsage:
        """The same usage in genai-prices' inclusive counting: each unit counts all that are kinds of it."""
        counts = {
            name: sum(n for bucket, n in self.usage.items() if dimensions <= DIMENSIONS[BUCKETS[bucket].unit])
            for name, dimensions in DIMENSIONS.items()
        }
        return GenaiUsage(**{name: count for name, count in counts.items() if count})

    def without_price(self) -> set[Bucket]:
        """Buckets that no priced unit covers."""
        priced = {name for name, unit in unit_data.items() if vars(self.prices()).get(unit["price_key"]) is not None}
        units = {bucket: DIMENSIONS[BUCKETS[bucket].unit] for bucket in self.usage}
        return {b for b, wanted in units.items() if not any(DIMENSIONS[name] <= wanted for name in priced)}

    def usd(self) -> Decimal:
        """What genai-prices says it costs, not rounded."""
        return self.row.info.calc_price(
            self.genai_usage(),
            self.row.provider,
            genai_request_timestamp=self.at,
            price_context=dict(self.context) or None,
        ).total_price

    def __str__(self) -> str:
        usage = {bucket.value: count for bucket, count in self.usage.items()}
        return f"{self.row} {self.at.isoformat()} {dict(self.context)} {usage}"


def cases(rows: list[Row], one_in: int) -> Iterator[Case]:
    """All cases of the rows, or every so manieth, the same ones each time."""
    for row in rows:
        seed = crc32(str(row).encode())
        every = (
            Case(row, at, context, usage)
            for at in times_of(row.info)
            for context in contexts_of(row.info)
            for usage in usages_of(row.info)
        )
        yield from islice(every, seed % one_in, None, one_in)


def snapshot_rows(snapshot: DataSnapshot) -> int:
    return sum(len(provider.models) for provider in snapshot.providers)
