"""What price files make of a price, with the arithmetic written out. GPT-4o lists 2.50 in, 1.25 cached, 10.00 out."""

from decimal import Decimal

import pytest
from overlay_books import a_call, book_with, fx_of, mtok, usd

from otel_llmcost.call import Bucket, Outcome, Status, Usage
from otel_llmcost.pricing import PriceBook, price_call

USED = {Bucket.INPUT: 600, Bucket.CACHE_READ: 400, Bucket.OUTPUT: 50}
LISTED = mtok("2.5", 600) + mtok("1.25", 400) + mtok("10", 50)


def one(section: str, *lines: str) -> str:
    """A price file with one entry that holds from 2026 on."""
    body = "\n".join(f"    {line}" for line in ("id: it", "from: 2026-01-01", *lines))
    return f"{section}:\n  -{body[3:]}\n"


def test_a_discount_leaves_the_list_cost_and_names_itself() -> None:
    """10 % off every bucket; the line says which entry did it."""
    book = book_with(one("discounts", "when: {provider: openai}", "percent_off: 10"))
    cost = price_call(a_call(USED), book)
    assert LISTED == cost.list.total_usd
    assert Decimal("0.9") * LISTED == cost.effective.total_usd
    assert Decimal("0.9") * mtok("1.25", 400) == cost.effective.cache_read_usd
    assert ("overlay:it", Status.EXACT) == (cost.reason, cost.status)
    assert book.version == f"{PriceBook.bundled().version}+{book.overlay.version}"


@pytest.mark.parametrize(
    ("day", "share"), [("2025-12-31", "1"), ("2026-01-01", "0.9"), ("2026-06-30", "0.9"), ("2026-07-01", "1")]
)
def test_an_entry_holds_from_its_first_day_until_its_last(day: str, share: str) -> None:
    """`until` is the first day that it does not hold on."""
    book = book_with(one("discounts", "until: 2026-07-01", "percent_off: 10"))
    assert Decimal(share) * LISTED == usd(book, a_call(USED, day=day))


def test_only_the_named_part_is_discounted() -> None:
    """Half off the output; input and cache stay at list."""
    book = book_with(one("discounts", "parts: [output]", "percent_off: 50"))
    assert mtok("2.5", 600) + mtok("1.25", 400) + mtok("5", 50) == usd(book, a_call(USED))


def test_negotiated_rates_replace_those_they_name() -> None:
    """2.00 in and 8.00 out; cached input keeps its list price, reasoning is output."""
    book = book_with(one("discounts", "when: {model: gpt-4o}", "rates: {input: 2, output: 8}"))
    call = a_call({**USED, Bucket.REASONING: 30})
    assert mtok("2", 600) + mtok("1.25", 400) + mtok("8", 50) + mtok("8", 30) == usd(book, call)


def test_negotiated_rates_may_rise_with_the_input() -> None:
    """Above 1,000 tokens of input, cached ones included."""
    book = book_with(
        one("discounts", "rates: {input: 2}", "long_context: [{above_input_tokens: 1000, rates: {input: 3}}]")
    )
    assert mtok("2", 600) + mtok("1.25", 400) == usd(book, a_call({Bucket.INPUT: 600, Bucket.CACHE_READ: 400}))
    assert mtok("3", 601) + mtok("1.25", 400) == usd(book, a_call({Bucket.INPUT: 601, Bucket.CACHE_READ: 400}))


def test_the_most_specific_discount_holds_bucket_by_bucket() -> None:
    """Acme's own output price, the seller's discount for the rest, whatever the order of the files."""
    seller = one("discounts", "when: {provider: openai}", "percent_off: 10").replace("id: it", "id: seller")
    acme = one("discounts", "when: {provider: openai, customer: acme}", "rates: {output: 4}").replace("it", "acme", 1)
    for texts in ((seller, acme), (acme, seller)):
        book = book_with(*texts)
        own = price_call(a_call(USED, tags={"customer": "acme"}), book)
        rest = Decimal("0.9") * (mtok("2.5", 600) + mtok("1.25", 400))
        assert (mtok("4", 50) + rest, "overlay:acme,seller") == (own.effective.total_usd, own.reason)
        assert Decimal("0.9") * LISTED == usd(book, a_call(USED, tags={"customer": "other"}))


