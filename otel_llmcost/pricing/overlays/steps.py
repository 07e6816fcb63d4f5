"""The sections of a price file as steps: each makes another effect of the one before it.

What depends on a whole month (volume, a fixed cost spread over use, free tiers, credits) takes the month's measured
total where there is one, else what the entry expects; the step then says which estimate it made.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from otel_llmcost.call import Bucket
from otel_llmcost.pricing.overlays.document import (
    Commitment,
    Credit,
    Discount,
    Entry,
    FreeTier,
    LongContext,
    Markup,
    PrivateModel,
    VolumeTier,
)
from otel_llmcost.pricing.overlays.effect import NOTHING, ONE, TOKEN_BUCKETS, Effect
from otel_llmcost.pricing.overlays.fx import USD, Fx
from otel_llmcost.pricing.overlays.matching import Rule
from otel_llmcost.pricing.overlays.periods import Month, day_of, months_between
from otel_llmcost.pricing.overlays.totals import PeriodTotals, Total
from otel_llmcost.pricing.overlays.units import STANDS_FOR, per_unit
from otel_llmcost.pricing.rates import Rate

HUNDRED: Final = Decimal(100)

AMORTISED: Final = "amortised_estimate"
VOLUME: Final = "volume_estimate"
COMMITTED: Final = "commitment_estimate"
FREE: Final = "free_tier_estimate"
CREDIT: Final = "credit_estimate"


@dataclass(frozen=True, slots=True)
class Terms:
    """What steps work with: the currencies, the month's totals, and when the call began."""

    fx: Fx
    totals: PeriodTotals
    at_ns: int
    month: Month

    def usd(self, amount: Decimal, entry: Entry) -> Decimal:
        """An amount that holds at the time of the call."""
        return self.fx.usd(amount, entry.currency or USD, day_of(self.at_ns))

    def usd_of_month(self, amount: Decimal, rule: Rule[Any], month: Month | None = None) -> Decimal:
        """An amount of a whole month: by the rate of its first day, so that all its calls share one."""
        start = max((month or self.month).start_ns, rule.from_ns)
        return self.fx.usd(amount, rule.entry.currency or USD, day_of(start))

    def measured(self, rule: Rule[Any], month: Month | None = None) -> Total | None:
        """What the month came to, where it was measured."""
        return self.totals.get(rule.entry.id, (month or self.month).name)


@dataclass(frozen=True, slots=True)
class Step:
    """What came of an entry: the effect after it, and which estimate that rests on."""

    effect: Effect
    estimate: str = ""


def rate_of(
    amount: Decimal, bucket: Bucket, long_context: Sequence[LongContext], name: str, usd: Callable[[Decimal], Decimal]
) -> Rate:
    """The rate of a bucket per unit, from what the file says of a name per million or thousand."""
    per = per_unit(bucket)
    tiers = tuple(
        (tier.above_input_tokens, usd(tier.rates[name]) / per)
        for tier in sorted(long_context, key=lambda tier: tier.above_input_tokens)
        if name in tier.rates
    )
    return Rate(usd(amount) / per, tiers)


def discount(effect: Effect, rule: Rule[Discount], charges: frozenset[str], terms: Terms) -> Step:
    """A negotiated price for some charges."""
    entry = rule.entry
    if entry.percent_off is not None:
        return Step(effect.scaled_at(charges, ONE - entry.percent_off / HUNDRED))
    if entry.volume is not None:
        return _volume_discount(effect, rule, charges, terms)
    names = negotiated_names(entry)
    return Step(
        effect.charged_at(
            {
                bucket: rate_of(entry.rates[name], bucket, entry.long_context, name, lambda usd: terms.usd(usd, entry))
                for bucket, name in names.items()
                if bucket in charges
            }
        )
    )


