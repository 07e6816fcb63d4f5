"""One id per provider call, the same whoever saw it, and which record of a call is the fuller one.

How a call is known, the first that holds:

- in the world: by its response id, where the call went to a seller whose ids are unique (or to a gateway that is
  configured to hand them on), or where nobody told the host and the id is long and random;
- in its trace: by a random response id of anyone else (a server of your own, a gateway, a cache);
- by its span: everything else. What the wire saw at a host of nobody's is always known by its span.

A record that is known by its span has the usage it tells in its id. So a record of the same call that lies below it
can name it without having seen it: it *covers* the id of "the span above me, with my numbers". docs/identity.md tells
the whole of it, decision 7 why.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from hashlib import blake2b
from typing import Final
from zlib import crc32

from otel_llmcost.call import (
    CACHE_HIT_RULE,
    CACHE_READ_BUCKETS,
    CACHE_WRITE_BUCKETS,
    ESTIMATE_RULE,
    Cost,
    LLMCall,
    Outcome,
    Source,
    Status,
)
from otel_llmcost.providers.sellers import seller_at, seller_named

MIN_RANDOM_ID: Final = 18
"""Shortest response id that can be unique by itself; the shortest of a real seller is 20 long (`msg_8e8d9dfac25872dd`,
Bedrock). What mocks and small servers hand out (`chatcmpl-123`, `chatcmpl-57`) is far shorter."""
MIN_DISTINCT: Final = 11
"""Fewest different characters of such an id; real ones have 12 and more."""

_SOURCE_RANK: Final = {Source.WIRE: 3, Source.SDK_SPAN: 2, Source.OTLP: 2, Source.IMPORT: 1}
_STATUS_RANK: Final = {Status.EXACT: 3, Status.LOWER_BOUND: 2, Status.ESTIMATED: 1, Status.UNPRICED: 0}
_DUPLICATE: Final = 1 << 62
_NO_USAGE: Final = b"-"
_CACHED: Final = CACHE_READ_BUCKETS | CACHE_WRITE_BUCKETS
_DATE_OR_VERSION: Final = re.compile(r"(-\d{4}-\d{2}-\d{2}|-\d{8}|@[\w.-]+|-latest|-\d{4}|-v\d+:\d+)$")


class Known(IntEnum):
    """How far the name reaches that a record knows its call by."""

    SPAN = 0
    TRACE = 1
    WORLD = 2


class Told(IntEnum):
    """How well a record knows what was used."""

    NOTHING = 0
    ESTIMATED = 1
    REPORTED = 2


def known_by(
    provider: str, response_id: str, host: str, *, at_wire: bool = False, trusted: Collection[str] = ()
) -> Known:
    """How far a response id reaches. `trusted`: hosts of gateways that hand on the provider's own ids."""
    if not response_id:
        return Known.SPAN
    random = is_random(response_id)
    if host:
        seller = seller_at(host)
        if seller is not None and seller.ids_unique and _names(provider, seller.name):
            return Known.WORLD
        if random and host in trusted:
            return Known.WORLD
    elif random:
        seller = seller_named(provider)
        if seller is not None and seller.ids_unique:
            return Known.WORLD
    return Known.TRACE if random and not at_wire else Known.SPAN


def _names(provider: str, name: str) -> bool:
    if provider == name:  # the reader has put the seller's own name in place of an alias
        return True
    seller = seller_named(provider)
    return seller is not None and seller.name == name


def is_random(response_id: str) -> bool:
    """Whether an id is long and varied enough to come once in the world, unless somebody repeats it on purpose."""
    return len(response_id) >= MIN_RANDOM_ID and len(set(response_id)) >= MIN_DISTINCT


def call_id(call: LLMCall, trusted: Collection[str] = ()) -> bytes:
    """16 bytes that identify the provider call of a span."""
    at_wire = call.source is Source.WIRE
    known = known_by(call.provider, call.response_id, call.host, at_wire=at_wire, trusted=trusted)
    if known is Known.WORLD:
        return response_key(call.provider, call.response_id)
    if known is Known.TRACE:
        return trace_key(call.response_id, call.trace_id)
    if at_wire:
        return digest(b"span", call.trace_id, call.span_id)
    return span_key(call.trace_id, call.span_id, signature(call))


def imported_id(provider: str, response_id: str) -> bytes:
    """The id of a row of a file that has a response id: the one that a capture of the same call has."""
    seller = seller_named(provider)
    if seller is not None and seller.ids_unique:
        return response_key(provider, response_id)
    return digest(b"import-response", provider.encode(), response_id.encode())


def response_key(provider: str, response_id: str) -> bytes:
    """The id of a call that its response id names in the world.

    The seller's name is part of it only where the id is short: a gateway is told apart from the seller behind it by
    nothing else than the name, and emitters disagree on names.
    """
    if is_random(response_id):
        return digest(b"response", response_id.encode())
    return digest(b"response", provider.encode(), response_id.encode())