def test_a_higher_priority_decides_where_nothing_is_more_specific() -> None:
    """A model's discount and a customer's: the customer's here."""
    model = one("discounts", "when: {model: gpt-4o}", "percent_off: 50").replace("it", "model", 1)
    acme = one("discounts", "when: {customer: acme}", "percent_off: 10", "priority: 1").replace("it", "acme", 1)
    book = book_with(model, acme)
    assert Decimal("0.9") * LISTED == usd(book, a_call(USED, tags={"customer": "acme"}))
    assert Decimal("0.5") * LISTED == usd(book, a_call(USED))


def test_conditions_see_the_model_that_the_book_prices() -> None:
    """A dated snapshot is priced as gpt-4o, and so discounted."""
    book = book_with(one("discounts", "when: {provider: openai, model: gpt-4o}", "percent_off: 10"))
    assert Decimal("0.9") * LISTED == usd(book, a_call(USED, "openai/gpt-4o-2024-08-06"))


@pytest.mark.parametrize(("expected", "share"), [(100_000, "1"), (100_001, "0.95"), (600_000, "0.9")])
def test_a_volume_tier_holds_for_the_whole_month(expected: int, share: str) -> None:
    """Above 100,000 USD of list price 5 % off, above 500,000 10 %; an assumption, and marked so."""
    book = book_with(
        one(
            "discounts",
            f"volume: {{by: usd, expected_per_month: {expected}, tiers: [{{above: 100000, percent_off: 5}},"
            " {above: 500000, percent_off: 10}]}",
        )
    )
    cost = price_call(a_call(USED), book)
    assert Decimal(share) * LISTED == cost.effective.total_usd
    assert (Status.ESTIMATED, "overlay:it(volume_estimate)") == (cost.status, cost.reason)


def test_a_graduated_volume_discount_is_the_mean_of_its_bands() -> None:
    """Of 400 tokens a month, 100 to 200 have 10 % off and 200 to 400 20 %: (100 * 10 + 200 * 20) / 400 = 12.5 %."""
    book = book_with(
        one(
            "discounts",
            "volume: {by: tokens, apply: graduated, expected_per_month: 400, tiers: [{above: 100, percent_off: 10},"
            " {above: 200, percent_off: 20}]}",
        )
    )
    assert Decimal("0.875") * LISTED == usd(book, a_call(USED))


def test_a_private_model_has_a_price_of_its_own() -> None:
    """Unknown to the book; cached input costs what input costs where nothing else is said."""
    text = one("models", "provider: llm.internal", "model: llama-*", "rates: {input: 0.2, output: 0.6}")
    cost = price_call(a_call(USED, "llm.internal/Llama-3.3-70B"), book_with(text))
    assert mtok("0.2", 1_000) + mtok("0.6", 50) == cost.effective.total_usd == cost.list.total_usd
    assert ("llm.internal/llama-3.3-70b@2026-01-01#it", "overlay:it") == (cost.price_id, cost.reason)


def test_a_private_model_is_priced_before_the_book() -> None:
    """Its tiers and variants too; what a variant does not name, it leaves."""
    text = one(
        "models",
        "provider: openai",
        "model: gpt-4o",
        "rates: {input: 1, output: 2}",
        "long_context: [{above_input_tokens: 1000, rates: {input: 3}}]",
        "variants: [{when: {service_tier: flex}, rates: {input: 0.5}}]",
    )
    book = book_with(text)
    used = {Bucket.INPUT: 1_001, Bucket.OUTPUT: 10}
    assert mtok("3", 1_001) + mtok("2", 10) == usd(book, a_call(used))
    assert mtok("0.5", 1_001) + mtok("2", 10) == usd(book, a_call(used, service_tier="flex"))


