"""`otel-llmcost ledger settle`: store the totals of hours that are over."""

import argparse
from typing import Final

from otel_llmcost.cli.ledger import add_ledger_options, open_ledger, settings_with_ledger

NAME: Final = "settle"
HELP: Final = "store the totals of hours and days that are over, so that dashboards need not add up calls"

_EPILOG: Final = """\
`otel-llmcost up` does this every minute (`storage.settle_interval_s`). For a ledger on a server that applications write
to directly, run it from cron. It may run twice at once and may be killed; where nobody runs it, dashboards are as exact
and slower.

examples:
  otel-llmcost ledger settle --ledger clickhouse://llmcost@ch.internal:8123/llmcost
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    parser.epilog = _EPILOG
    add_ledger_options(parser)


def run(args: argparse.Namespace) -> int:
    """Settle what was quiet for the grace time."""
    from otel_llmcost.exporters.clickhouse.settling import settle

    with open_ledger(settings_with_ledger(args), read_only=False) as ledger:
        done = settle(ledger)
    print(f"settled {done.hours} hours and {done.days} days")
    return 0
