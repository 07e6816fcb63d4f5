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
    if call.is_repeated:  # another span carries the cost: a sum over spans counts it once
        return {sc.CALL_ID: id_told(call)}
    return {sc.CALL_ID: id_told(call), **dict(cost_texts(call)), **dict(cost_amounts(call, usage_cost=usage_cost))}


def id_told(call: LLMCall) -> str:
    """The identity of the line that the span stands for."""
    return (call.duplicate_of or call.call_id).hex()


def cost_texts(call: LLMCall) -> tuple[tuple[str, str], ...]:
    """What is told in words: few different ones for many calls."""
    cost = call.cost
    assert cost is not None
    texts = (
        (sc.COST_STATUS, cost.status.value),
        (sc.COST_REASON, cost.reason),
        (sc.PRICE_ID, cost.price_id),
        (sc.PRICE_BOOK, cost.price_book),
    )
    tags = [(sc.TAG_PREFIX + name, value) for name, value in call.tags.items()]
    return (*[pair for pair in texts if pair[1]], *tags)


def cost_amounts(call: LLMCall, *, usage_cost: bool) -> list[tuple[str, float]]:
    """What is told in USD."""
    cost = call.cost
    assert cost is not None
    found = []
    if cost.effective is not None and cost.list is not None:
        parts = cost.effective.pico_usd
        total = pico_as_attribute(sum(parts))
        found = [
            (sc.COST_USD, total),
            (sc.COST_LIST_USD, pico_as_attribute(sum(cost.list.pico_usd))),
            (sc.COST_CACHE_SAVINGS_USD, as_attribute(cost.cache_savings_usd)),
            *zip(_PARTS, map(pico_as_attribute, parts), strict=True),
        ]
        if usage_cost:
            found.append((sc.USAGE_COST, total))
    if cost.reported_usd is not None:
        found.append((sc.COST_REPORTED_USD, as_attribute(cost.reported_usd)))
    return found
