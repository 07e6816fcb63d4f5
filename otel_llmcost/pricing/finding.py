"""`Finder`: a seller and a reference → the row whose price holds, and what is to be said of how it was found.

The price belongs to the seller. Where a seller has no row of its own, another's list is taken only where the book or a
table says that it sells from that, and the line says whose price it is.
"""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Final, TypeVar

from genai_prices.data_snapshot import DataSnapshot
from genai_prices.types import ClauseEquals, ModelInfo, ModelPrice

from otel_llmcost.pricing.compiled import both
from otel_llmcost.pricing.dated import DatedModel
from otel_llmcost.pricing.listings import Listing
from otel_llmcost.pricing.rates import NoPrice
from otel_llmcost.pricing.references import (
    FINE_TUNE,
    FREE_VARIANT,
    PASS_THROUGH,
    Name,
    spellings,
    sub_seller,
    unwrapped,
)
from otel_llmcost.providers.sellers import SELLERS, seller_named

MAX_CACHED: Final = 20_000
"""Resolutions kept; model names come from outside and must not grow memory without end."""
TUNED_SELLERS: Final = frozenset({"openai", "azure"})
"""Lists whose references tell a fine-tuned model from its base."""

K = TypeVar("K")
V = TypeVar("V")

Row = tuple[DatedModel, str]
"""A row as a seller sells it, and what is to be said of how it was found."""
Found = Row | NoPrice


class Finder:
    """Finds rows in the lists of a snapshot."""

    def __init__(self, snapshot: DataSnapshot) -> None:
        self._providers = {provider.id: provider for provider in snapshot.providers}
        self._listings: dict[str, Listing] = {}
        self._rows: dict[tuple[str, int], DatedModel] = {}

    def find(self, provider: str, reference: str) -> Found:
        """The row of a reference at a seller, by its name; or why there is none."""
        if not provider or not reference:
            return NoPrice("unknown_model" if provider else "unknown_provider")
        list_id = _list_of(provider)
        name = unwrapped(list_id, reference)
        if name is None:
            return NoPrice(f"unmapped_model:{reference}")
        if named := sub_seller(list_id, name):
            provider = list_id = named[0]
            name = named[1]
        listing = self._listing(list_id)
        if listing is None and list_id not in PASS_THROUGH:
            return NoPrice(f"unknown_provider:{provider}")
        tuned = FINE_TUNE.fullmatch(name) if listing and list_id in TUNED_SELLERS else None
        if listing is None:
            found = self._passed_through(provider, PASS_THROUGH[list_id], name)
        elif tuned:
            found = self._fine_tuned(provider, listing, name, tuned["base"] or "")
        else:
            found = self._named(provider, listing, name)
        return found or NoPrice(f"{'fine_tune_without_price' if tuned else 'unknown_model'}:{reference}")

    def suggest(self, provider: str, reference: str, limit: int) -> list[str]:
        """Listed names like one that is not, the likest first; of a seller that is not known, sellers'."""
        list_id = _list_of(provider)
        name = unwrapped(list_id, reference) or reference.lower()
        if list_id in PASS_THROUGH:
            maker, slash, name = name.partition("/")
            known = self._listing(PASS_THROUGH[list_id].get(maker, ""))
            return [f"{maker}{slash}{close}" for close in known.nearest(name, limit)] if known else []
        listing = self._listing(list_id)
        if listing is None:
            return _nearest_sellers(provider, limit)
        found = [listing.nearest(spelled.text, limit) for spelled in spellings(list_id, name)]
        found += [other.nearest(name, limit) for _, other in self._sold_from(listing)]
        names = dict.fromkeys(close for names in found for close in names)
        return get_close_matches(name, names, n=limit, cutoff=0)

    def _named(self, provider: str, listing: Listing, name: str) -> Row | None:
        """The row of a name, by the nearest of its spellings that is listed."""
        list_id = listing.provider.id
        for spelled in spellings(list_id, name):
            if found := self._listed(provider, listing, spelled):
                return found
        if list_id in FREE_VARIANT.sellers and FREE_VARIANT.pattern.fullmatch(name):
            return self._row(provider, list_id, ModelInfo(name, ClauseEquals(name), prices=ModelPrice())), ""
        return None

    def _passed_through(self, provider: str, makers: Mapping[str, str], name: str) -> Row | None:
        """The row of `maker/model` in the maker's list, which is said."""
        maker, _, model = name.partition("/")
        listing = self._listing(makers.get(maker, ""))
        if listing is None:
            return None
        owner = listing.provider.id
        for spelled in spellings(owner, model):
            if info := listing.find(spelled.text):
                return self._row(provider, owner, info, own=False), both(f"price_of:{owner}", spelled.mark)
        return None

    def _listed(self, provider: str, listing: Listing, name: Name) -> Row | None:
        """The row of a name in the seller's list, else in one that it sells from, which is said."""
        info = listing.find(name.text)
        if info is not None:
            return self._row(provider, listing.provider.id, info), name.mark
        for owner, other in self._sold_from(listing):
            info = other.find(name.text)
            if info is not None:
                return self._row(provider, owner, info, own=False), both(f"price_of:{owner}", name.mark)
        return None

    def _fine_tuned(self, provider: str, listing: Listing, name: str, base: str) -> Row | None:
        """The row for fine-tunes of a base model, never the base model's own."""
        for owner, other in [(listing.provider.id, listing), *self._sold_from(listing)]:
            info = other.fine_tune(name, base)
            if info is not None:
                own = other is listing
                return self._row(provider, owner, info, own), "" if own else f"price_of:{owner}"
        return None

    def _sold_from(self, listing: Listing) -> Sequence[tuple[str, Listing]]:
        """Makers whose models a seller sells without listing them."""
        owners = listing.provider.fallback_model_providers or ()
        return [(owner, other) for owner in owners if (other := self._listing(owner)) is not None]

    def _row(self, provider: str, list_id: str, info: ModelInfo, own: bool = True) -> DatedModel:
        key = (provider, id(info))
        row = self._rows.get(key)
        return row or keep(self._rows, key, DatedModel(provider, list_id, info, own))

    def _listing(self, list_id: str) -> Listing | None:
        listing = self._listings.get(list_id)
        if listing is None and list_id in self._providers:
            listing = self._listings[list_id] = Listing(self._providers[list_id])
        return listing


def _list_of(provider: str) -> str:
    seller = seller_named(provider)
    return seller.price_id if seller else provider


def _nearest_sellers(provider: str, limit: int) -> list[str]:
    names = {name: seller.name for seller in SELLERS for name in (seller.name, *seller.aliases)}
    close = get_close_matches(provider.lower(), names, n=2 * limit)
    return list(dict.fromkeys(names[name] for name in close))[:limit]


def keep(kept: dict[K, V], key: K, value: V) -> V:
    """Keep a result, where names from outside cannot make it grow without end."""
    if len(kept) >= MAX_CACHED:
        kept.clear()
    kept[key] = value
    return value
