"""What a period came to, measured by pricing its calls: the end of the month that replaces expectations."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from decimal import Decimal, localcontext

from otel_llmcost.call import BUCKETS, LLMCall
from otel_llmcost.money import EXACT, pico_of, usd_of
from otel_llmcost.pricing.compiled import Price
from otel_llmcost.pricing.overlays.matching import EVERYTHING, REQUEST
from otel_llmcost.pricing.overlays.overlays import Overlays
from otel_llmcost.pricing.overlays.periods import month_at
from otel_llmcost.pricing.overlays.planning import Charged, over
from otel_llmcost.pricing.overlays.totals import PeriodTotals, Total
from otel_llmcost.pricing.quote import billed
from otel_llmcost.pricing.rates import SECOND_NS, Rates


class Measuring:
    """Stands where the overlays stand, prices as they do, and adds up what each entry was applied to."""

    def __init__(self, overlays: Overlays) -> None:
        self._overlays = overlays
        self._totals: dict[tuple[str, str], Total] = defaultdict(Total)
        self.version = overlays.version
        self.names_models = overlays.names_models

    def names(self, provider: str, model: str, host: str) -> bool:
        return self._overlays.names(provider, model, host)

    def redirect(self, provider: str, model: str, host: str, at_ns: int) -> tuple[str, str, str] | None:
        return self._overlays.redirect(provider, model, host, at_ns)

    def own_rates(self, provider: str, model: str, at_ns: int, context: Mapping[str, str]) -> Rates | None:
        return self._overlays.own_rates(provider, model, at_ns, context)

    def own_price(self, call: LLMCall, listed: Price) -> Charged | None:
        """The answer of the overlays, and the call counted for every entry that rests on its month."""
        own_entry = listed.rates.price_id.rpartition("#")[2] if "#" in listed.rates.price_id else ""
        if self._overlays.rests_on_month(own_entry):
            self._add(own_entry, call, _usd(call, listed, EVERYTHING))
        plan = self._overlays.plan(call, listed.rates.price_id)
        if plan is None:
            return None
        for stage in plan.stages:
            before = listed if stage.before is None else over(stage.before, listed)
            self._add(stage.entry_id, call, _usd(call, before, stage.charges))
        return plan.over(listed)

    def totals(self) -> PeriodTotals:
        """What came together so far."""
        return PeriodTotals(self._totals)

    def _add(self, entry_id: str, call: LLMCall, usd: Decimal) -> None:
        key = (entry_id, month_at(call.start_ns).name)
        tokens = sum(count for bucket, count in call.usage.buckets.items() if BUCKETS[bucket].direction)
        seconds = EXACT.divide(Decimal(call.duration_ns), SECOND_NS)
        self._totals[key] = self._totals[key].plus(tokens, seconds, usd)


def _usd(call: LLMCall, price: Price, charges: frozenset[str]) -> Decimal:
    """What some charges of a call cost by a price."""
    input_tokens = call.usage.input_tokens
    level = price.level(input_tokens)
    pico = sum(level.charge(bucket, n) for bucket, n in billed(call.usage.buckets, price).items() if bucket in charges)
    if REQUEST in charges:
        with localcontext(EXACT):
            pico += pico_of(price.rates.per_call(call, input_tokens))
    return usd_of(pico)


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
