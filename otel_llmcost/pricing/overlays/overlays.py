"""`Overlays`: what price files make of the prices of the book. Pure: no I/O and no clock.

A call takes this way:

deployment → private model, else the book → discount → commitment → free tier → credit → mark-up
(its name)   (its list price)               (what remains of it, step by step)        (on top)

In each section the most specific entry holds (`matching`). Which entries hold is worked out once per seller, model,
period and value of the dimensions they ask for, and kept; a call then costs a look-up and a product per bucket.
"""

import hashlib
import json
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from decimal import localcontext
from itertools import chain
from operator import attrgetter
from typing import Any, Final, TypeVar

from otel_llmcost.attribution import CALL_FIELDS, WHO_FIELDS
from otel_llmcost.call import Bucket, LLMCall
from otel_llmcost.money import EXACT
from otel_llmcost.pricing.compiled import Price
from otel_llmcost.pricing.overlays import steps
from otel_llmcost.pricing.overlays.document import Deployment, PriceFile, PrivateModel
from otel_llmcost.pricing.overlays.effect import NOTHING, TOKEN_BUCKETS
from otel_llmcost.pricing.overlays.fx import USD, Fx
from otel_llmcost.pricing.overlays.matching import Ranked, Rule
from otel_llmcost.pricing.overlays.periods import MONTH_STARTS, day_ns, month_at
from otel_llmcost.pricing.overlays.planning import Charged, Plan, plan_of
from otel_llmcost.pricing.overlays.rules import CONDITIONAL, depends_on_month, rules_of
from otel_llmcost.pricing.overlays.totals import MEASURED, PeriodTotals
from otel_llmcost.pricing.overlays.units import covering
from otel_llmcost.pricing.rates import Rate, Rates
from otel_llmcost.providers.sellers import canonical_seller

BUILT_IN_CONDITIONS: Final = frozenset((*CALL_FIELDS, *WHO_FIELDS, "service_tier"))
"""Conditions beside the configured dimensions."""

_NO_TOTALS: Final = PeriodTotals({})
MAX_CACHED: Final = 20_000
"""Answers kept of each kind; names come from outside and must not grow memory without end."""
_UNSEEN: Final = object()

K = TypeVar("K")
V = TypeVar("V")


class _Scope:
    """The rules that can hold for one seller's model, and what of a call decides between them."""

    def __init__(self, rules: Mapping[str, Sequence[Rule[Any]]], boundaries: Sequence[int]) -> None:
        self.rules = rules
        names = {name for rule in chain(*rules.values()) for name in rule.matcher.conditions}
        self.names = tuple(sorted(names - {"provider", "model"}))
        self.getters = tuple(_getter(name) for name in self.names)
        self.boundaries = boundaries


def _getter(name: str) -> Callable[[LLMCall], str]:
    if name == "host":
        return lambda call: call.host.lower()
    if name in BUILT_IN_CONDITIONS:
        return attrgetter(name)
    return lambda call: call.tags.get(name, "")


