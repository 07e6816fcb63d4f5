"""The cost of one call: its buckets times the price of the book, or the reason why there is none."""

from collections.abc import Mapping
from decimal import Decimal, localcontext
from typing import Final

from otel_llmcost.call import ESTIMATE_RULE, Amounts, AmountsDraft, Bucket, Cost, CostDraft, LLMCall, Outcome, Status
from otel_llmcost.money import EXACT, MAX_PICO_USD, QUANTUM, ZERO, pico_of, usd_of
from otel_llmcost.pricing.book import PriceBook
from otel_llmcost.pricing.compiled import OTHER, PARTS, PLACES, Level, Price, both
from otel_llmcost.pricing.overlay import OwnPrice
from otel_llmcost.pricing.rates import NoPrice
from otel_llmcost.usage import UNREADABLE

NOT_SENT: Final = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "UnsupportedProtocol"})
"""Exceptions of an HTTP client that mean the request never reached a provider."""
OUT_OF_RANGE: Final = "amount_out_of_range"

_OK: Final = Outcome.OK  # a member looked up in its enumeration takes as long as a bucket to be charged
_EXACT: Final = Status.EXACT
_multiply = EXACT.multiply  # as `usd_of`, without a call


def price_call(call: LLMCall, book: PriceBook) -> Cost:
    """What the call cost, by the price that held when it started."""
    usage = call.usage
    if not usage.known:
        return _of_silence(call, book)
    price = book.price_of(call)
    if isinstance(price, NoPrice):
        return _unpriced(price.reason, call, book)
    if price.stepwise:
        return _stepwise(call, book, price)
    counts = usage.buckets
    level = price.flat
    if level is None:  # the whole usage below the first step: no need to tell input from output
        level = price.levels[0] if sum(counts.values()) <= price.starts[0] else price.level(usage.input_tokens)
    plain = level.plain
    parts = [0, 0, 0, 0, level.request]
    saved = 0
    try:
        for bucket, count in counts.items():
            place, rate, saving = plain[bucket]
            parts[place] += rate * count
            saved += saving * count
    except KeyError:
        return _stepwise(call, book, price)
    if sum(parts) >= MAX_PICO_USD:
        return _unpriced(OUT_OF_RANGE, call, book, price.rates.price_id)
    rates = price.rates
    status, reason = _EXACT, rates.reason
    if usage.flags or call.outcome is not _OK or usage.rule.startswith(ESTIMATE_RULE):
        status, reason = _status(call, reason)
    listed = AmountsDraft(tuple(parts)).frozen()
    savings_usd = _multiply(saved, QUANTUM) if saved else ZERO
    own = None if book.overlay is None else book.overlay.own_price(call, price)
    return (
        CostDraft(status, reason, listed, listed, savings_usd, call.reported_usd, rates.price_id, book.version).frozen()
        if own is None
        else _own_cost(own, call, book, price, (status, reason, listed, savings_usd))
    )


def _own_cost(
    own: OwnPrice, call: LLMCall, book: PriceBook, price: Price, by_list: tuple[Status, str, Amounts, Decimal]
) -> Cost:
    """The cost where the call is charged something else than its list price, which comes to `by_list`."""
    charged = _charged(call, own.price)
    if sum(charged) >= MAX_PICO_USD:
        return _unpriced(OUT_OF_RANGE, call, book, price.rates.price_id)
    status, reason, listed, savings_usd = by_list
    if own.estimated and status is _EXACT:
        status = Status.ESTIMATED
    return CostDraft(
        status,
        f"{reason}; {own.reason}" if reason else own.reason,
        listed,
        AmountsDraft(tuple(charged)).frozen(),
        savings_usd,
        call.reported_usd,
        price.rates.price_id,
        book.version,
    ).frozen()


def _charged(call: LLMCall, price: Price) -> list[int]:
    """Pico-USD by part of the bill: one product a bucket where that is enough."""
    counts = call.usage.buckets
    level = price.flat or price.level(call.usage.input_tokens)
    if price.rates.second is None:
        plain = level.plain
        parts = [0, 0, 0, 0, level.request]
        try:
            for bucket, count in counts.items():
                place, rate, _ = plain[bucket]
                parts[place] += rate * count
        except KeyError:
            pass
        else:
            return parts
    with localcontext(EXACT):
        parts = [0] * len(PARTS)
        for bucket, count in billed(counts, price).items():
            parts[PLACES[bucket]] += level.charge(bucket, count)
        parts[OTHER] += pico_of(price.rates.per_call(call, call.usage.input_tokens))
        return parts


def _stepwise(call: LLMCall, book: PriceBook, price: Price) -> Cost:
    """The same for every case: rates finer than a pico-USD, audio by the second, prices of one's own."""
    with localcontext(EXACT):
        return _priced(call, book, price)


