"""The end of a month: measured totals instead of expectations. What was paid is what the lines sum to."""

from decimal import Decimal

import pytest
from overlay_books import a_call, mtok, overlays_in

from otel_llmcost.call import Bucket, LLMCall, Status
from otel_llmcost.pricing import PriceBook, price_call
from otel_llmcost.pricing.overlays import Measuring, Overlays, PeriodTotals, Total, true_up
from otel_llmcost.pricing.overlays.idle import Idle, idle_costs
from otel_llmcost.pricing.overlays.periods import DAY_NS, month_at

CALLS = [
    a_call({Bucket.INPUT: 1_000 * number, Bucket.OUTPUT: 100}, model, f"2026-03-{number:02d}")
    for number in range(1, 29)
    for model in ("openai/gpt-4o", "llm.internal/llama")
]
OPENAI = [call for call in CALLS if call.provider == "openai"]

GPU = """\
models:
  - id: house
    from: 2026-01-01
    provider: llm.internal
    model: llama
    gpu: {count: 2, per_hour: 3, expected_tokens_per_month: 1000000}
"""
VOLUME = """\
discounts:
  - id: volume
    from: 2026-01-01
    when: {provider: openai}
    volume: {by: tokens, expected_per_month: 10, tiers: [{above: 400000, percent_off: 10}]}
"""
PTU = """\
commitments:
  - id: ptu
    from: 2026-03-16
    when: {provider: openai}
    per_month: 310
    expected_per_month: 1
"""
SPEND = """\
commitments:
  - id: spend
    from: 2026-01-01
    when: {provider: openai}
    committed_per_month: 5
    expected_per_month: 100
"""
CREDIT = """\
credits:
  - id: credit
    from: 2026-01-01
    until: 2027-01-01
    when: {provider: openai}
    amount: 0.5
    expected_per_month: 1
"""
FREE = """\
free:
  - id: gift
    from: 2026-01-01
    when: {provider: openai}
    amount_per_month: 0.25
    expected_per_month: 1000
"""


def priced(overlays: Overlays | Measuring, calls: list[LLMCall]) -> Decimal:
    book = PriceBook.bundled(overlays)
    costs = (price_call(call, book).effective for call in calls)
    return sum(cost.total_usd for cost in costs if cost)  # nobody but GPU sells llama


def measured(text: str) -> Overlays:
    return true_up(overlays_in(text), lambda measuring: priced(measuring, CALLS))


NEARLY = Decimal("1e-12") * 200
"""Each bucket of each call is rounded once."""


def test_machines_cost_what_was_paid_for_them() -> None:
    """2 GPUs at 3.00 for 744 hours, over whatever was served; the lines are exact now."""
    overlays = measured(GPU)
    house = [call for call in CALLS if call.provider == "llm.internal"]
    assert abs(priced(overlays, house) - 2 * 3 * 744) < NEARLY
    cost = price_call(house[0], PriceBook.bundled(overlays))
    assert (Status.EXACT, "overlay:house") == (cost.status, cost.reason)


def test_the_tier_that_was_reached_holds() -> None:
    """408,800 tokens: above 400,000, though ten were expected."""
    listed = priced(overlays_in(VOLUME), OPENAI)
    assert sum(call.usage.input_tokens + call.usage.output_tokens for call in OPENAI) == 408_800
    assert Decimal("0.9") * listed == priced(measured(VOLUME), OPENAI)


@pytest.mark.parametrize(
    ("tiers", "apply", "of_input", "of_output"),
    [
        ("{above: 400000, rates: {input: 2, output: 8}}", "all", "2", "8"),
        ("{above: 408800, rates: {input: 2, output: 8}}", "all", "2.5", "10"),  # reached, not passed
        ("{above: 0, rates: {input: 2}}, {above: 204400, rates: {input: 1}}", "graduated", "1.5", "10"),
        ("{above: 0, rates: {input: 2}}, {above: 408800, rates: {input: 1}}", "graduated", "2", "10"),
    ],
)
def test_tiers_may_have_rates_of_their_own(tiers: str, apply: str, of_input: str, of_output: str) -> None:
    """408,800 tokens: the tier's rates for all of them, or each tier's for what lies in it; the rest at list price."""
    overlays = measured(
        "discounts:\n  - {id: v, from: 2026-01-01, when: {provider: openai},"
        f" volume: {{by: tokens, apply: {apply}, expected_per_month: 10, tiers: [{tiers}]}}}}\n"
    )
    usage = OPENAI[6].usage
    cost = price_call(OPENAI[6], PriceBook.bundled(overlays))

    assert (Status.EXACT, "overlay:v") == (cost.status, cost.reason)
    assert mtok(of_input, usage.input_tokens) == cost.effective.input_usd
    assert mtok(of_output, usage.output_tokens) == cost.effective.output_usd


