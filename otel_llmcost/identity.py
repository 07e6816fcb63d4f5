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
from collections.abc import Collection
from enum import IntEnum
from functools import lru_cache
from hashlib import blake2b
from typing import Final
from zlib import crc32

from otel_llmcost.call import (
    CACHE_READ_BUCKETS,
    CACHE_WRITE_BUCKETS,
    ESTIMATE_RULE,
    LLMCall,
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
NO_USAGE: Final = b"-"
_RESPONSE: Final = len(b"response").to_bytes(4, "big") + b"response"
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


def known_by(call: LLMCall, trusted: Collection[str] = ()) -> Known:
    """How far the name reaches that a record knows its call by. `trusted`: hosts of gateways that hand on the
    provider's own response ids."""
    if not call.response_id:
        return Known.SPAN
    return _known_by_id(call, trusted, random=is_random(call.response_id))


def _known_by_id(call: LLMCall, trusted: Collection[str], *, random: bool) -> Known:
    host, provider = call.host, call.provider
    if host:
        seller = seller_at(host)
        if seller is not None and seller.ids_unique and (provider == seller.name or _is_alias(provider, seller.name)):
            return Known.WORLD
        if random and host in trusted:
            return Known.WORLD
    elif random:
        seller = seller_named(provider)
        if seller is not None and seller.ids_unique:
            return Known.WORLD
    return Known.TRACE if random and call.source is not Source.WIRE else Known.SPAN


def _is_alias(provider: str, name: str) -> bool:
    seller = seller_named(provider)
    return seller is not None and seller.name == name


def is_random(response_id: str) -> bool:
    """Whether an id is long and varied enough to come once in the world, unless somebody repeats it on purpose."""
    return len(response_id) >= MIN_RANDOM_ID and len(set(response_id)) >= MIN_DISTINCT


def call_id(call: LLMCall, trusted: Collection[str] = ()) -> bytes:
    """16 bytes that identify the provider call of a span; `trusted` as for `known_by`."""
    response_id = call.response_id
    if response_id:
        random = is_random(response_id)
        known = _known_by_id(call, trusted, random=random)
        if known is Known.WORLD:
            return _random_key(response_id) if random else response_key(call.provider, response_id)
        if known is Known.TRACE:
            return trace_key(response_id, call.trace_id)
    if call.source is Source.WIRE:
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
        return _random_key(response_id)
    return digest(b"response", provider.encode(), response_id.encode("utf-8", "replace"))


def _random_key(response_id: str) -> bytes:
    data = response_id.encode("utf-8", "replace")
    return blake2b(_RESPONSE + len(data).to_bytes(4, "big") + data, digest_size=16).digest()  # as `digest` does


def trace_key(response_id: str, trace_id: bytes) -> bytes:
    """The id of a call that its response id names in its trace."""
    return digest(b"scoped", response_id.encode("utf-8", "replace"), trace_id)


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
    return NO_USAGE + stem_of(call)


def is_measured(told: bytes) -> bool:
    """Whether a signature is made of numbers."""
    return not told.startswith(NO_USAGE)


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
    stem = model.lower().rpartition("/")[2].replace("|", "")
    while (cut := _DATE_OR_VERSION.sub("", stem)) != stem:
        stem = cut
    return stem


def stem_of(call: LLMCall) -> bytes:
    """The stem of the model that was asked for, or of the one that answered."""
    return model_stem(call.requested_model or call.model).encode("utf-8", "replace")


def digest(*parts: bytes) -> bytes:
    """16 bytes over length-prefixed parts."""
    return blake2b(b"".join([len(part).to_bytes(4, "big") + part for part in parts]), digest_size=16).digest()


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
    return (_DUPLICATE if call.duplicate_of else 0) | rank | crc32(_content(call)) >> 6


def nearness(call: LLMCall) -> int:
    """How near to the provider a record was made: in a gateway (2), at the seller's own host (1), elsewhere (0)."""
    if call.at_gateway:
        return 2
    seller = seller_at(call.host) if call.host else None
    return 1 if seller is not None and seller.name == call.provider else 0


def _content(call: LLMCall) -> bytes:
    """All that two records of the same rank may differ in, in one order."""
    words = [
        *(call.emitter, call.span_id.hex(), str(call.start_ns), str(call.end_ns), call.model, call.outcome),
        *(call.duplicate_of.hex(), call.user, call.session, call.agent, call.workflow, call.run),
        *[f"{bucket}={count}" for bucket, count in sorted(call.usage.buckets.items())],
        *[f"{name}={value}" for name, value in sorted(call.tags.items())],
    ]
    if call.cost and call.cost.effective:
        words.append(str(sum(call.cost.effective.pico_usd)))
    return "\x1f".join(words).encode("utf-8", "surrogatepass")  # a hostile name may be half a pair
