"""`otel-llmcost ledger rebuild`: compute every total anew."""

import argparse
from typing import Final

from otel_llmcost.cli.ledger import add_ledger_options, open_ledger, settings_with_ledger

NAME: Final = "rebuild"
HELP: Final = "compute the totals of every hour and day anew from the calls"

_EPILOG: Final = """\
Totals need no rebuilding as a rule: whatever is written makes its hours count anew. After rows were deleted or changed
by hand, this makes the totals follow. It also completes the marks that keep two versions of a call with times on both
sides of midnight one line, for rows that came by plain SQL. Dashboards stay exact meanwhile, and are slower. Hours that
were written to in the last five minutes are added up live, and settled later.

examples:
  otel-llmcost ledger rebuild --ledger clickhouse://llmcost@ch.internal:8123/llmcost
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    parser.epilog = _EPILOG
    add_ledger_options(parser)


def run(args: argparse.Namespace) -> int:
    """Rebuild all."""
    from otel_llmcost.exporters.clickhouse.settling import rebuild

    with open_ledger(settings_with_ledger(args), read_only=False) as ledger:
        done = rebuild(ledger)
    print(f"rebuilt {done.hours} hours and {done.days} days")
    return 0
