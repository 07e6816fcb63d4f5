"""The book against genai-prices, to the last digit: every row, date, time of day, context, usage and tier.

By default every 199th case, the same ones each time; all of them (450,000, five to ten minutes) with

    LLMCOST_EXHAUSTIVE=1 python -m pytest tests/pricing/test_equality.py
"""

import os
from decimal import Decimal
from fractions import Fraction

import pytest
from genai_prices.data_units import unit_data
from genai_prices.types import TieredPrices

from otel_llmcost.call import BUCKETS, Bucket, Status
from otel_llmcost.pricing import PriceBook, price_call
from pricing.book_cases import DIMENSIONS, NOON, Case, Row, cases, ns, prices_of, rows_of, snapshot_rows, times_of

ONE_IN = 1 if os.environ.get("LLMCOST_EXHAUSTIVE") else 199
PICO = Decimal("1e-12")
BOOK = PriceBook.bundled()
ROWS, HIDDEN = rows_of(BOOK)

FREE_BY_WORDS = {
    # no price, and the row says in words that there is none to pay
    *("github-copilot/gpt-3.5-turbo", "github-copilot/gpt-4.1", "github-copilot/gpt-4o", "github-copilot/gpt-4o-mini"),
    *("google/gemma-3", "google/gemma-3n", "google/gemma-4-26b-a4b-it", "google/gemma-4-31b-it"),
    "openai/moderation",
}
NOT_FREE = {
    # no price and no word of why: genai-prices gives 0, we give no price
    "cerebras/qwen-3-coder-480b",
    *(
        "huggingface_together/ServiceNow-AI/Apriel-1.6-15b-Thinker",
        "huggingface_together/prism-ml/Ternary-Bonsai-27B-gguf",
    ),
    "huggingface_together/prism-ml/Ternary-Bonsai-27B-AWQ-4bit",
    *(
        "openrouter/gemini-2.5-pro-exp-03-25",
        "openrouter/google/gemini-flash-1.5-8b-exp",
        "openrouter/stealth/crouton-alpha",
    ),
    *("openrouter/google/lyria-3-clip-preview", "openrouter/google/lyria-3-pro-preview"),
}


def exact_rate(case: Case, bucket: Bucket) -> Fraction:
    """USD per unit of a bucket: that of the most specific unit that has a price and covers it."""
    wanted, told = DIMENSIONS[BUCKETS[bucket].unit], vars(case.prices())
    units = [name for name, dimensions in DIMENSIONS.items() if dimensions <= wanted]
    priced = [name for name in units if told.get(unit_data[name]["price_key"]) is not None]
    unit = unit_data[max(priced, key=lambda name: len(DIMENSIONS[name]))]
    price = told[unit["price_key"]]
    if isinstance(price, TieredPrices):
        inputs = sum(count for b, count in case.usage.items() if BUCKETS[b].direction == "input")
        price = ([price.base] + [tier.price for tier in price.tiers if inputs > tier.start])[-1]
    return Fraction(price) / unit["per"]


def listed_as(row: Row) -> str:
    return f"{row.provider.id}/{row.info.id}"


def _is_unpriced(row: Row) -> bool:
    return not any(value is not None for prices in prices_of(row.info) for value in vars(prices).values())


def fault(case: Case) -> str:
    """What is wrong with our price of a case; nothing is right."""
    cost = price_call(case.call(), BOOK)
    without = case.without_price()
    free = _is_unpriced(case.row) and listed_as(case.row) not in NOT_FREE
    if free:
        without = {bucket for bucket in without if not BUCKETS[bucket].direction}
    if without or cost.effective is None:
        wanted = f"unit_without_price:{','.join(sorted(without))}"
        right = (Status.UNPRICED, wanted) == (cost.status, cost.reason)
        return "" if right else f"{case}: {cost.status} {cost.reason!r}, not {wanted!r}"
    theirs, ours = case.usd(), cost.effective.total_usd
    if free:
        return "" if theirs == ours == 0 and "free" in cost.reason else f"{case}: free, but {ours}"
    finer = [bucket for bucket in case.usage if (exact_rate(case, bucket) * 10**12).denominator != 1]
    return "" if abs(theirs - ours) <= PICO / 2 * len(finer) else f"{case}: {ours}, not {theirs}"


def test_every_case_costs_what_genai_prices_says() -> None:
    """Where all rates are whole pico-USD without any difference; else with that of rounding each bucket once."""
    faults = [found for case in cases(ROWS, ONE_IN) if (found := fault(case))]
    assert [] == faults[:10]


def test_every_row_is_found_by_a_name() -> None:
    """None is lost behind our stricter matching of names."""
    assert [] == HIDDEN
    assert snapshot_rows(BOOK.snapshot) <= len(ROWS)


def test_a_rate_finer_than_a_pico_dollar_is_rounded_once_and_half_even() -> None:
    """Audio by the hour and rates of more digits, in exact fractions; one second of Whisper is billed as ten."""
    checked = set()
    for row in ROWS:
        for bucket, count in ((Bucket.AUDIO_SECONDS, 11), (Bucket.CACHE_WRITE, 333_333), (Bucket.INPUT, 1)):
            case = Case(row, NOON, {}, {bucket: count})
            if case.without_price() or (exact_rate(case, bucket) * 10**12).denominator == 1:
                continue
            checked.add(str(row))
            cost = price_call(case.call(), BOOK)
            assert round(exact_rate(case, bucket) * count * 10**12) * PICO == cost.effective.total_usd, str(case)
    assert 20 < len(checked)


def test_what_has_no_price_is_free_only_where_the_row_says_so() -> None:
    """genai-prices gives 0 for all of them."""
    unpriced, free = set(), set()
    for row in filter(_is_unpriced, ROWS):
        cost = price_call(Case(row, NOON, {}, {Bucket.INPUT: 10, Bucket.OUTPUT: 10}).call(), BOOK)
        if any(row.info is model for model in row.provider.models):
            (free if cost.status is Status.EXACT else unpriced).add(listed_as(row))
    assert FREE_BY_WORDS == {name for name in free if not name.endswith(":free")}
    assert NOT_FREE == unpriced


def _timed(row: Row) -> bool:
    return len(times_of(row.info)) > 1


@pytest.mark.parametrize("nanoseconds", [-1, 0, 1])
def test_a_price_changes_at_the_nanosecond(nanoseconds: int) -> None:
    """Time is not cut to seconds on its way to the price."""
    for row in filter(_timed, ROWS):
        for at in times_of(row.info):
            found = BOOK.rates(row.seller, row.reference, ns(at) + nanoseconds, {})
            before = BOOK.rates(row.seller, row.reference, ns(at) - 1_000 if nanoseconds < 0 else ns(at), {})
            assert before.by_bucket == found.by_bucket, (str(row), at)
