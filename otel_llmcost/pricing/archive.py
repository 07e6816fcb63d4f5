"""A price book as a document, and back: the same costs to the last digit. Pure.

    {"format": 1, "data_version": …, "data": [sellers, as genai-prices has them], "overlays": {…}, "totals": […]}

Rates are decimal text. What genai-prices knows beside prices (how to read usage out of a response) is left out.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import date, time
from decimal import Decimal
from typing import Any, Final

from genai_prices.data_snapshot import DataSnapshot
from genai_prices.data_units import unit_data
from genai_prices.types import (
    ModelInfo,
    ModelPrice,
    StartDateConstraint,
    TieredPrices,
    TimeOfDateConstraint,
    _providers_from_raw,
)

from otel_llmcost.errors import InputError
from otel_llmcost.pricing.book import PriceBook
from otel_llmcost.pricing.catalog import KEYS, listed_models
from otel_llmcost.pricing.overlays.files import from_document
from otel_llmcost.pricing.overlays.overlays import Overlays
from otel_llmcost.pricing.overlays.totals import PeriodTotals

Constraint = StartDateConstraint | TimeOfDateConstraint

FORMAT: Final = 1
_NO_CONTEXT: Final[Mapping[str, str]] = {}
_LEFT_OUT: Final = frozenset({"extractors"})


def to_document(book: PriceBook) -> str:
    """The book as JSON text; equal books give equal texts."""
    overlay = book.overlay if isinstance(book.overlay, Overlays) else None
    document: dict[str, Any] = {"format": FORMAT, "data_version": book.data_version}
    if overlay is not None:
        document["overlays"] = overlay.to_document()
        document["totals"] = overlay.totals.to_document()
    document["data"] = _plain(book.snapshot.providers)
    return json.dumps(document, separators=(",", ":"))


def from_archive(text: str) -> PriceBook:
    """The book that `to_document` wrote.

    Raises:
        InputError: the text is no such document, or of a later format.
    """
    try:
        document = json.loads(text)
        if document["format"] != FORMAT:
            raise InputError(
                f"archived price book: format {document['format']!r} is unknown; this version reads {FORMAT}"
            )
        # The library's own reading of its file; it has no public name, and the range of versions is pinned.
        snapshot = DataSnapshot(_providers_from_raw(document["data"]), from_auto_update=False)
        overlay = None
        if "overlays" in document:
            totals = PeriodTotals.from_document(document["totals"])
            overlay = from_document(document["overlays"])
            overlay = overlay.with_totals(totals) if totals else overlay
        return PriceBook(snapshot, document["data_version"], overlay)
    except (ValueError, TypeError, KeyError, AttributeError) as error:  # pydantic's error is a ValueError
        raise InputError(f"archived price book: cannot be read: {type(error).__name__}") from None


def _plain(value: Any) -> Any:
    """A value of genai-prices as its own JSON has it."""
    if isinstance(value, ModelPrice):
        return {key: _plain(price) for key, price in vars(value).items() if price is not None}
    if is_dataclass(value):
        named = ((field.name, getattr(value, field.name)) for field in fields(value))
        # `or_` and `and_` are read as `or` and `and`
        return {name.rstrip("_"): _plain(item) for name, item in named if item is not None and name not in _LEFT_OUT}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, Decimal):
        return str(value)
    return value.isoformat() if isinstance(value, date | time) else value


@dataclass(frozen=True, slots=True)
class ArchivedPrice:
    """One price of the data of a book, for people and for SQL; prices of one's own are in the document only.

    Days are ISO 8601 (UTC), empty where open; `daily` is an interval of the day, empty where it holds all day. The
    price holds for calls with more input than `above_input_tokens`.
    """

    provider: str
    model: str
    bucket: str
    context: Mapping[str, str]
    valid_from: str
    valid_to: str
    daily: str
    above_input_tokens: int
    usd_per_unit: Decimal


def prices_of(book: PriceBook) -> Iterator[ArchivedPrice]:
    """Every price of the data of a book."""
    for listed in listed_models(book.snapshot):
        for context, valid_from, valid_to, daily, prices in _rows_of(listed.info):
            for bucket, above, usd in _amounts_of(prices):
                yield ArchivedPrice(
                    listed.seller, listed.model, bucket, context, valid_from, valid_to, daily, above, usd
                )


def _rows_of(info: ModelInfo) -> Iterator[tuple[Mapping[str, str], str, str, str, ModelPrice]]:
    listed: list[tuple[Mapping[str, str], Constraint | None, ModelPrice]] = []
    if isinstance(info.prices, ModelPrice):
        listed.append((_NO_CONTEXT, None, info.prices))
    else:
        listed += [(_NO_CONTEXT, row.constraint, row.prices) for row in info.prices]
    listed += [(variant.when, variant.constraint, variant.prices) for variant in info.price_variants or ()]
    for context, constraint, prices in listed:
        began = _began(constraint)
        later = [_began(other) for beside, other, _ in listed if beside == context]
        ends = min((day for day in later if day > began), default="")
        yield context, began, ends, _daily(constraint), prices


def _began(constraint: Constraint | None) -> str:
    return constraint.start_date.isoformat() if isinstance(constraint, StartDateConstraint) else ""


def _daily(constraint: Constraint | None) -> str:
    if not isinstance(constraint, TimeOfDateConstraint):
        return ""
    return f"{constraint.start_time:%H:%M}-{constraint.end_time:%H:%M}"


def _amounts_of(prices: ModelPrice) -> Iterator[tuple[str, int, Decimal]]:
    """Bucket, start of the tier and USD per unit."""
    for key, price in vars(prices).items():
        per = _PER.get(key)
        if price is None or per is None:
            continue
        bucket = KEYS.get(key, key)
        if isinstance(price, TieredPrices):
            yield bucket, 0, price.base / per
            for tier in price.tiers:
                yield bucket, tier.start, tier.price / per
        else:
            yield bucket, 0, price / per


_PER: Final = {unit["price_key"]: Decimal(unit["per"]) for unit in unit_data.values()}
