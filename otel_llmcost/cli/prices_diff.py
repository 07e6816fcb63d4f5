"""`otel-llmcost prices diff`: two books, model by model and rate by rate."""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any, Final

from otel_llmcost.cli.ledger import add_config_option
from otel_llmcost.cli.prices_list import add_at_option, at_ns, rows_of
from otel_llmcost.cli.prices_sources import book_named
from otel_llmcost.cli.table import print_table
from otel_llmcost.pricing.book import PriceBook
from otel_llmcost.pricing.overlays import Overlays

NAME: Final = "diff"
HELP: Final = "compare two books"

_EPILOG: Final = """\
A book is `bundled` (with genai-prices), `configured` (with your price files and kept data), `genai-prices` (what is
published now), a URL or file of such data, a price file (.yaml) over the bundled book, or archived overlays (.json).
List rates of a day are compared, and the entries of price files by their id. Exit code 1 where they differ.

examples:
  otel-llmcost prices diff bundled configured
  otel-llmcost prices diff bundled genai-prices --seller openai
  otel-llmcost prices diff prices/old.yaml prices/new.yaml --json
"""


@dataclass(frozen=True, slots=True)
class Difference:
    """A rate, a model or an entry that is not the same; empty where there is none."""

    what: str
    charge: str
    old: str
    new: str
    change: str = ""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    parser.epilog = _EPILOG
    parser.add_argument("old", metavar="OLD", help="the book to compare with")
    parser.add_argument("new", metavar="NEW", help="the book to compare")
    parser.add_argument("--seller", metavar="NAME", default="*", help="a seller, or a pattern with *; default all")
    parser.add_argument("--model", metavar="NAME", default="*", help="a model, or a pattern with *; default all")
    add_at_option(parser)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    add_config_option(parser)


def run(args: argparse.Namespace) -> int:
    """Print what differs; exit code 1 where something does."""
    from otel_llmcost.settings import load_settings

    settings = load_settings(os.environ, args.config)
    old, new = book_named(args.old, settings), book_named(args.new, settings)
    found = [*_rates(old, new, args.seller, args.model, at_ns(args.at)), *_entries(old, new)]
    if args.json:
        print(
            json.dumps({"old": old.version, "new": new.version, "differences": [asdict(it) for it in found]}, indent=1)
        )
        return int(bool(found))
    print(f"old {old.version}\nnew {new.version}\n")
    if not found:
        print("no differences")
        return 0
    header = ["model or entry", "charge", "old", "new", "change"]
    print_table(header, [[it.what, it.charge, it.old, it.new, it.change] for it in found], sys.stdout)
    return 1


def _rates(old: PriceBook, new: PriceBook, seller: str, model: str, time_ns: int) -> Iterator[Difference]:
    before = {(row.seller, row.model): row.rates for row in rows_of(old, seller, model, time_ns)}
    after = {(row.seller, row.model): row.rates for row in rows_of(new, seller, model, time_ns)}
    for key in sorted(before.keys() | after.keys()):
        yield from _of_model("/".join(key), before.get(key, {}), after.get(key, {}))


def _of_model(what: str, before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Difference]:
    for charge in dict.fromkeys((*before, *after)):
        old, new = before.get(charge, ""), after.get(charge, "")
        if old != new:
            yield Difference(what, charge, old, new, _percent(old, new))


def _percent(old: str, new: str) -> str:
    first, second = old.partition(",")[0], new.partition(",")[0]
    if not first or not second or not Decimal(first) or first == second:
        return ""
    return f"{(Decimal(second) / Decimal(first) - 1) * 100:+.1f} %"


def _entries(old: PriceBook, new: PriceBook) -> Iterator[Difference]:
    before, after = _by_id(old), _by_id(new)
    for entry_id in sorted(before.keys() | after.keys()):
        was, now = before.get(entry_id, {}), after.get(entry_id, {})
        for key in dict.fromkeys((*was, *now)):
            if was.get(key) != now.get(key) and key != "id":
                yield Difference(entry_id, key, _text(was.get(key)), _text(now.get(key)))


def _by_id(book: PriceBook) -> Mapping[str, Mapping[str, Any]]:
    if not isinstance(book.overlay, Overlays):
        return {}
    document = book.overlay.to_document()
    sections = {name: rows for name, rows in document.items() if isinstance(rows, list)}
    return {row["id"]: {"section": name, **row} for name, rows in sections.items() for row in rows}


def _text(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)