def test_a_model_sold_by_call_and_second_needs_no_usage() -> None:
    """0.001 a call and 0.0004 for each of two seconds; a refused call is free all the same."""
    text = one("models", "provider: llm.internal", "model: '*'", "per_request: 0.001", "per_second: 0.0004")
    book = book_with(text)
    unknown = Usage(known=False)
    assert Decimal("0.0018") == usd(book, a_call({}, "llm.internal/x", usage=unknown))
    assert Decimal("0.0018") == usd(book, a_call(USED, "llm.internal/x"))
    assert 0 == usd(book, a_call({}, "llm.internal/x", usage=unknown, http_status=503, outcome=Outcome.ERROR))


def test_machines_of_ones_own_are_spread_over_the_tokens_expected() -> None:
    """8 GPUs at 2.50 for the 744 hours of March over 4e9 tokens: 0.00000372 a token."""
    gpu = "gpu: {count: 8, per_hour: 2.5, expected_tokens_per_month: 4_000_000_000}"
    cost = price_call(
        a_call(USED, "llm.internal/llama"), book_with(one("models", "provider: llm.internal", "model: llama", gpu))
    )
    assert Decimal(8) * Decimal("2.5") * 744 / 4_000_000_000 * 1_050 == cost.effective.total_usd
    assert (Status.ESTIMATED, "overlay:it(amortised_estimate)") == (cost.status, cost.reason)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (("percent: 20",), Decimal("1.2") * Decimal("0.9") * LISTED),
        (("percent: 20", "percent_of: list"), Decimal("1.2") * LISTED),
        (("per_call: 0.0001",), Decimal("0.9") * LISTED + Decimal("0.0001")),
        (("percent: 20", "per_call: 0.0001"), Decimal("1.2") * Decimal("0.9") * LISTED + Decimal("0.0001")),
    ],
)
def test_a_markup_comes_on_top(lines: tuple[str, ...], expected: Decimal) -> None:
    """Of what remains after the discount, or of the list price."""
    discount = one("discounts", "percent_off: 10").replace("it", "less", 1)
    book = book_with(discount, one("markups", "when: {customer: acme}", *lines))
    assert expected == usd(book, a_call(USED, tags={"customer": "acme"}))


def test_a_deployment_is_priced_as_its_base_model() -> None:
    """By the requested name, also where the answer names another model; on its own host only."""
    text = one(
        "deployments", "host: contoso.openai.azure.com", "model: prod-chat", "base_model: gpt-4o", "provider: azure"
    )
    book = book_with(text)
    call = a_call(USED, "azure.ai.openai/gpt-4", requested_model="prod-chat", host="contoso.openai.azure.com")
    cost = price_call(call, book)
    assert cost.price_id.startswith("azure.ai.openai/gpt-4o@")
    assert cost.reason.startswith("overlay:it")
    elsewhere = price_call(a_call(USED, "azure.ai.openai/prod-chat", host="other.openai.azure.com"), book)
    assert "unknown_model:prod-chat" == elsewhere.reason


def test_an_application_inference_profile_is_priced_as_its_base_model() -> None:
    """A Bedrock ARN tells nothing of its model; and a discount of that model holds for it."""
    arn = "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/abc123"
    base = "anthropic.claude-sonnet-4-5-20250929-v1:0"
    text = one("deployments", f"model: '{arn}'", f"base_model: '{base}'")
    discount = one("discounts", "when: {provider: aws.bedrock}", "percent_off: 10").replace("it", "less", 1)
    listed = usd(book_with(text), a_call(USED, f"aws.bedrock/{base}"))
    assert Decimal("0.9") * listed == usd(book_with(text, discount), a_call(USED, f"aws.bedrock/{arn}"))


@pytest.mark.parametrize(
    ("by", "use", "expected"),
    [
        ("tokens", 6_000_000, Decimal(12_000) / 6_000_000 * 1_050),
        ("usd", 24_000, LISTED / 2),
        ("requests", 1_000_000, Decimal("0.012")),
        ("seconds", 3_000_000, Decimal("0.004") * 2),
    ],
)
def test_a_fixed_cost_is_shared_out(by: str, use: int, expected: Decimal) -> None:
    """12,000 USD a month by tokens, list price, calls or seconds; a web search keeps its own price, 0.01."""
    text = one(
        "commitments", "when: {provider: openai}", "per_month: 12000", f"spread_by: {by}", f"expected_per_month: {use}"
    )
    cost = price_call(a_call({**USED, Bucket.WEB_SEARCHES: 1}, "openai/gpt-5"), book_with(text))
    listed = price_call(a_call(USED, "openai/gpt-5"), PriceBook.bundled()).list.total_usd
    shared = expected if by != "usd" else listed / 2
    assert shared + Decimal("0.01") == cost.effective.total_usd
    assert "overlay:it(amortised_estimate)" == cost.reason


