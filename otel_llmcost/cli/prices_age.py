"""`otel-llmcost prices age`: how old the price data is."""

import argparse
import json
import os
import re
import time
from datetime import UTC, datetime
from typing import Final

from otel_llmcost.cli.ledger import add_config_option

NAME: Final = "age"
HELP: Final = "tell how old the price data is"

DAY_S: Final = 86_400
_AGE: Final = re.compile(r"(\d{1,6})([smhd])")
_UNITS_S: Final = {"s": 1, "m": 60, "h": 3_600, "d": DAY_S}

_EPILOG: Final = """\
Data that was refreshed (`prices.refresh`) is as old as the last look at its source. Data that came with genai-prices is
at most as old as its newest price. Exit code 1 where it is older than --max-age.

examples:
  otel-llmcost prices age
  otel-llmcost prices age --max-age 30d
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    parser.epilog = _EPILOG
    parser.add_argument(
        "--max-age", metavar="AGE", type=_age, help="such as 36h or 30d; older data ends with exit code 1"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_config_option(parser)


def _age(text: str) -> int:
    found = _AGE.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"no age: {text!r}; write it as 36h or 30d")
    return int(found[1]) * _UNITS_S[found[2]]


def run(args: argparse.Namespace) -> int:
    """Print the age; exit code 1 where it is too great."""
    from otel_llmcost.pricing.configured import as_of_s, configured_book
    from otel_llmcost.settings import load_settings

    book = configured_book(load_settings(os.environ, args.config))
    now_s = time.time()
    since_s = as_of_s(book, now_s)
    age_s = max(round(now_s - since_s), 0)
    too_old = args.max_age is not None and age_s > args.max_age
    as_of = datetime.fromtimestamp(since_s, UTC).isoformat(timespec="seconds")
    if args.json:
        print(json.dumps({"book": book.version, "as_of": as_of, "age_s": age_s, "too_old": too_old}))
    else:
        print(f"{book.version}\nas of {as_of}, {age_s // DAY_S} days and {age_s % DAY_S // 3_600} hours ago")
    return int(too_old)
