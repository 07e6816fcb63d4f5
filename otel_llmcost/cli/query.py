"""`otel-llmcost query`: read-only SQL on the ledger."""

import argparse
import csv
import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import IO, Any, Final

from otel_llmcost.cli.ledger import add_ledger_options, open_ledger, settings_with_ledger
from otel_llmcost.cli.table import print_table
from otel_llmcost.errors import ConfigError

NAME: Final = "query"
HELP: Final = "run SQL on the ledger, read-only"

_EPILOG: Final = """\
Statements that would write are refused. Amounts are exact: in JSON they are strings, so that no reader rounds them.
Tables need no database name: calls, calls_hourly, calls_daily, chargeback, coverage, …

examples:
  otel-llmcost query "SELECT team, sum(cost_usd) FROM calls GROUP BY team"
  otel-llmcost query "SELECT * FROM calls ORDER BY cost_usd DESC LIMIT 10" --format json
  otel-llmcost query "SELECT status, reason, count() FROM calls GROUP BY ALL" --ledger chdb:///var/lib/llmcost
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    parser.epilog = _EPILOG
    parser.add_argument("sql", metavar="SQL", help="one SELECT (or SHOW, DESCRIBE, EXPLAIN) of ClickHouse's SQL")
    parser.add_argument("--format", choices=tuple(FORMATS), default="table", help="how rows are printed; default table")
    add_ledger_options(parser)


def run(args: argparse.Namespace) -> int:
    """Print the rows."""
    with open_ledger(settings_with_ledger(args), read_only=True) as ledger:
        found = ledger.query(args.sql)
    FORMATS[args.format](found.columns, found.rows, sys.stdout)
    return 0


def print_rows(columns: Sequence[str], rows: Sequence[Sequence[Any]], out: IO[str]) -> None:
    """As a table for people."""
    print_table(columns, [["NULL" if cell is None else _text(cell) for cell in row] for row in rows], out)


def print_csv(columns: Sequence[str], rows: Sequence[Sequence[Any]], out: IO[str]) -> None:
    """As CSV with a header line; NULL is an empty field."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(["" if cell is None else _text(cell) for cell in row] for row in rows)


def print_json(columns: Sequence[str], rows: Sequence[Sequence[Any]], out: IO[str]) -> None:
    """As an array of objects, one a line.

    Raises:
        ConfigError: two columns have one name.
    """
    if len(set(columns)) != len(columns):
        raise ConfigError("two columns have one name, and JSON could hold one of them only: tell them apart with AS")
    lines = (json.dumps({name: _plain(cell) for name, cell in zip(columns, row, strict=True)}) for row in rows)
    out.write("[" + ",\n ".join(lines) + "]\n")


FORMATS: Final[Mapping[str, Callable[[Sequence[str], Sequence[Sequence[Any]], IO[str]], None]]] = {
    "table": print_rows,
    "csv": print_csv,
    "json": print_json,
}


def _text(cell: Any) -> str:
    """A cell as one text: amounts with all digits, ids in hex, times in ISO 8601, lists and maps as JSON."""
    plain = _plain(cell)
    return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)


def _plain(cell: Any) -> Any:
    """A cell of what JSON knows."""
    convert = next((convert for types, convert in _CONVERSIONS if isinstance(cell, types)), str)
    return convert(cell)


def _same(cell: Any) -> Any:
    return cell


_CONVERSIONS: Final[Sequence[tuple[tuple[type, ...], Callable[[Any], Any]]]] = (
    ((bool, int, type(None)), _same),
    ((str,), str),  # an enumeration is its word
    ((float,), lambda number: number if math.isfinite(number) else str(number)),
    ((Decimal,), lambda amount: f"{amount:f}"),
    ((bytes,), bytes.hex),
    ((date,), lambda moment: moment.isoformat()),  # a datetime is a date too
    ((Mapping,), lambda mapping: {_text(key): _plain(value) for key, value in mapping.items()}),
    ((list, tuple, set), lambda values: [_plain(value) for value in values]),
)
