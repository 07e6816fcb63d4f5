"""The list of one seller: a name → its row, where the name is surely the row's.

genai-prices matches names by rules: equal, begins with, contains, a regular expression. A rule that is not an equality
takes more than it means (`claude-opus-4-1` takes `claude-opus-4-10`, `o4-mini` takes `o4-mini-deep-research`), and so
sells a new model at an old one's price. Here what such a rule leaves of a name must be a date, a version or another
ending that changes no price, and what it leaves before it a region or a maker; else the name is not listed.
"""

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Final

from genai_prices.types import (
    ClauseAnd,
    ClauseContains,
    ClauseEndsWith,
    ClauseEquals,
    ClauseOr,
    ClauseRegex,
    ClauseStartsWith,
    ModelInfo,
    ModelPrice,
    Provider,
)

from otel_llmcost.pricing.references import DATE_TAIL

# The longest first: the endings of a name are taken without going back, or a hostile one would take for ever.
_SAME_MODEL: Final = rf"{DATE_TAIL}|-latest|-preview|-exp|-experimental|-beta|-nightly|@default|@latest"
_TAILS: Final[Mapping[str, str]] = {
    "aws": r"-v\d+|:\d+k|:\d+|:mm",  # model versions and context sizes of Bedrock
    "google": r"-customtools",
}
_HEADS: Final[Mapping[str, str]] = {
    # Regional profiles at the price of the region; `global.` profiles have rows of their own.
    "aws": r"(?!global\.)(?:[a-z]{2,4}(?:-gov)?\.)?(?:[a-z0-9]+\.)?",
    "google": r"(?:anthropic[/.])?",
}
_SEPARATOR: Final = re.compile(r"[-@:]")
_FREE: Final = re.compile(r"\(free\)|\bfree of charge\b|\bincluded in the subscription\b", re.IGNORECASE)

Clause = Any  # a union of dataclasses that the library spells with pydantic annotations


class Listing:
    """The rows of one seller, in their order; the first that a name surely belongs to has it."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self._tail = re.compile(f"(?:{'|'.join(filter(None, (_SAME_MODEL, _TAILS.get(provider.id))))})*+")
        self._head = re.compile(_HEADS.get(provider.id, ""))
        self._by_name: dict[str, int] = {}
        self._by_id: dict[str, int] = {}
        self._by_rule: list[tuple[int, Clause]] = []
        for place, info in enumerate(provider.models):
            self._by_id.setdefault(info.id.lower(), place)
            for clause in _alternatives(info.match):
                if isinstance(clause, ClauseEquals):
                    self._by_name.setdefault(clause.equals.lower(), place)
                else:
                    self._by_rule.append((place, clause))

    def find(self, name: str) -> ModelInfo | None:
        """The row of a name in lower case."""
        place = self._by_name.get(name)
        for rule_place, clause in self._by_rule:
            if place is not None and rule_place > place:
                break
            if self._takes(clause, name) or (is_free(self.provider.models[rule_place]) and clause.is_match(name)):
                place = rule_place
                break
        if place is None:
            place = self._by_id.get(name)
        return None if place is None else self.provider.models[place]

    def fine_tune(self, name: str, base: str) -> ModelInfo | None:
        """The row of a fine-tuned model: one for fine-tunes, never that of the base model."""
        rows = [info for info in self.provider.models if info.id.startswith("ft:") or ".ft-" in info.id]
        named = next((info for info in rows if info.id == f"ft:{base}"), None)
        return named or next((info for info in rows if info.is_match(name)), None)

    def names(self) -> list[str]:
        """Every name that is listed."""
        return [*self._by_name, *(name for name in self._by_id if name not in self._by_name)]

    def nearest(self, name: str, limit: int) -> list[str]:
        """Listed names like one that is not, the likest first; each row once."""
        found: dict[int, str] = {}
        for close in get_close_matches(name, self.names(), n=4 * limit, cutoff=0.5):
            place = self._by_name.get(close, self._by_id.get(close, -1))
            found.setdefault(place, close)
        return list(found.values())[:limit]

    def _takes(self, clause: Clause, name: str) -> bool:
        """Whether a rule takes the name and leaves nothing of it that tells models apart."""
        if not clause.is_match(name):
            return False
        if isinstance(clause, ClauseAnd):
            return any(self._takes(part, name) for part in clause.and_ if not _only_excludes(part))
        if isinstance(clause, ClauseOr):
            return any(self._takes(part, name) for part in clause.or_)
        start, end = _span(clause, name)
        return self._head.fullmatch(name, 0, start) is not None and self._is_tail(name, end)

    def _is_tail(self, name: str, end: int) -> bool:
        """Whether the rest of a name is an ending of no consequence, whole or with the word that it is cut from."""
        if self._tail.fullmatch(name, end):
            return True
        starts = [found.start() for found in _SEPARATOR.finditer(name, 0, end)]
        return bool(starts) and self._tail.fullmatch(name, starts[-1]) is not None


def is_free(info: ModelInfo) -> bool:
    """Whether a model without any price is said to cost nothing; another one's price is just not known."""
    rows = [info.prices] if isinstance(info.prices, ModelPrice) else [row.prices for row in info.prices]
    if any(value is not None for prices in rows for value in vars(prices).values()):
        return False
    told = (info.name, info.description, info.price_comments)
    return info.id.endswith(":free") or any(_FREE.search(text) for text in told if text)


def _alternatives(clause: Clause) -> Iterator[Clause]:
    if isinstance(clause, ClauseOr):
        for part in clause.or_:
            yield from _alternatives(part)
    else:
        yield clause


def _only_excludes(clause: Clause) -> bool:
    return isinstance(clause, ClauseRegex) and clause.regex.startswith("^(?!")


def _span(clause: Clause, name: str) -> tuple[int, int]:
    """Which part of a name a rule has seen."""
    if isinstance(clause, ClauseRegex):
        found = re.search(clause.regex, name)
        assert found is not None
        return found.span()
    if isinstance(clause, ClauseStartsWith):
        return 0, len(clause.starts_with)
    if isinstance(clause, ClauseEndsWith):
        return len(name) - len(clause.ends_with), len(name)
    assert isinstance(clause, ClauseContains | ClauseEquals)
    text = clause.contains if isinstance(clause, ClauseContains) else clause.equals
    start = name.find(text.lower())
    return start, start + len(text)
