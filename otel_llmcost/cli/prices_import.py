"""`otel-llmcost prices import-litellm`: a LiteLLM price file → a price file."""

import argparse
import sys
from pathlib import Path
from typing import Final

from otel_llmcost.cli.prices_list import a_day
from otel_llmcost.errors import InputError
from otel_llmcost.providers.sellers import canonical_seller

NAME: Final = "import-litellm"
HELP: Final = "turn a LiteLLM price file into a price file"

_EPILOG: Final = """\
Takes model_prices_and_context_window.json: rates of tokens, cached ones, batch, flex and priority, tiers by length of
input, pages, audio by the second, searches. What a price file cannot say is told on stderr with the number of models.
The models get your price, ahead of the book's, from the day on that --from names; --seller takes those of some sellers.

examples:
  otel-llmcost prices import-litellm model_prices_and_context_window.json --from 2026-01-01 > prices/litellm.yaml
  otel-llmcost prices import-litellm prices.json --from 2026-01-01 --seller together --seller fireworks
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    parser.epilog = _EPILOG
    parser.add_argument("file", metavar="FILE", type=Path, help="the JSON file")
    parser.add_argument(
        "--from", metavar="DAY", dest="valid_from", type=a_day, required=True, help="first day of the prices"
    )
    parser.add_argument(
        "--seller", metavar="NAME", action="append", default=[], help="only this seller; may be repeated"
    )


def run(args: argparse.Namespace) -> int:
    """Print the price file, and on stderr what it does not hold."""
    from otel_llmcost.pricing.overlays.litellm import import_litellm

    try:
        text = args.file.read_text(encoding="utf-8")
        sellers = frozenset(canonical_seller(name) for name in args.seller)
        imported = import_litellm(text, args.valid_from, sellers)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{args.file}: cannot be read: {type(error).__name__}") from None
    except InputError as error:
        raise InputError(f"{args.file}: {error}") from None
    print(imported.to_yaml(), end="")
    print(f"{len(imported.models)} models taken", file=sys.stderr)
    for reason, models in imported.left_out.most_common():
        if models:
            print(f"left out, {models} models: {reason}", file=sys.stderr)
    return 0
