"""`otel-llmcost prices missing`: lines without a price, and the way to give them one."""

import argparse
import json
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from otel_llmcost.cli.ledger import open_ledger, settings_with_ledger
from otel_llmcost.cli.masking import mask_passwords
from otel_llmcost.cli.restating_options import add_scope_options, scope_of
from otel_llmcost.cli.table import print_table, printable
from otel_llmcost.errors import ConfigError

if TYPE_CHECKING:
    from otel_llmcost.restating.missing import Missing

NAME: Final = "missing"
HELP: Final = "lines of the ledger without a price, and the way to give them one"

MAX_SHOWN: Final = 100_000
SNIPPETS: Final = 5
"""Entries of a price file that are written out."""

_EPILOG: Final = """\
A line without a price has no cost; it is never 0. Give its model a price (a price file, or a newer book) and restate.

examples:
  otel-llmcost prices missing
  otel-llmcost prices missing --from 2026-03 --provider "azure*" --json
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    parser.epilog = _EPILOG
    add_scope_options(parser)
    parser.add_argument(
        "--limit", metavar="N", default="50", help="rows at most, those with the most tokens; default 50"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(args: argparse.Namespace) -> int:
    """Print the lines without a price."""
    from otel_llmcost.pricing.configured import configured_book
    from otel_llmcost.restating.missing import missing_prices, still_missing

    if not args.limit.isdecimal() or not 1 <= int(args.limit) <= MAX_SHOWN:
        raise ConfigError(f"--limit {args.limit!r}: must be a number from 1 to {MAX_SHOWN}")
    settings, scope = settings_with_ledger(args), scope_of(args)
    book = configured_book(settings)
    with open_ledger(settings, read_only=True) as ledger:
        rows = missing_prices(ledger, scope, book, int(args.limit))
    if args.json:
        print(json.dumps([_document(row) for row in rows], indent=1))
        return 0
    if not rows:
        print("every line has a price")
        return 0
    header = ["provider", "model", "reason", "calls", "tokens", "first", "last", "nearest in the book"]
    print_table(header, [_cells(row) for row in rows], sys.stdout)
    wanted = [row for row in rows if row.needs_price]
    ledger_option = f" --ledger {mask_passwords(args.ledger)}" if args.ledger else ""
    print(_way_out([row for row in wanted if still_missing(book, row)], wanted, ledger_option), end="")
    return 0


def _cells(row: "Missing") -> list[str]:
    days = [f"{moment:%Y-%m-%d %H:%M}" for moment in (row.first, row.last)]
    return [row.provider, row.model, row.reason, f"{row.calls:,}", f"{row.tokens:,}", *days, ", ".join(row.nearest)]


def _document(row: "Missing") -> dict[str, Any]:
    return {
        "provider": row.provider,
        "model": row.model,
        "reason": row.reason,
        "calls": row.calls,
        "tokens": row.tokens,
        "first": row.first.isoformat(),
        "last": row.last.isoformat(),
        "nearest": list(row.nearest),
        "needs": "price" if row.needs_price else "usage",
    }


def _way_out(unknown: Sequence["Missing"], wanted: Sequence["Missing"], ledger: str) -> str:
    """Entries to fill in, and the command that prices what is stored."""
    if not wanted:
        return "\nnothing told what these calls used: a price would not help; see `reason`\n"
    steps = ["", "next:"]
    models = [row for row in unknown if row.provider and row.model]
    if models:
        steps += ["  in a price file (prices.overlays), USD per million tokens:", "", *_snippet(models[:SNIPPETS]), ""]
        steps.append("  otel-llmcost prices check")
    first = min(row.first for row in wanted)
    steps.append(f"  otel-llmcost restate --from {first:%Y-%m-%d} --dry-run{ledger}")
    return "\n".join([*steps, ""])


def _snippet(rows: Sequence["Missing"]) -> list[str]:
    renamed = [row for row in rows if row.nearest and row.reason.startswith("unknown_model")]
    renamed += [row for row in rows if row.reason.startswith("unmapped_model")]
    own = [row for row in rows if row not in renamed]
    lines = []
    for section, members in (("deployments", renamed), ("models", own)):
        lines += [f"{section}:"] if members else []
        for row in members:
            lines += [f"  - id: {_entry_id(row)}", f"    from: {row.first:%Y-%m-%d}"]
            lines += [f"    provider: {_quoted(row.provider)}", f"    model: {_quoted(row.model)}"]
            lines.append(f"    {_price(row) if members is renamed else _RATES}")
    return lines


_RATES: Final = "rates: {input: …, output: …}"


def _price(row: "Missing") -> str:
    return f"base_model: {_quoted(row.nearest[0])}  # if it is that" if row.nearest else "base_model: …"


def _entry_id(row: "Missing") -> str:
    return re.sub(r"[^a-z0-9._-]+", "-", f"{row.provider}-{row.model}".lower()).strip("-._")[:63] or "model"


def _quoted(text: str) -> str:
    """A text as YAML and terminals take it."""
    return json.dumps(printable(text), ensure_ascii=False)
