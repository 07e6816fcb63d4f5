"""A command with actions of its own: `otel-llmcost COMMAND ACTION`. An action is a module like a command."""

import argparse
from collections.abc import Sequence
from typing import Protocol


class Action(Protocol):
    """What a module of an action offers."""

    @property
    def NAME(self) -> str: ...  # noqa: N802 - a constant of a module
    @property
    def HELP(self) -> str: ...  # noqa: N802
    def configure(self, parser: argparse.ArgumentParser) -> None: ...
    def run(self, args: argparse.Namespace) -> int: ...


def add_actions(parser: argparse.ArgumentParser, actions: Sequence[Action]) -> None:
    """Add the actions to the parser of their command; `run_action` runs the one that was named."""
    below = parser.add_subparsers(dest="action", metavar="ACTION", title="actions", required=True)
    for action in actions:
        its_own = below.add_parser(action.NAME, help=action.HELP, description=action.HELP)
        action.configure(its_own)
        its_own.set_defaults(act=action.run)


def run_action(args: argparse.Namespace) -> int:
    """Run the action; its exit code."""
    code: int = args.act(args)
    return code
