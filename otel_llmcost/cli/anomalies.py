"""`otel-llmcost anomalies`: what stands out in the ledger, and why."""

import argparse
import re
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from os import environ
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otel_llmcost.cli.ledger import add_ledger_options, settings_with_ledger
from otel_llmcost.cli.query import FORMATS, print_json
from otel_llmcost.cli.times import parse_moment, parse_span
from otel_llmcost.errors import ConfigError, InputError

if TYPE_CHECKING:
    from otel_llmcost.exporters.clickhouse.client import Ledger, Rows

NAME: Final = "anomalies"
HELP: Final = "what stands out in the ledger, and why"

KINDS: Final = ("total", "team", "feature", "agent", "model", "customer", "user", "service", "host")
MAX_JUDGED: Final = timedelta(days=120)

_EPILOG: Final = """\
One anomaly is one cause: the series that carries it names it, those that rise with it are folded into it.
docs/anomalies.md says how it is judged and how well; `SELECT * FROM detection_settings` shows the thresholds.

examples:
  otel-llmcost anomalies judge --since 30d
  otel-llmcost anomalies list --since 7d
  otel-llmcost anomalies explain 6c1f7a2be0d94f5d8a3f0f3f6f7d1a22
  otel-llmcost anomalies explain --series team=search --at 2026-11-20T14:00 --hours 2
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the actions and their options."""
    parser.epilog = _EPILOG
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listed = actions.add_parser("list", help="anomalies, the newest first", description="Anomalies, the newest first.")
    listed.add_argument("--since", type=parse_span, default="7d", metavar="SPAN", help="30m, 12h, 7d, 2w; default 7d")
    listed.add_argument("--kind", choices=KINDS, help="only anomalies named after a series of this kind")
    explained = actions.add_parser(
        "explain",
        help="what changed, who carries it, the dearest calls",
        description="What changed, who carries it, and the dearest calls.",
    )
    explained.add_argument("id", nargs="?", metavar="ID", help="id of an anomaly, or its first 6 digits or more")
    explained.add_argument("--series", type=_series, metavar="KIND=NAME", help="total, team=search, model=gpt-4o, …")
    explained.add_argument("--at", type=parse_moment, metavar="TIME", help="begin of the time to explain; UTC")
    explained.add_argument("--hours", type=_hours, default=1.0, metavar="N", help="length of that time; default 1")
    explained.add_argument(
        "--calls", type=int, choices=range(101), default=10, metavar="N", help="calls shown; default 10"
    )
    judged = actions.add_parser(
        "judge",
        help="bring detection up to date: for cron, and for a history that was imported",
        description="Bring detection up to date: for cron, and for a history that was imported.",
    )
    judged.add_argument(
        "--since", type=parse_span, metavar="SPAN", help="judge all minutes since then again; default: what is new"
    )
    for action in (listed, explained):
        action.add_argument(
            "--format", choices=tuple(FORMATS), default="table", help="how rows are printed; default table"
        )
    for action in (listed, explained, judged):
        add_ledger_options(action)


def run(args: argparse.Namespace) -> int:
    """Do what the action says."""
    from otel_llmcost.exporters.clickhouse.client import Ledger, LedgerUrl

    if args.action == "explain":
        _check_explained(args)
    url = LedgerUrl.parse(settings_with_ledger(args).ledger, environ)
    if url.path and not Path(url.path).is_dir():
        # The embedded engine would make an empty ledger there.
        raise ConfigError(f"{url.path}: there is no ledger")
    with Ledger.connect(url, read_only=args.action != "judge") as ledger:
        return ACTIONS[args.action](ledger, args)


def run_list(ledger: "Ledger", args: argparse.Namespace) -> int:
    """Print the anomalies that were seen in the time."""
    _check_judged(ledger)
    found = ledger.query(
        "SELECT id, if(series_key = '', series_kind, concat(series_kind, '=', series_key)) AS series, direction,"
        " started_at, last_seen_at, detectors, round(times_expected, 2) AS times_expected,"
        " round(excess_usd, 4) AS excess_usd,"
        " arrayMap(s -> if(s.2 = '', s.1, concat(s.1, '=', s.2)), folded) AS folded"
        " FROM anomalies WHERE last_seen_at >= {since:DateTime('UTC')}"
        " AND ({kind:String} = '' OR series_kind = {kind:String})"
        " ORDER BY started_at DESC, id",
        {"since": datetime.now(UTC) - args.since, "kind": args.kind or ""},
    )
    FORMATS[args.format](found.columns, found.rows, sys.stdout)
    return 0


