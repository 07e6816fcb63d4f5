"""Options that `restate`, `whatif` and `prices missing` share: which lines, and which prices."""

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otel_llmcost.cli.ledger import add_ledger_options
from otel_llmcost.cli.prices_sources import book_named
from otel_llmcost.cli.progress import Show as Bar
from otel_llmcost.cli.progress import progress
from otel_llmcost.cli.table import print_table
from otel_llmcost.errors import ConfigError, nearest
from otel_llmcost.exporters.clickhouse.client import Ledger
from otel_llmcost.pricing.book import PriceBook
from otel_llmcost.pricing.overlays.files import compile_entries, known_dimensions, overlay_paths, read_entries
from otel_llmcost.pricing.overlays.fx import Fx
from otel_llmcost.pricing.overlays.overlays import Overlays
from otel_llmcost.providers.sellers import canonical_seller
from otel_llmcost.restating.scope import TAG_COLUMNS, Scope, parse_moment
from otel_llmcost.restating.summary import Line
from otel_llmcost.settings import Settings

if TYPE_CHECKING:
    from otel_llmcost.pricing.overlays.idle import Idle
    from otel_llmcost.restating.chunks import Show
    from otel_llmcost.restating.trueing import Sent

NO_OVERLAYS: Final = "none"
_SOURCES: Final = ("bundled", "configured", "genai-prices")


def add_scope_options(parser: argparse.ArgumentParser) -> None:
    """Add those that choose lines, and `--ledger` and `--config`."""
    moment = "a day (2026-03-01), a month (2026-03) or a time (2026-03-01T12:00Z); UTC"
    parser.add_argument("--from", dest="start", metavar="TIME", help=f"first moment: {moment}; default: all")
    parser.add_argument("--to", dest="end", metavar="TIME", help="moment behind the last one, in the same forms")
    parser.add_argument("--provider", action="append", default=[], help="only this seller; * allowed, may be repeated")
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        help="only this model, responding or requested; * allowed, may be repeated",
    )
    parser.add_argument(
        "--where",
        metavar="COLUMN=VALUE",
        action="append",
        default=[],
        help=f"only these lines: {', '.join(TAG_COLUMNS)}; may be repeated",
    )
    add_ledger_options(parser)


def add_book_options(parser: argparse.ArgumentParser) -> None:
    """Add those that choose prices."""
    parser.add_argument(
        "--book",
        metavar="BOOK",
        default="configured",
        help="prices: configured (default), bundled, genai-prices, a version in the ledger's archive, or a data file",
    )
    parser.add_argument(
        "--overlays",
        metavar="FILE",
        nargs="+",
        help=f"price files instead of those of the configuration, or '{NO_OVERLAYS}'",
    )
    parser.add_argument(
        "--as-expected", action="store_true", help="do not measure months that are over: keep expectations"
    )


def scope_of(args: argparse.Namespace) -> Scope:
    """The lines that the options choose.

    Raises:
        ConfigError: a time is none, --from is not before --to, or --where names no column.
    """
    start = parse_moment("--from", args.start) if args.start else None
    end = parse_moment("--to", args.end) if args.end else None
    if start is not None and end is not None and start >= end:
        raise ConfigError(f"--from {args.start} must come before --to {args.end}")
    where = {}
    for text in args.where:
        name, found, value = text.partition("=")
        if not found or name not in TAG_COLUMNS:
            raise ConfigError(f"--where {text!r}: must be COLUMN=VALUE{nearest(name, TAG_COLUMNS)}")
        where[name] = value
    return Scope(start, end, tuple(map(canonical_seller, args.provider)), tuple(args.model), where)


def book_of(args: argparse.Namespace, settings: Settings, ledger: Ledger) -> PriceBook:
    """The prices that the options choose.

    Raises:
        ConfigError: a price file is wrong.
        InputError: there is no such book.
    """
    book = _book(args.book, settings, ledger)
    if args.overlays is None:
        return book
    if args.overlays == [NO_OVERLAYS]:
        return PriceBook(book.snapshot, book.data_version, None, book.as_of_s)
    return PriceBook(book.snapshot, book.data_version, _overlays(args.overlays, settings), book.as_of_s)


def measured(
    args: argparse.Namespace, book: PriceBook, ledger: Ledger, scope: Scope, sent: "Sent | None" = None
) -> "tuple[PriceBook, list[Idle]]":
    """The book with what months that are over came to, and fixed costs of theirs that no line carries."""
    from otel_llmcost.restating.trueing import AS_IT_WAS, idle_in, trued_up

    if args.as_expected:
        return book, []
    now = datetime.now(UTC)
    with progress("measuring months", sys.stderr) as bar:
        book = trued_up(book, ledger, scope, now, sent or AS_IT_WAS, shown_on(bar))
    return book, idle_in(book, ledger, scope, now)


def shown_on(bar: Bar) -> "Show":
    """A progress bar that counts lines."""
    return lambda done, total: bar(done / max(total, 1), f"{done:,} of {total:,} lines")


def print_idle(idle: "Sequence[Idle]") -> None:
    """Tell people what was paid and is on no line."""
    if idle:
        print()
        print_table(
            ["on no line: nothing used", "month", "USD"],
            [[it.entry_id, it.month, f"{it.usd:f}"] for it in idle],
            sys.stdout,
        )


def idle_as_json(idle: "Sequence[Idle]") -> list[dict[str, str]]:
    """The same for --json."""
    return [{"entry": it.entry_id, "month": it.month, "usd": f"{it.usd:f}"} for it in idle]


def _book(name: str, settings: Settings, ledger: Ledger) -> PriceBook:
    from otel_llmcost.exporters.clickhouse.books import archived_book

    if name in _SOURCES or "://" in name or Path(name).is_file():
        return book_named(name, settings)
    return archived_book(ledger, name)


def _overlays(paths: Sequence[str], settings: Settings) -> Overlays:
    entries = read_entries(overlay_paths(paths))
    return compile_entries(entries, Fx(settings.prices.fx), known_dimensions(settings))


def money(line: Line, *, old: bool) -> str:
    """A sum with all its digits; told as unknown where no line of it has a price."""
    unpriced, usd = (line.old_unpriced, line.old_usd) if old else (line.new_unpriced, line.new_usd)
    return "unknown" if line.calls and unpriced == line.calls else f"{usd:f}"
