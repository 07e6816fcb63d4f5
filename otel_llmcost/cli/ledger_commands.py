"""`otel-llmcost ledger`: what keeps a ledger whole."""

import argparse
from collections.abc import Sequence
from typing import Final

from otel_llmcost.cli import ledger_copy, ledger_rebuild, ledger_replay, ledger_settle
from otel_llmcost.cli.actions import Action, add_actions, run_action

NAME: Final = "ledger"
HELP: Final = "look after the ledger: send again what it did not take, store totals"

ACTIONS: Final[Sequence[Action]] = (ledger_replay, ledger_settle, ledger_rebuild, ledger_copy)

_EPILOG: Final = """\
examples:
  otel-llmcost ledger replay --dry-run
  otel-llmcost ledger replay --ledger clickhouse://llmcost@ch.internal:8123/llmcost
  otel-llmcost ledger settle
  otel-llmcost ledger copy --from chdb:///var/lib/llmcost --to clickhouse://llmcost@ch.internal:8123/llmcost
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the actions."""
    parser.epilog = _EPILOG
    add_actions(parser, ACTIONS)


def run(args: argparse.Namespace) -> int:
    """Do the action."""
    return run_action(args)
