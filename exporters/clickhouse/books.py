"""The archive of price books in the ledger: each version once, given back to the last digit."""

from collections.abc import Sequence
from datetime import date
from typing import Any, Final

from otel_llmcost.errors import InputError, nearest
from otel_llmcost.exporters.clickhouse import pack
from otel_llmcost.exporters.clickhouse.client import Ledger
from otel_llmcost.pricing.archive import ArchivedPrice, from_archive, prices_of, to_document
from otel_llmcost.pricing.book import PriceBook

OPEN: Final = date(2149, 6, 6)
"""What `valid_to` says where a price has no end: the last day that the column can hold."""
ALWAYS: Final = date(1970, 1, 1)


def archive_book(ledger: Ledger, book: PriceBook) -> bool:
    """Keep a book, if the ledger has not got it; whether it was new. Again changes nothing.

    Raises:
        DeliveryError: the ledger did not take it.
    """
    found = ledger.query("SELECT count() FROM price_books WHERE version = {version:String}", {"version": book.version})
    if found.rows[0][0]:
        return False
    prices = list(prices_of(book))
    _insert(ledger, "prices", [(name, type_, [get(book, row) for row in prices]) for name, type_, get in _PRICES])
    # Last: a book that is listed is there as a whole.
    overlays = book.version.removeprefix(book.data_version).removeprefix("+")
    texts = {
        "version": book.version,
        "data_version": book.data_version,
        "overlays": overlays,
        "document": to_document(book),
    }
    _insert(ledger, "price_books", [(name, pack.TEXT, [text]) for name, text in texts.items()])
    return True


def archived_book(ledger: Ledger, version: str) -> PriceBook:
    """A book out of the archive; the version of price data alone is that data without price files.

    Raises:
        InputError: it is not there, or cannot be read; the text names the nearest one.
        DeliveryError: the ledger does not answer.
    """
    found = ledger.query(
        "SELECT document FROM price_books FINAL WHERE version = {version:String} OR data_version = {version:String}"
        " ORDER BY version = {version:String} DESC LIMIT 1",
        {"version": version},
    )
    if not found.rows:
        known = archived_versions(ledger)
        raise InputError(f"the ledger has no price book {version!r}{nearest(version, known) if known else ', nor any'}")
    book = from_archive(str(found.rows[0][0]))
    if book.version != version and book.data_version == version:
        return PriceBook(book.snapshot, version, None, book.as_of_s)
    if book.version != version:
        raise InputError(f"the archived price book {version!r} calls itself {book.version!r}; it is not used")
    return book


def archived_versions(ledger: Ledger) -> Sequence[str]:
    """Versions of the books that the ledger has, the newest last."""
    rows = ledger.query("SELECT version FROM price_books FINAL ORDER BY archived_at, version").rows
    return [str(version) for (version,) in rows]


def _day(text: str, default: date) -> date:
    return date.fromisoformat(text) if text else default


def _context(row: ArchivedPrice) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted(row.context.items()))


_PRICES: Final[Sequence[tuple[str, pack.Type, Any]]] = (
    ("book", pack.WORD, lambda book, _: book.version),
    ("provider", pack.WORD, lambda _, row: row.provider),
    ("model", pack.WORD, lambda _, row: row.model),
    ("bucket", pack.WORD, lambda _, row: row.bucket),
    ("context", pack.WORD, lambda _, row: _context(row)),
    ("valid_from", pack.DATE, lambda _, row: _day(row.valid_from, ALWAYS)),
    ("valid_to", pack.DATE, lambda _, row: _day(row.valid_to, OPEN)),
    ("daily", pack.WORD, lambda _, row: row.daily),
    ("above_input_tokens", pack.UINT64, lambda _, row: row.above_input_tokens),
    ("usd_per_unit", pack.decimal(38, 24), lambda _, row: row.usd_per_unit),
)


def _insert(ledger: Ledger, table: str, columns: Sequence[tuple[str, pack.Type, list[Any]]]) -> None:
    rows = len(columns[0][2])
    if rows:
        ledger.insert(table, [name for name, _, _ in columns], pack.block(columns, rows), "Native")
