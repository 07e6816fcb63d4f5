"""The price of a call: what is charged, what is said of it, and when there is none. `test_equality` has the rest."""

from datetime import UTC, datetime
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal, localcontext

import pytest
from genai_prices.data_snapshot import get_snapshot
from hypothesis import given
from hypothesis import strategies as st

from otel_llmcost.call import BUCKETS, Amounts, Bucket, LLMCall, Outcome, Source, Status, Usage
from otel_llmcost.pricing import PriceBook, price_call

BOOK = PriceBook.bundled()
AT = datetime(2026, 11, 20, 12, tzinfo=UTC)


def make_call(
    buckets: dict[Bucket, int], model: str = "gpt-4o", provider: str = "openai", at: datetime = AT, **more
) -> LLMCall:
    start_ns = round(at.timestamp()) * 10**9
    fields = {"usage": Usage(buckets=buckets), **more}
    return LLMCall(
        call_id=bytes(16),
        source=Source.WIRE,
        start_ns=start_ns,
        end_ns=start_ns,
        provider=provider,
        model=model,
        **fields,
    )


def mtok(usd: str, tokens: int) -> Decimal:
    return Decimal(usd) * tokens / 1_000_000


def test_cached_tokens_are_billed_once_at_the_cache_rate() -> None:
    """600 uncached at 2.50, 400 cached at 1.25, 50 out at 10.00 per million."""
    cost = price_call(make_call({Bucket.INPUT: 600, Bucket.CACHE_READ: 400, Bucket.OUTPUT: 50}), BOOK)
    expected = Amounts(mtok("2.5", 600), mtok("10", 50), mtok("1.25", 400))
    assert expected == cost.effective
    assert (Status.EXACT, "openai/gpt-4o@always") == (cost.status, cost.price_id)
    assert mtok("2.5", 400) - mtok("1.25", 400) == cost.cache_savings_usd


def test_cache_writes_are_told_apart_by_time_to_live() -> None:
    """Claude Sonnet 4.5: 3.75 for five minutes, 6.00 for an hour; a write costs more than it saves at first."""
    buckets = {Bucket.INPUT: 10, Bucket.CACHE_WRITE: 100, Bucket.CACHE_WRITE_1H: 1_000}
    cost = price_call(make_call(buckets, "claude-sonnet-4-5-20250929", "anthropic"), BOOK)
    assert mtok("3.75", 100) + mtok("6", 1_000) == cost.effective.cache_write_usd
    assert mtok("3", 1_100) - mtok("3.75", 100) - mtok("6", 1_000) == cost.cache_savings_usd


@pytest.mark.parametrize(("tokens", "usd"), [(200_000, "1.25"), (200_001, "2.5")])
def test_a_context_tier_sets_the_rate_of_every_token(tokens: int, usd: str) -> None:
    """Gemini 2.5 Pro doubles above 200,000 input tokens, cached ones included."""
    cost = price_call(make_call({Bucket.INPUT: tokens - 1, Bucket.CACHE_READ: 1}, "gemini-2.5-pro", "gcp.gemini"), BOOK)
    assert mtok(usd, tokens - 1) == cost.effective.input_usd


@pytest.mark.parametrize(("hour", "usd"), [(0, "0.135"), (1, "0.27"), (16, "0.27"), (17, "0.135")])
def test_the_time_of_day_sets_the_rate(hour: int, usd: str) -> None:
    """DeepSeek's off-peak prices."""
    at = datetime(2026, 11, 20, hour, tzinfo=UTC)
    cost = price_call(make_call({Bucket.INPUT: 1_000}, "deepseek-chat", "deepseek", at), BOOK)
    assert mtok(usd, 1_000) == cost.effective.input_usd


def test_the_responding_tier_is_part_of_the_price() -> None:
    """Flex halves gpt-5 since 2026-10-12."""
    flex = price_call(make_call({Bucket.INPUT: 1_000}, "gpt-5", service_tier="flex"), BOOK)
    plain = price_call(make_call({Bucket.INPUT: 1_000}, "gpt-5", service_tier="default"), BOOK)
    assert (mtok("0.625", 1_000), mtok("1.25", 1_000)) == (flex.effective.input_usd, plain.effective.input_usd)


def test_a_tier_without_a_price_is_said() -> None:
    """The standard price is the best there is, and the reason names the gap."""
    cost = price_call(make_call({Bucket.INPUT: 1_000}, "llama-3.3-70b-versatile", "groq", service_tier="flex"), BOOK)
    assert "no_price_for_tier:flex" == cost.reason


@pytest.mark.parametrize(
    ("model", "provider", "reason"),
    [
        ("gpt-99-nonsense", "openai", "unknown_model:gpt-99-nonsense"),
        ("gpt-4o", "llm.internal", "unknown_provider:llm.internal"),
        ("", "openai", "unknown_model"),
        ("gpt-4o", "", "unknown_provider"),
    ],
)
def test_an_unknown_price_is_a_reason_and_no_amount(model: str, provider: str, reason: str) -> None:
    """Unknown is never 0."""
    cost = price_call(make_call({Bucket.INPUT: 5}, model, provider), BOOK)
    assert (Status.UNPRICED, reason, None, None) == (cost.status, cost.reason, cost.effective, cost.list)


