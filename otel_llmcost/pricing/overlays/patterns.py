"""Patterns of names: which match, which can both match one name, and which hold within another.

A pattern is a name in which `*` stands for any characters. Nothing else is special, so all three questions have exact
answers, and overlapping entries of a price file are found before any call is priced.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

MAX_PATTERN: Final = 512
MAX_CACHED: Final = 20_000

Patterns = tuple[str, ...]
"""Alternatives: a name matches where one of them does."""


def matches(patterns: Patterns, name: str) -> bool:
    """Whether one of the patterns matches the whole name."""
    return any(pattern == name or ("*" in pattern and _compiled(pattern).fullmatch(name)) for pattern in patterns)


def overlap(one: Patterns, other: Patterns) -> bool:
    """Whether some name matches both."""
    return any(_both(left, right) for left in one for right in other)


def within(inner: Patterns, outer: Patterns) -> bool:
    """Whether each inner pattern stands within an outer one, so that whatever matches `inner` matches `outer`."""
    # `*` of the inner pattern is a character that only `*` of the outer one can match: the alphabet is not bounded.
    return all(matches(outer, pattern) for pattern in inner)


@lru_cache(MAX_CACHED)
def _compiled(pattern: str) -> re.Pattern[str]:
    first, *middle, last = (re.escape(part) for part in re.split(r"\*+", pattern))
    # The first fit of each part is as good as any later one; atomic, so that no name takes long to refuse.
    return re.compile(first + "".join(f"(?>.*?{part})" for part in middle) + ".*" + last, re.DOTALL)


@lru_cache(MAX_CACHED)
def _both(left: str, right: str) -> bool:
    if "*" not in left:
        return matches((right,), left)
    if "*" not in right:
        return matches((left,), right)
    return _meet(left, right)


def _meet(left: str, right: str) -> bool:
    """Whether two patterns with `*` have a name in common: reachable pairs of places, one row a place of `left`."""
    row = _skip_stars([True] + [False] * len(right), right)
    for char in left:
        below = row[:] if char == "*" else [False] * len(row)
        for place, wanted in enumerate(right):
            if char == "*":
                below[place + 1] = below[place + 1] or below[place]
            elif wanted == "*":
                below[place] = below[place] or row[place]
            elif wanted == char and row[place]:
                below[place + 1] = True
        row = _skip_stars(below, right)
    return row[-1]


def _skip_stars(row: list[bool], pattern: Sequence[str]) -> list[bool]:
    """A star may match nothing."""
    for place, char in enumerate(pattern):
        if char == "*" and row[place]:
            row[place + 1] = True
    return row
