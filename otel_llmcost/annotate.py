"""A bill line → the attributes written on its GenAI span."""

from typing import Final

from otel_llmcost import semconv as sc
from otel_llmcost.call import LLMCall
from otel_llmcost.money import as_attribute

AttributeScalar = str | float

_PARTS: Final = {
    sc.COST_INPUT_USD: "input_usd",
    sc.COST_OUTPUT_USD: "output_usd",
    sc.COST_CACHE_READ_USD: "cache_read_usd",
    sc.COST_CACHE_WRITE_USD: "cache_write_usd",
    sc.COST_OTHER_USD: "other_usd",
}


def cost_attributes(call: LLMCall, *, usage_cost: bool) -> dict[str, AttributeScalar]:
    """`llmcost.*` of a priced call; an amount that is not known is absent, never 0.

    `usage_cost`: also write `gen_ai.usage.cost`, the key that today's readers look for.
    """
    cost = call.cost
    assert cost is not None
    if call.is_repeated:  # another span carries the cost: a sum over spans counts it once
        return {sc.CALL_ID: (call.duplicate_of or call.call_id).hex()}
    found: dict[str, AttributeScalar] = {sc.CALL_ID: call.call_id.hex(), sc.COST_STATUS: cost.status.value}
    texts = {sc.COST_REASON: cost.reason, sc.PRICE_ID: cost.price_id, sc.PRICE_BOOK: cost.price_book}
    found.update({name: value for name, value in texts.items() if value})
    if cost.effective is not None and cost.list is not None:
        total = as_attribute(cost.effective.total_usd)
        found[sc.COST_USD] = total
        found[sc.COST_LIST_USD] = as_attribute(cost.list.total_usd)
        found[sc.COST_CACHE_SAVINGS_USD] = as_attribute(cost.cache_savings_usd)
        found.update({name: as_attribute(getattr(cost.effective, part)) for name, part in _PARTS.items()})
        if usage_cost:
            found[sc.USAGE_COST] = total
    if cost.reported_usd is not None:
        found[sc.COST_REPORTED_USD] = as_attribute(cost.reported_usd)
    found.update({sc.TAG_PREFIX + name: value for name, value in call.tags.items()})
    return found
