"""What a period came to, measured by pricing its calls: the end of the month that replaces expectations."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from decimal import Decimal, localcontext

from otel_llmcost.call import BUCKETS, Bucket, LLMCall
from otel_llmcost.money import EXACT, ZERO
from otel_llmcost.pricing.overlays.matching import REQUEST
from otel_llmcost.pricing.overlays.overlays import Charges, Overlays
from otel_llmcost.pricing.overlays.periods import month_at
from otel_llmcost.pricing.overlays.planning import Stage
from otel_llmcost.pricing.overlays.totals import PeriodTotals, Total
from otel_llmcost.pricing.rates import SECOND_NS, Rates


class Measuring:
    """Stands where the overlays stand, prices as they do, and adds up what each entry was applied to."""

    def __init__(self, overlays: Overlays) -> None:
        self._overlays = overlays
        self._totals: dict[tuple[str, str], Total] = defaultdict(Total)
        self.version = overlays.version

    @property
    def names_models(self) -> bool:
        return self._overlays.names_models

    def touches(self, price_id: str) -> bool:
        """Private models are measured too, whatever else holds for them."""
        return "#" in price_id or self._overlays.touches(price_id)

    def redirect(self, provider: str, model: str, host: str, at_ns: int) -> tuple[str, str, str] | None:
        return self._overlays.redirect(provider, model, host, at_ns)

    def own_rates(self, provider: str, model: str, at_ns: int, context: Mapping[str, str]) -> Rates | None:
        return self._overlays.own_rates(provider, model, at_ns, context)

    def effective(
        self, call: LLMCall, rates: Rates, list_by_bucket: Mapping[Bucket, Decimal], request_usd: Decimal
    ) -> Charges | None:
        with localcontext(EXACT):
            self._measure(call, rates, list_by_bucket, request_usd)
        return self._overlays.effective(call, rates, list_by_bucket, request_usd)

    def totals(self) -> PeriodTotals:
        """What came together so far."""
        return PeriodTotals(self._totals)

    def _measure(
        self, call: LLMCall, rates: Rates, list_by_bucket: Mapping[Bucket, Decimal], request_usd: Decimal
    ) -> None:
        own_entry = rates.price_id.rpartition("#")[2] if "#" in rates.price_id else ""
        if self._overlays.rests_on_month(own_entry):
            self._add(own_entry, call, sum(list_by_bucket.values(), request_usd))
        plan = self._overlays.plan(call, rates.price_id)
        for stage in plan.stages if plan else ():
            self._add(stage.entry_id, call, _before(stage, call, rates, list_by_bucket, request_usd))

    def _add(self, entry_id: str, call: LLMCall, usd: Decimal) -> None:
        key = (entry_id, month_at(call.start_ns).name)
        tokens = sum(count for bucket, count in call.usage.buckets.items() if BUCKETS[bucket].direction)
        self._totals[key] = self._totals[key].plus(tokens, call.duration_ns / SECOND_NS, usd)


def _before(
    stage: Stage, call: LLMCall, rates: Rates, list_by_bucket: Mapping[Bucket, Decimal], request_usd: Decimal
) -> Decimal:
    """What the call costs before the entry of the stage."""
    if stage.before is None:
        listed = (usd for bucket, usd in list_by_bucket.items() if bucket in stage.charges)
        return sum(listed, request_usd if REQUEST in stage.charges else ZERO)
    before = stage.before.over(rates)
    return sum(before.charges(call, list_by_bucket).values(), before.request_charge(call))


def true_up(overlays: Overlays, price_period: Callable[[Measuring], None]) -> Overlays:
    """The same overlays with the totals of a period, measured as often as entries rest on one another.

    `price_period` prices every call of the whole months concerned with a book that has the given overlay.
    """
    bound = overlays
    for _ in range(overlays.passes):
        measuring = Measuring(bound)
        price_period(measuring)
        bound = overlays.with_totals(measuring.totals())
    return bound
