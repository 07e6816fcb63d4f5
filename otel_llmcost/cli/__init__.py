"""The command `otel-llmcost`: the table of its commands, and what happens to errors.

A command is a module with `NAME`, `HELP` (one line), `configure(parser)` and `run(args)`, which returns the exit code.
Optional dependencies are imported inside `run`, so that `--help` works without them.
"""

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any, Final, Protocol

from otel_llmcost import __version__
from otel_llmcost.cli import (
    anomalies,
    budgets,
    config,
    explain,
    import_usage,
    ledger_commands,
    prices,
    query,
    restate,
    schema,
    stage,
    up,
    watch,
    whatif,
)
from otel_llmcost.cli.masking import mask_passwords
from otel_llmcost.errors import (
    ConfigError,
    DeliveryError,
    InputError,
    LlmcostError,
    MissingExtraError,
    nearest,
)

__all__ = [
    "COMMANDS",
    "EXIT_CODES",
    "anomalies",
    "budgets",
    "build_parser",
    "config",
    "explain",
    "import_usage",
    "ledger_commands",
    "main",
    "prices",
    "query",
    "restate",
    "schema",
    "stage",
    "up",
    "watch",
    "whatif",
]

PROG: Final = "otel-llmcost"
INTERNAL_ERROR: Final = 70
INTERRUPTED: Final = 130
BROKEN_PIPE: Final = 141

EXIT_CODES: Final = {
    0: "done",
    LlmcostError.exit_code: "the command failed",
    ConfigError.exit_code: "the configuration or the command line is wrong; the text says where",
    InputError.exit_code: "input could not be read; of an import: some rows were rejected, the rest is in",
    DeliveryError.exit_code: "the ledger did not take or give the data",
    MissingExtraError.exit_code: "an optional dependency is missing; the text names the extra",
    watch.FIRING: "of `watch --once`: something fires",
    watch.NOT_TOLD: "of `watch --once`: a channel did not take a message, or a rule could not be evaluated",
    INTERNAL_ERROR: "a fault of this program; --debug shows the traceback",
    INTERRUPTED: "interrupted (Ctrl-C)",
    BROKEN_PIPE: "the reader of the output went away",
}

_EXAMPLES: Final = """\
examples:
  otel-llmcost config check
  otel-llmcost import usage.csv --map ts=time,model=model,input_tokens=prompt,output_tokens=completion \\
      --set provider=openai --ledger chdb:///var/lib/llmcost
  otel-llmcost query "SELECT team, sum(cost_usd) FROM calls GROUP BY team" --ledger chdb:///var/lib/llmcost
"""


class Command(Protocol):
    """What a module of this package offers."""

    @property
    def NAME(self) -> str: ...  # noqa: N802 - a constant of a module
    @property
    def HELP(self) -> str: ...  # noqa: N802
    def configure(self, parser: argparse.ArgumentParser) -> None: ...
    def run(self, args: argparse.Namespace) -> int: ...


COMMANDS: Final[tuple[Command, ...]] = (
    up,
    stage,
    import_usage,
    query,
    anomalies,
    budgets,
    watch,
    explain,
    prices,
    restate,
    whatif,
    ledger_commands,
    schema,
    config,
)


class Parser(argparse.ArgumentParser):
    """Keeps the lines of help texts as written, takes no abbreviated options, and names the nearest right word."""

    def __init__(self, **options: Any) -> None:
        defaults: dict[str, Any] = {"formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False}
        super().__init__(**(defaults | options))
        # On either side of a command or action: whoever does not say it leaves what another one said.
        self.add_argument(
            "--debug", action="store_true", default=argparse.SUPPRESS, help="show the traceback of an error"
        )

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            raise argparse.ArgumentError(action, f"unknown: {value!r}{nearest(str(value), map(str, action.choices))}")


def build_parser() -> Parser:
    """The whole command line."""
    codes = "\n".join(f"  {code:<5}{meaning}" for code, meaning in EXIT_CODES.items())
    parser = Parser(
        prog=PROG,
        description="One exact, attributed bill line per LLM call, from OpenTelemetry.",
        epilog=f"{_EXAMPLES}\nexit codes:\n{codes}",
    )
    parser.add_argument("--version", action="version", version=f"{PROG} {__version__}")
    parser.set_defaults(debug=False)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands", required=True)
    for command in COMMANDS:
        below = commands.add_parser(command.NAME, help=command.HELP, description=command.HELP)
        command.configure(below)
        below.set_defaults(run=command.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; every error is one text on stderr, without credentials."""
    args = build_parser().parse_args(argv)
    try:
        code: int = args.run(args)
        sys.stdout.flush()
    except LlmcostError as error:
        return _fail(str(error), error.exit_code, debug=args.debug)
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED, debug=args.debug)
    except BrokenPipeError:
        # What is still buffered has no reader either: let the exit of the interpreter flush it into nothing.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except Exception as error:  # noqa: BLE001 - the last line of defence: one line instead of a traceback
        text = " ".join(str(error).split())
        hint = "" if args.debug else "; run with --debug for the traceback"
        return _fail(f"internal error: {type(error).__name__}: {text[:300]}{hint}", INTERNAL_ERROR, debug=args.debug)
    return code


def _fail(text: str, code: int, *, debug: bool) -> int:
    if debug:
        print(mask_passwords(traceback.format_exc()), end="", file=sys.stderr)
    print(f"{PROG}: {mask_passwords(text)}", file=sys.stderr)
    return code
