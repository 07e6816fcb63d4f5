"""The cost of one call: its buckets times the rates of the book, or the reason why there is none."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal, localcontext
from typing import Final

from otel_llmcost.call import BUCKETS, ESTIMATE_RULE, Amounts, Bucket, Cost, LLMCall, Outcome, Part, Status
from otel_llmcost.money import EXACT, MAX_USD, ZERO, round_usd
from otel_llmcost.pricing.book import PriceBook
from otel_llmcost.pricing.rates import NoPrice, Rate, Rates
from otel_llmcost.usage import UNREADABLE

NOT_SENT: Final = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "UnsupportedProtocol"})
"""Exceptions of an HTTP client that mean the request never reached a provider."""

_PARTS: Final = tuple(Part)
_PLACES: Final[Mapping[Bucket, int]] = {bucket: _PARTS.index(kind.part) for bucket, kind in BUCKETS.items()}
"""Where the part that a bucket is charged to stands among the parts, which is its place in `Amounts`."""
_OTHER: Final = _PARTS.index(Part.OTHER)
_UNCACHED: Final[Mapping[Bucket, Bucket]] = {
    Bucket.CACHE_READ: Bucket.INPUT,
    Bucket.CACHE_READ_AUDIO: Bucket.INPUT_AUDIO,
    Bucket.CACHE_READ_IMAGE: Bucket.INPUT_IMAGE,
    Bucket.CACHE_READ_VIDEO: Bucket.INPUT_VIDEO,
    Bucket.CACHE_WRITE: Bucket.INPUT,
    Bucket.CACHE_WRITE_1H: Bucket.INPUT,
}


def price_call(call: LLMCall, book: PriceBook) -> Cost:
    """What the call cost, by the price that held when it started."""
    with localcontext(EXACT):
        return _price(call, book)


def _price(call: LLMCall, book: PriceBook) -> Cost:
    context = call.price_context
    if call.service_tier and "service_tier" not in context:
        context = {**context, "service_tier": call.service_tier}
    if not call.usage.known:
        silent = _without_usage(call, book)
        if silent.status is not Status.UNPRICED or not _is_flat(call, book, context):
            return silent
    rates = _rates(call, book, context)
    if isinstance(rates, NoPrice):
        return _unpriced(rates.reason, call, book)
    counts = _billed(call.usage.buckets, rates)
    missing = counts.keys() - rates.by_bucket.keys()
    if missing:
        return _unpriced(f"unit_without_price:{','.join(sorted(missing))}", call, book, rates.price_id)
    input_tokens = call.usage.input_tokens
    charges = {bucket: _charge(rates.by_bucket[bucket], count, input_tokens) for bucket, count in counts.items()}
    request_usd = round_usd(rates.per_call(call, input_tokens))
    if sum(charges.values(), request_usd) >= MAX_USD:
        return _unpriced("amount_out_of_range", call, book, rates.price_id)
    amounts = _amounts(charges, request_usd)
    status, reason = _status(call, rates)
    own = book.overlay.effective(call, rates, charges, request_usd) if book.overlay else None
    effective = amounts
    if own is not None:
        if sum(own.by_bucket.values(), own.request_usd) >= MAX_USD:
            return _unpriced("amount_out_of_range", call, book, rates.price_id)
        effective = _amounts(own.by_bucket, own.request_usd)
        reason = f"{reason}; {own.reason}" if reason and own.reason else reason or own.reason
    if status is Status.EXACT and (rates.estimated or (own is not None and own.estimated)):
        status = Status.ESTIMATED
    return Cost(
        status=status,
        reason=reason,
        list=amounts,
        effective=effective,
        cache_savings_usd=_cache_savings(charges, counts, rates, input_tokens),
        reported_usd=call.reported_usd,
        price_id=rates.price_id,
        price_book=book.version,
    )


def _is_flat(call: LLMCall, book: PriceBook, context: Mapping[str, str]) -> bool:
    """Whether a call of unknown usage has a price all the same: only models of one's own are sold so."""
    rates = _rates(call, book, context) if book.overlay else NoPrice("")
    return isinstance(rates, Rates) and rates.without_usage