def test_what_nobody_used_is_told_and_on_no_line() -> None:
    """Machines and commitments of March that no call came to; one that a call came to is not idle."""
    unused = PTU.replace("openai", "anthropic").replace("ptu", "idle")
    overlays = measured(f"{GPU}{PTU}{unused.removeprefix('commitments:')}")
    march, april = month_at(CALLS[0].start_ns), month_at(CALLS[0].start_ns + 31 * DAY_NS)

    assert [Idle("idle", "2026-03", Decimal(160))] == idle_costs(overlays, [march])
    assert {"house": Decimal(2 * 3 * 720), "idle": Decimal(310), "ptu": Decimal(310)} == {
        idle.entry_id: idle.usd for idle in idle_costs(overlays, [april])
    }
    assert abs(priced(measured(PTU), OPENAI) - priced(overlays, OPENAI)) == 0


def test_a_fixed_cost_is_paid_for_the_days_it_was_there() -> None:
    """310 a month from the 16th of 31 days on: 160, over the calls since then; those before keep their price."""
    overlays = measured(PTU)
    since = [call for call in OPENAI if price_call(call, PriceBook.bundled(overlays)).reason]
    assert 13 == len(since)
    assert abs(priced(overlays, since) - 160) < NEARLY


def test_a_committed_spend_is_reached_exactly() -> None:
    """1.085 at list; 5.00 are owed."""
    assert abs(priced(measured(SPEND), OPENAI) - 5) < NEARLY


def test_credit_is_used_up_to_its_last_cent() -> None:
    """All months together get 0.50; January and February were not measured and use what was expected of them."""
    used_before = PeriodTotals({("credit", month): Total(usd=Decimal("0.2")) for month in ("2026-01", "2026-02")})
    overlays = overlays_in(CREDIT)
    measuring = Measuring(overlays)
    listed = priced(measuring, OPENAI)
    march = measuring.totals().get("credit", "2026-03")
    before = {("credit", month): used_before.get("credit", month) for month in ("2026-01", "2026-02")}
    bound = overlays.with_totals(PeriodTotals({**before, ("credit", "2026-03"): march}))
    due = sum(price_call(call, PriceBook.bundled()).list.total_usd for call in OPENAI)
    assert 0 <= listed <= due
    assert abs(due - priced(bound, OPENAI) - Decimal("0.1")) < NEARLY


def test_entries_that_rest_on_one_another_are_measured_in_turn() -> None:
    """A volume discount, then a free tier of what is left: both are right in the end."""
    overlays = overlays_in(VOLUME, FREE)
    assert 2 == overlays.passes
    listed = sum(price_call(call, PriceBook.bundled()).list.total_usd for call in OPENAI)
    bound = true_up(overlays, lambda measuring: priced(measuring, CALLS))
    assert abs(priced(bound, OPENAI) - (Decimal("0.9") * listed - Decimal("0.25"))) < NEARLY
    assert 1 == overlays_in(GPU).passes
    assert 0 == overlays_in("discounts: [{id: d, from: 2026-01-01, percent_off: 1}]").passes


def test_totals_are_kept_in_the_version_and_in_the_archive() -> None:
    """Lines restated with them name other prices than lines before."""
    overlays = measured(FREE)
    assert overlays.version.startswith(f"{overlays_in(FREE).version}-measured-")
    assert overlays.totals == PeriodTotals.from_document(overlays.totals.to_document())
    assert overlays.version == overlays_in(FREE).with_totals(overlays.totals).version


def test_measuring_prices_as_the_overlays_do() -> None:
    """So that a first pass over a month can be written too."""
    for text in (GPU, VOLUME, PTU, SPEND, CREDIT, FREE):
        overlays = overlays_in(text)
        assert priced(overlays, CALLS[::2]) == priced(Measuring(overlays), CALLS[::2])


@pytest.mark.parametrize("text", [GPU, VOLUME, PTU, SPEND, CREDIT, FREE])
def test_a_month_that_was_not_measured_keeps_its_expectation(text: str) -> None:
    """Totals of March say nothing of April."""
    april = a_call({Bucket.INPUT: 1_000}, "llm.internal/llama" if text is GPU else "openai/gpt-4o", "2026-04-02")
    before, after = (price_call(april, PriceBook.bundled(it)) for it in (overlays_in(text), measured(text)))
    assert Status.ESTIMATED == before.status
    if text is not CREDIT:  # what is left of it is known better
        assert (before.status, before.effective) == (after.status, after.effective)
