"""`otel-llmcost prices list`: sellers and models with their rates on a day."""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final

from otel_llmcost.call import Bucket
from otel_llmcost.cli.ledger import add_config_option
from otel_llmcost.cli.table import print_table
from otel_llmcost.errors import InputError, nearest
from otel_llmcost.pricing.book import PriceBook
from otel_llmcost.pricing.catalog import listed_models, plain, price_rows, sellers_of
from otel_llmcost.pricing.overlays.patterns import matches
from otel_llmcost.pricing.overlays.periods import DAY_NS, day_ns
from otel_llmcost.pricing.overlays.units import covering, per_unit
from otel_llmcost.pricing.rates import Rate, Rates
from otel_llmcost.providers.sellers import canonical_seller

NAME: Final = "list"
HELP: Final = "list sellers and models with their rates"

COLUMNS: Final = (Bucket.INPUT, Bucket.OUTPUT, Bucket.CACHE_READ, Bucket.CACHE_WRITE)

_EPILOG: Final = """\
Rates are USD per million tokens; pages and searches per thousand, audio per hour. `more` tells what else a model has:
other dates, service tiers and contexts (`prices show` has them all), and a price file's own entry.

examples:
  otel-llmcost prices list
  otel-llmcost prices list --seller azure.ai.openai --model "gpt-4*" --at 2026-01-01 --json
"""


@dataclass(frozen=True, slots=True)
class Row:
    """A model of a seller on a day."""

    seller: str
    model: str
    rates: Mapping[str, str]
    more: str


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    parser.epilog = _EPILOG
    parser.add_argument("--seller", metavar="NAME", help="a seller, or a pattern with *; default all")
    parser.add_argument("--model", metavar="NAME", help="a model, or a pattern with *; default all")
    add_at_option(parser)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    add_config_option(parser)


def add_at_option(parser: argparse.ArgumentParser) -> None:
    """Add `--at`, a day."""
    parser.add_argument(
        "--at", metavar="DAY", type=a_day, default=None, help="prices of that day, noon UTC; default now"
    )


def a_day(text: str) -> date:
    """A day as the command line takes it."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"no day: {text!r}; write it as 2026-01-31") from None


def at_ns(day: date | None) -> int:
    """Noon of a day, or now."""
    return day_ns(day) + DAY_NS // 2 if day else round(datetime.now(UTC).timestamp()) * 1_000_000_000


def run(args: argparse.Namespace) -> int:
    """Print the rows."""
    from otel_llmcost.pricing.configured import configured_book
    from otel_llmcost.settings import load_settings

    book = configured_book(load_settings(os.environ, args.config))
    rows = list(rows_of(book, args.seller or "*", args.model or "*", at_ns(args.at)))
    if not rows:
        sellers = sorted({*sellers_of(book.snapshot), *(seller for seller, _ in _own(book))})
        wanted = canonical_seller(args.seller or "*")
        unknown = not any(matches((wanted,), seller) for seller in sellers)
        hint = f"no seller {args.seller!r}{nearest(args.seller, sellers)}" if unknown else "try another pattern"
        raise InputError(f"no model matches: {hint}")
    if args.json:
        lines = [{"seller": row.seller, "model": row.model, "rates": row.rates, "more": row.more} for row in rows]
        print(json.dumps(lines, indent=1))
        return 0
    header = ["seller", "model", *COLUMNS, "more"]
    print_table(
        header, [[r.seller, r.model, *(r.rates.get(name, "") for name in COLUMNS), r.more] for r in rows], sys.stdout
    )
    return 0


def rows_of(book: PriceBook, seller: str, model: str, time_ns: int) -> Iterator[Row]:
    """The models that match, with their rates at a time; entries of price files that name one included."""
    named, seller = {}, canonical_seller(seller)
    for listed in listed_models(book.snapshot):
        if matches((seller,), listed.seller) and matches((model.lower(),), listed.model.lower()):
            named[(listed.seller, listed.model)] = _more(sum(1 for _ in price_rows(listed.info)))
    for own_seller, own_model in _own(book):
        if matches((seller,), own_seller) and matches((model.lower(),), own_model):
            named.setdefault((own_seller, own_model), [])
    for (name, row), more in sorted(named.items()):
        rates = book.rates(name, row, time_ns, {})
        if isinstance(rates, Rates):
            notes = [*more, *([rates.reason] if rates.reason else [])]
            yield Row(name, row, rates_of(rates), ", ".join(notes))


def _more(prices: int) -> Sequence[str]:
    return [f"{prices} prices"] if prices > 1 else []


def _own(book: PriceBook) -> Sequence[tuple[str, str]]:
    from otel_llmcost.pricing.overlays import Overlays

    return book.overlay.own_models() if isinstance(book.overlay, Overlays) else ()


def rates_of(rates: Rates) -> Mapping[str, str]:
    """Bucket → rate as people write it; a bucket with the rate of a wider one is left out."""
    found = {bucket.value: rate_text(rate, bucket) for bucket, rate in rates.by_bucket.items()}
    for bucket in Bucket:
        if bucket not in COLUMNS and any(found.get(bucket) == found.get(wider) for wider in covering(bucket)[1:]):
            found.pop(bucket, None)
    if rates.request and rates.request.base:
        found["request"] = plain(rates.request.base)
    if rates.second:
        found["second"] = plain(rates.second)
    return found


def rate_text(rate: Rate, bucket: Bucket) -> str:
    """A rate per million or thousand, with its tiers by length of input."""
    per = per_unit(bucket)
    return "".join([plain(rate.base * per), *(f", >{above}: {plain(usd * per)}" for above, usd in rate.tiers)])
