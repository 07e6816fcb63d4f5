"""`otel-llmcost whatif`: what the same traffic would have cost."""

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any, Final

from otel_llmcost.cli.ledger import open_ledger, settings_with_ledger
from otel_llmcost.cli.progress import progress
from otel_llmcost.cli.restating_options import (
    add_book_options,
    add_scope_options,
    book_of,
    idle_as_json,
    measured,
    print_idle,
    scope_of,
    shown_on,
)
from otel_llmcost.cli.table import print_table
from otel_llmcost.errors import ConfigError, InputError, nearest

if TYPE_CHECKING:
    from otel_llmcost.restating.summary import Line, Summary
    from otel_llmcost.restating.whatif import Comparison

NAME: Final = "whatif"
HELP: Final = "what the same traffic would have cost under other prices, on another model, in batch"

DIMENSIONS: Final = ("provider", "model", "team", "feature", "customer", "service", "environment", "operation")

_EPILOG: Final = """\
Nothing is written. Token counts stay as they were: another model would have counted, answered and cached otherwise.
Months of volume discounts, commitments, free tiers and own machines that are over are measured under the assumptions.
"now" is what the ledger says; lines that have no price now or then are told apart and are in no delta.
--batch prices calls that did not stream at the batch price of their model, where it has one.

examples:
  otel-llmcost whatif --from 2026-03 --to 2026-04 --model-map "gpt-4o*=gpt-4o-mini"
  otel-llmcost whatif --model-map "*=anthropic/claude-sonnet-4-5" --by team
  otel-llmcost whatif --price-change +20% --discount openai=15%
  otel-llmcost whatif --batch --by team,model --json
  otel-llmcost whatif --overlays prices/draft-contract.yaml
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    parser.epilog = _EPILOG
    add_scope_options(parser)
    add_book_options(parser)
    parser.add_argument(
        "--model-map",
        metavar="MODEL=MODEL",
        action="append",
        default=[],
        help="calls of a model (or pattern) on another one, or on SELLER/MODEL; may be repeated, the first that fits",
    )
    for option, meaning in (
        ("--price-change", "all amounts higher or lower: +20%%, openai=-5%%, openai/gpt-5*=+10%%; may be repeated"),
        ("--discount", "a percentage off: 15%%, or of a seller or model as above; may be repeated"),
    ):
        parser.add_argument(option, metavar="PERCENT", action="append", default=[], help=meaning)
    parser.add_argument("--batch", action="store_true", help="calls that did not stream, at the batch price")
    parser.add_argument(
        "--by", metavar="COLUMNS", default="provider,model", help=f"rows of the table: {', '.join(DIMENSIONS)}"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(args: argparse.Namespace) -> int:
    """Print now and then; 3 where lines could not be read."""
    from otel_llmcost.restating.whatif import Assumptions, parse_change, parse_target, what_if

    changes = [parse_change("--price-change", text) for text in args.price_change]
    changes += [parse_change("--discount", text) for text in args.discount]
    assumptions = Assumptions([parse_target(text) for text in args.model_map], changes, args.batch)
    by, scope, settings = _dimensions(args.by), scope_of(args), settings_with_ledger(args)
    with open_ledger(settings, read_only=True) as ledger:
        book = book_of(args, settings, ledger)
        book, idle = measured(args, book, ledger, scope, assumptions.sent(book, scope))
        with progress("pricing", sys.stderr) as bar:
            comparison = what_if(ledger, scope, book, assumptions, by=by, show=shown_on(bar))
    for told in assumptions.fitting_nothing():
        print(f"{told}: fits no line; names are those of the columns provider and model", file=sys.stderr)
    if args.json:
        print(json.dumps({**_document(comparison, book.version), "idle": idle_as_json(idle)}, indent=1))
    else:
        _print(comparison, book.version)
        print_idle(idle)
    return InputError.exit_code if comparison.unreadable else 0


def _dimensions(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name not in DIMENSIONS:
            raise ConfigError(f"--by {name!r}: is no column{nearest(name, DIMENSIONS)}")
    return names


def _print(comparison: "Comparison", book: str) -> None:
    compared = comparison.compared
    if compared.lines:
        total = compared.total
        total.key = ("total", *[""] * (len(compared.dimensions) - 1))
        header = [*compared.dimensions, "calls", "now USD", "then USD", "delta USD", "delta"]
        print_table(header, [_row(line) for line in [*compared.lines, total]], sys.stdout)
    _print_apart("would have no price because", "now USD", comparison.unpriced, old=True)
    _print_apart("would get a price; now", "then USD", comparison.newly, old=False)
    print(f"{comparison.lines:,} lines, priced with {book}; nothing was written")
    if comparison.unpriced_both:
        print(f"{comparison.unpriced_both:,} lines have no price either way")
    if comparison.other_books:
        print(f"{comparison.other_books:,} lines were priced with other books; how those differ is in the delta too")
    if comparison.not_measured:
        print(
            f"{comparison.not_measured:,} lines rest on what a month was expected to come to, and it is over: the"
            " difference is in the delta too; restate first"
        )
    if comparison.unreadable:
        print(f"{comparison.unreadable:,} lines were written by a later version of otel-llmcost and are left out")


def _row(line: "Line") -> list[str]:
    share = f"{line.delta_usd / line.old_usd:+.1%}" if line.old_usd else ""
    return [*line.key, f"{line.calls:,}", f"{line.old_usd:f}", f"{line.new_usd:f}", f"{line.delta_usd:+f}", share]


def _print_apart(title: str, amount: str, summary: "Summary", *, old: bool) -> None:
    if not summary.lines:
        return
    rows = [
        [*line.key, f"{line.calls:,}", f"{line.old_usd if old else line.new_usd:f}"]
        for line in sorted(summary.lines, key=lambda line: -line.calls)
    ]
    print()
    print_table(["provider", "model", title, "calls", amount], rows, sys.stdout)


def _document(comparison: "Comparison", book: str) -> dict[str, Any]:
    """For --json; amounts are strings, so that no reader rounds them."""

    def rows(summary: "Summary") -> list[dict[str, Any]]:
        return [
            {
                **dict(zip(summary.dimensions, line.key, strict=True)),
                "calls": line.calls,
                "now_usd": f"{line.old_usd:f}" if line.old_unpriced < line.calls else None,
                "then_usd": f"{line.new_usd:f}" if line.new_unpriced < line.calls else None,
                "delta_usd": f"{line.delta_usd:+f}" if not line.old_unpriced + line.new_unpriced else None,
            }
            for line in summary.lines
        ]

    return {
        "book": book,
        "lines": comparison.lines,
        "compared": rows(comparison.compared),
        "would_be_unpriced": rows(comparison.unpriced),
        "would_be_priced": rows(comparison.newly),
        "unpriced_either_way": comparison.unpriced_both,
        "priced_with_other_books": comparison.other_books,
        "not_measured_yet": comparison.not_measured,
        "unreadable": comparison.unreadable,
    }
