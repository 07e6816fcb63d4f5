"""`otel-llmcost prices check`: every mistake of price files, with its file and line."""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from otel_llmcost.cli.ledger import add_config_option
from otel_llmcost.errors import ConfigError
from otel_llmcost.pricing.overlays.checks import Placed, Problem
from otel_llmcost.settings import Settings

NAME: Final = "check"
HELP: Final = "check price files: mistakes, overlaps, gaps, unknown names, changes of the past"

_EPILOG: Final = """\
Without files, those of the configuration are checked. Mistakes have file and line and end with exit code 2; warnings
(a gap between two discounts, a pattern that matches nothing) do so with --strict.

Price files are append-only: an entry that has begun may be ended from today on, not changed. `--against` compares with
what was in force: a commit, an older file, or an archived document.

examples:
  otel-llmcost prices check
  otel-llmcost prices check prices/*.yaml --against HEAD --strict
  otel-llmcost prices check prices/new.yaml --against prices/old.yaml
  otel-llmcost prices check --schema > prices.schema.json
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    parser.epilog = _EPILOG
    parser.add_argument("files", metavar="FILE", nargs="*", type=Path, help="price files; default: the configured ones")
    parser.add_argument("--against", metavar="COMMIT|FILE", help="what was in force: a git commit or a file")
    parser.add_argument("--strict", action="store_true", help="warnings are mistakes too")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--schema", action="store_true", help="print the JSON Schema of price files, for editors, and end"
    )
    add_config_option(parser)


def run(args: argparse.Namespace) -> int:
    """Print the mistakes; exit code 2 where there are any."""
    from otel_llmcost.pricing.overlays.files import overlay_paths, read_entries
    from otel_llmcost.settings import load_settings

    if args.schema:
        from otel_llmcost.pricing.overlays.document import schema_text

        print(schema_text(), end="")
        return 0
    settings = load_settings(os.environ, args.config)
    paths = args.files or overlay_paths(settings.prices.overlays)
    if not paths:
        raise ConfigError("no price files: name some, or set `prices.overlays` in the configuration")
    try:
        entries = read_entries(paths)
    except ConfigError as error:
        return _report(str(error).splitlines(), [], args)
    problems = list(_problems(entries, paths, settings, args.against))
    mistakes = [str(problem) for problem in problems if not problem.warning]
    return _report(mistakes, [str(problem) for problem in problems if problem.warning], args, len(entries), len(paths))


def _problems(
    entries: Sequence[Placed], paths: Sequence[Path], settings: Settings, against: str | None
) -> Iterator[Problem]:
    from otel_llmcost.cli.prices_sources import entries_before
    from otel_llmcost.pricing.book import PriceBook
    from otel_llmcost.pricing.catalog import models_by_seller
    from otel_llmcost.pricing.overlays.checks import changes_of_the_past, problems_of, unknown_names
    from otel_llmcost.pricing.overlays.files import known_dimensions
    from otel_llmcost.pricing.overlays.fx import Fx
    from otel_llmcost.pricing.rates import Rates

    yield from problems_of(entries, Fx(settings.prices.fx), known_dimensions(settings))
    book = PriceBook.bundled()
    now_ns = time.time_ns()

    def row_of(seller: str, model: str) -> str:
        rates = book.rates(seller, model, now_ns, {})
        return rates.price_id.partition("/")[2].rpartition("@")[0].lower() if isinstance(rates, Rates) else ""

    yield from unknown_names(entries, models_by_seller(book.snapshot), row_of)
    if against is not None:
        today = datetime.now(UTC).date()
        yield from changes_of_the_past(entries, entries_before(against, paths), today)


def _report(
    mistakes: Sequence[str], warnings: Sequence[str], args: argparse.Namespace, entries: int = 0, files: int = 0
) -> int:
    failed = bool(mistakes or (args.strict and warnings))
    if args.json:
        print(json.dumps({"valid": not failed, "mistakes": mistakes, "warnings": warnings}, indent=1))
    else:
        for line in (*mistakes, *warnings):
            print(line, file=sys.stderr)
        if not failed:
            print(f"no mistakes; files: {files}, entries: {entries}, warnings: {len(warnings)}")
    return ConfigError.exit_code if failed else 0
