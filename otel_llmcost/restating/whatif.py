"""The same traffic under other assumptions: other prices, another model, batch. Writes nothing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final

from otel_llmcost.call import Amounts, Cost, LLMCall
from otel_llmcost.errors import ConfigError
from otel_llmcost.exporters.clickhouse.client import Ledger
from otel_llmcost.money import round_ratio
from otel_llmcost.pipeline import cost_of
from otel_llmcost.pricing.book import PriceBook
from otel_llmcost.pricing.overlays.patterns import matches
from otel_llmcost.pricing.overlays.totals import MEASURED
from otel_llmcost.providers.sellers import canonical_seller, seller_named
from otel_llmcost.restating.chunks import CHUNK_LINES, Show, chunks, count_lines
from otel_llmcost.restating.repricing import Repriced, reprice
from otel_llmcost.restating.scope import Scope
from otel_llmcost.restating.summary import Summary

BATCH: Final[Mapping[str, str]] = {"processing": "batch"}
"""How genai-prices tells prices of batch processing from others."""
REASON: Final = "reason"
ESTIMATE: Final = "_estimate)"
"""How a reason ends the mark of what a month is expected to come to."""


@dataclass(frozen=True, slots=True)
class Change:
    """Amounts of some sellers' models times a factor; both names are patterns. `told`: as the user wrote it."""

    provider: str
    model: str
    factor: Decimal
    told: str

    def fits(self, call: LLMCall) -> bool:
        """Whether the amounts of the call change."""
        return matches((self.provider,), call.provider) and matches((self.model.lower(),), call.model.lower())


@dataclass(frozen=True, slots=True)
class Target:
    """What the calls of some models go to instead; `provider` is empty where it stays. `told`: as the user wrote it."""

    pattern: str
    provider: str
    model: str
    told: str

    def fits(self, call: LLMCall) -> bool:
        """Whether the call goes there: by the model that answered or the one that was asked for."""
        return any(matches((self.pattern.lower(),), name.lower()) for name in (call.model, call.requested_model))

    def moved(self, call: LLMCall) -> LLMCall:
        """The call as it would have been sent."""
        provider = self.provider or call.provider
        moved = replace(call, provider=provider, model=self.model, requested_model=self.model)
        # tiers and hosts are those of a seller
        return moved if provider == call.provider else replace(moved, host="", service_tier="", price_context={})


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What is different. `batch`: calls that did not stream, at the batch price where their model has one."""

    targets: Sequence[Target] = ()
    changes: Sequence[Change] = ()
    batch: bool = False
    _fitting: set[str] = field(default_factory=set, compare=False)

    def price(self, book: PriceBook) -> Callable[[LLMCall], Cost]:
        """What a call would have cost."""

        def cost(call: LLMCall) -> Cost:
            call = self._moved(call)
            found = cost_of(call, book)
            _, found = self._batched(call, found, book)
            return _scaled(found, self._factor(call))

        return cost

    def sent(self, book: PriceBook, scope: Scope) -> Callable[[LLMCall], LLMCall]:
        """The calls of a scope as they would have been made, the others as they were: what a month comes to."""

        def sent(call: LLMCall) -> LLMCall:
            if not scope.covers(call):
                return call
            call = self._moved(call)
            return self._batched(call, cost_of(call, book), book)[0] if self.batch else call

        return sent

    def fitting_nothing(self) -> list[str]:
        """What fitted no call that was priced so far, as the user wrote it: a mistyped name, probably."""
        told = [*(target.told for target in self.targets), *(change.told for change in self.changes)]
        return [one for one in told if one not in self._fitting]

    def _moved(self, call: LLMCall) -> LLMCall:
        for target in self.targets:
            if target.fits(call):
                self._fitting.add(target.told)
                return target.moved(call)
        return call

    def _batched(self, call: LLMCall, cost: Cost, book: PriceBook) -> tuple[LLMCall, Cost]:
        if not self.batch or call.streaming or cost.effective is None:
            return call, cost
        batch_call = replace(call, service_tier="", price_context=BATCH)
        batched = cost_of(batch_call, book)
        if batched.effective is None or batched.effective.total_usd >= cost.effective.total_usd:
            return call, cost  # the model has no batch price
        return batch_call, batched

    def _factor(self, call: LLMCall) -> Decimal:
        factor = Decimal(1)
        for change in self.changes:
            if change.fits(call):
                self._fitting.add(change.told)
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
    return Target(pattern, seller.name if seller else "", model if seller else target, f"--model-map {text}")


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
    return Change(canonical_seller(provider), model or "*", factor, f"{option} {text}")


@dataclass(slots=True)
class Comparison:
    """Now and then, of the lines that have a price in both; the others by reason.

    `unpriced` are lines that have a price and would have none, `newly` those that would get one; their sums stand
    under the reason of the missing price and are in no delta. `other_books` are lines priced with other data or price
    files, `not_measured` those that rest on an expectation where `then` rests on the measured month.
    """

    compared: Summary
    unpriced: Summary = field(default_factory=lambda: Summary(("provider", "model", REASON)))
    newly: Summary = field(default_factory=lambda: Summary(("provider", "model", REASON)))
    lines: int = 0
    unpriced_both: int = 0
    unreadable: int = 0
    other_books: int = 0
    not_measured: int = 0

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
        books = repriced.old_words["price_book"]
        self.other_books += sum(version.partition(MEASURED)[0] != book.partition(MEASURED)[0] for version in books)
        reasons = zip(repriced.old_words["reason"], repriced.new_words["reason"], strict=True)
        self.not_measured += sum(ESTIMATE in old and ESTIMATE not in new for old, new in reasons)


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
