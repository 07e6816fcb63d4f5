"""The entries that hold for a call → one effect, what `reason` says of them, and what a restatement must measure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import localcontext
from typing import Any, Final, NamedTuple

from otel_llmcost.money import EXACT
from otel_llmcost.pricing.compiled import Price
from otel_llmcost.pricing.overlays import steps
from otel_llmcost.pricing.overlays.document import Commitment, Discount
from otel_llmcost.pricing.overlays.effect import TOKEN_BUCKETS, UNCHANGED, Effect
from otel_llmcost.pricing.overlays.matching import EVERYTHING, Rule
from otel_llmcost.pricing.overlays.rules import depends_on_month

MAX_PRICED: Final = 64


@dataclass(frozen=True, slots=True)
class Stage:
    """An entry that rests on its month, and the price before it: an effect, or the list price of some charges."""

    entry_id: str
    before: Effect | None
    charges: frozenset[str] = EVERYTHING


class Charged(NamedTuple):
    """What a call is charged by instead of its list price."""

    price: Price
    reason: str
    estimated: bool


def over(effect: Effect, listed: Price) -> Price:
    """What an effect makes of a list price."""
    with localcontext(EXACT):
        return Price(effect.over(listed.rates), listed.least)


@dataclass(frozen=True, slots=True)
class Plan:
    """What the entries that hold for a call come to. `estimated`: a month's total is assumed, not measured."""

    effect: Effect
    reason: str
    estimated: bool
    stages: Sequence[Stage]
    _priced: dict[int, tuple[Price, Charged]] = field(default_factory=dict, repr=False, compare=False)

    def over(self, listed: Price) -> Charged:
        """What a list price becomes: one of a few that a model has, kept."""
        known = self._priced.get(id(listed))
        if known is None:
            if len(self._priced) >= MAX_PRICED:
                self._priced.clear()
            charged = Charged(over(self.effect, listed), self.reason, self.estimated)
            known = self._priced[id(listed)] = (listed, charged)  # kept with it, so that no other gets its id
        return known[1]


_STEPS: Final[Mapping[str, Callable[[Effect, Rule[Any], steps.Terms], steps.Step]]] = {
    "commitments": steps.commitment,
    "free": steps.free_tier,
    "credits": steps.credit,
    "markups": steps.markup,
}


def plan_of(held: Mapping[str, Sequence[Rule[Any]]], terms: steps.Terms) -> Plan | None:
    """The plan of the rules that hold, by section, the most specific first; None where no rule does."""
    planning = _Planning(terms)
    for section, rules in held.items():
        if section == "discounts":
            planning.take_discounts(rules)
        elif rules:
            planning.take(rules[0], _STEPS[section])
    return planning.plan()


class _Planning:
    """Takes one entry after the other."""

    def __init__(self, terms: steps.Terms) -> None:
        self._terms = terms
        self._effect = UNCHANGED
        self._marks: list[str] = []
        self._estimated = False
        self._stages: list[Stage] = []

    def take_discounts(self, rules: Sequence[Rule[Discount]]) -> None:
        """Each charge by the most specific discount that is for it."""
        left = EVERYTHING
        for rule in rules:
            charges = rule.charges & left
            left -= charges
            if charges:
                self._take(rule, steps.discount(self._effect, rule, charges, self._terms), charges)

    def take(self, rule: Rule[Any], step: Callable[[Effect, Rule[Any], steps.Terms], steps.Step]) -> None:
        """One entry of another section."""
        self._take(rule, step(self._effect, rule, self._terms), EVERYTHING)

    def _take(self, rule: Rule[Any], step: steps.Step, charges: frozenset[str]) -> None:
        if depends_on_month(rule):
            self._stages.append(self._stage(rule, charges))
        self._effect = step.effect
        self._marks.append(f"{rule.entry.id}({step.estimate})" if step.estimate else rule.entry.id)
        self._estimated = self._estimated or bool(step.estimate)

    def _stage(self, rule: Rule[Any], charges: frozenset[str]) -> Stage:
        entry = rule.entry
        if isinstance(entry, Discount):
            return Stage(entry.id, None, charges)
        if isinstance(entry, Commitment) and entry.committed_per_month is None:
            return Stage(entry.id, None, frozenset(TOKEN_BUCKETS))
        return Stage(entry.id, self._effect)

    def plan(self) -> Plan | None:
        if not self._marks:
            return None
        return Plan(self._effect, f"overlay:{','.join(self._marks)}", self._estimated, tuple(self._stages))
