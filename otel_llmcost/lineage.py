"""Ids that only a span further up may tell: session, agent, workflow, run and user of the calls below it."""

from collections.abc import Mapping
from typing import Final

from otel_llmcost.dialects.fields import TEXTS, WHO
from otel_llmcost.dialects.read import text
from otel_llmcost.span import Attributes

Who = Mapping[str, str]
"""Field of `LLMCall` → id."""

WHO_KEYS: Final[Mapping[str, tuple[str, ...]]] = {field: TEXTS[field] for field in WHO}
"""Keys of each id, the ones of the conventions first; those are written where an id is passed down."""
_ALL_KEYS: Final = frozenset(key for keys in WHO_KEYS.values() for key in keys)


def who_of(attributes: Attributes) -> Who:
    """The ids that a span tells."""
    if _ALL_KEYS.isdisjoint(attributes):
        return _NOBODY
    return {field: found for field, keys in WHO_KEYS.items() if (found := text(attributes, *keys))}


_NOBODY: Final[Who] = {}


def as_attributes(who: Who, told: Attributes) -> dict[str, str]:
    """The ids as attributes for a span that tells none of them."""
    own = who_of(told)
    return {WHO_KEYS[field][0]: found for field, found in who.items() if field not in own}
