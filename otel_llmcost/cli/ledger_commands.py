"""`otel-llmcost ledger`: what keeps a ledger whole."""

import argparse
from collections.abc import Sequence
from typing import Final

from otel_llmcost.cli import ledger_replay
from otel_llmcost.cli.actions import Action, add_actions, run_action

NAME: Final = "ledger"
HELP: Final = "look after the ledger: send again what it did not take"

ACTIONS: Final[Sequence[Action]] = (ledger_replay,)

_EPILOG: Final = """\
examples:
  otel-llmcost ledger replay --dry-run
  otel-llmcost ledger replay --ledger clickhouse://llmcost@ch.internal:8123/llmcost
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the actions."""
    parser.epilog = _EPILOG
    add_actions(parser, ACTIONS)


def run(args: argparse.Namespace) -> int:
    """Do the action."""
    return run_action(args)