def negotiated_names(entry: Discount) -> Mapping[Bucket, str]:
    """Bucket → the name that the negotiated rates have it under."""
    found, named = {}, entry.rate_names
    for bucket in Bucket:
        name = bucket if bucket in named else STANDS_FOR.get(bucket, "")
        if name in named:
            found[bucket] = str(name)
    return found


def _volume_discount(effect: Effect, rule: Rule[Discount], charges: frozenset[str], terms: Terms) -> Step:
    entry = rule.entry
    reached, used, measured = _volume_bands(rule, terms)
    estimate = "" if measured else VOLUME
    if not entry.rate_names:
        off = sum((volume * (tier.percent_off or NOTHING) for volume, tier in reached), NOTHING) / used
        return Step(effect.scaled_at(charges, ONE - off / HUNDRED), estimate)
    if not reached:
        return Step(effect, estimate)

    def blended(bucket: Bucket, name: str) -> Rate:
        amount = sum((volume * tier.rates[name] for volume, tier in reached), NOTHING) / used
        return rate_of(amount, bucket, (), name, lambda usd: terms.usd(usd, entry))

    names = negotiated_names(entry)
    return Step(effect.charged_at({b: blended(b, name) for b, name in names.items() if b in charges}), estimate)


def _volume_bands(rule: Rule[Discount], terms: Terms) -> tuple[Sequence[tuple[Decimal, VolumeTier]], Decimal, bool]:
    """Tiers with the volume that each holds for, the whole volume, and whether that was measured.

    Where the tier that is reached holds for all of it, that tier alone, with 1 of 1.
    """
    volume = rule.entry.volume
    assert volume is not None
    in_usd = volume.by == "usd"
    scale: Callable[[Decimal], Decimal] = (lambda amount: terms.usd_of_month(amount, rule)) if in_usd else lambda n: n
    total = terms.measured(rule)
    used = scale(volume.expected_per_month) if total is None else _used(total, volume.by)
    starts = [scale(tier.above) for tier in volume.tiers]
    held = [(start, tier) for start, tier in zip(starts, volume.tiers, strict=True) if used > start]
    if volume.apply == "all" or not held:
        return [(ONE, tier) for _, tier in held[-1:]], ONE, total is not None
    ends = [*(start for start, _ in held[1:]), used]
    return [(end - start, tier) for (start, tier), end in zip(held, ends, strict=True)], used, total is not None


def commitment(effect: Effect, rule: Rule[Commitment], terms: Terms) -> Step:
    """A fixed cost shared out by use, or a least spend."""
    entry = rule.entry
    total = terms.measured(rule)
    if entry.committed_per_month is not None:
        due = terms.usd_of_month(entry.expected_per_month, rule) if total is None else total.usd
        committed = fixed_usd(rule, terms, whole=total is None)
        factor = committed / due if due and due < committed else ONE
        return Step(effect.scaled(factor), "" if total else COMMITTED)
    fixed = fixed_usd(rule, terms, whole=total is None)
    expected = entry.expected_per_month
    if entry.spread_by == "usd":
        expected = terms.usd_of_month(expected, rule)
    used = _used(total, entry.spread_by) or expected
    return Step(_spread(effect, entry.spread_by, fixed / used), "" if total else AMORTISED)


def fixed_usd(rule: Rule[Any], terms: Terms, *, whole: bool) -> Decimal:
    """What a commitment or machines cost in the `whole` month, or in those of its days that the entry holds for."""
    days = terms.month.days() if whole else terms.month.days(rule.from_ns, rule.until_ns)
    return terms.usd_of_month(_fixed(rule.entry, days, terms.month.days()), rule)


def _fixed(entry: Commitment | PrivateModel, days: Decimal, days_of_month: Decimal) -> Decimal:
    if isinstance(entry, PrivateModel):
        gpu = entry.gpu
        return gpu.count * gpu.per_hour * gpu.hours_per_day * days if gpu else NOTHING
    if entry.per_hour is not None:
        return entry.per_hour * days * 24
    amount = entry.per_month if entry.per_month is not None else entry.committed_per_month
    assert amount is not None
    return amount * days / days_of_month


