"""`otel-llmcost prices`: what calls cost, by the book and by price files of your own. One module per action."""

import argparse
from typing import Final

from otel_llmcost.cli import (
    prices_age,
    prices_check,
    prices_diff,
    prices_import,
    prices_list,
    prices_missing,
    prices_show,
)
from otel_llmcost.cli.actions import add_actions, run_action

NAME: Final = "prices"
HELP: Final = "list, explain, compare and check prices"

ACTIONS: Final = (prices_list, prices_show, prices_missing, prices_diff, prices_check, prices_age, prices_import)

_EPILOG: Final = """\
examples:
  otel-llmcost prices list --seller openai --model "gpt-5*"
  otel-llmcost prices show openai/gpt-5 --set customer=acme
  otel-llmcost prices missing --from 2026-03
  otel-llmcost prices diff bundled data.json
  otel-llmcost prices check --against HEAD
  otel-llmcost prices age --max-age 30d
  otel-llmcost prices import-litellm model_prices.json --from 2026-01-01 > prices/litellm.yaml
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the actions."""
    parser.epilog = _EPILOG
    add_actions(parser, ACTIONS)


def run(args: argparse.Namespace) -> int:
    """Do the action."""
    return run_action(args)
