"""`otel-llmcost restate`: price stored usage again, and keep what it cost before."""

import argparse
import getpass
import json
import sys
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from otel_llmcost.cli.ledger import open_ledger, settings_with_ledger
from otel_llmcost.cli.masking import mask_passwords
from otel_llmcost.cli.progress import progress
from otel_llmcost.cli.restating_options import (
    add_book_options,
    add_scope_options,
    book_of,
    idle_as_json,
    measured,
    money,
    print_idle,
    scope_of,
    shown_on,
)
from otel_llmcost.cli.table import print_table
from otel_llmcost.errors import ConfigError, InputError
from otel_llmcost.restating.scope import Scope
from otel_llmcost.settings import Settings

if TYPE_CHECKING:
    from otel_llmcost.exporters.clickhouse.client import Ledger
    from otel_llmcost.pricing.book import PriceBook
    from otel_llmcost.pricing.overlays.idle import Idle
    from otel_llmcost.restating.run import Outcome

NAME: Final = "restate"
HELP: Final = "price stored usage again with another book, and keep what it cost before"

_EPILOG: Final = """\
Nothing is edited: a line that costs something else gets a new version, and the table `adjustments` keeps what it was.
Months of volume discounts, commitments, free tiers and own machines that are over are measured from the ledger.
Killed or interrupted, the same command goes on where it was; done again, it changes nothing.

examples:
  otel-llmcost restate --from 2026-03 --to 2026-04 --dry-run
  otel-llmcost restate --from 2026-03-15 --provider openai --model "gpt-5*" --why "contract of March" --yes
  otel-llmcost restate --book genai-prices-0.2.3-5f4d8e175a91 --overlays none --yes
  otel-llmcost query "SELECT team, sum(delta_usd) FROM restated WHERE restatement = 1 GROUP BY team"
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    parser.epilog = _EPILOG
    add_scope_options(parser)
    add_book_options(parser)
    parser.add_argument(
        "--include-closed", action="store_true", help="also days before prices.closed_until, which are billed"
    )
    parser.add_argument("--dry-run", action="store_true", help="show what would change and write nothing")
    parser.add_argument("--why", metavar="TEXT", default="", help="kept with the restatement")
    parser.add_argument("--who", metavar="NAME", help="kept with the restatement; default: the user of this machine")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(args: argparse.Namespace) -> int:
    """Restate; 3 where lines could not be read."""
    settings = settings_with_ledger(args)
    scope = _open_days(scope_of(args), settings, args)
    _check_texts(args)
    if not (args.dry_run or args.yes or sys.stdin.isatty()):
        raise ConfigError("restate changes what lines cost: give --yes, or --dry-run to see what it would do")
    with open_ledger(settings, read_only=args.dry_run) as ledger:
        book, idle = measured(args, book_of(args, settings, ledger), ledger, scope)
        if not (args.dry_run or args.yes or _agreed(ledger, scope, book)):
            print("nothing was changed", file=sys.stderr)
            return 0
        outcome = _restated(args, ledger, scope, book)
    _print(outcome, book.version, idle, args)
    return InputError.exit_code if outcome.unreadable else 0


def _open_days(scope: Scope, settings: Settings, args: argparse.Namespace) -> Scope:
    """The scope without the days that are billed.

    Raises:
        ConfigError: it names such days.
    """
    closed = settings.prices.closed_until
    if closed is None or args.include_closed:
        return scope
    first = datetime(closed.year, closed.month, closed.day, tzinfo=UTC)
    hint = f"days before {closed} are billed (prices.closed_until): begin there, or give --include-closed"
    if scope.start is not None and scope.start < first:
        raise ConfigError(f"--from {args.start}: {hint}")
    if scope.end is not None and scope.end <= first:
        raise ConfigError(f"--to {args.end}: {hint}")
    return scope if scope.start is not None else replace(scope, start=first)


MAX_TEXT: Final = 2_000


def _check_texts(args: argparse.Namespace) -> None:
    for option, text in (("--why", args.why), ("--who", args.who or "")):
        if len(text) > MAX_TEXT:
            raise ConfigError(f"{option}: at most {MAX_TEXT} characters")


def _agreed(ledger: "Ledger", scope: Scope, book: "PriceBook") -> bool:
    from otel_llmcost.restating.chunks import count_lines

    question = f"restate up to {count_lines(ledger, scope):,} lines with {book.version}? [y/N] "
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _restated(args: argparse.Namespace, ledger: "Ledger", scope: Scope, book: "PriceBook") -> "Outcome":
    from otel_llmcost.restating.run import Restatement, dry_run

    title = "pricing again" if args.dry_run else "restating"
    with progress(title, sys.stderr) as bar:
        show = shown_on(bar)
        if args.dry_run:
            return dry_run(ledger, scope, book, show)
        who = args.who or _user()
        restatement = Restatement(ledger, scope, book, who=who, why=args.why)
        if restatement.run.resumed:
            since = f"{restatement.run.started_at:%Y-%m-%d %H:%M} UTC"
            print(
                f"goes on with restatement {restatement.run.id}, begun {since} by {restatement.run.who}",
                file=sys.stderr,
            )
        return restatement.restate(show)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def _print(outcome: "Outcome", book: str, idle: "list[Idle]", args: argparse.Namespace) -> None:
    if args.json:
        document = {**_document(outcome, book, dry=args.dry_run), "idle": idle_as_json(idle)}
        print(json.dumps(document, indent=1))
        return
    header = ["provider", "model", "calls", "was USD", "is USD", "delta USD", "unpriced: was", "is"]
    lines = outcome.summary.lines
    if lines:
        total = outcome.summary.total
        total.key = ("total", "")
        rows = [
            [
                *line.key,
                f"{line.calls:,}",
                money(line, old=True),
                money(line, old=False),
                f"{line.delta_usd:+f}",
                f"{line.old_unpriced:,}",
                f"{line.new_unpriced:,}",
            ]
            for line in [*lines, total]
        ]
        print_table(header, rows, sys.stdout)
    print(_account(outcome, book, dry=args.dry_run))
    print_idle(idle)
    print(_next(outcome, args), end="")


def _account(outcome: "Outcome", book: str, *, dry: bool) -> str:
    would = "would change" if dry else "changed"
    number = f"restatement {outcome.run_id}: " if outcome.run_id else ""
    text = f"{number}{outcome.changed:,} of {outcome.lines:,} lines {would}, priced with {book}"
    if outcome.unreadable:
        text += (
            f"\n{outcome.unreadable:,} lines were written by a later version of otel-llmcost and keep what they have"
        )
    return text


def _next(outcome: "Outcome", args: argparse.Namespace) -> str:
    ledger = f" --ledger {mask_passwords(args.ledger)}" if args.ledger else ""
    steps = []
    if outcome.summary.total.new_unpriced:
        steps.append(f"  otel-llmcost prices missing{ledger}")
    if outcome.run_id:
        sql = f"SELECT team, sum(delta_usd) FROM restated WHERE restatement = {outcome.run_id} GROUP BY team"  # noqa: S608 - for a person
        steps.append(f'  otel-llmcost query "{sql}"{ledger}')
    return "\n".join(["next:", *steps, ""]) if steps else ""


def _document(outcome: "Outcome", book: str, *, dry: bool) -> dict[str, Any]:
    """For --json; amounts are strings, so that no reader rounds them."""
    return {
        "restatement": outcome.run_id or None,
        "dry_run": dry,
        "resumed": outcome.resumed,
        "book": book,
        "lines": outcome.lines,
        "changed": outcome.changed,
        "unreadable": outcome.unreadable,
        "by_model": [
            {
                "provider": line.key[0],
                "model": line.key[1],
                "calls": line.calls,
                "old_usd": f"{line.old_usd:f}",
                "new_usd": f"{line.new_usd:f}",
                "delta_usd": f"{line.delta_usd:f}",
                "old_unpriced": line.old_unpriced,
                "new_unpriced": line.new_unpriced,
            }
            for line in outcome.summary.lines
        ],
    }