class Overlays:
    """Price files, compiled. Made by `load_overlays` or `from_document`, which check them."""

    def __init__(self, file: PriceFile, fx: Fx, totals: PeriodTotals = _NO_TOTALS) -> None:
        self._file = file
        self._fx = fx
        self._totals = totals
        rules = rules_of(file)
        self._models: Ranked[PrivateModel] = Ranked(rules["models"])
        self._deployments: Ranked[Deployment] = Ranked(rules["deployments"])
        self.names_models = bool(self._deployments or self._models)
        """Whether there are deployments or private models."""
        self._sections = {section: Ranked(rules[section]) for section in CONDITIONAL}
        self._boundaries = self._boundaries_of([*chain(*rules.values())])
        self._amortised = {rule.entry.id for rule in self._models.rules if depends_on_month(rule)}
        self._scopes: dict[str, _Scope | None] = {}
        self._plans: dict[tuple[object, ...], Plan | None] = {}
        self._redirects: dict[tuple[object, ...], tuple[str, str, str] | None] = {}
        self._own: dict[tuple[object, ...], Rates | None] = {}
        document = json.dumps(self.to_document(), sort_keys=True)
        self.version = f"overlays-{hashlib.sha256(document.encode()).hexdigest()[:12]}"
        if totals:
            self.version += f"{MEASURED}{totals.version}"

    # what the book asks

    def names(self, provider: str, model: str, host: str) -> bool:
        """Whether a deployment or a private model has that name, at any time."""
        values = {"provider": provider, "model": model.lower(), "host": host.lower()}
        return bool(self._deployments.matching(values) or self._models.matching(values))

    def redirect(self, provider: str, model: str, host: str, at_ns: int) -> tuple[str, str, str] | None:
        """Seller, model and reason of a name of one's own; None where it is no such name."""
        if not self._deployments:
            return None
        key = (provider, model, host, bisect_right(self._boundaries, at_ns))
        found = self._redirects.get(key, _UNSEEN)
        if found is _UNSEEN:
            found = _keep(self._redirects, key, self._find_redirect(provider, model, host, at_ns))
        return found  # type: ignore[return-value]

    def own_rates(self, provider: str, model: str, at_ns: int, context: Mapping[str, str]) -> Rates | None:
        """Rates of a private model; None where the book's hold."""
        if not self._models:
            return None
        key = (provider, model, bisect_right(self._boundaries, at_ns), *sorted(context.items()))
        found = self._own.get(key, _UNSEEN)
        if found is _UNSEEN:
            with localcontext(EXACT):
                found = _keep(self._own, key, self._find_own(provider, model, at_ns, context))
        return found  # type: ignore[return-value]

    def plan(self, call: LLMCall, price_id: str) -> Plan | None:
        """What holds for a call that is priced by that row; None where nothing does."""
        scopes = self._scopes
        scope = scopes[price_id] if price_id in scopes else _keep(scopes, price_id, self._find_scope(price_id))
        if scope is None:
            return None
        key = (price_id, bisect_right(scope.boundaries, call.start_ns), *[get(call) for get in scope.getters])
        found = self._plans.get(key, _UNSEEN)
        if found is _UNSEEN:
            with localcontext(EXACT):
                found = _keep(self._plans, key, self._find_plan(scope, call))
        return found  # type: ignore[return-value]

    def own_price(self, call: LLMCall, listed: Price) -> Charged | None:
        """What the call is charged by instead of its list price; None where that holds."""
        plan = self.plan(call, listed.rates.price_id)
        return None if plan is None else plan.over(listed)

    def own_models(self) -> Sequence[tuple[str, str]]:
        """Seller and model of the private models that are named, not matched by a pattern."""
        named = [rule.matcher.conditions for rule in self._models.rules]
        pairs = {
            (seller, model) for when in named for seller in when.get("provider", ()) for model in when.get("model", ())
        }
        return sorted(pair for pair in pairs if "*" not in "".join(pair))

    def rests_on_month(self, entry_id: str) -> bool:
        """Whether a private model is one whose price a month's use decides."""
        return entry_id in self._amortised

    # months

    @property
    def fx(self) -> Fx:
        """The exchange rates."""
        return self._fx

    @property
    def fixed_costs(self) -> Sequence[Rule[Any]]:
        """The entries that cost what they cost, used or not: commitments and machines of one's own."""
        machines = [rule for rule in self._models.rules if rule.entry.gpu]
        return [*machines, *self._sections["commitments"].rules]

    @property
    def totals(self) -> PeriodTotals:
        """What months came to, where measured."""
        return self._totals

    def with_totals(self, totals: PeriodTotals) -> "Overlays":
        """The same entries, with what months came to instead of what was expected."""
        return Overlays(self._file, self._fx, totals)

    @property
    def passes(self) -> int:
        """How often the calls of a period must be measured: what is due to one kind of entry rests on those before."""
        sections = (self._models, *self._sections.values())
        return sum(any(depends_on_month(rule) for rule in section.rules) for section in sections)

    # the archive

    def to_document(self) -> dict[str, Any]:
        """All entries and the exchange rates they need, as JSON has it, whatever files and order they came in."""
        document = self._file.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        for entries in document.values():
            if isinstance(entries, list):
                entries.sort(key=lambda entry: entry["id"])
        currencies = {entry.currency for _, _, entry in self._file.entries() if entry.currency}
        return {"format": 1, **document, "fx": self._fx.to_document(currencies)}

    # working it out

    def _boundaries_of(self, rules: Sequence[Rule[Any]]) -> Sequence[int]:
        """Times at which another price may begin to hold."""
        times = {time for rule in rules for time in (rule.from_ns, rule.until_ns)}
        currencies = {rule.entry.currency or USD for rule in rules}
        times |= {day_ns(day) for currency in currencies for day in self._fx.boundaries(currency)}
        if any(depends_on_month(rule) for rule in rules):
            times.update(MONTH_STARTS)
        return sorted(times)

    def _find_redirect(self, provider: str, model: str, host: str, at_ns: int) -> tuple[str, str, str] | None:
        values = {"provider": provider, "model": model.lower(), "host": host.lower()}
        for rule in self._deployments.matching(values):
            if rule.holds_at(at_ns):
                entry = rule.entry
                return canonical_seller(entry.base_provider) or provider, entry.base_model, f"overlay:{entry.id}"
        return None

    def own_rule(self, provider: str, model: str, at_ns: int) -> Rule[PrivateModel] | None:
        """The entry of a private model."""
        values = {"provider": provider, "model": model.lower()}
        return next((rule for rule in self._models.matching(values) if rule.holds_at(at_ns)), None)

    def _find_own(self, provider: str, model: str, at_ns: int, context: Mapping[str, str]) -> Rates | None:
        rule = self.own_rule(provider, model, at_ns)
        if rule is None:
            return None
        terms = steps.Terms(self._fx, self._totals, at_ns, month_at(at_ns))
        entry = rule.entry
        price_id = f"{provider}/{model.lower()}@{entry.valid_from}#{entry.id}"
        if entry.gpu:
            price, measured = steps.gpu_price(rule, terms)
            reason = f"overlay:{entry.id}" if measured else f"overlay:{entry.id}({steps.AMORTISED})"
            by_bucket = {bucket: Rate(price) for bucket in TOKEN_BUCKETS}
            return Rates(price_id, by_bucket, reason=reason, estimated=not measured)
        request = Rate(terms.usd(entry.per_request, entry)) if entry.per_request is not None else None
        second = terms.usd(entry.per_second, entry) if entry.per_second is not None else None
        by_bucket = _own_rates_of(entry, context, terms)
        return Rates(price_id, by_bucket, request, f"overlay:{entry.id}", second)

    def _find_scope(self, price_id: str) -> _Scope | None:
        provider, _, row = price_id.partition("/")
        values = {"provider": provider, "model": row.rpartition("@")[0].lower()}
        rules = {section: ranked.matching(values) for section, ranked in self._sections.items()}
        members = [*chain(*rules.values())]
        return _Scope(rules, self._boundaries_of(members)) if members else None

    def _find_plan(self, scope: _Scope, call: LLMCall) -> Plan | None:
        values = {name: get(call) for name, get in zip(scope.names, scope.getters, strict=True)}
        terms = steps.Terms(self._fx, self._totals, call.start_ns, month_at(call.start_ns))
        held = {
            section: [rule for rule in rules if rule.holds_at(call.start_ns) and rule.matcher.matches(values)]
            for section, rules in scope.rules.items()
        }
        return plan_of(held, terms)


def _own_rates_of(entry: PrivateModel, context: Mapping[str, str], terms: steps.Terms) -> dict[Bucket, Rate]:
    """Every bucket that the entry prices, by its own rate or the nearest wider one."""
    if not entry.rates:  # sold by the call or by the second alone
        return dict.fromkeys(Bucket, Rate(NOTHING))
    variant = next((v for v in entry.variants if all(context.get(k) == value for k, value in v.when.items())), None)
    named = {**entry.rates, **(variant.rates if variant else {})}
    found = {}
    for bucket in Bucket:
        name = next((wider for wider in covering(bucket) if wider in named), None)
        if name is not None:
            in_variant = variant is not None and name in variant.rates
            tiers = variant.long_context if variant is not None and in_variant else entry.long_context
            found[bucket] = steps.rate_of(named[name], bucket, tiers, name, lambda usd: terms.usd(usd, entry))
    return found


def _keep(cache: dict[K, V], key: K, value: V) -> V:
    """Keep a result, in a cache that names from outside cannot grow without end."""
    if len(cache) >= MAX_CACHED:
        cache.clear()
    cache[key] = value
    return value
