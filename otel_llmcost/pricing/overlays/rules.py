"""The entries of price files as rules, section by section."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from otel_llmcost.call import BUCKETS, Bucket
from otel_llmcost.pricing.overlays.document import (
    SECTIONS,
    Commitment,
    Conditional,
    Deployment,
    Discount,
    Entry,
    PriceFile,
    PrivateModel,
)
from otel_llmcost.pricing.overlays.matching import EVERYTHING, REQUEST, Rule
from otel_llmcost.pricing.overlays.steps import negotiated_names

CONDITIONAL: Final = ("discounts", "commitments", "free", "credits", "markups")
"""Sections that change the price of a call, in that order."""


def rules_of(file: PriceFile) -> Mapping[str, Sequence[Rule[Any]]]:
    """The rules of a file by section, in its order."""
    return {section: [rule_of(entry) for entry in getattr(file, section)] for section in SECTIONS}


def rule_of(entry: Entry) -> Rule[Any]:
    """The rule of one entry."""
    if isinstance(entry, PrivateModel):
        return Rule.of(entry, {"provider": entry.provider, "model": entry.model})
    if isinstance(entry, Deployment):
        conditions = {"provider": entry.provider, "host": entry.host, "model": entry.model}
        return Rule.of(entry, {name: patterns for name, patterns in conditions.items() if patterns})
    assert isinstance(entry, Conditional)
    charges = _charges(entry) if isinstance(entry, Discount) else EVERYTHING
    return Rule.of(entry, entry.when, charges)


def _charges(entry: Discount) -> frozenset[str]:
    """What a discount holds for: buckets, and the price per request."""
    if entry.rate_names:
        return frozenset(negotiated_names(entry))
    if entry.buckets:
        return frozenset(Bucket(name) for name in entry.buckets)
    if not entry.parts:
        return EVERYTHING
    chosen = frozenset(bucket for bucket in Bucket if BUCKETS[bucket].part in entry.parts)
    return chosen | {REQUEST} if "other" in entry.parts else chosen


def depends_on_month(rule: Rule[Any]) -> bool:
    """Whether the price rests on what a whole month comes to."""
    entry = rule.entry
    if isinstance(entry, PrivateModel):
        return entry.gpu is not None
    if isinstance(entry, Discount):
        return entry.volume is not None
    return isinstance(entry, Commitment) or hasattr(entry, "expected_per_month")


def gaps(rules: Sequence[Rule[Any]]) -> Iterator[tuple[Rule[Any], Rule[Any]]]:
    """Entries for the same calls with days between them that neither holds on: the one that ends, the next one."""
    series: dict[object, list[Rule[Any]]] = {}
    for rule in rules:
        key = (tuple(rule.matcher.conditions.items()), rule.charges)
        series.setdefault(key, []).append(rule)
    for members in series.values():
        members.sort(key=lambda rule: rule.from_ns)
        for earlier, later in pairwise(members):
            if earlier.until_ns < later.from_ns:
                yield earlier, later
