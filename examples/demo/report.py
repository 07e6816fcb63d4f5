"""What the demo prints: chargeback, spend by model, coverage, and the check against the provider's own log."""

import sys
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from otel_llmcost.exporters.clickhouse.client import Ledger

CHARGEBACK: Final = """
SELECT team, feature, sum(calls), sum(tokens), sum(cost_usd), sum(cache_savings_usd)
FROM chargeback GROUP BY team, feature ORDER BY team, feature
"""
BY_MODEL: Final = """
SELECT provider, if(outcome = 'error', '(refused, not billed)', calls.model) AS model,
       count(), sum(input_tokens + output_tokens), sum(cost_usd), countIf(cost_usd IS NULL)
FROM calls GROUP BY provider, model ORDER BY sum(cost_usd) DESC NULLS LAST, provider, model
"""
COVERAGE: Final = """
SELECT status, reason, count(), sum(input_tokens + output_tokens), sum(cost_usd)
FROM calls GROUP BY status, reason ORDER BY count() DESC, status, reason
"""
TOTAL: Final = "SELECT count(), sum(cost_usd), countIf(cost_usd IS NULL) FROM calls"

NEXT: Final = """\
What next
  ask the ledger    {command} query --ledger {ledger} \\
                      "SELECT customer, sum(cost_usd) FROM calls GROUP BY customer"
  see it            {command} up --ledger {ledger}
                      answers Grafana's ClickHouse data source on port 8123; then import
                      grafana/dashboards/spend-overview.json (grafana/README.md)
  your application  pip install '.[local]' from this clone, and run it as it is:
                      OTEL_PYTHON_DISTRO=llmcost OTEL_LLMCOST_LEDGER=chdb:///var/lib/llmcost \\
                      opentelemetry-instrument python your_app.py
"""


def report(ledger_url: str, served: Sequence[dict[str, Any]], console: Console) -> int:
    """Print everything; 0 where the ledger holds one line for each request that the provider served, else 1."""
    with Ledger.open(ledger_url) as ledger:
        teams = ledger.query(CHARGEBACK).rows
        models = ledger.query(BY_MODEL).rows
        coverage = ledger.query(COVERAGE).rows
        [(lines, total_usd, unpriced)] = ledger.query(TOTAL).rows
    header = ("calls", "tokens", "USD")
    console.print(table("Chargeback", ("team", "feature", *header, "saved by caching"), teams))
    console.print(table("Spend by model", ("seller", "model", *header, "no price"), models))
    console.print(
        table("Coverage: every line has a price or the reason why not", ("status", "reason", *header), coverage)
    )
    agrees = lines == len(served)
    mark, word = ("[green]✓[/green]", "=") if agrees else ("[red]✗[/red]", "is not")
    console.print(f"\n{mark} {lines} lines in the ledger {word} {len(served)} requests in the provider's log")
    console.print(f"  {cell(total_usd)} USD; {unpriced} lines have no price, and unknown is never 0\n")
    command = Path(sys.executable).with_name("otel-llmcost")
    console.print(
        NEXT.format(command=shortest(command), ledger=ledger_url), markup=False, highlight=False, soft_wrap=True
    )
    return 0 if agrees else 1


def table(title: str, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> Table:
    """Two columns of names, the rest numbers."""
    made = Table(title=title, title_justify="left", title_style="bold", expand=False)
    for index, name in enumerate(header):
        made.add_column(name, justify="left" if index < 2 else "right", overflow="fold")
    for row in rows:
        made.add_row(*(Text(cell(value)) for value in row))
    return made


def cell(value: object) -> str:
    """Amounts to the millionth of a dollar (the ledger holds 12 digits); what is not known is a dash."""
    if value is None:
        return "-"
    return f"{value:,.6f}" if isinstance(value, Decimal) else f"{value:,}" if isinstance(value, int) else str(value)


def shortest(path: Path) -> Path:
    """A path as one would type it here."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