def carried_by(rule: Rule[Any], terms: Terms) -> Decimal:
    """The measured use that carries a fixed cost in a month, in what it is spread by; nothing where nobody called."""
    entry = rule.entry
    least_spend = isinstance(entry, Commitment) and entry.committed_per_month is not None
    by = "usd" if least_spend else entry.spread_by if isinstance(entry, Commitment) else "tokens"
    return _used(terms.measured(rule), by)


def _used(total: Total | None, by: str) -> Decimal:
    return NOTHING if total is None else Decimal(getattr(total, by))


def _spread(effect: Effect, by: str, price: Decimal) -> Effect:
    """The tokens at their share of a fixed cost."""
    if by == "tokens":
        return effect.charged_at({bucket: Rate(price) for bucket in Bucket if bucket in TOKEN_BUCKETS})
    listed = effect.without(frozenset(TOKEN_BUCKETS))
    if by == "usd":
        return listed.scaled_at(frozenset(TOKEN_BUCKETS), price)
    unpaid = listed.scaled_at(frozenset(TOKEN_BUCKETS), NOTHING)
    return unpaid.plus(request_usd=price) if by == "requests" else unpaid.plus(second_usd=price)


def free_tier(effect: Effect, rule: Rule[FreeTier], terms: Terms) -> Step:
    """What is free, shared out over the month."""
    entry = rule.entry
    total = terms.measured(rule)
    if entry.tokens_per_month is not None:
        allowed, used = entry.tokens_per_month, _used(total, "tokens")
    elif entry.requests_per_month is not None:
        allowed, used = entry.requests_per_month, _used(total, "requests")
    else:
        assert entry.amount_per_month is not None
        allowed, used = terms.usd_of_month(entry.amount_per_month, rule), _used(total, "usd")
    if total is None:
        in_usd = entry.amount_per_month is not None
        used = terms.usd_of_month(entry.expected_per_month, rule) if in_usd else entry.expected_per_month
    return Step(effect.scaled(_left_over(allowed, used)), "" if total else FREE)


def credit(effect: Effect, rule: Rule[Credit], terms: Terms) -> Step:
    """What is left of a credit after the months before this one, shared out over the month."""
    left = terms.fx.usd(rule.entry.amount, rule.entry.currency or USD, rule.entry.valid_from)
    for month in months_between(rule.from_ns, terms.month):
        left -= min(left, _spend(rule, month, terms))
    return Step(
        effect.scaled(_left_over(left, _spend(rule, terms.month, terms))), "" if terms.measured(rule) else CREDIT
    )


def _spend(rule: Rule[Credit], month: Month, terms: Terms) -> Decimal:
    total = terms.measured(rule, month)
    if total is not None:
        return total.usd
    share = month.days(rule.from_ns, rule.until_ns) / month.days()
    return terms.usd_of_month(rule.entry.expected_per_month, rule, month) * share


def _left_over(allowed: Decimal, used: Decimal) -> Decimal:
    """The part of a use that an allowance does not cover."""
    return ONE - allowed / used if used > allowed else NOTHING


def markup(effect: Effect, rule: Rule[Markup], terms: Terms) -> Step:
    """What is put on top."""
    entry = rule.entry
    if entry.percent_of == "list":
        effect = Effect()
    marked = effect.scaled(ONE + entry.percent / HUNDRED) if entry.percent else effect
    return Step(marked.plus(request_usd=terms.usd(entry.per_call, entry)) if entry.per_call else marked)


def gpu_price(rule: Rule[PrivateModel], terms: Terms) -> tuple[Decimal, bool]:
    """USD per token of machines of your own, and whether the month's tokens were measured."""
    gpu = rule.entry.gpu
    assert gpu is not None
    total = terms.measured(rule)
    paid = fixed_usd(rule, terms, whole=total is None)
    return paid / (_used(total, "tokens") or gpu.expected_tokens_per_month), total is not None
