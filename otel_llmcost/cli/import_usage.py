"""`otel-llmcost import`: past usage out of a file, into the same pipeline and ledger as live calls."""

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path
from time import time
from typing import Final

from otel_llmcost.cli.ledger import add_ledger_options, settings_with_ledger
from otel_llmcost.cli.masking import mask_passwords
from otel_llmcost.cli.progress import progress
from otel_llmcost.cli.table import print_table, printable
from otel_llmcost.errors import InputError
from otel_llmcost.importing import FIELDS, Account, Import, Plan, Rejected, open_usage_file, read_calls

NAME: Final = "import"
HELP: Final = "import past usage from a CSV, JSON Lines or Parquet file"

MAX_SHOWN: Final = 20
"""Rejected rows that are shown one by one, and reasons of unpriced calls."""

_ABOUT: Final = """\
Import past usage from a file into the ledger: every row is one call, priced by the price that held when it was made
and attributed by the same rules as live calls.

The file is CSV (with a header line), JSON Lines or Parquet; CSV and JSON Lines may be gzipped. Nested objects are
columns with dots: --map input_tokens=usage.prompt_tokens.
"""
_EPILOG: Final = """\
fields:
{fields}
  tag.<name>             any other dimension

times:
  ISO 8601 with or without a zone (2023-11-16 18:17:03.9799600, 2026-01-02T03:04:05+01:00); without one it is
  wall-clock time of --timezone. A number is a time since 1970, its unit told by its size: 1e8 to 1e11 are seconds,
  to 1e14 milliseconds, to 1e17 microseconds, to 1e20 nanoseconds. Times outside 2015 to 2099 are refused.

importing again:
  Importing the same file twice changes nothing, and so does a renamed file or one with rows appended. With
  response_id (or call_id) mapped, a call is known by provider and that id. Without, it is known by all values of its
  row, the --set constants, and which of the equal rows of the file it is (two equal rows are two calls). So other
  constants, or a file with other columns, make other calls: keep to one command line per file. The same rows imported
  with another --map, --cache, --timezone or other rules are corrected: the later import counts, as a whole.

what is refused:
  A row that cannot be read (negative or fractional tokens, no time, a number above 10^12, broken quotes) is shown
  with its line, counted, and left out; the rest goes in and the exit code is 3. Contradictions (more cached tokens
  than input tokens) go in, flagged with both numbers.

examples:
  otel-llmcost import azure.csv --map ts=TIMESTAMP,input_tokens=ContextTokens,output_tokens=GeneratedTokens \\
      --set provider=azure.ai.openai --set model=gpt-4o --set team=chat --ledger chdb:///var/lib/llmcost
  otel-llmcost import log.jsonl.gz --map ts=created,model=model,response_id=id \\
      --map input_tokens=usage.prompt_tokens,cache_read_tokens=usage.prompt_tokens_details.cached_tokens \\
      --map output_tokens=usage.completion_tokens --set provider=openai
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    fields = "\n".join(f"  {name:<23}{field.meaning}" for name, field in FIELDS.items())
    parser.description = _ABOUT
    parser.epilog = _EPILOG.format(fields=fields)
    parser.add_argument("file", metavar="FILE", type=Path, help="CSV, JSON Lines (both also as .gz) or Parquet")
    parser.add_argument(
        "--map",
        metavar="FIELD=COLUMN[,…]",
        action="append",
        default=[],
        help="which column is which field; may be repeated",
    )
    parser.add_argument(
        "--set",
        metavar="FIELD=VALUE",
        action="append",
        default=[],
        help="a value for all rows; may be repeated",
    )
    parser.add_argument(
        "--cache",
        choices=("inside", "outside"),
        default="inside",
        help="whether the cached tokens are inside input_tokens (OpenAI, default) or beside them (Anthropic)",
    )
    parser.add_argument(
        "--timezone", metavar="ZONE", default="UTC", help="zone of times that name none, as Europe/Berlin; default UTC"
    )
    parser.add_argument("--strict", action="store_true", help="stop at the first row that cannot be read")
    add_ledger_options(parser)


def run(args: argparse.Namespace) -> int:
    """Import the file; 3 where rows were rejected."""
    from otel_llmcost.exporters import open_sink
    from otel_llmcost.pipeline import Pipeline

    plan = Plan.from_options(args.map, args.set, cache_inside=args.cache == "inside", timezone=args.timezone)
    file = open_usage_file(args.file)
    plan.check_columns(file.columns(frozenset(plan.columns.values())))
    settings = settings_with_ledger(args)
    pipeline = Pipeline.from_settings(settings)
    rejections = _Rejections()
    sink = open_sink(settings.ledger, pipeline)
    try:
        with progress(f"importing {printable(args.file.name)}", sys.stderr) as show:
            account = Import(
                process=pipeline.process_call,
                sink=sink,
                on_rejected=rejections.show,
                on_batch=lambda read: show(file.fraction(), f"{read:,} rows"),
                strict=args.strict,
            ).run(read_calls(file.rows(), plan, int(time())))
    finally:
        sink.close()
    _print_account(account, args)
    return InputError.exit_code if account.rejected else 0


class _Rejections:
    """Shows the first rejected rows; the rest is only counted."""

    def __init__(self) -> None:
        self._count = 0

    def show(self, row: Rejected) -> None:
        self._count += 1
        if self._count <= MAX_SHOWN:
            print(f"line {row.line}: {printable(row.reason)}", file=sys.stderr)
        elif self._count == MAX_SHOWN + 1:
            print("… more rows were rejected; they are counted below", file=sys.stderr)


def _print_account(account: Account, args: argparse.Namespace) -> None:
    unpriced = sum(count.calls for count in account.unpriced.values())
    rows = [
        ["rows read", f"{account.read:,}"],
        ["imported", f"{account.written:,}"],
        ["rejected", f"{account.rejected:,}"],
        ["with contradictions", f"{account.flagged:,}"],
        ["unpriced", f"{unpriced:,}"],
        ["cost, USD", f"{account.cost_usd:f}" if unpriced < account.written or not account.written else "unknown"],
    ]
    if account.first_ns is not None and account.last_ns is not None:
        rows.append(["from", _moment(account.first_ns)])
        rows.append(["to", _moment(account.last_ns)])
    print_table(["import", printable(args.file.name)], rows, sys.stdout)
    if account.unpriced:
        dearest = sorted(account.unpriced.items(), key=lambda item: -item[1].tokens)
        reasons = [[reason, f"{count.calls:,}", f"{count.tokens:,}"] for reason, count in dearest[:MAX_SHOWN]]
        print()
        print_table(["unpriced because", "calls", "tokens"], reasons, sys.stdout)
    print(_what_next(account, args))


def _what_next(account: Account, args: argparse.Namespace) -> str:
    ledger = f" --ledger {mask_passwords(args.ledger)}" if args.ledger else ""
    steps = ["", "next:"]
    if account.rejected:
        steps.append("  correct the rejected rows and import the file again: what is in is not counted twice")
    if account.unpriced:
        steps.append("  unpriced calls carry no cost: compare provider and model with the reasons above")
    if account.written:
        sql = "SELECT provider, model, count() AS calls, sum(cost_usd) AS usd FROM calls GROUP BY ALL ORDER BY usd DESC"
        steps.append(f'  otel-llmcost query "{sql}"{ledger}')
    return "\n".join(steps) if len(steps) > 2 else ""


def _moment(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns // 1_000_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
