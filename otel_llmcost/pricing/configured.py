"""The price book that the configuration describes, and its refresh while a process runs."""

import time
from collections.abc import Callable
from typing import Protocol

from otel_llmcost.pricing.book import PriceBook
from otel_llmcost.pricing.overlays import overlays_of
from otel_llmcost.pricing.refresh import BookData, Floor, Refresher, data_as_of_s, kept_data
from otel_llmcost.settings import Settings


class HasBook(Protocol):
    """Who prices with a book, such as a pipeline; another book may be set at any time."""

    book: PriceBook


def configured_book(settings: Settings) -> PriceBook:
    """The bundled book, or the newer data kept of an earlier refresh, under the overlays.

    Raises:
        ConfigError: a price file or an exchange rate is wrong: every mistake, one a line.
    """
    bundled = PriceBook.bundled(overlays_of(settings))
    refresh = settings.prices.refresh
    if refresh.source == "off" or not refresh.keep:
        return bundled
    kept = kept_data(refresh, Floor.of(bundled.snapshot, refresh, time.time()))
    return bundled if kept is None else _with_data(bundled, kept)


def as_of_s(book: PriceBook, now_s: float) -> float:
    """When the data of a book was last known to be right, in seconds since 1970.

    Refreshed data: when it was last looked at. Bundled data: on the day of its newest price; no release says more.
    """
    return data_as_of_s(book.snapshot, now_s) if book.as_of_s is None else book.as_of_s


def refreshing(
    owner: HasBook, settings: Settings, count: Callable[[str], None] = lambda _result: None
) -> Refresher | None:
    """What keeps the owner's book new, not started yet; None where the configuration wants none.

    `count` is told the result of each look: `new`, `unchanged` or `failed`.
    """
    refresh = settings.prices.refresh
    if refresh.source == "off":
        return None

    def use(data: BookData) -> None:
        owner.book = _with_data(owner.book, data)

    return Refresher(refresh, Floor.of(owner.book.snapshot, refresh, time.time()), use, count)


def _with_data(book: PriceBook, data: BookData) -> PriceBook:
    """The same overlays over other data; the same book, known to be right for longer, where the data is the same."""
    other = PriceBook(data.snapshot, data.version, book.overlay, data.as_of_s)
    if other.version != book.version:
        return other
    book.as_of_s = data.as_of_s
    return book
