"""`otel-llmcost budgets`: what may be spent, by whom, and how far it is."""

import argparse
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from otel_llmcost.cli.ledger import add_ledger_options, open_ledger, settings_with_ledger
from otel_llmcost.cli.query import FORMATS
from otel_llmcost.errors import ConfigError

if TYPE_CHECKING:
    from otel_llmcost.exporters.clickhouse.client import Ledger

NAME: Final = "budgets"
HELP: Final = "what may be spent in a period, by whom, and how far it is"

_EPILOG: Final = """\
Periods are UTC. Rows of the table `budgets` are never changed: what a budget was stays known. Alerts tell at each
threshold, and where a budget is going to be exceeded (docs/alerts.md).

examples:
  otel-llmcost budgets set support --amount 5000 --scope team=cx --scope environment=production
  otel-llmcost budgets set everything --amount 300 --period day --thresholds 0.5,1
  otel-llmcost budgets import budgets.yaml --prune
  otel-llmcost budgets status
  otel-llmcost budgets remove support
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the actions and their options."""
    parser.epilog = _EPILOG
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, (_, text) in ACTIONS.items():
        _OPTIONS[name](actions.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}."))


def run(args: argparse.Namespace) -> int:
    """Do what the action says."""
    with open_ledger(settings_with_ledger(args), read_only=args.action == "status") as ledger:
        return ACTIONS[args.action][0](ledger, args)


def run_status(ledger: "Ledger", args: argparse.Namespace) -> int:
    """Print every budget of the day; 1 where one is exceeded and `--check` was given."""
    from otel_llmcost.budgets import current

    found = current(ledger, args.day or _today())
    if args.format == "table":
        columns, rows = _for_people(found.columns, found.rows)
        FORMATS["table"](columns, rows, sys.stdout)
    else:
        FORMATS[args.format](found.columns, found.rows, sys.stdout)
    share = found.columns.index("share") if found.rows else 0
    return int(args.check and any(row[share] >= 1 for row in found.rows))


def run_set(ledger: "Ledger", args: argparse.Namespace) -> int:
    """Add a budget, or change it."""
    from otel_llmcost.budgets import write_budgets

    changed = write_budgets(ledger, [_budget(args)], _today())
    print(f"{args.name}: {'set' if changed else 'is so already'}")
    return 0


def run_import(ledger: "Ledger", args: argparse.Namespace) -> int:
    """Set the budgets of a file."""
    from otel_llmcost.budgets import current, read_budgets, remove_budgets, write_budgets

    wanted, today = read_budgets(args.file), _today()
    changed = write_budgets(ledger, wanted, today)
    names = {budget.name for budget in wanted}
    left = [row[0] for row in current(ledger, today).rows if row[0] not in names] if args.prune else []
    remove_budgets(ledger, left, today)
    print(f"{changed} set, {len(wanted) - changed} as they were, {len(left)} removed")
    return 0


def run_remove(ledger: "Ledger", args: argparse.Namespace) -> int:
    """End a budget."""
    from otel_llmcost.budgets import remove_budgets

    remove_budgets(ledger, args.name, _today())
    print(f"removed {', '.join(args.name)}")
    return 0


ACTIONS: Final[Mapping[str, tuple[Callable[["Ledger", argparse.Namespace], int], str]]] = {
    "status": (run_status, "how far each budget is, the one that is used up most first"),
    "set": (run_set, "add a budget, or change it from a day on"),
    "import": (run_import, "set the budgets of a YAML file"),
    "remove": (run_remove, "end budgets: from today on they hold no more"),
}


def _status_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--day", type=_day, metavar="DAY", help="as of the end of that day (UTC); default: now")
    parser.add_argument("--check", action="store_true", help="exit code 1 where a budget is exceeded, for scripts")
    parser.add_argument("--format", choices=tuple(FORMATS), default="table", help="how rows are printed; default table")
    add_ledger_options(parser)


def _set_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="what the budget is called")
    parser.add_argument("--amount", metavar="USD", required=True, help="what may be spent in each period")
    parser.add_argument("--period", default="month", help="day, week, month or quarter; default month")
    parser.add_argument(
        "--scope", action="append", default=[], metavar="DIMENSION=VALUE", help="whose calls count; may be repeated"
    )
    parser.add_argument("--thresholds", metavar="SHARES", help="when to tell; default 0.7,0.85,0.95,1")
    parser.add_argument("--from", dest="valid_from", metavar="DAY", help="first day; default today")
    parser.add_argument("--to", dest="valid_to", metavar="DAY", help="last day; default: for ever")
    parser.add_argument("--note", default="", help="for people")
    add_ledger_options(parser)


def _import_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", type=Path, help="YAML with a list `budgets` (docs/alerts.md)")
    parser.add_argument("--prune", action="store_true", help="remove the budgets that the file does not name")
    add_ledger_options(parser)


def _remove_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="+", help="what the budget is called")
    add_ledger_options(parser)


_OPTIONS: Final[Mapping[str, Callable[[argparse.ArgumentParser], None]]] = {
    "status": _status_options,
    "set": _set_options,
    "import": _import_options,
    "remove": _remove_options,
}


def _budget(args: argparse.Namespace) -> Any:
    """The budget that the options say.

    Raises:
        ConfigError: an option is wrong.
    """
    from pydantic import ValidationError

    from otel_llmcost.budgets import Budget

    given = {"name": args.name, "period": args.period, "amount_usd": args.amount, "note": args.note}
    given |= {"scope": _scope(args.scope)}
    given |= {key: value for key, value in (("from", args.valid_from), ("to", args.valid_to)) if value}
    if args.thresholds:
        given["thresholds"] = args.thresholds.split(",")
    try:
        return Budget.model_validate(given)
    except ValidationError as error:
        mistakes = error.errors(include_url=False)
        told = [
            f"--{str(m['loc'][0]).removesuffix('_usd')}: {m['msg'].removeprefix('Value error, ')}" for m in mistakes
        ]
        raise ConfigError("\n".join(told)) from None


def _scope(texts: list[str]) -> dict[str, list[str]]:
    scope: dict[str, list[str]] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign:
            raise ConfigError(f"--scope {text!r}: must be DIMENSION=VALUE, such as team=cx")
        scope.setdefault(name, []).append(value)
    return scope


def _for_people(columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> tuple[list[str], list[list[str]]]:
    """Amounts in cents, shares in percent, the scope in words."""
    shown = (
        "budget",
        "period",
        "scope",
        "amount_usd",
        "spent_usd",
        "share",
        "expected_share",
        "days_left",
        "exceeds_on",
    )
    return list(shown), [[_cell(row[columns.index(name)]) for name in shown] for row in rows]


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, Decimal):
        return f"{value:,.2f}" if value >= 1 or not value else f"{value:.3g}"
    if isinstance(value, float):
        return f"{value:.0%}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={'|'.join(values)}" for key, values in value.items()) or "everything"
    return str(value)


def _today() -> date:
    return datetime.now(UTC).date()


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"no day: {text!r}, such as 2026-11-24") from None
