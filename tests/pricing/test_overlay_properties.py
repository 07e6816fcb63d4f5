"""What holds for any price files and any calls."""

import json
from decimal import Decimal, localcontext
from itertools import combinations, product
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from overlay_books import a_call, overlays_in

from otel_llmcost.call import BUCKETS, Bucket, Part
from otel_llmcost.money import EXACT, QUANTUM
from otel_llmcost.pricing import PriceBook, price_call
from otel_llmcost.pricing.overlays import from_document
from otel_llmcost.pricing.overlays.document import Discount
from otel_llmcost.pricing.overlays.effect import TOKEN_BUCKETS
from otel_llmcost.pricing.overlays.matching import Ranked, Rule, conflicts
from otel_llmcost.pricing.overlays.patterns import matches, overlap, within
from otel_llmcost.pricing.overlays.rules import rule_of

BOOK = PriceBook.bundled()

amounts = st.decimals(0, 1_000, places=6).map(lambda amount: f"{amount:f}")
percents = st.decimals(0, 100, places=4).map(lambda amount: f"{amount:f}")
positive = st.decimals("0.000001", 10**9, places=6).map(lambda amount: f"{amount:f}")
conditions = st.sampled_from(
    ["{}", "{provider: openai}", "{provider: openai, model: gpt-4o}", "{model: 'gpt-*'}", "{customer: acme}"]
)
discounts = st.one_of(
    percents.map(lambda it: f"percent_off: {it}"),
    st.tuples(amounts, amounts).map(lambda it: f"rates: {{input: {it[0]}, output: {it[1]}}}"),
    st.tuples(positive, percents, st.sampled_from(["all", "graduated"])).map(
        lambda it: (
            f"volume: {{by: usd, apply: {it[2]}, expected_per_month: {it[0]},"
            f" tiers: [{{above: 10, percent_off: {it[1]}}}, {{above: 5000, percent_off: 50}}]}}"
        )
    ),
)
commitments = st.tuples(
    amounts, positive, st.sampled_from(["tokens", "usd", "requests", "seconds"]), st.sampled_from(["month", "hour"])
).map(lambda it: f"per_{it[3]}: {it[0]}, expected_per_month: {it[1]}, spread_by: {it[2]}")
sections = {
    "discounts": discounts,
    "commitments": commitments,
    "free": st.tuples(amounts, positive).map(lambda it: f"tokens_per_month: {it[0]}, expected_per_month: {it[1]}"),
    "credits": st.tuples(positive, positive).map(
        lambda it: f"amount: {it[0]}, expected_per_month: {it[1]}, until: 2027-01-01"
    ),
    "markups": st.tuples(amounts, amounts, st.sampled_from(["effective", "list"])).map(
        lambda it: f"percent: {it[0]}, per_call: {it[1]}, percent_of: {it[2]}"
    ),
}


@st.composite
def price_files(draw: st.DrawFn) -> str:
    """At most one entry a section, so that none overlap."""
    lines = []
    for section, kinds in sections.items():
        if draw(st.booleans()):
            body = draw(kinds)
            lines.append(f"{section}:\n  - {{id: {section}, from: 2026-01-01, when: {draw(conditions)}, {body}}}\n")
    return "".join(lines)


usages = st.dictionaries(st.sampled_from(sorted(TOKEN_BUCKETS)), st.integers(1, 10**7), max_size=6)


@given(price_files(), usages)
@settings(max_examples=150, deadline=None)
def test_parts_sum_to_the_cost_and_nothing_is_negative(text: str, buckets: dict[Bucket, int]) -> None:
    """To the last digit, each part a sum of buckets rounded once; the list cost is what it is without overlays."""
    call = a_call(buckets, tags={"customer": "acme"})
    plain = price_call(call, BOOK)
    cost = price_call(call, PriceBook.bundled(overlays_in(text)))
    if cost.effective is None:
        assert "amount_out_of_range" == cost.reason
        return
    parts = cost.effective
    five = (parts.input_usd, parts.output_usd, parts.cache_read_usd, parts.cache_write_usd, parts.other_usd)
    assert sum(five) == parts.total_usd
    assert all(part >= 0 and part == part.quantize(QUANTUM) for part in five)
    assert plain.list == cost.list


@given(percents, usages)
def test_a_discount_is_of_each_bucket_and_rounded_once(percent: str, buckets: dict[Bucket, int]) -> None:
    """Rate times count times what remains, half-even; never above the list price."""
    call = a_call(buckets)
    cost = price_call(
        call, PriceBook.bundled(overlays_in(f"discounts: [{{id: d, from: 2026-01-01, percent_off: {percent}}}]"))
    )
    rates = BOOK.rates("openai", "gpt-4o", call.start_ns, {})
    with localcontext(EXACT):
        left = 1 - Decimal(percent) / 100
        expected = dict.fromkeys(Part, Decimal(0))
        for bucket, count in buckets.items():
            rate = rates.by_bucket[bucket].at(call.usage.input_tokens)
            expected[BUCKETS[bucket].part] += (rate * count * left).quantize(QUANTUM)
    found = cost.effective
    assert [expected[part] for part in Part] == [
        found.input_usd,
        found.output_usd,
        found.cache_read_usd,
        found.cache_write_usd,
        found.other_usd,
    ]
    assert found.total_usd <= cost.list.total_usd


