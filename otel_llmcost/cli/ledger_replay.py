"""`otel-llmcost ledger replay`: dead letters, and what processes that are gone left in the spool, to the ledger."""

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from otel_llmcost.cli.ledger import add_ledger_options, settings_with_ledger
from otel_llmcost.cli.progress import progress
from otel_llmcost.cli.table import print_table, printable
from otel_llmcost.errors import ConfigError, DeliveryError, InputError
from otel_llmcost.exporters import open_sink
from otel_llmcost.exporters.dead_letters import DEAD, DeadLetters
from otel_llmcost.exporters.outlet import Codec
from otel_llmcost.exporters.replay import Found, Outcome, Replay, found
from otel_llmcost.exporters.safekeeping import folder_of
from otel_llmcost.exporters.spool import SEGMENT, Spool
from otel_llmcost.settings import Settings

NAME: Final = "replay"
HELP: Final = "send again the lines that the ledger refused, or that a process left behind"

_EPILOG: Final = """\
Lines that the ledger refuses for good are set aside in `delivery.dead_letters` (or `delivery.spool`), with the reason.
Once the cause is gone (a grant, a column, a newer version), send them again: what the ledger takes is removed, the rest
stays with its newest reason. The spool of processes that are gone is sent too; an application that makes calls does
that by itself. The ledger counts a line once, however often it comes.

exit codes:
  0    everything is in the ledger, or there was nothing
  3    some of it cannot be read: damaged, or of another version; it stays where it is
  4    the ledger refused lines, which stay where they are, or is not ready

examples:
  otel-llmcost ledger replay --dry-run
  otel-llmcost ledger replay --reason ACCESS_DENIED
  otel-llmcost ledger replay --directory /var/lib/llmcost/spool --ledger clickhouse://llmcost@ch.internal:8123/llmcost
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    parser.epilog = _EPILOG
    parser.add_argument(
        "--directory", metavar="DIR", type=Path, help="where the lines are; default: as the configuration says"
    )
    parser.add_argument("--reason", metavar="TEXT", default="", help="only lines whose reason has this text in it")
    parser.add_argument("--dry-run", action="store_true", help="show what there is, and send nothing")
    add_ledger_options(parser)


def run(args: argparse.Namespace) -> int:
    """Show what there is, send it, and show what became of it."""
    settings = settings_with_ledger(args)
    directories = [args.directory] if args.directory else _configured(settings)
    outcome = Outcome()
    shown = 0
    for folder in dict.fromkeys(_folder(root, settings.ledger) for root in directories):
        with _reading(folder):
            shown += _replay(folder, settings, args, outcome)
    if not shown:
        print("nothing to replay")
    elif not args.dry_run:
        _print_outcome(outcome)
    return DeliveryError.exit_code if outcome.refused else InputError.exit_code if outcome.unreadable else 0


def _configured(settings: Settings) -> list[Path]:
    roots = [root for root in (settings.delivery.dead_letters, settings.delivery.spool) if root]
    if not roots:
        raise ConfigError(
            "neither delivery.dead_letters nor delivery.spool is set, so no line was set aside;"
            " --directory names the place of another configuration"
        )
    return [Path(root) for root in roots]


def _folder(root: Path, ledger_url: str) -> Path:
    """The folder of this ledger below `root`, or `root` itself where the files are in it."""
    folder = root / folder_of(ledger_url)
    if folder.is_dir():
        return folder
    if not root.is_dir():
        raise ConfigError(f"{root}: there is no such directory")
    if any(root.glob(f"*{DEAD}")) or any(root.glob(f"*{SEGMENT}")):
        return root
    others = sorted(path.name for path in root.iterdir() if path.is_dir())
    if others:
        raise ConfigError(
            f"{root}: has lines for other ledgers only: {', '.join(others)}; to send those to this one, name that"
            " folder with --directory"
        )
    return folder


def _replay(folder: Path, settings: Settings, args: argparse.Namespace, outcome: Outcome) -> int:
    """Show and send what is in a folder; the number of lines there."""
    letters = DeadLetters(folder, settings.delivery.spool_max_bytes)
    spool = Spool(folder, settings.delivery.spool_max_bytes)
    what = found(letters, spool, args.reason)
    lines = sum(row.lines for row in what.values())
    if lines:
        print(folder)
        _print_found(what)
    if lines and not args.dry_run:
        with _target(settings.ledger) as (codec, write), progress("replaying", sys.stderr) as show:
            replay = Replay(letters, spool, codec, write, outcome)
            done = 0
            try:
                for count in replay.run(args.reason):
                    done += count
                    show(min(done / lines, 1.0), f"{done:,} lines")
            finally:
                spool.release()
    return lines


@contextmanager
def _target(ledger_url: str) -> Iterator[tuple[Codec[Any], Callable[[Sequence[Any]], None]]]:
    """How lines for this ledger are read, and where they go."""
    if ledger_url.startswith("otlp"):
        from otel_llmcost.exporters.otlp import OtlpForwarder

        forwarder = OtlpForwarder(ledger_url)  # says which extra is missing, before its modules are imported
        from otel_llmcost.exporters.otlp_messages import SpanCodec

        try:
            yield SpanCodec(), forwarder.write
        finally:
            forwarder.close()
    else:
        from otel_llmcost.exporters.line_codec import LineCodec

        sink = open_sink(ledger_url)
        try:
            yield LineCodec(), sink.write
        finally:
            sink.close()


@contextmanager
def _reading(folder: Path) -> Iterator[None]:
    """Files that cannot be read or written are a mistake of the user's, such as the wrong user."""
    try:
        yield
    except OSError as error:
        raise ConfigError(f"{error.filename or folder}: {error.strerror or type(error).__name__}") from None


def _print_found(what: Mapping[str, Found]) -> None:
    rows = [[f"{row.lines:,}", _day(row.oldest_ns), printable(reason)] for reason, row in sorted(what.items())]
    print_table(["lines", "since", "reason"], rows, sys.stdout)


def _day(at_ns: int | None) -> str:
    return "" if at_ns is None else f"{datetime.fromtimestamp(at_ns / 1e9, UTC):%Y-%m-%d %H:%M:%SZ}"


def _print_outcome(outcome: Outcome) -> None:
    rows = [["in the ledger", f"{outcome.stored:,}"], ["unreadable, kept", f"{outcome.unreadable:,}"]]
    rows += [[f"refused, kept: {printable(reason)}", f"{count:,}"] for reason, count in outcome.refused.items()]
    print_table(["outcome", "lines"], rows, sys.stdout)