def test_a_unit_without_a_price_leaves_the_call_unpriced() -> None:
    """Groq lists no price for web searches of a chat model; charging the rest alone would be silently cheap."""
    cost = price_call(make_call({Bucket.INPUT: 5, Bucket.WEB_SEARCHES: 2}, "llama-3.3-70b-versatile", "groq"), BOOK)
    assert (Status.UNPRICED, "unit_without_price:web_searches") == (cost.status, cost.reason)


def test_another_sellers_price_is_said() -> None:
    """Azure falls back to OpenAI's list for models that its own list lacks."""
    own = {model.id for provider in get_snapshot().providers if provider.id == "azure" for model in provider.models}
    assert "gpt-5-nano" not in own
    cost = price_call(make_call({Bucket.INPUT: 5}, "gpt-5-nano", "azure.ai.openai"), BOOK)
    assert (Status.EXACT, "price_of:openai") == (cost.status, cost.reason)


def test_the_requested_model_prices_an_unknown_responding_one() -> None:
    """And the reason says so."""
    cost = price_call(make_call({Bucket.INPUT: 5}, "served-as-x", requested_model="gpt-4o"), BOOK)
    assert (Status.EXACT, "price_of_requested_model:served-as-x") == (cost.status, cost.reason)


@pytest.mark.parametrize(
    ("more", "status", "reason"),
    [
        ({"http_status": 429, "outcome": Outcome.ERROR}, Status.EXACT, "not_billed:http_429"),
        ({"http_status": 500, "outcome": Outcome.ERROR}, Status.EXACT, "not_billed:http_500"),
        ({"error_type": "ConnectError", "outcome": Outcome.ERROR}, Status.EXACT, "not_billed:not_sent"),
        ({"error_type": "ReadTimeout", "outcome": Outcome.ERROR}, Status.UNPRICED, "usage_unknown:error"),
        ({"outcome": Outcome.ABORTED}, Status.UNPRICED, "usage_unknown:aborted"),
        ({}, Status.UNPRICED, "usage_unknown"),
    ],
)
def test_silence_about_usage_is_free_only_where_nothing_was_done(more: dict, status: Status, reason: str) -> None:
    """A refused request costs 0; a timeout may have been billed, so its cost is unknown."""
    cost = price_call(make_call({}, **{"usage": Usage(known=False), **more}), BOOK)
    assert (status, reason) == (cost.status, cost.reason)
    assert (Amounts() if status is Status.EXACT else None) == cost.effective


def test_an_aborted_stream_is_a_lower_bound() -> None:
    """What is known is priced, and marked."""
    cost = price_call(make_call({Bucket.INPUT: 1_000}, outcome=Outcome.ABORTED), BOOK)
    assert (Status.LOWER_BOUND, mtok("2.5", 1_000)) == (cost.status, cost.effective.total_usd)


def test_the_applications_decimal_context_decides_nothing() -> None:
    """Not even one of four digits."""
    call = make_call({Bucket.INPUT: 1_234_567, Bucket.OUTPUT: 1})
    expected = price_call(call, BOOK)
    with localcontext(prec=4, rounding=ROUND_DOWN):
        found = price_call(call, PriceBook.bundled())
        assert (expected, expected.effective.total_usd) == (found, found.effective.total_usd)
    assert mtok("2.5", 1_234_567) + mtok("10", 1) == expected.effective.total_usd


@pytest.mark.parametrize(
    ("more", "status", "reason"),
    [
        ({"outcome": Outcome.ERROR, "streaming": True}, Status.LOWER_BOUND, "failed"),
        ({"outcome": Outcome.ERROR}, Status.EXACT, ""),
        ({"flags": ("unreadable prompt_tokens: negative",)}, Status.LOWER_BOUND, "usage_unreadable:prompt_tokens: neg"),
        ({"flags": ("input: parts 3 exceed total 2",)}, Status.EXACT, "contradiction:input: parts 3 exceed total 2"),
    ],
)
def test_incomplete_usage_is_a_lower_bound_and_a_contradiction_is_said(more: dict, status: Status, reason: str) -> None:
    """A stream that failed, a number that could not be read; a whole answer that the application failed on is whole."""
    usage = Usage(buckets={Bucket.INPUT: 5}, flags=more.pop("flags", ()))
    cost = price_call(make_call({}, **{"usage": usage, **more}), BOOK)
    assert status == cost.status
    assert cost.reason.startswith(reason)


TOKEN_BUCKETS = [
    Bucket.INPUT,
    Bucket.CACHE_READ,
    Bucket.CACHE_WRITE,
    Bucket.CACHE_WRITE_1H,
    Bucket.OUTPUT,
    Bucket.REASONING,
]
ONE_CENT_OF_A_NANODOLLAR = Decimal("1e-12")


@given(st.dictionaries(st.sampled_from(TOKEN_BUCKETS), st.integers(1, 10**9)))
def test_parts_sum_to_the_cost_and_each_bucket_is_rounded_once(buckets: dict[Bucket, int]) -> None:
    """Half-even at 1e-12, bucket by bucket."""
    cost = price_call(make_call(buckets, "claude-sonnet-4-5", "anthropic"), BOOK)
    rates = BOOK.rates("anthropic", "claude-sonnet-4-5", make_call({}).start_ns, {})
    total = sum(buckets.get(bucket, 0) for bucket in BUCKETS if BUCKETS[bucket].direction == "input")
    expected = sum(
        (rates.by_bucket[bucket].at(total) * count).quantize(ONE_CENT_OF_A_NANODOLLAR, ROUND_HALF_EVEN)
        for bucket, count in buckets.items()
    )
    assert expected == cost.effective.total_usd