CHAIN = ["{}", "{provider: openai}", "{provider: openai, model: 'gpt-4*'}", "{provider: openai, model: gpt-4o}"]


@given(st.permutations(range(len(CHAIN))), st.booleans())
def test_the_order_of_entries_decides_nothing(order: list[int], in_files: bool) -> None:
    """Within a file and between files: the most specific holds."""
    lines = [f"  - {{id: d{n}, from: 2026-01-01, when: {CHAIN[n]}, percent_off: {n * 10}}}\n" for n in order]
    texts = ["discounts:\n" + line for line in lines] if in_files else ["discounts:\n" + "".join(lines)]
    book = PriceBook.bundled(overlays_in(*texts))
    for model, off in (
        ("openai/gpt-4o", 30),
        ("openai/gpt-4-turbo", 20),
        ("openai/gpt-5", 10),
        ("groq/llama-3.3-70b-versatile", 0),
    ):
        cost = price_call(a_call({Bucket.INPUT: 1_000}, model), book)
        assert cost.list.total_usd * (100 - off) / 100 == cost.effective.total_usd


WHENS = [
    {name: value for name, value in (("provider", seller), ("model", model), ("customer", customer)) if value}
    for seller, model, customer in product(("", "openai"), ("", "gpt-*", "gpt-4o", "gpt-5"), ("", "acme"))
]
CALLERS = [
    {"provider": seller, "model": model, "customer": customer}
    for seller, model, customer in product(("openai", "groq"), ("gpt-4o", "gpt-5", "o3"), ("acme", "globex"))
]
"""One of each kind that the conditions tell apart."""


def _met_by(rule: Rule[Any]) -> frozenset[int]:
    return frozenset(n for n, caller in enumerate(CALLERS) if rule.matcher.matches(caller))


@given(st.lists(st.sampled_from(WHENS), min_size=2, max_size=7), st.randoms(use_true_random=False))
def test_the_most_specific_holds_whatever_the_ids(whens: list[dict[str, str]], random: Random) -> None:
    """
    Of entries on several models and on none in particular: every overlap is found, and no wider entry comes first.
    """
    ids = random.sample(range(100), len(whens))
    entries = [
        Discount.model_validate({"id": f"d{number}", "from": "2026-01-01", "when": when, "percent_off": 1})
        for number, when in zip(ids, whens, strict=True)
    ]
    rules: list[Rule[Any]] = [rule_of(entry) for entry in entries]
    met = {rule: _met_by(rule) for rule in rules}
    undecided = {
        frozenset((one, other))
        for one, other in combinations(rules, 2)
        if met[one] & met[other] and not (met[one] < met[other] or met[other] < met[one])
    }

    assert undecided == {frozenset(pair) for pair in conflicts(rules)}
    for caller in CALLERS:
        order = Ranked(rules).matching(caller)
        assert {rule for rule in rules if rule.matcher.matches(caller)} == set(order)
        assert not any(met[later] < met[earlier] for earlier, later in combinations(order, 2))


ALPHABET = "ab"
patterns = st.text("ab*", min_size=1, max_size=5)


def _names(longest: int) -> list[str]:
    found = [""]
    for _ in range(longest):
        found += [name + letter for name in found for letter in ALPHABET if name + letter not in found]
    return sorted(set(found))


SHORT = _names(8)


@given(patterns, patterns)
@settings(deadline=None)
def test_patterns_tell_what_they_have_in_common(left: str, right: str) -> None:
    """Against all names of up to eight letters, which two patterns of up to five need at most."""
    both = any(matches((left,), name) and matches((right,), name) for name in SHORT)
    assert both == overlap((left,), (right,))
    if within((left,), (right,)):
        assert all(matches((right,), name) for name in SHORT if matches((left,), name))


@given(price_files())
@settings(max_examples=50, deadline=None)
def test_what_was_archived_prices_the_same(text: str) -> None:
    """The document of a document is the same."""
    overlays = overlays_in(text)
    again = from_document(json.loads(json.dumps(overlays.to_document())))
    assert (overlays.version, overlays.to_document()) == (again.version, again.to_document())
    call = a_call({Bucket.INPUT: 1_234, Bucket.OUTPUT: 56}, tags={"customer": "acme"})
    assert price_call(call, PriceBook.bundled(overlays)) == price_call(call, PriceBook.bundled(again))
