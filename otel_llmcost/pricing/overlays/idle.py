"""Fixed costs of months in which nothing used them: paid all the same, and on no line."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext

from otel_llmcost.money import EXACT, round_usd
from otel_llmcost.pricing.overlays.overlays import Overlays
from otel_llmcost.pricing.overlays.periods import Month
from otel_llmcost.pricing.overlays.steps import Terms, carried_by, fixed_usd


@dataclass(frozen=True, slots=True)
class Idle:
    """What one entry cost in one month (`2026-03`) that no line carries."""

    entry_id: str
    month: str
    usd: Decimal


def idle_costs(overlays: Overlays, months: Sequence[Month]) -> list[Idle]:
    """Commitments and machines that no call used in those months, which were all measured."""
    found = []
    with localcontext(EXACT):
        for month in months:
            terms = Terms(overlays.fx, overlays.totals, month.start_ns, month)
            for rule in overlays.fixed_costs:
                usd = round_usd(fixed_usd(rule, terms, whole=False))
                if usd and not carried_by(rule, terms):
                    found.append(Idle(rule.entry.id, month.name, usd))
    return found