def trace_key(response_id: str, trace_id: bytes) -> bytes:
    """The id of a call that its response id names in its trace."""
    return digest(b"scoped", response_id.encode(), trace_id)


def span_key(trace_id: bytes, span_id: bytes, told: bytes) -> bytes:
    """The id of a call that only its span names, with what the span told of its usage (`signature`)."""
    return digest(b"span", trace_id, span_id, told)


def agent_key(trace_id: bytes, span_id: bytes) -> bytes:
    """The id of the line of an agent span that stands for calls nobody tells."""
    return digest(b"agent", trace_id, span_id)


def told_of(call: LLMCall) -> Told:
    """How well the record knows its usage; numbers that are all 0 say no more than none."""
    usage = call.usage
    if not usage.known or not usage.buckets:
        return Told.NOTHING
    return Told.ESTIMATED if usage.rule.startswith(ESTIMATE_RULE) else Told.REPORTED


def signature(call: LLMCall) -> bytes:
    """What two records of one call agree on, whoever told it: the token totals, or without them the model."""
    if told_of(call) is Told.REPORTED:
        tokens = call.usage.input_tokens, call.usage.output_tokens
        if tokens != (0, 0):
            return b"%d/%d" % tokens
    return _NO_USAGE + _stem(call)


def is_measured(told: bytes) -> bool:
    """Whether a signature is made of numbers."""
    return not told.startswith(_NO_USAGE)


def uncached_signature(call: LLMCall) -> bytes:
    """The signature of a record that leaves cached input out; the same as `signature` where nothing was cached."""
    told = signature(call)
    if not is_measured(told):
        return told
    cached = sum([n for bucket, n in call.usage.buckets.items() if bucket in _CACHED])
    return b"%d/%d" % (call.usage.input_tokens - cached, call.usage.output_tokens) if cached else told


@lru_cache(maxsize=1_024)
def model_stem(model: str) -> str:
    """A model's name without the path, the date and the version that some emitters write and others do not."""
    stem = model.lower().rpartition("/")[2]
    while (cut := _DATE_OR_VERSION.sub("", stem)) != stem:
        stem = cut
    return stem


def _stem(call: LLMCall) -> bytes:
    return model_stem(call.requested_model or call.model).encode("utf-8", "replace")


def outer_ids(call: LLMCall, outer_span_id: bytes) -> tuple[bytes, ...]:
    """Ids under which the span `outer_span_id` around a call may have told the same call: with the same numbers, or
    without any."""
    told, silent = signature(call), _NO_USAGE + _stem(call)
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
        return cls(call.call_id, _level(call), told, uncached, _stem(call), failed, cached)

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
        return cls(bytes.fromhex(key), int(level), told.encode(), uncached.encode(), stem.encode(), failed, cached)


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


def digest(*parts: bytes) -> bytes:
    """16 bytes over length-prefixed parts."""
    return blake2b(b"".join([len(part).to_bytes(4, "big") + part for part in parts]), digest_size=16).digest()


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


def version(call: LLMCall) -> int:
    """Order of two records of one call: the higher one is kept, in any order of arrival.

    What the provider reported is above what was estimated, the gateway's and the seller's own host above others, the
    wire above a span, a price above none, more buckets above fewer, more of who above less; between equals a checksum
    of the content decides, so that the outcome never depends on who came first. Fits 40 bits; the bits above are for
    restatements, and above those is a record that is known to repeat another call.
    """
    rank = told_of(call) << 38 | _SOURCE_RANK[call.source] << 34
    if call.source is Source.IMPORT:
        return rank | call.revision  # a later import of the same rows corrects the earlier one as a whole
    rank |= nearness(call) << 36
    rank |= (_STATUS_RANK[call.cost.status] if call.cost else 0) << 32
    rank |= min(len(call.usage.buckets), 7) << 29
    rank |= sum(map(bool, (call.user, call.session, call.agent, call.workflow, call.run))) << 26
    return (_DUPLICATE if call.duplicate_of else 0) | rank | crc32(_content(call).encode()) >> 6


def nearness(call: LLMCall) -> int:
    """How near to the provider a record was made: in a gateway (2), at the seller's own host (1), elsewhere (0)."""
    if call.at_gateway:
        return 2
    seller = seller_at(call.host) if call.host else None
    return 1 if seller is not None and seller.name == call.provider else 0


def _content(call: LLMCall) -> str:
    """All that two records of the same rank may differ in, in one order."""
    amounts = call.cost.effective if call.cost else None
    return repr(
        (
            call.emitter,
            call.span_id,
            call.start_ns,
            call.end_ns,
            call.model,
            call.outcome.value,
            call.duplicate_of,
            sorted((bucket.value, count) for bucket, count in call.usage.buckets.items()),
            sorted(call.tags.items()),
            (call.user, call.session, call.agent, call.workflow, call.run),
            amounts.total_usd if amounts else None,
        )
    )
