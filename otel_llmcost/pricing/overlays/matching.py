"""Which entry holds for a call: the most specific one that matches.

An entry is more specific than another where every call that it matches is matched by the other too, and not the other
way round. Two entries of one section that both can match a call at one time must stand in that relation, or have
different priorities, which come first; else they overlap, which is a mistake. So the order of entries and of files
decides nothing.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, combinations, product
from typing import Final, Generic, TypeVar

from otel_llmcost.call import Bucket
from otel_llmcost.pricing.overlays.document import Entry
from otel_llmcost.pricing.overlays.patterns import Patterns, matches, overlap, within
from otel_llmcost.pricing.overlays.periods import FOREVER_NS, day_ns
from otel_llmcost.providers.sellers import canonical_seller

CASELESS: Final = frozenset({"provider", "model", "host"})
"""Conditions on names that are compared in lower case."""
REQUEST: Final = "request"
"""What is charged per call, beside the buckets."""
EVERYTHING: Final = frozenset((*Bucket, REQUEST))

EntryT = TypeVar("EntryT", bound=Entry)


class Matcher:
    """Conditions, all of which must hold. Conditions that anything meets are left out."""

    __slots__ = ("conditions",)

    def __init__(self, conditions: Mapping[str, Sequence[str]]) -> None:
        plain = {name: _canonical(name, patterns) for name, patterns in conditions.items()}
        self.conditions: Mapping[str, Patterns] = {
            name: plain[name] for name in sorted(plain) if "*" not in plain[name]
        }

    def matches(self, values: Mapping[str, str]) -> bool:
        """Whether all conditions hold that `values` tells about."""
        return all(matches(patterns, values[name]) for name, patterns in self.conditions.items() if name in values)

    def overlaps(self, other: "Matcher") -> bool:
        """Whether some call meets both."""
        shared = self.conditions.keys() & other.conditions.keys()
        return all(overlap(self.conditions[name], other.conditions[name]) for name in shared)

    def within(self, other: "Matcher") -> bool:
        """Whether every call that meets this one meets the other."""
        return all(
            name in self.conditions and within(self.conditions[name], patterns)
            for name, patterns in other.conditions.items()
        )

    def __str__(self) -> str:
        return ", ".join(f"{name}={'|'.join(patterns)}" for name, patterns in self.conditions.items()) or "every call"


def _canonical(name: str, patterns: Sequence[str]) -> Patterns:
    if name in CASELESS:
        patterns = [pattern.lower() for pattern in patterns]
    if name == "provider":
        patterns = [canonical_seller(pattern) for pattern in patterns]
    return tuple(sorted(set(patterns)))


@dataclass(frozen=True, slots=True, eq=False)
class Rule(Generic[EntryT]):
    """An entry, when it holds and for what."""

    entry: EntryT
    matcher: Matcher
    from_ns: int
    until_ns: int
    charges: frozenset[str] = EVERYTHING

    @classmethod
    def of(
        cls, entry: EntryT, conditions: Mapping[str, Sequence[str]], charges: frozenset[str] = EVERYTHING
    ) -> "Rule[EntryT]":
        """The rule of an entry."""
        until_ns = day_ns(entry.until) if entry.until else FOREVER_NS
        return cls(entry, Matcher(conditions), day_ns(entry.valid_from), until_ns, charges)

    def holds_at(self, at_ns: int) -> bool:
        return self.from_ns <= at_ns < self.until_ns


class Ranked(Generic[EntryT]):
    """The rules of one section, the most specific first."""

    def __init__(self, rules: Iterable[Rule[EntryT]]) -> None:
        self.rules = sorted(rules, key=lambda rule: rule.entry.id)
        wider: dict[Rule[EntryT], int] = defaultdict(int)
        for one, other in _meeting(self.rules):
            wider[one] += one.matcher.within(other.matcher)
            wider[other] += other.matcher.within(one.matcher)
        # Whoever stands within another stands within all that the other stands within, and has more of them.
        self.rules.sort(key=lambda rule: (-rule.entry.priority, -wider[rule]))
        self._ranks = {rule: rank for rank, rule in enumerate(self.rules)}
        self._by_model, self._open = _indexed(self.rules)

    def __bool__(self) -> bool:
        return bool(self.rules)

    def matching(self, values: Mapping[str, str]) -> list[Rule[EntryT]]:
        """Rules whose conditions on those values hold, the most specific first; `values` names the model."""
        candidates = [*self._by_model.get(values["model"], ()), *self._open]
        candidates.sort(key=self._ranks.__getitem__)
        return [rule for rule in candidates if rule.matcher.matches(values)]


def conflicts(rules: Sequence[Rule[EntryT]]) -> Iterator[tuple[Rule[EntryT], Rule[EntryT]]]:
    """Pairs that can hold for one call at one time, with nothing to decide between them."""
    for one, other in _meeting(rules):
        if one.entry.priority != other.entry.priority:
            continue
        if one.from_ns >= other.until_ns or other.from_ns >= one.until_ns or not one.charges & other.charges:
            continue
        if one.matcher.within(other.matcher) == other.matcher.within(one.matcher):
            yield one, other


def _meeting(rules: Sequence[Rule[EntryT]]) -> Iterator[tuple[Rule[EntryT], Rule[EntryT]]]:
    """Pairs of rules that some call can meet both of; the thousands that name other models are not compared."""
    by_model, open_rules = _indexed(rules)
    seen: set[tuple[int, int]] = set()
    same_model = chain.from_iterable(combinations(group, 2) for group in by_model.values())
    with_open = chain.from_iterable(product(open_rules, group) for group in by_model.values())
    for one, other in chain(same_model, combinations(open_rules, 2), with_open):
        key = (id(one), id(other))
        if key not in seen and one.matcher.overlaps(other.matcher):
            seen.add(key)
            yield one, other


def _indexed(
    rules: Sequence[Rule[EntryT]],
) -> tuple[Mapping[str, Sequence[Rule[EntryT]]], Sequence[Rule[EntryT]]]:
    """Rules that name their models, by model, and those that do not."""
    by_model: dict[str, list[Rule[EntryT]]] = defaultdict(list)
    open_rules = []
    for rule in rules:
        models = rule.matcher.conditions.get("model", ("*",))
        if any("*" in model for model in models):
            open_rules.append(rule)
            continue
        for model in models:
            by_model[model].append(rule)
    return by_model, open_rules