def run_explain(ledger: "Ledger", args: argparse.Namespace) -> int:
    """Print the parts of the difference, who carries it, and the dearest calls."""
    from otel_llmcost.detection.run import explain

    _check_judged(ledger)
    series, start, end = (
        _named(ledger, args.id) if args.id else (args.series, args.at, args.at + timedelta(hours=args.hours))
    )
    tables = explain(ledger, series, start, end, limit=args.calls)
    if args.format == "json":
        _print_json_tables(tables)
        return 0
    name = series[0] if series[0] == "total" else "=".join(series)
    print(f"{name}, {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC, {_compared(tables['parts'])}")
    for title, table in tables.items():
        print(f"\n{_TITLES[title]}")
        FORMATS[args.format](table.columns, table.rows, sys.stdout)
    return 0


def run_judge(ledger: "Ledger", args: argparse.Namespace) -> int:
    """Create what is missing and judge up to now."""
    from otel_llmcost.detection.run import create, update

    now = datetime.now(UTC)
    if args.since is not None and args.since > MAX_JUDGED:
        raise ConfigError(f"--since: at most {MAX_JUDGED.days}d")
    create(ledger)
    update(ledger, now, None if args.since is None else now - args.since)
    return 0


ACTIONS: Final[Mapping[str, Callable[["Ledger", argparse.Namespace], int]]] = {
    "list": run_list,
    "explain": run_explain,
    "judge": run_judge,
}
_TITLES: Final = {
    "parts": "What changed (the parts sum to the difference)",
    "carriers": "Who carries it",
    "calls": "The dearest calls",
}


def _check_explained(args: argparse.Namespace) -> None:
    if (args.id is None) == (args.series is None or args.at is None):
        raise ConfigError("give the id of an anomaly (`otel-llmcost anomalies list`), or --series and --at")
    if args.id is not None and not re.fullmatch(r"[0-9a-f]{6,32}", args.id):
        raise ConfigError("an id has 6 to 32 of the digits 0-9 and a-f")


def _check_judged(ledger: "Ledger") -> None:
    found = ledger.query(
        "SELECT count() FROM system.tables WHERE database = currentDatabase() AND name = 'anomaly_signals'"
    )
    if found.rows == [(0,)]:
        raise ConfigError("this ledger has not been judged yet: run `otel-llmcost anomalies judge` first")


def _named(ledger: "Ledger", prefix: str) -> tuple[tuple[str, str], datetime, datetime]:
    """Series and time of an anomaly, at most a week of it."""
    rows = ledger.query(
        "SELECT series_kind, series_key, started_at, last_seen_at FROM anomalies"
        " WHERE startsWith(id, {id:String}) ORDER BY id",
        {"id": prefix},
    ).rows
    if len(rows) != 1:
        raise InputError(f"{prefix}: {'no anomaly has' if not rows else f'{len(rows)} anomalies have'} such an id")
    kind, key, started, last_seen = rows[0]
    start, end = started.replace(tzinfo=UTC), last_seen.replace(tzinfo=UTC) + timedelta(minutes=1)
    return (kind, key), start, min(max(end, start + timedelta(minutes=5)), start + timedelta(days=7))


def _compared(parts: "Rows") -> str:
    _, _, now_usd, base_usd, difference_usd, periods = parts.rows[0]
    return f"{now_usd:f} USD; before {base_usd:f} USD (mean of {periods}); difference {difference_usd:+f} USD"


def _print_json_tables(tables: Mapping[str, "Rows"]) -> None:
    for lead, (title, table) in zip(("{", ",", ","), tables.items(), strict=True):
        sys.stdout.write(f'{lead}"{title}": ')
        print_json(table.columns, table.rows, sys.stdout)
    print("}")


def _series(text: str) -> tuple[str, str]:
    kind, _, key = text.partition("=")
    if kind not in KINDS or (kind == "total") != (key == ""):
        raise argparse.ArgumentTypeError(
            f"not a series: {text!r}; write total, or one of {', '.join(KINDS[1:])} with =name"
        )
    return kind, key


def _hours(text: str) -> float:
    try:
        hours = float(text)
    except ValueError:
        hours = 0.0
    if not 0.01 <= hours <= 24 * 31:
        raise argparse.ArgumentTypeError(f"not a number of hours from 0.01 to 744: {text!r}")
    return hours