def test_throughput_by_the_hour_is_paid_for_all_hours_of_the_month() -> None:
    """10 USD for each of 744 hours in March over 744,000 tokens: 0.01 a token."""
    text = one("commitments", "per_hour: 10", "expected_per_month: 744000")
    assert Decimal("0.01") * 1_050 == usd(book_with(text), a_call(USED))


@pytest.mark.parametrize(("expected", "factor"), [(80_000, Decimal("1.25")), (125_000, Decimal(1))])
def test_what_is_short_of_a_committed_spend_is_spread(expected: int, factor: Decimal) -> None:
    """100,000 USD committed: an expected 80,000 cost a quarter more each; above it nothing changes."""
    text = one("commitments", "committed_per_month: 100000", f"expected_per_month: {expected}")
    assert factor * LISTED == usd(book_with(text), a_call(USED))


@pytest.mark.parametrize("allowance", ["tokens_per_month", "requests_per_month", "amount_per_month"])
def test_a_free_tier_is_shared_out_over_the_month(allowance: str) -> None:
    """A quarter of what is expected is free; all of it where less is expected than free."""
    partly = one("free", f"{allowance}: 1000", "expected_per_month: 4000")
    wholly = one("free", f"{allowance}: 1000", "expected_per_month: 900")
    assert Decimal("0.75") * LISTED == usd(book_with(partly), a_call(USED))
    assert 0 == usd(book_with(wholly), a_call(USED))


@pytest.mark.parametrize(("day", "share"), [("2026-01-15", "0"), ("2026-02-15", "0.5"), ("2026-03-15", "1")])
def test_a_credit_is_used_up_month_by_month(day: str, share: str) -> None:
    """1,500 of credit, 1,000 a month: January is free, February half, March costs all."""
    text = one("credits", "until: 2027-01-01", "amount: 1500", "expected_per_month: 1000")
    assert Decimal(share) * LISTED == usd(book_with(text), a_call(USED, day=day))


def test_amounts_in_another_currency_are_converted_at_the_days_rate() -> None:
    """2.00 EUR at 1.10 and, from March on, at 1.20; exactly."""
    text = "currency: EUR\n" + one("discounts", "rates: {input: 2}")
    book = book_with(text, fx=fx_of(EUR=[("2026-01-01", "1.10"), ("2026-03-01", "1.20")]))
    used = {Bucket.INPUT: 1_000}
    assert mtok("2.2", 1_000) == usd(book, a_call(used, day="2026-02-28"))
    assert mtok("2.4", 1_000) == usd(book, a_call(used, day="2026-03-01"))


def test_all_kinds_of_entries_come_in_their_order() -> None:
    """10 % off, of that a quarter free, on that 20 %: 0.9 * 0.75 * 1.2."""
    book = book_with(
        one("discounts", "percent_off: 10").replace("it", "less", 1),
        one("free", "tokens_per_month: 1", "expected_per_month: 4").replace("it", "gift", 1),
        one("markups", "percent: 20").replace("it", "more", 1),
    )
    cost = price_call(a_call(USED), book)
    assert Decimal("0.9") * Decimal("0.75") * Decimal("1.2") * LISTED == cost.effective.total_usd
    assert "overlay:less,gift(free_tier_estimate),more" == cost.reason


def test_a_price_file_never_speaks_of_others_calls() -> None:
    """No reason, no change, where no entry holds."""
    book = book_with(one("discounts", "when: {provider: anthropic}", "percent_off: 10"))
    cost = price_call(a_call(USED), book)
    assert ("", Status.EXACT, cost.list) == (cost.reason, cost.status, cost.effective)