def _priced(call: LLMCall, book: PriceBook, price: Price) -> Cost:
    rates = price.rates
    input_tokens = call.usage.input_tokens
    level = price.level(input_tokens)
    counts = billed(call.usage.buckets, price)
    missing = counts.keys() - rates.by_bucket.keys()
    if missing:
        return _unpriced(f"unit_without_price:{','.join(sorted(missing))}", call, book, rates.price_id)
    charges = {bucket: level.charge(bucket, count) for bucket, count in counts.items()}
    request = level.request if rates.second is None else pico_of(rates.per_call(call, input_tokens))
    if sum(charges.values(), request) >= MAX_PICO_USD:
        return _unpriced(OUT_OF_RANGE, call, book, rates.price_id)
    amounts = _amounts(charges, request)
    wider = ",".join(sorted(rates.wider & counts.keys()))
    status, reason = _status(call, both(rates.reason, f"text_rate_for:{wider}" if wider else ""))
    if status is Status.EXACT and rates.estimated:
        status = Status.ESTIMATED
    saved = _saved(counts, level)
    own = None if book.overlay is None else book.overlay.own_price(call, price)
    if own is not None:
        return _own_cost(own, call, book, price, (status, reason, amounts, saved))
    return Cost(status, reason, amounts, amounts, saved, call.reported_usd, rates.price_id, book.version)


def billed(counts: Mapping[Bucket, int], price: Price) -> Mapping[Bucket, int]:
    """The units that are charged.

    Where audio is sold by the second, its tokens are told and cost nothing. Source: Mistral's pricing of audio input,
    per minute, and its usage, which tells both.
    """
    if Bucket.AUDIO_SECONDS not in counts or Bucket.AUDIO_SECONDS not in price.rates.by_bucket:
        return counts
    least = price.least
    return {
        bucket: max(count, least.get(bucket, 0)) for bucket, count in counts.items() if bucket is not Bucket.INPUT_AUDIO
    }


def _amounts(charges: Mapping[Bucket, int], request: int) -> Amounts:
    parts = [0] * len(PARTS)
    parts[OTHER] = request
    for bucket, charge in charges.items():
        parts[PLACES[bucket]] += charge
    return Amounts.of_pico(parts)


def _saved(counts: Mapping[Bucket, int], level: Level) -> Decimal:
    """What caching saved against sending everything uncached: negative while writes have not paid off yet."""
    return usd_of(sum(level.saving(bucket, count) for bucket, count in counts.items()))


def _status(call: LLMCall, reason: str) -> tuple[Status, str]:
    """How far the price can be trusted, and why; `reason` is what is to be said of the price itself."""
    unreadable = next((flag for flag in call.usage.flags if flag.startswith(UNREADABLE)), "")
    if call.outcome is Outcome.ABORTED or (call.outcome is Outcome.ERROR and call.streaming):
        return Status.LOWER_BOUND, both("aborted" if call.outcome is Outcome.ABORTED else "failed", reason)
    if unreadable:
        return Status.LOWER_BOUND, both(f"usage_unreadable:{unreadable.removeprefix(UNREADABLE)}", reason)
    if call.usage.rule.startswith(ESTIMATE_RULE):
        return Status.ESTIMATED, both(call.usage.rule, reason)
    if call.usage.flags:
        return Status.EXACT, both(f"contradiction:{call.usage.flags[0]}", reason)
    return Status.EXACT, reason


def _of_silence(call: LLMCall, book: PriceBook) -> Cost:
    """The cost where the provider told no usage: known where nothing was billed, or where use decides no price."""
    silent = _without_usage(call, book)
    if silent.status is not Status.UNPRICED or book.overlay is None:
        return silent
    price = book.price_of(call)
    flat = isinstance(price, Price) and price.rates.without_usage  # only models of one's own are sold so
    return _stepwise(call, book, price) if flat and isinstance(price, Price) else silent


def _without_usage(call: LLMCall, book: PriceBook) -> Cost:
    """A request that the provider refused, or that never reached it, costs nothing; any other silence is unknown."""
    if call.http_status is not None and call.http_status >= 400:
        return _notbilled(f"not_billed:http_{call.http_status}", call, book)
    if call.error_type.rpartition(".")[2] in NOT_SENT:
        return _notbilled("not_billed:not_sent", call, book)
    if call.usage.flags:
        return _unpriced(f"usage_unreadable:{call.usage.flags[0].removeprefix(UNREADABLE)}", call, book)
    return _unpriced("usage_unknown" if call.outcome is Outcome.OK else f"usage_unknown:{call.outcome}", call, book)


def _notbilled(reason: str, call: LLMCall, book: PriceBook) -> Cost:
    nothing = Amounts()
    return Cost(Status.EXACT, reason, nothing, nothing, reported_usd=call.reported_usd, price_book=book.version)


def _unpriced(reason: str, call: LLMCall, book: PriceBook, price_id: str = "") -> Cost:
    return Cost(Status.UNPRICED, reason, reported_usd=call.reported_usd, price_id=price_id, price_book=book.version)
