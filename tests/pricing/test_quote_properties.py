"""What holds for every price, whatever the model, the time and the usage."""

from datetime import timedelta
from decimal import Decimal

from hypothesis import assume, given
from hypothesis import strategies as st

from otel_llmcost.call import BUCKETS, Amounts, Bucket, Cost, Status
from otel_llmcost.money import MAX_USD, round_ratio, round_usd, usd_of
from otel_llmcost.pricing import PriceBook, price_call
from pricing.book_cases import NOON, Row, prices_of, rows_of
from pricing.test_book import make_call

BOOK = PriceBook.bundled()
ROWS = [row for row in rows_of(BOOK)[0] if not row.info.id.endswith(":free")]
PICO = Decimal("1e-12")

rows = st.sampled_from(ROWS)
tokens = [bucket for bucket, kind in BUCKETS.items() if kind.direction]
usages = st.dictionaries(st.sampled_from(tokens), st.integers(1, 2_000_000), max_size=6)
any_usages = st.dictionaries(st.sampled_from(list(Bucket)), st.integers(1, 2_000_000), max_size=8)
minutes_ago = st.integers(0, 3 * 365 * 24 * 60)


def cost_of(row: Row, usage: dict[Bucket, int], minutes: int = 0) -> Cost:
    return price_call(make_call(usage, row.reference, row.seller, NOON - timedelta(minutes=minutes)), BOOK)


def starts_of(row: Row) -> set[int]:
    values = [value for prices in prices_of(row.info) for value in vars(prices).values()]
    return {tier.start for value in values for tier in getattr(value, "tiers", ())}


def tier_of(row: Row, usage: dict[Bucket, int]) -> int:
    inputs = sum(count for bucket, count in usage.items() if BUCKETS[bucket].direction == "input")
    return sum(inputs > start for start in starts_of(row))


def is_exact(row: Row, usage: dict[Bucket, int]) -> bool:
    """Whether all rates of the buckets are whole pico-USD, so that nothing is rounded."""
    price = BOOK.price_of(make_call(usage, row.reference, row.seller, NOON))
    return all(usage.keys() <= level.plain.keys() for level in price.levels)


@given(rows, any_usages, minutes_ago)
def test_a_cost_is_its_parts_and_never_negative(row: Row, usage: dict[Bucket, int], minutes: int) -> None:
    """Nor is any part; and a line without a price has no amount at all, but a reason."""
    cost = cost_of(row, usage, minutes)
    if cost.effective is None:
        assert cost.status is Status.UNPRICED
        assert cost.reason
        assert cost.list is None
        return
    amounts = cost.effective
    parts = [amounts.input_usd, amounts.output_usd, amounts.cache_read_usd, amounts.cache_write_usd, amounts.other_usd]
    assert amounts.total_usd == sum(parts)
    assert all(0 <= part == round_usd(part) for part in parts)
    assert amounts.total_usd < MAX_USD


@given(rows, usages, st.sampled_from(tokens), st.integers(1, 1_000_000))
def test_more_tokens_never_cost_less(row: Row, usage: dict[Bucket, int], bucket: Bucket, more: int) -> None:
    """Tier boundaries included: no row of the book has a tier that is cheaper than the one before."""
    less = cost_of(row, usage)
    added = cost_of(row, {**usage, bucket: usage.get(bucket, 0) + more})
    assume(less.effective is not None and added.effective is not None)
    assert less.effective.total_usd <= added.effective.total_usd


@given(rows, usages, usages)
def test_two_calls_cost_what_one_of_their_sum_costs(row: Row, one: dict[Bucket, int], other: dict[Bucket, int]) -> None:
    """In one tier, but for the price per request and the rounding of rates that are finer than a pico-USD."""
    both = {bucket: one.get(bucket, 0) + other.get(bucket, 0) for bucket in one.keys() | other.keys()}
    assume(len({tier_of(row, usage) for usage in (one, other, both)}) == 1)
    costs = [cost_of(row, usage) for usage in (one, other, both, {})]
    assume(all(cost.effective is not None for cost in costs))
    first, second, together, nothing = (cost.effective.total_usd for cost in costs)
    bound = Decimal(0) if is_exact(row, both) else PICO * Decimal("1.5") * len(both)
    assert abs(first + second - together - nothing) <= bound


@given(st.integers(0, 10**30), st.integers(1, 10**15))
def test_a_ratio_is_rounded_as_decimals_are(numerator: int, denominator: int) -> None:
    """Half-even, also where the two are as near."""
    two = round_ratio(2 * numerator + 1, 2)
    assert two == round(Decimal(2 * numerator + 1) / 2) if numerator < 10**20 else two % 2 == 0
    assert abs(round_ratio(numerator, denominator) * denominator - numerator) * 2 <= denominator


@given(st.lists(st.integers(0, 10**18 - 1), min_size=5, max_size=5))
def test_amounts_are_the_same_out_of_integers_and_out_of_decimals(pico_usd: list[int]) -> None:
    """To the last digit, and so is their sum."""
    amounts = Amounts.of_pico(pico_usd)
    assert amounts == Amounts(*map(usd_of, pico_usd))
    assert usd_of(sum(pico_usd)) == amounts.total_usd
    assert (-12,) * 5 == tuple(usd_of(pico).as_tuple().exponent for pico in pico_usd)


def test_an_amount_beyond_the_ledger_is_no_price() -> None:
    """A count as large as hostile input makes it."""
    cost = price_call(make_call({Bucket.INPUT: 10**15}), BOOK)
    assert (Status.UNPRICED, "amount_out_of_range", None) == (cost.status, cost.reason, cost.effective)
