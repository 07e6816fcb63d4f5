"""Whether two records are one call, whose id stands for it, and the rows that say so.

Of two records, one around the other. docs/identity.md tells the rules, decision 7 why they are about ids.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from otel_llmcost.call import CACHE_HIT_RULE, Cost, LLMCall, Outcome, Status
from otel_llmcost.identity import (
    NO_USAGE,
    digest,
    is_measured,
    is_random,
    response_key,
    signature,
    span_key,
    stem_of,
    trace_key,
    uncached_signature,
)


def outer_ids(call: LLMCall, outer_span_id: bytes) -> tuple[bytes, ...]:
    """Ids under which the span `outer_span_id` around a call may have told the same call: with the same numbers, or
    without any."""
    told, silent = signature(call), NO_USAGE + stem_of(call)
    ids = (span_key(call.trace_id, outer_span_id, told),)
    return ids if told == silent else (*ids, span_key(call.trace_id, outer_span_id, silent))


def trace_ids(call: LLMCall) -> tuple[bytes, ...]:
    """The id under which another of the same trace, such as the client of a gateway, may have told the same call."""
    if call.trace_id and is_measured(signature(call)) and is_random(call.response_id):
        key = trace_key(call.response_id, call.trace_id)
        return (key,) if key != call.call_id and call.call_id == response_key(call.provider, call.response_id) else ()
    return ()


@dataclass(frozen=True, slots=True)
class Facts:
    """What decides whether two records, one of them around the other, are one call, and which one stands for it.

    `level`: how sure the id is (`_level`). No times: the clocks of two processes may be an hour apart, and
    an ancestor contains what is below it anyway.
    """

    call_id: bytes
    level: int
    signature: bytes
    uncached: bytes
    stem: bytes
    failed: bool = False
    cached: bool = False  # answered by a cache in front of the provider

    @classmethod
    def of(cls, call: LLMCall) -> "Facts":
        """The facts of an identified call."""
        failed, cached = call.outcome is Outcome.ERROR, call.usage.rule.startswith(CACHE_HIT_RULE)
        told, uncached = signature(call), uncached_signature(call)
        return cls(call.call_id, _level(call), told, uncached, stem_of(call), failed, cached)

    def is_same_call(self, inner: "Facts") -> bool:
        """Whether `inner`, somewhere below this one, tells the same call."""
        if self.cached != inner.cached and (self.cached or self.level):
            return False  # a cache repeats the response id of the call that was once bought
        if self.is_measured and inner.is_measured:
            return self.signature in (inner.signature, inner.uncached)
        if inner.failed and self.is_measured:
            return False  # another attempt gave the usage
        return self.stem == inner.stem or not self.stem or not inner.stem

    def yields_to(self, inner: "Facts") -> bool:
        """Of the same call: whether the inner record's id is the call's.

        The order is one of ids, not of records, so that no two ids ever hide each other: the surer kind of id; of two
        spans the inner one; of two others any, always the same. Which record is kept under the id is `version`'s.
        """
        if self.level == inner.level == 0:
            return True
        return (self.level, self.call_id) < (inner.level, inner.call_id)

    def lends_to(self, other: "Facts") -> bool:
        """Whether this record is to be kept under the id of `other` too: it alone has the numbers."""
        return self.is_measured and not other.is_measured

    @property
    def is_measured(self) -> bool:
        """Whether the usage is known by numbers."""
        return is_measured(self.signature)

    def encoded(self) -> str:
        """As one attribute value; `decoded` reads it."""
        parts = (self.call_id.hex(), str(self.level), self.signature.decode(), self.uncached.decode())
        return "|".join((*parts, str(self.failed + 2 * self.cached), self.stem.decode()))

    @classmethod
    def decoded(cls, value: object) -> "Facts | None":
        """None where the value is none of ours."""
        found = _FACTS.fullmatch(value) if isinstance(value, str) and len(value) <= MAX_FACTS else None
        if found is None:
            return None
        key, level, told, uncached, flags, stem = found.groups()
        failed, cached = flags in "13", flags in "23"
        return cls(bytes.fromhex(key), int(level), _bytes(told), _bytes(uncached), _bytes(stem), failed, cached)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")


MAX_FACTS: Final = 4_096
_FACTS: Final = re.compile(r"([0-9a-f]{32})\|([0-3])\|([^|]*)\|([^|]*)\|([0-3])\|(.*)", re.DOTALL)


def _level(call: LLMCall) -> int:
    """How sure an id is: a span's (0), a response id in its trace (1), an exchange at the wire (2), a response id in
    the world (3).

    An id at level 0 is that of one span alone. It may be hidden unseen by a record below (`outer_ids`).
    """
    if call.call_id == response_key(call.provider, call.response_id):
        return 3
    if call.call_id == trace_key(call.response_id, call.trace_id):
        return 1
    return 2 if call.call_id == digest(b"span", call.trace_id, call.span_id) else 0


def with_claims(calls: Iterable[LLMCall]) -> Iterator[LLMCall]:
    """The calls and, for every id that one covers, the row that hides the line of that id."""
    for call in calls:
        yield call
        for hidden in call.covers:
            if hidden != call.call_id:
                yield _claim(call, hidden)


def _claim(call: LLMCall, hidden: bytes) -> LLMCall:
    return LLMCall(
        call_id=hidden,
        source=call.source,
        start_ns=call.start_ns,
        end_ns=call.start_ns,
        provider="",
        duplicate_of=call.duplicate_of or call.call_id,
        cost=_HIDDEN_COST,
    )


_HIDDEN_COST: Final = Cost(Status.UNPRICED, reason="duplicate")
