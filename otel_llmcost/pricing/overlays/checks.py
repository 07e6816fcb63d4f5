"""What can be wrong between entries: ids, names, exchange rates, overlaps, gaps, a changed past."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from otel_llmcost.errors import nearest
from otel_llmcost.pricing.overlays.document import SECTIONS, Conditional, Deployment, Entry, PrivateModel
from otel_llmcost.pricing.overlays.fx import USD, Fx
from otel_llmcost.pricing.overlays.matching import Rule, conflicts
from otel_llmcost.pricing.overlays.overlays import BUILT_IN_CONDITIONS
from otel_llmcost.pricing.overlays.patterns import Patterns, matches, overlap
from otel_llmcost.pricing.overlays.periods import FOREVER_NS, day_of
from otel_llmcost.pricing.overlays.rules import gaps, rule_of
from otel_llmcost.providers.sellers import canonical_seller

FREE_TO_CHANGE: Final = frozenset({"note", "until"})
"""What may change of an entry that has begun; `until` only in the future."""


@dataclass(frozen=True, slots=True)
class Placed:
    """An entry and where it stands: `file:line: `, or nothing where it comes from the archive."""

    section: str
    entry: Entry
    place: str = ""

    def __str__(self) -> str:
        return f"{self.section} {self.entry.id!r}"

    def told_from(self, other: "Placed") -> str:
        """The other entry, as this one's mistake names it."""
        return f"{other.entry.id!r} ({other.place.removesuffix(': ')})" if other.place else repr(other.entry.id)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with an entry. A warning is likely a mistake, but can be meant."""

    at: Placed
    text: str
    warning: bool = False

    def __str__(self) -> str:
        return f"{self.at.place}{'warning: ' if self.warning else ''}{self.at}: {self.text}"


def problems_of(entries: Sequence[Placed], fx: Fx, dimensions: Iterable[str] | None = None) -> Iterator[Problem]:
    """Everything wrong with entries taken together, the same for any order of them.

    `dimensions` are those of the attribution; None where they are not known, as in an archive.
    """
    yield from _repeated_ids(entries)
    if dimensions is not None:
        yield from _unknown_conditions(entries, frozenset(dimensions))
    yield from _missing_fx(entries, fx)
    for section in SECTIONS:
        rules = {rule_of(placed.entry): placed for placed in entries if placed.section == section}
        yield from _overlaps(rules)
        yield from _gaps(rules, section)


def _repeated_ids(entries: Sequence[Placed]) -> Iterator[Problem]:
    seen: dict[str, Placed] = {}
    for placed in entries:
        first = seen.setdefault(placed.entry.id, placed)
        if first is not placed:
            yield Problem(placed, f"the id is used twice, first by {first} at {first.place.removesuffix(': ')}")


def _unknown_conditions(entries: Sequence[Placed], dimensions: frozenset[str]) -> Iterator[Problem]:
    known = sorted(BUILT_IN_CONDITIONS | dimensions)
    for placed in entries:
        if isinstance(placed.entry, Conditional):
            for name in placed.entry.when.keys() - set(known):
                yield Problem(placed, f"when: {name!r} is no dimension{nearest(name, known)}")


def _missing_fx(entries: Sequence[Placed], fx: Fx) -> Iterator[Problem]:
    for placed in entries:
        currency = placed.entry.currency
        gap = fx.gap(currency, placed.entry.valid_from) if currency else ""
        if gap:
            yield Problem(placed, f"amounts in {currency} from {placed.entry.valid_from}, but {gap}")


def _overlaps(rules: Mapping[Rule[Any], Placed]) -> Iterator[Problem]:
    order = {rule: number for number, rule in enumerate(rules)}
    for one, other in conflicts(list(rules)):
        first, second = sorted((one, other), key=lambda rule: (rule.from_ns, order[rule]))
        start, end = max(one.from_ns, other.from_ns), min(one.until_ns, other.until_ns)
        until = "" if end == FOREVER_NS else f" until {day_of(end)}"
        same = first.matcher.within(second.matcher)
        why = "for the same calls" if same else "for some call, and neither is the more specific"
        text = (
            f"overlaps {rules[second].told_from(rules[first])} from {day_of(start)}{until}: both hold {why}"
            f" ({first.matcher}; {second.matcher}); end one with `until`, or give one a higher `priority`"
        )
        yield Problem(rules[second], text)


def _gaps(rules: Mapping[Rule[Any], Placed], section: str) -> Iterator[Problem]:
    for earlier, later in gaps(list(rules)):
        left = f"nothing holds for {later.matcher} from {day_of(earlier.until_ns)} until {day_of(later.from_ns)}"
        text = f"leaves a gap after {rules[later].told_from(rules[earlier])}: {left}"
        yield Problem(rules[later], text, warning=section != "models")


def changes_of_the_past(entries: Sequence[Placed], before: Sequence[Placed], today: date) -> Iterator[Problem]:
    """What changes prices of days that have been: price files are append-only.

    An entry that has begun may only be ended, today or later; a correction is a new entry. `before` is what was in
    force: an earlier version of the files, or the archive.
    """
    now = {placed.entry.id: placed for placed in entries}
    known = {placed.entry.id for placed in before}
    for old in before:
        new = now.get(old.entry.id)
        if old.entry.valid_from >= today:
            continue
        if new is None:
            yield Problem(old, f"has begun on {old.entry.valid_from} and is gone; end it with `until: {today}` instead")
        else:
            yield from _changed(old, new, today)
    for placed in entries:
        if before and placed.entry.id not in known and placed.entry.valid_from < today:
            text = f"is new and begins on {placed.entry.valid_from}: restate the days since"
            yield Problem(placed, text, warning=True)


def _changed(old: Placed, new: Placed, today: date) -> Iterator[Problem]:
    was, now = _said(old), _said(new)
    changed = sorted(key for key in (was.keys() | now.keys()) - FREE_TO_CHANGE if was.get(key) != now.get(key))
    if changed:
        text = (
            f"has begun on {old.entry.valid_from} and cannot change any more ({', '.join(changed)});"
            f" end it with `until: {today}` and add an entry from that day on"
        )
        yield Problem(new, text)
    ends = [entry.until for entry in (old.entry, new.entry) if entry.until is not None]
    if old.entry.until != new.entry.until and any(end < today for end in ends):
        yield Problem(new, f"until: days before {today} are past and keep their price")


def _said(placed: Placed) -> dict[str, Any]:
    document = placed.entry.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return {**document, "section": placed.section, "currency": placed.entry.currency or USD}


Resolve = Callable[[str, str], str]
"""Seller and name of a model → the id of the row that prices it; empty where none does."""


def unknown_names(entries: Sequence[Placed], known: Mapping[str, Sequence[str]], resolve: Resolve) -> Iterator[Problem]:
    """Names that match nothing: sellers, models and base models, against the models of each seller.

    A mistake where a name is plain, a warning where it is a pattern.
    """
    own = [
        seller
        for placed in entries
        if isinstance(placed.entry, PrivateModel)
        for seller in rule_of(placed.entry).matcher.conditions.get("provider", ("*",))
    ]
    for placed in entries:
        conditions = rule_of(placed.entry).matcher.conditions
        if isinstance(placed.entry, Deployment):
            base = canonical_seller(placed.entry.base_provider)
            sellers = (base,) if base else conditions.get("provider", ("*",))
            conditions = {"provider": sellers, "model": (placed.entry.base_model.lower(),)}
        # Models of one's own have the names that their entries give them.
        wanted = conditions.get("provider", ())
        if placed.section != "models" and not any(overlap((name,), tuple(own)) for name in wanted):
            yield from _unmatched(placed, conditions, known, resolve)


def _unmatched(
    placed: Placed, conditions: Mapping[str, Patterns], known: Mapping[str, Sequence[str]], resolve: Resolve
) -> Iterator[Problem]:
    wanted = conditions.get("provider", ("*",))
    sellers = [seller for seller in sorted(known) if matches(wanted, seller)]
    if not sellers:
        yield Problem(placed, f"no seller is called {'|'.join(wanted)}{_near(wanted[0], sorted(known))}", warning=True)
        return
    models = {model.lower() for seller in sellers for model in known[seller]}
    for pattern in conditions.get("model", ()):
        if any(matches((pattern,), model) for model in models):
            continue
        rows = {row for seller in sellers if "*" not in pattern and (row := resolve(seller, pattern))}
        if pattern in rows or (rows and isinstance(placed.entry, Deployment)):
            continue
        if rows:
            text = f"{pattern!r} is priced as {' or '.join(sorted(map(repr, rows)))}: name that, or write a pattern"
        else:
            text = f"{pattern!r} matches no model of the book{_near(pattern, sorted(models))}"
        yield Problem(placed, text, warning="*" in pattern)


def _near(name: str, known: Sequence[str]) -> str:
    """The nearest name, where one is near: the lists are too long to be told."""
    told = nearest(name, known)
    return told if told.startswith("; did") else ""
