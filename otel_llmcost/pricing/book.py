"""`PriceBook`: whose price holds for a call. The data and its dates are those of genai-prices.

A call finds its price on this way, each step worked out once and kept:

seller, reference → names it may have (`references`) → row of a list (`listings`, `finding`)
                  → its prices by time and context (`dated`) → integers to multiply (`compiled`)
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version as distribution_version
from importlib.util import find_spec
from pathlib import Path

from genai_prices.data_snapshot import DataSnapshot, get_snapshot

from otel_llmcost.call import LLMCall
from otel_llmcost.pricing.compiled import Price, both
from otel_llmcost.pricing.dated import Timeline
from otel_llmcost.pricing.finding import MAX_CACHED, Finder, Found, keep
from otel_llmcost.pricing.overlay import PriceOverlay
from otel_llmcost.pricing.rates import NoPrice, Rate, Rates
from otel_llmcost.providers.sellers import seller_named

__all__ = ["MAX_CACHED", "NoPrice", "PriceBook", "Rate", "Rates"]


@dataclass(frozen=True, slots=True)
class _Told:
    """What beside its names a call's price depends on."""

    host: str
    at_ns: int
    context: Mapping[str, str]


class PriceBook:
    """Prices by seller, model, time and context.

    `version` names the data exactly: the release of genai-prices and a hash of its content, and the version of the
    overlay where there is one. `as_of_s` is when its data was last known to be right (s since 1970); None where only
    the data itself tells.
    """

    def __init__(
        self,
        snapshot: DataSnapshot,
        version: str,
        overlay: PriceOverlay | None = None,
        as_of_s: float | None = None,
    ) -> None:
        self.version = f"{version}+{overlay.version}" if overlay else version
        self.data_version = version
        self.overlay = overlay
        self.as_of_s = as_of_s
        self.snapshot = snapshot
        self._finder = Finder(snapshot)
        self._found: dict[tuple[str, str], Found] = {}
        self._timelines: dict[tuple[object, ...], Timeline] = {}
        self._named: dict[tuple[str, str, str, str], bool] = {}
        self._own: dict[int, tuple[Rates, Price]] = {}
        self._marked: dict[tuple[int, str], tuple[Price, Price]] = {}

    @classmethod
    def bundled(cls, overlay: PriceOverlay | None = None) -> "PriceBook":
        """The book that the installed genai-prices carries."""
        return cls(get_snapshot(), _bundled_version(), overlay)

    def price_of(self, call: LLMCall) -> Price | NoPrice:
        """The price that held for a call when it started."""
        overlay = self.overlay
        if overlay is not None and overlay.names_models:
            names = (call.provider, call.model, call.requested_model, call.host)
            named = self._named.get(names)
            if named is None:
                named = keep(self._named, names, self._has_own_name(call, overlay))
            if named and (own := self._own_price(call, overlay)) is not None:
                return own
        context = call.price_context
        key: tuple[object, ...] = (call.provider, call.model, call.requested_model, call.service_tier)
        if context:
            key = (*key, *sorted(context.items()))
        timeline = self._timelines.get(key)
        if timeline is None:
            timeline = keep(self._timelines, key, self._timeline_of(call))
        only = timeline.only
        return timeline.at(call.start_ns) if only is None else only

    def rates(
        self, provider: str, model: str, at_ns: int, context: Mapping[str, str], host: str = ""
    ) -> Rates | NoPrice:
        """Rates of a seller's model at a time.

        `provider` is the seller's name, `context` what selects a variant (`service_tier`, `processing`, `speed`),
        `host` where the call went, which tells deployments of one name apart.
        """
        told = _Told(host, at_ns, _canonical(context))
        price: Price | NoPrice | None = None
        if self.overlay is not None:
            price = self._redirected(self.overlay, provider, model, told)
            price = price or self._private(self.overlay, provider, model, told)
        price = price or self._timeline(provider, model, told.context).at(at_ns)
        return price if isinstance(price, NoPrice) else price.rates

    def suggest(self, provider: str, model: str, limit: int = 3) -> list[str]:
        """Listed names like a model's that has no price, the likest first; of a seller that is not known, sellers'."""
        return self._finder.suggest(provider, model, limit)

    # one's own prices

    @staticmethod
    def _has_own_name(call: LLMCall, overlay: PriceOverlay) -> bool:
        return any(overlay.names(call.provider, name, call.host) for name in (call.model, call.requested_model))

    def _own_price(self, call: LLMCall, overlay: PriceOverlay) -> Price | NoPrice | None:
        """What the overlay knows of the names of a call; None where the book has to.

        A deployment is known by the requested name, and stands over what it says that it is.
        """
        told = _Told(call.host, call.start_ns, _context_of(call))
        references = dict.fromkeys((call.requested_model or call.model, call.model))
        for reference in references:
            found = self._redirected(overlay, call.provider, reference, told)
            if found is not None:
                return found
        for reference in reversed(references):
            found = self._private(overlay, call.provider, reference, told)
            if isinstance(found, Price) and reference != call.model:
                return self._with_mark(found, f"price_of_requested_model:{call.model}")
            if found is not None:
                return found
        return None

    def _redirected(self, overlay: PriceOverlay, provider: str, model: str, told: _Told) -> Price | NoPrice | None:
        target = overlay.redirect(provider, model, told.host, told.at_ns)
        if target is None:
            return None
        base_provider, base_model, reason = target
        price = self._private(overlay, base_provider, base_model, told)
        price = price or self._timeline(base_provider, base_model, told.context).at(told.at_ns)
        return price if isinstance(price, NoPrice) else self._with_mark(price, reason)

    def _private(self, overlay: PriceOverlay, provider: str, model: str, told: _Told) -> Price | NoPrice | None:
        rates = overlay.own_rates(provider, model, told.at_ns, told.context)
        if rates is None or isinstance(rates, NoPrice):
            return rates
        known = self._own.get(id(rates))
        return (known or keep(self._own, id(rates), (rates, Price(rates))))[1]

    def _with_mark(self, price: Price, mark: str) -> Price:
        """The same price with one more reason, one object for each: an overlay keeps what it made of a price."""
        key = (id(price), mark)
        known = self._marked.get(key)
        if known is None:
            known = keep(self._marked, key, (price, price.marked(both(mark, price.rates.reason))))
        return known[1]

    # the book's

    def _timeline_of(self, call: LLMCall) -> Timeline:
        """Prices of the first of a call's names that is listed, said so where that is the second.

        A response names the model that answered, and so comes first. At some sellers only the request names what is
        sold: a profile of Bedrock, the provider behind a router, a free variant.
        """
        context = _context_of(call)
        model, requested = call.model, call.requested_model or call.model
        seller = seller_named(call.provider)
        first, second, mark = model, requested, f"price_of_requested_model:{model}"
        if (seller and seller.sold_by_request) or requested == f"{model}:free":
            first, second, mark = requested, model, f"price_of_responding_model:{requested}"
        timeline = self._timeline(call.provider, first, context)
        if not isinstance(timeline.only, NoPrice) or first == second:
            return timeline
        if second.endswith(":free"):  # whoever answered instead of the free variant is not free
            return timeline
        other = self._timeline(call.provider, second, context)
        return timeline if isinstance(other.only, NoPrice) else other.marked(mark)

    def _timeline(self, provider: str, reference: str, context: Mapping[str, str]) -> Timeline:
        """Prices of one reference by time."""
        key = (provider, reference)
        found = self._found.get(key)
        if found is None:
            found = keep(self._found, key, self._finder.find(provider, reference))
        if isinstance(found, NoPrice):
            return Timeline.of(found)
        row, mark = found
        return row.timeline(context, mark)


def _context_of(call: LLMCall) -> Mapping[str, str]:
    """What selects a variant of the price of a call."""
    context = call.price_context
    if call.service_tier and "service_tier" not in context:
        context = {**context, "service_tier": call.service_tier}
    return _canonical(context)


def _canonical(context: Mapping[str, str]) -> Mapping[str, str]:
    """The tier by which some sellers tell a batch (Anthropic's Messages), as what the book calls one."""
    if context.get("service_tier") != "batch":
        return context
    others = {name: value for name, value in context.items() if name != "service_tier"}
    return {"processing": "batch", **others}


@cache
def _bundled_version() -> str:
    spec = find_spec("genai_prices.data")
    assert spec is not None
    assert spec.origin is not None
    content = hashlib.sha256(Path(spec.origin).read_bytes()).hexdigest()[:12]
    return f"genai-prices-{distribution_version('genai-prices')}-{content}"
