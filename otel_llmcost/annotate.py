"""A bill line → the attributes written on its GenAI span."""

from typing import Final

from otel_llmcost import semconv as sc
from otel_llmcost.call import LLMCall
from otel_llmcost.money import as_attribute, pico_as_attribute

AttributeScalar = str | float

_PARTS: Final = (
    sc.COST_INPUT_USD,
    sc.COST_OUTPUT_USD,
    sc.COST_CACHE_READ_USD,
    sc.COST_CACHE_WRITE_USD,
    sc.COST_OTHER_USD,
)
"""In the order of `call.Part`."""


def cost_attributes(call: LLMCall, *, usage_cost: bool) -> dict[str, AttributeScalar]:
    """`llmcost.*` of a priced call; an amount that is not known is absent, never 0.

    `usage_cost`: also write `gen_ai.usage.cost`, the key that today's readers look for.
    """
    cost = call.cost
    assert cost is not None
    if call.is_repeated:  # another span carries the cost: a sum over spans counts it once
        return {sc.CALL_ID: (call.duplicate_of or call.call_id).hex()}
    found: dict[str, AttributeScalar] = {sc.CALL_ID: call.call_id.hex(), sc.COST_STATUS: cost.status.value}
    for name, value in ((sc.COST_REASON, cost.reason), (sc.PRICE_ID, cost.price_id), (sc.PRICE_BOOK, cost.price_book)):
        if value:
            found[name] = value
    if cost.effective is not None and cost.list is not None:
        parts = cost.effective.pico_usd
        total = pico_as_attribute(sum(parts))
        found[sc.COST_USD] = total
        found[sc.COST_LIST_USD] = pico_as_attribute(sum(cost.list.pico_usd))
        found[sc.COST_CACHE_SAVINGS_USD] = as_attribute(cost.cache_savings_usd)
        for name, pico_usd in zip(_PARTS, parts, strict=True):
            found[name] = pico_as_attribute(pico_usd)
        if usage_cost:
            found[sc.USAGE_COST] = total
    if cost.reported_usd is not None:
        found[sc.COST_REPORTED_USD] = as_attribute(cost.reported_usd)
    for name, value in call.tags.items():
        found[sc.TAG_PREFIX + name] = value
    return found
