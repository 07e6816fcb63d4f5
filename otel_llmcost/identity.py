"""One id per provider call, the same whoever saw it, and which record of a call is the fuller one."""

from hashlib import blake2b
from typing import Final
from zlib import crc32

from otel_llmcost.call import LLMCall, Source, Status
from otel_llmcost.providers.sellers import seller_at, seller_named

_SOURCE_RANK: Final = {Source.WIRE: 3, Source.SDK_SPAN: 2, Source.OTLP: 2, Source.IMPORT: 1}
_STATUS_RANK: Final = {Status.EXACT: 3, Status.LOWER_BOUND: 2, Status.ESTIMATED: 1, Status.UNPRICED: 0}


def call_id(  # noqa: PLR0913 - what a call is known by
    provider: str, response_id: str, host: str, trace_id: bytes, span_id: bytes, *, at_wire: bool = False
) -> bytes:
    """16 bytes that identify a provider call.

    From the provider's response id where that seller's ids are unique in the world and the call went to the seller
    itself. A response id of anyone else (a server of your own, a gateway, a cache, a mock) may come again for another
    call: it counts only within its trace, and not at all for what was seen at the wire (`at_wire`), where every
    exchange is a call of its own. Without a response id, the span is the call.
    """
    unique = _ids_are_unique(provider, host)
    if not response_id or (at_wire and not unique):
        return digest(b"span", trace_id, span_id)
    if unique:
        return digest(b"response", provider.encode(), response_id.encode())
    return digest(b"scoped", provider.encode(), response_id.encode(), trace_id)


def digest(*parts: bytes) -> bytes:
    """16 bytes over length-prefixed parts."""
    state = blake2b(digest_size=16)
    for part in parts:
        state.update(len(part).to_bytes(4, "big"))
        state.update(part)
    return state.digest()


def _ids_are_unique(provider: str, host: str) -> bool:
    seller = seller_named(provider)
    if seller is None or not seller.ids_unique:
        return False
    at_host = seller_at(host)
    return not host or (at_host is not None and at_host.name == seller.name)


def version(call: LLMCall) -> int:
    """Order of two records of one call: the higher one is kept, in any order of arrival.

    The wire knows more than a span, a known usage more than none, a price more than none; between equals a checksum
    of the content decides, so that the outcome never depends on who came first. Fits 40 bits; the bits above are
    for restatements.
    """
    rank = (64 if call.usage.known else 0) | _SOURCE_RANK[call.source] << 4
    if call.source is Source.IMPORT:
        return rank << 32 | call.revision  # a later import of the same rows corrects the earlier one as a whole
    rank |= (_STATUS_RANK[call.cost.status] if call.cost else 0) << 2
    return rank << 32 | crc32(_content(call).encode())


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
            sorted((bucket.value, count) for bucket, count in call.usage.buckets.items()),
            sorted(call.tags.items()),
            (call.user, call.session, call.agent, call.workflow, call.run),
            amounts.total_usd if amounts else None,
        )
    )
