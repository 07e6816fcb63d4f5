"""The same traffic under other assumptions: other prices, another model, batch. Writes nothing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Final

from otel_llmcost.call import Amounts, Cost, LLMCall
from otel_llmcost.errors import ConfigError
from otel_llmcost.exporters.clickhouse.client import Ledger
from otel_llmcost.money import round_ratio
from otel_llmcost.pipeline import cost_of
from otel_llmcost.pricing.book import PriceBook
from otel_llmcost.providers.sellers import seller_named
from otel_llmcost.restating.chunks import CHUNK_LINES, chunks, count_lines
from otel_llmcost.restating.repricing import Repriced, reprice
from otel_llmcost.restating.scope import Scope
from otel_llmcost.restating.summary import Summary

BATCH: Final = {"processing": "batch"}
"""How genai-prices tells prices of batch processing from others."""
REASON: Final = "reason"

Show = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Change:
    """Amounts of some sellers' models times a factor; both names are patterns."""

    provider: str
    model: str
    factor: Decimal


@dataclass(frozen=True, slots=True)
class Target:
    """What the calls of some models go to instead; `provider` is empty where it stays."""

    pattern: str
    provider: str
    model: str


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What is different. `batch`: calls that did not stream, at the batch price where their model has one."""

    targets: Sequence[Target] = ()
    changes: Sequence[Change] = ()
    batch: bool = False

    def price(self, book: PriceBook) -> Callable[[LLMCall], Cost]:
        """What a call would have cost."""

        def cost(call: LLMCall) -> Cost:
            call = self._sent_elsewhere(call)
            found = self._batched(call, cost_of(call, book), book)
            return _scaled(found, self._factor(call))

        return cost

    def _sent_elsewhere(self, call: LLMCall) -> LLMCall:
        for target in self.targets:
            if fnmatchcase(call.model, target.pattern) or fnmatchcase(call.requested_model, target.pattern):
                provider = target.provider or call.provider
                moved = replace(call, provider=provider, model=target.model, requested_model=target.model)
                # tiers and hosts are those of a seller
                return (
                    moved if provider == call.provider else replace(moved, host="", service_tier="", price_context={})
                )
        return call

    def _batched(self, call: LLMCall, cost: Cost, book: PriceBook) -> Cost:
        if not self.batch or call.streaming or cost.effective is None:
            return cost
        batched = cost_of(replace(call, service_tier="", price_context=BATCH), book)
        if batched.effective is None or batched.effective.total_usd >= cost.effective.total_usd:
            return cost  # the model has no batch price
        return batched

    def _factor(self, call: LLMCall) -> Decimal:
        factor = Decimal(1)
        for change in self.changes:
            if fnmatchcase(call.provider, change.provider) and fnmatchcase(call.model, change.model):
                factor *= change.factor
        return factor


def _scaled(cost: Cost, factor: Decimal) -> Cost:
    if factor == 1 or cost.effective is None:
        return cost
    numerator, denominator = factor.as_integer_ratio()
    parts = (round_ratio(pico * numerator, denominator) for pico in cost.effective.pico_usd)
    return replace(cost, effective=Amounts.of_pico(parts))


def parse_target(text: str) -> Target:
    """`MODEL=MODEL` or `MODEL=SELLER/MODEL`; the first may have `*`.

    Raises:
        ConfigError: it is none.
    """
    pattern, found, target = text.partition("=")
    if not found or not pattern or not target:
        raise ConfigError(f"--model-map {text!r}: must be MODEL=MODEL or MODEL=SELLER/MODEL; * stands for any model")
    head, slash, model = target.partition("/")
    seller = seller_named(head) if slash and model else None
    return Target(pattern, seller.name if seller else "", model if seller else target)


def parse_change(option: str, text: str) -> Change:
    """`PERCENT`, `SELLER=PERCENT` or `SELLER/MODEL=PERCENT`: `+20%`, `openai=-5%`. A discount is taken off.

    Raises:
        ConfigError: it is none.
    """
    names, found, percent = text.rpartition("=")
    provider, _, model = (names if found else "*").partition("/")
    number = percent.removesuffix("%")
    try:
        if not number.removeprefix("+").removeprefix("-").replace(".", "", 1).isdecimal() or len(number) > 12:
            raise ValueError
        share = Decimal(number) / 100
    except ValueError:
        raise ConfigError(f"{option} {text!r}: must be a percentage such as 20% or openai=20%") from None
    factor = 1 - share if option == "--discount" else 1 + share
    if not 0 <= factor <= 1_000 or (option == "--discount" and share < 0):
        raise ConfigError(
            f"{option} {text!r}: must lie between 0 % and 100 %"
            if option == "--discount"
            else f"{option} {text!r}: must lie between -100 % and +99,900 %"
        )
    if found and not provider:
        raise ConfigError(f"{option} {text!r}: names no seller before =")
    return Change(provider, model or "*", factor)


@dataclass(slots=True)
class Comparison:
    """Now and then, of the lines that have a price in both; the others by reason.

    `unpriced` are lines that have a price and would have none, `newly` those that would get one; their sums stand
    under the reason of the missing price and are in no delta.
    """

    compared: Summary
    unpriced: Summary = field(default_factory=lambda: Summary(("provider", "model", REASON)))
    newly: Summary = field(default_factory=lambda: Summary(("provider", "model", REASON)))
    lines: int = 0
    unpriced_both: int = 0
    unreadable: int = 0
    other_books: int = 0

    def add(self, repriced: Repriced, book: str) -> None:
        """Add a chunk."""
        old, new = repriced.old["cost_usd"].known, repriced.new["cost_usd"].known
        readable = repriced.readable
        self.compared.add(repriced, old & new & readable)
        self.unpriced.add(repriced, old & ~new & readable, {REASON: repriced.new_words["reason"]})
        self.newly.add(repriced, ~old & new & readable, {REASON: repriced.old_words["reason"]})
        self.lines += repriced.lines.num_rows
        self.unpriced_both += int((~old & ~new & readable).sum())
        self.unreadable += int((~readable).sum())
        self.other_books += sum(version != book for version in repriced.old_words["price_book"])


def what_if(  # noqa: PLR0913 - each is a choice of its own
    ledger: Ledger, scope: Scope, book: PriceBook, assumptions: Assumptions, *, by: Sequence[str], show: Show
) -> Comparison:
    """Price the lines of a scope under assumptions; the sums are made by the columns `by`.

    Raises:
        DeliveryError: the ledger does not answer.
    """
    comparison = Comparison(Summary(by))
    total = count_lines(ledger, scope)
    price = assumptions.price(book)
    for chunk in chunks(ledger, scope, lines=CHUNK_LINES):
        comparison.add(reprice(chunk.lines, price), book.version)
        show(comparison.lines, max(total, comparison.lines))
    return comparison