def _billed(counts: Mapping[Bucket, int], rates: Rates) -> Mapping[Bucket, int]:
    """The buckets that are charged: where audio is sold by the second, its tokens are told and cost nothing.

    Source: Mistral's pricing of audio input, per minute, and its usage, which tells both.
    """
    if Bucket.AUDIO_SECONDS not in counts or Bucket.AUDIO_SECONDS not in rates.by_bucket:
        return counts
    return {bucket: count for bucket, count in counts.items() if bucket is not Bucket.INPUT_AUDIO}


def _rates(call: LLMCall, book: PriceBook, context: Mapping[str, str]) -> Rates | NoPrice:
    """Rates of the responding model; of the requested one, said so, where the book does not know the former.

    A deployment of one's own is known by the requested name, and stands over what it says that it is.
    """
    if book.overlay and book.overlay.redirect(call.provider, call.requested_model, call.host, call.start_ns):
        return book.rates(call.provider, call.requested_model, call.start_ns, context, call.host)
    rates = book.rates(call.provider, call.model, call.start_ns, context, call.host)
    if isinstance(rates, Rates) or not call.requested_model or call.requested_model == call.model:
        return rates
    requested = book.rates(call.provider, call.requested_model, call.start_ns, context, call.host)
    if isinstance(requested, NoPrice):
        return rates
    return replace(requested, reason=f"price_of_requested_model:{call.model}")


def _amounts(charges: Mapping[Bucket, Decimal], request_usd: Decimal) -> Amounts:
    sums = [ZERO] * len(_PARTS)
    sums[_OTHER] = request_usd
    for bucket, usd in charges.items():
        sums[_PLACES[bucket]] += usd
    return Amounts(*sums)


def _charge(rate: Rate, count: int, input_tokens: int) -> Decimal:
    return round_usd(rate.at(input_tokens) * count)


def _cache_savings(
    charges: Mapping[Bucket, Decimal], counts: Mapping[Bucket, int], rates: Rates, input_tokens: int
) -> Decimal:
    """What caching saved against sending everything uncached: negative while writes have not paid off yet."""
    saved = ZERO
    for bucket, usd in charges.items():
        uncached = _UNCACHED.get(bucket)
        if uncached is not None and uncached in rates.by_bucket:
            saved += _charge(rates.by_bucket[uncached], counts[bucket], input_tokens) - usd
    return saved


def _status(call: LLMCall, rates: Rates) -> tuple[Status, str]:
    unreadable = next((flag for flag in call.usage.flags if flag.startswith(UNREADABLE)), "")
    if call.outcome is Outcome.ABORTED or (call.outcome is Outcome.ERROR and call.streaming):
        return Status.LOWER_BOUND, "aborted" if call.outcome is Outcome.ABORTED else "failed"
    if unreadable:
        return Status.LOWER_BOUND, f"usage_unreadable:{unreadable.removeprefix(UNREADABLE)}"
    if call.usage.rule.startswith(ESTIMATE_RULE):
        return Status.ESTIMATED, call.usage.rule
    if call.usage.flags:
        return Status.EXACT, f"contradiction:{call.usage.flags[0]}"
    return Status.EXACT, rates.reason


def _without_usage(call: LLMCall, book: PriceBook) -> Cost:
    """A request that the provider refused, or that never reached it, costs nothing; any other silence is unknown."""
    if call.http_status is not None and call.http_status >= 400:
        return _not_billed(f"not_billed:http_{call.http_status}", call, book)
    if call.error_type.rpartition(".")[2] in NOT_SENT:
        return _not_billed("not_billed:not_sent", call, book)
    if call.usage.flags:
        return _unpriced(f"usage_unreadable:{call.usage.flags[0].removeprefix(UNREADABLE)}", call, book)
    return _unpriced("usage_unknown" if call.outcome is Outcome.OK else f"usage_unknown:{call.outcome}", call, book)


def _not_billed(reason: str, call: LLMCall, book: PriceBook) -> Cost:
    nothing = Amounts()
    return Cost(Status.EXACT, reason, nothing, nothing, reported_usd=call.reported_usd, price_book=book.version)


def _unpriced(reason: str, call: LLMCall, book: PriceBook, price_id: str = "") -> Cost:
    return Cost(Status.UNPRICED, reason, reported_usd=call.reported_usd, price_id=price_id, price_book=book.version)
