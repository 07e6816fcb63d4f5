"""Whether a message has anything to read at all: a look at its bytes, without decoding them.

A key stands in a message as it is, whatever encoder wrote it: protobuf neither escapes nor splits a string. So a
message in which no needle is found has no attribute that the decoder would call one of GenAI, and passes on as it came.
The other way round nothing is promised: a text that holds a needle costs a decoding.
"""

import re
from collections.abc import Collection
from typing import Final

from otel_llmcost.dialects.kinds import GENAI_KEYS
from otel_llmcost.semconv import LLMCOST_PREFIX, USAGE_PREFIX

MIN_NEEDLE: Final = 7
"""Shortest needle: shorter ones stand in the texts of others."""


def needles_of(keys: Collection[str]) -> tuple[bytes, ...]:
    """A few pieces of text of which every key has at least one: each costs a run over the message.

    Greedy: the piece that most of the keys left have, and of those the longest.
    """
    left = set(keys)
    found: list[bytes] = []
    while left:
        held: dict[str, set[str]] = {}
        for key in left:
            for piece in _pieces(key):
                held.setdefault(piece, set()).add(key)
        best = max(sorted(held), key=lambda piece: (len(held[piece]), len(piece)))
        found.append(best.encode())
        left -= held[best]
    return tuple(found)


def _pieces(key: str) -> set[str]:
    """The pieces of a key that begin and end with a word of it, and are long enough; else the whole key."""
    words = key.split(".")
    spans = ((first, last) for first in range(len(words)) for last in range(first + 1, len(words) + 1))
    pieces = {".".join(words[first:last]) + ("." if last < len(words) else "") for first, last in spans}
    return {piece for piece in pieces if len(piece) >= MIN_NEEDLE} or {key}


GENAI_NEEDLES: Final = needles_of(GENAI_KEYS)
FOREIGN_NEEDLE: Final = LLMCOST_PREFIX.encode()
_USAGE: Final = USAGE_PREFIX.removeprefix(LLMCOST_PREFIX).encode()
_FOREIGN: Final = re.compile(
    re.escape(FOREIGN_NEEDLE) + b"(?!" + re.escape(_USAGE) + b")(?<!otel_" + re.escape(FOREIGN_NEEDLE) + b")"
)
"""What outsiders may not say: neither `llmcost.usage.` nor the name of our instrumentation's scope. A key stands behind
its length, which no `otel_` can be the end of."""


def may_hold_foreign(body: bytes) -> bool:
    """Whether a message in protobuf may have an attribute that only a trusted host may set."""
    return FOREIGN_NEEDLE in body and _FOREIGN.search(body) is not None


def may_hold_genai(body: bytes) -> bool:
    """Whether a message in protobuf may have a GenAI span."""
    for needle in GENAI_NEEDLES:  # noqa: SIM110 - on the way of every message
        if needle in body:
            return True
    return False
