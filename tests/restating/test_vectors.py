"""Prices of whole columns against `price_call`, line by line: the same to the last digit, with the same words."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain, count
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledgers import CONTRACTED, LIST, book_with, call_of

from otel_llmcost.call import Bucket, LLMCall, Outcome, Usage
from otel_llmcost.exporters.clickhouse.client import Ledger, LedgerUrl
from otel_llmcost.exporters.clickhouse.migrations import prepare
from otel_llmcost.exporters.clickhouse.rows import columns, native_block
from otel_llmcost.pipeline import cost_of
from otel_llmcost.pricing import PriceBook
from otel_llmcost.pricing.catalog import listed_models
from otel_llmcost.restating.chunks import chunks
from otel_llmcost.restating.repricing import Repriced, calls_of, reprice
from otel_llmcost.restating.scope import Scope
from otel_llmcost.restating.vectors import SMALLEST_GROUP, BookPrices

OWN = """
discounts:
  - {id: cx, from: 2025-01-01, when: {team: cx, region: eu}, percent_off: 33.333}
  - {id: all, from: 2025-01-01, percent_off: 10}
  - {id: later, from: 2026-01-01, priority: 1, when: {provider: openai, user: u-1}, rates: {input: 1.234567, output: 7}}
models:
  - {id: own, from: 2025-01-01, provider: vllm.internal, model: own, rates: {input: 0.33}, per_request: 0.0001}
  - {id: timed, from: 2025-01-01, provider: vllm.internal, model: timed, per_second: 0.002}
markups:
  - {id: resale, from: 2025-01-01, when: {customer: acme}, percent: 20, per_call: 0.001}
deployments:
  - {id: prod, from: 2025-01-01, model: prod-chat, base_provider: openai, base_model: gpt-4o}
"""
BOOKS = {"list": LIST, "contract": CONTRACTED, "own": book_with(OWN)}
LISTED = [(listed.seller, listed.model) for listed in listed_models(LIST.snapshot)]
MODELS = [("openai", "gpt-4o"), ("vllm.internal", "own"), ("vllm.internal", "timed"), ("azure.ai.openai", "prod-chat")]
MODELS += [
    ("nobody", "x"),
    ("gcp.gemini", "gemini-2.5-pro"),
    ("anthropic", "claude-sonnet-4-5"),
    ("deepseek", "deepseek-chat"),
]
COUNTS = st.integers(1, 400_000) | st.sampled_from([1, 200_000, 200_001, 2**40, 2**41, 10**12])


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("vectors")


_NUMBERS = count()


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    url = LedgerUrl("chdb", path=str(path), database=f"v{next(_NUMBERS)}")
    with Ledger.connect(url, read_only=False) as opened:
        prepare(opened)
        yield opened


def stored(ledger: Ledger, calls: Sequence[LLMCall]) -> pa.Table:
    """The calls as the ledger gives them back."""
    ledger.execute("TRUNCATE TABLE {database}.call_versions")
    filled = columns(calls)
    ledger.insert("call_versions", list(filled), native_block(filled), "Native")
    return pa.concat_tables(
        [chunk.lines for chunk in chunks(ledger, Scope(), lines=100_000)], promote_options="permissive"
    )


def assert_same(one: Repriced, other: Repriced) -> None:
    for name in one.new:
        assert np.array_equal(one.new[name].known, other.new[name].known), name
        assert np.array_equal(one.new[name].units, other.new[name].units), name
    for name in one.new_words:
        assert list(one.new_words[name]) == list(other.new_words[name]), name
    assert np.array_equal(one.readable, other.readable)


@st.composite
def families(draw: st.DrawFn) -> list[LLMCall]:
    """Calls that are alike but for their counts and times, so that they can be priced together."""
    provider, model = draw(st.sampled_from(MODELS) | st.sampled_from(LISTED))
    buckets = draw(st.sets(st.sampled_from(list(Bucket)), max_size=4))
    flags = draw(st.sampled_from([(), ("input: parts 3 exceed total 2",), ("unreadable output",)]))
    like = call_of(
        1,
        provider,
        model,
        outcome=draw(st.sampled_from(list(Outcome))),
        streaming=draw(st.booleans()),
        http_status=draw(st.sampled_from([None, 200, 429])),
        service_tier=draw(st.sampled_from(["", "default", "flex", "batch"])),
        price_context=draw(st.sampled_from([{}, {"processing": "batch"}, {"speed": "fast", "x": "y"}])),
        user=draw(st.sampled_from(["u-1", "u-2"])),
        tags=draw(st.sampled_from([{}, {"customer": "acme"}, {"team": "cx", "region": "eu"}])),
    )
    known = draw(st.booleans()) or draw(st.booleans())
    rule = draw(st.sampled_from(["r", "estimate:x", "local_cache_hit:r"]))
    calls = []
    for _ in range(draw(st.integers(1, 3 * SMALLEST_GROUP))):
        start_ns = draw(st.integers(1_735_689_600, 1_796_000_000)) * 1_000_000_000
        usage = Usage({bucket: draw(COUNTS) for bucket in buckets} if known else {}, known, rule, flags)
        calls.append(replace(like, start_ns=start_ns, end_ns=start_ns + 1_500_000_000, usage=usage))
    return calls


@given(found=st.lists(families(), min_size=1, max_size=3), name=st.sampled_from(sorted(BOOKS)))
@settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
    deadline=None,
)
def test_columns_are_priced_as_lines_are(ledger: Ledger, found: list[list[LLMCall]], name: str) -> None:
    """
    Any models, contexts, buckets, times, discounts and flags cost the same together as one by one.
    """
    calls = [replace(call, call_id=number.to_bytes(16, "big")) for number, call in enumerate(chain(*found), 1)]
    lines, book = stored(ledger, calls), BOOKS[name]

    assert_same(reprice(lines, lambda call: cost_of(call, book)), BookPrices(book).reprice(lines))


def test_a_line_has_its_own_tags(ledger: Ledger) -> None:
    """
    Where no line has tags beside team, feature and customer, none is priced for the customer of another.
    """
    customers = ["acme", "", "globex", "acme", ""]
    calls = [call_of(number, tags={"customer": name} if name else {}) for number, name in enumerate(customers, 1)]

    read = [call.tags.get("customer", "") for call in calls_of(stored(ledger, calls)) if call]

    assert customers == read


def test_ordinary_lines_are_not_priced_one_by_one(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Of 500 lines that differ in counts and times alone, on both sides of a step and of a date, few are priced alone.
    """
    asked = []

    def counted(call: LLMCall, book: PriceBook) -> object:
        asked.append(call)
        return cost_of(call, book)

    monkeypatch.setattr("otel_llmcost.restating.vectors.cost_of", counted)
    start = datetime(2025, 12, 20, tzinfo=UTC).timestamp()
    calls = [
        call_of(
            number,
            "gcp.gemini",
            "gemini-2.5-pro",
            start_ns=int(start + number * 3_600) * 1_000_000_000,
            usage=Usage({Bucket.INPUT: 199_750 + number, Bucket.OUTPUT: 5 * number}, rule="r"),
        )
        for number in range(1, 501)
    ]
    lines = stored(ledger, calls)

    repriced = BookPrices(BOOKS["own"]).reprice(lines)

    assert 500 == int(repriced.new["cost_usd"].known.sum())
    assert len(asked) <= 8
    assert_same(reprice(lines, lambda call: cost_of(call, BOOKS["own"])), repriced)
