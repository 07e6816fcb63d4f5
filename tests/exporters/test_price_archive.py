"""Price books in the ledger: kept once, readable in SQL, given back to the last digit."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from factories import make_call
from otel_llmcost.call import Bucket, Usage
from otel_llmcost.config_types import FxRate
from otel_llmcost.errors import InputError
from otel_llmcost.exporters.clickhouse.books import archive_book, archived_book, archived_versions
from otel_llmcost.exporters.clickhouse.client import Ledger, LedgerUrl
from otel_llmcost.exporters.clickhouse.migrations import prepare
from otel_llmcost.pricing import PriceBook, price_call
from otel_llmcost.pricing.archive import from_archive, to_document
from otel_llmcost.pricing.catalog import listed_models
from otel_llmcost.pricing.overlays.files import compile_entries, entries_of
from otel_llmcost.pricing.overlays.fx import Fx
from otel_llmcost.pricing.overlays.totals import PeriodTotals, Total
from otel_llmcost.yaml_file import YamlFile

OVERLAYS = """
models:
  - id: own
    from: 2025-01-01
    provider: vllm.internal
    model: "llama-*"
    gpu: {count: 8, per_hour: 2.5, expected_tokens_per_month: 1000000000}
discounts:
  - {id: negotiated, from: 2025-01-01, when: {provider: openai}, percent_off: 7.5}
  - {id: euro, from: 2025-01-01, when: {provider: anthropic, model: "claude-*"}, currency: EUR, rates: {input: 2.1}}
"""


def overlaid() -> PriceBook:
    """A book with a discount, rates in another currency, and machines whose month is measured."""
    fx = Fx({"EUR": [FxRate.model_validate({"from": "2025-01-01", "rate": "1.0837"})]})
    overlays = compile_entries(entries_of(YamlFile.parse(OVERLAYS, "prices.yaml")), fx)
    measured = PeriodTotals({("own", "2025-12"): Total(7_000_003, 41, Decimal("17.25"), Decimal("1.5"))})
    return PriceBook.bundled(overlays.with_totals(measured))


BOOKS = {"bundled": PriceBook.bundled(), "with overlays": overlaid()}
RESTORED = {name: from_archive(to_document(book)) for name, book in BOOKS.items()}
MODELS = [(listed.seller, listed.model) for listed in listed_models(PriceBook.bundled().snapshot)]
MODELS += [("vllm.internal", "llama-4")] * 200


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """A ledger that has both books."""
    path: Path = tmp_path_factory.mktemp("books")
    with Ledger.connect(LedgerUrl("chdb", path=str(path)), read_only=False) as opened:
        prepare(opened)
        for book in BOOKS.values():
            archive_book(opened, book)
        yield opened


def test_a_book_is_kept_once(ledger: Ledger) -> None:
    """
    Archived again, a book changes nothing; both books and all their prices are there once.
    """
    before = ledger.query("SELECT (SELECT count() FROM price_books), (SELECT count() FROM prices)").rows

    assert [False, False] == [archive_book(ledger, book) for book in BOOKS.values()]
    assert before == ledger.query("SELECT (SELECT count() FROM price_books), (SELECT count() FROM prices)").rows
    assert sorted(book.version for book in BOOKS.values()) == sorted(archived_versions(ledger))


@pytest.mark.parametrize("name", BOOKS)
def test_a_book_comes_back_from_the_ledger_as_it_was(ledger: Ledger, name: str) -> None:
    """
    Version and document are the same, so what it is made of is.
    """
    restored = archived_book(ledger, BOOKS[name].version)

    assert (BOOKS[name].version, to_document(BOOKS[name])) == (restored.version, to_document(restored))


@given(
    name=st.sampled_from(sorted(BOOKS)),
    of=st.sampled_from(MODELS),
    start_s=st.integers(1_672_531_200, 1_830_297_600),
    tier=st.sampled_from(["", "default", "batch", "flex", "priority"]),
    counts=st.dictionaries(st.sampled_from(list(Bucket)), st.integers(1, 10**7), max_size=4),
)
@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_a_restored_book_gives_the_same_costs(
    name: str, of: tuple[str, str], start_s: int, tier: str, counts: dict[Bucket, int]
) -> None:
    """
    Any seller, model, time, tier and usage costs the same to the last digit, for the same reason.
    """
    provider, model = of
    call = replace(
        make_call(1),
        provider=provider,
        model=model,
        requested_model=model,
        start_ns=start_s * 1_000_000_000,
        service_tier=tier,
        price_context={},
        usage=Usage(buckets=counts, rule="test"),
    )

    assert price_call(call, BOOKS[name]) == price_call(call, RESTORED[name])


def test_prices_can_be_read_in_sql(ledger: Ledger) -> None:
    """
    The rate of a unit at a day is one look-up; a dated price ends where the next begins.
    """
    sql = (
        "SELECT usd_per_unit FROM prices FINAL WHERE book = {book:String} AND provider = 'openai' AND model = 'gpt-4o'"
        " AND bucket = 'input' AND context = '' AND toDate('2026-01-01') >= valid_from AND"
        " toDate('2026-01-01') < valid_to"
    )
    overlapping = (
        "SELECT count() FROM prices AS a FINAL JOIN prices AS b ON a.book = b.book AND a.provider = b.provider"
        " AND a.model = b.model AND a.bucket = b.bucket AND a.context = b.context AND a.daily = b.daily"
        " AND a.above_input_tokens = b.above_input_tokens AND a.valid_from < b.valid_from"
        " WHERE b.valid_from < a.valid_to"
    )

    assert [(Decimal("0.0000025"),)] == ledger.query(sql, {"book": PriceBook.bundled().version}).rows
    assert [(0,)] == ledger.query(overlapping).rows


def test_an_unknown_book_is_told_with_the_nearest_one(ledger: Ledger) -> None:
    """
    A version with a typing error names the right one.
    """
    version = PriceBook.bundled().version

    with pytest.raises(InputError, match=f"did you mean '{version}'"):
        archived_book(ledger, version[:-1])


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format":2}', '{"format":1,"data_version":"x","data":[{}]}'])
def test_what_is_no_archived_book_is_refused(text: str) -> None:
    """
    Half a document, another one, or one of a later format is an error of one line.
    """
    with pytest.raises(InputError, match="archived price book"):
        from_archive(text)
