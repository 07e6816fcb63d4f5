"""Ledgers with priced lines, and price books that differ."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from factories import make_call
from otel_llmcost.call import Bucket, LLMCall, Source, Usage
from otel_llmcost.exporters import open_sink
from otel_llmcost.exporters.clickhouse.client import Ledger
from otel_llmcost.pipeline import cost_of
from otel_llmcost.pricing import PriceBook
from otel_llmcost.pricing.overlays.files import compile_entries, entries_of
from otel_llmcost.pricing.overlays.fx import Fx
from otel_llmcost.yaml_file import YamlFile

LIST = PriceBook.bundled()

CONTRACT = """
discounts:
  - {id: openai, from: 2025-01-01, when: {provider: openai}, percent_off: 12.5}
models:
  - {id: own, from: 2025-01-01, provider: vllm.internal, model: own, rates: {input: 0.33, output: 0.77}}
"""


def book_with(text: str) -> PriceBook:
    """The bundled book under a price file."""
    return PriceBook.bundled(compile_entries(entries_of(YamlFile.parse(text, "prices.yaml")), Fx({})))


CONTRACTED = book_with(CONTRACT)


def priced(call: LLMCall, book: PriceBook = LIST) -> LLMCall:
    """The call as a bill line."""
    return replace(call, cost=cost_of(call, book))


def call_of(number: int, provider: str = "openai", model: str = "gpt-4o", **overrides: Any) -> LLMCall:
    """A call without a price, of a model that answers under the name that was asked for."""
    return make_call(number, provider=provider, model=model, requested_model=model, cost=None, **overrides)


def some_calls(count: int) -> list[LLMCall]:
    """Calls of two sellers and of a model that only the contract prices, no two with the same usage."""
    models = (("openai", "gpt-4o"), ("openai", "gpt-4o-mini"), ("vllm.internal", "own"))
    calls = []
    for number in range(1, count + 1):
        provider, model = models[number % 3]
        buckets = {Bucket.INPUT: 10 + number, Bucket.OUTPUT: 7 * number % 101 + 1}
        source = Source.IMPORT if number % 5 == 0 else Source.WIRE
        calls.append(call_of(number, provider, model, usage=Usage(buckets=buckets, rule="test"), source=source))
    return calls


def write(url: str, calls: Sequence[LLMCall]) -> None:
    """Store lines."""
    sink = open_sink(url)
    sink.write(calls)
    sink.close()


def total_of(calls: Sequence[LLMCall], book: PriceBook) -> Decimal:
    """What the calls cost by a book; those without a price add nothing."""
    costs = [cost_of(call, book) for call in calls]
    return sum((cost.effective.total_usd for cost in costs if cost.effective), Decimal(0))


def ledger_total(ledger: Ledger) -> Decimal:
    """The sum of all lines."""
    return ledger.query("SELECT sum(cost_usd) FROM calls").rows[0][0] or Decimal(0)


def contents(ledger: Ledger) -> dict[str, list[int]]:
    """What every table holds, also what a view hides: rows and a checksum of them, whatever is merged meanwhile.

    Details that are kept for some days only are left out: the calls of these tests are older, and a merge drops them.
    """
    tables = ledger.query(
        "SELECT name, engine LIKE '%Replacing%' FROM system.tables"
        " WHERE database = {database:String} AND engine LIKE '%MergeTree'",
        {"database": ledger.url.database},
    ).rows
    return {name: _content(ledger, name, "FINAL" if replacing else "") for name, replacing in tables}


def _content(ledger: Ledger, table: str, final: str) -> list[int]:
    described = ledger.query(f"DESCRIBE TABLE {table}").rows  # a name first, how long it is kept last
    dropped = [row[0] for row in described if row[-1]]
    columns = f"* EXCEPT ({', '.join(dropped)})" if dropped else "*"
    sql = f"SELECT count(), groupBitXor(sipHash64(toString(tuple({columns})))) FROM {table} {final}"
    return list(ledger.query(sql).rows[0])
