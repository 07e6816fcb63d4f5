"""`otel-llmcost ledger copy`: everything of a ledger into another one."""

import argparse
import os
import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otel_llmcost.cli.progress import progress
from otel_llmcost.cli.table import print_table
from otel_llmcost.errors import ConfigError

if TYPE_CHECKING:
    from otel_llmcost.exporters.clickhouse.client import Ledger

NAME: Final = "copy"
HELP: Final = "copy a ledger into another one, exactly; continue a copy that was cut off"
SHOWN: Final = 100
"""Differences in the table at most."""

_EPILOG: Final = """\
Copies calls with all their versions, price books and restatements, and then compares both ledgers day by day. Cut off
anywhere, the same command continues. What the source takes in meanwhile is copied by running it again. Exit code 1: the
ledgers differ. An embedded ledger belongs to one process: end `otel-llmcost up` first, or copy from and to its address.

examples:
  otel-llmcost ledger copy --from chdb:///var/lib/llmcost --to clickhouses://llmcost@ch.internal/llmcost
  otel-llmcost ledger copy --from clickhouse://127.0.0.1:8123 --to chdb:///backup/llmcost --since 2026-01-01
  otel-llmcost ledger copy --from chdb:///var/lib/llmcost --to clickhouse://ch.internal/llmcost --verify-only
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    parser.epilog = _EPILOG
    parser.add_argument("--from", dest="source", metavar="URL", required=True, help="the ledger to copy; is only read")
    parser.add_argument("--to", dest="target", metavar="URL", required=True, help="the ledger to copy into")
    parser.add_argument("--since", metavar="DATE", type=date.fromisoformat, help="only calls from that day (UTC) on")
    parser.add_argument("--again", action="store_true", help="copy also what an earlier run has copied")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--dry-run", action="store_true", help="show what there is to copy, and copy nothing")
    only.add_argument("--verify-only", action="store_true", help="compare, and copy nothing")


def run(args: argparse.Namespace) -> int:
    """Copy and compare."""
    from otel_llmcost.exporters.clickhouse.client import Ledger, LedgerUrl
    from otel_llmcost.exporters.clickhouse.copying import make_ready, refuse_pair

    urls = [LedgerUrl.parse(text, os.environ) for text in (args.source, args.target)]
    refuse_pair(*urls)
    if urls[0].path and not Path(urls[0].path).is_dir():
        raise ConfigError(f"{urls[0].path}: there is no ledger")
    with Ledger.connect(urls[0], read_only=True) as source:
        if args.dry_run:
            return _show(source, args.since)
        with Ledger.connect(urls[1], read_only=args.verify_only) as target:
            make_ready(source, target, create=not args.verify_only)
            if not args.verify_only:
                _copy(source, target, args)
            return _compare(source, target, args.since)


def _show(source: "Ledger", since: date | None) -> int:
    from otel_llmcost.exporters.clickhouse.copying import TABLES, chunks

    todo = list(chunks(source, since))
    of = {table.table: [chunk for chunk in todo if chunk.source is table] for table in TABLES}
    rows = [[name, str(len(found)), str(sum(c.lines for c in found))] for name, found in of.items() if found]
    print_table(["table", "chunks", "rows"], rows, sys.stdout)
    return 0


def _copy(source: "Ledger", target: "Ledger", args: argparse.Namespace) -> None:
    from otel_llmcost.exporters.clickhouse.copying import chunks, copy

    with progress("copying", sys.stderr) as show:
        done = copy(source, target, list(chunks(source, args.since)), show, again=args.again)
    print(f"copied {done.lines} rows in {done.chunks} chunks; {done.kept} chunks were there already")


def _compare(source: "Ledger", target: "Ledger", since: date | None) -> int:
    from otel_llmcost.exporters.clickhouse.copying import differences

    with progress("comparing", sys.stderr) as show:
        found = list(differences(source, target, show, since))
    if not found:
        print("both ledgers show the same calls and amounts on every day")
        return 0
    rows = [[str(d.day), d.measure, str(d.source), str(d.target)] for d in found[:SHOWN]]
    print_table(["day", "measure", "--from", "--to"], rows, sys.stdout)
    print(
        f"the ledgers differ in {len(found)} places; where the source went on growing, run this again;"
        " where the target has calls of its own, they show here too",
        file=sys.stderr,
    )
    return 1
