"""Price files for tests: their text → a book, and calls to price by it."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from otel_llmcost.call import Bucket, LLMCall, Source, Usage
from otel_llmcost.config_types import FxRate
from otel_llmcost.pricing import PriceBook, price_call
from otel_llmcost.pricing.overlays import Overlays
from otel_llmcost.pricing.overlays.files import compile_entries, entries_of
from otel_llmcost.pricing.overlays.fx import Fx
from otel_llmcost.yaml_file import YamlFile

DIMENSIONS = ("team", "feature", "customer")


def fx_of(**rates: list[tuple[str, str]]) -> Fx:
    """Exchange rates: `EUR=[("2026-01-01", "1.09")]`."""
    return Fx(
        {
            currency: [FxRate.model_validate({"from": day, "rate": rate}) for day, rate in dated]
            for currency, dated in rates.items()
        }
    )


def overlays_in(*texts: str, fx: Fx | None = None) -> Overlays:
    """The overlays of price files, told as their text."""
    entries = [
        entry
        for number, text in enumerate(texts, 1)
        for entry in entries_of(YamlFile.parse(text, f"prices/{number}.yaml"))
    ]
    return compile_entries(entries, fx or Fx({}), DIMENSIONS)


def book_with(*texts: str, fx: Fx | None = None) -> PriceBook:
    """The bundled book under those price files."""
    return PriceBook.bundled(overlays_in(*texts, fx=fx))


def a_call(buckets: dict[Bucket, int], model: str = "openai/gpt-4o", day: str = "2026-03-15", **more: Any) -> LLMCall:
    """A call at noon of a day that lasted two seconds."""
    provider, _, name = model.partition("/")
    start_ns = round(datetime.fromisoformat(f"{day}T12:00").replace(tzinfo=UTC).timestamp()) * 10**9
    fields = {"usage": Usage(buckets=buckets), "end_ns": start_ns + 2 * 10**9, **more}
    return LLMCall(call_id=bytes(16), source=Source.WIRE, start_ns=start_ns, provider=provider, model=name, **fields)


def usd(book: PriceBook, call: LLMCall) -> Decimal:
    """What the call costs."""
    cost = price_call(call, book)
    assert cost.effective is not None, cost.reason
    return cost.effective.total_usd


def mtok(rate: str, tokens: int) -> Decimal:
    """Tokens at a rate per million."""
    return Decimal(rate) * tokens / 1_000_000
