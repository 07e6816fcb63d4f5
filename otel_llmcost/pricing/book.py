"""`PriceBook`: rates out of the data of genai-prices, resolved once and cached.

The data and its dates are theirs (47 sellers, dated prices, tiers, variants by service tier); how a bucket finds its
rate is the same rule as in `genai_prices.decompose`: the most specific priced unit that covers it.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, time
from decimal import Decimal
from functools import cache
from importlib.metadata import version as distribution_version
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from genai_prices.data_snapshot import DataSnapshot, get_snapshot
from genai_prices.data_units import unit_data
from genai_prices.types import (
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    TieredPrices,
    TimeOfDateConstraint,
)

from otel_llmcost.call import BUCKETS, Bucket
from otel_llmcost.pricing.overlay import PriceOverlay
from otel_llmcost.pricing.rates import NoPrice, Rate, Rates
from otel_llmcost.providers.sellers import seller_named

__all__ = ["MAX_CACHED", "NoPrice", "PriceBook", "Rate", "Rates"]

MAX_CACHED: Final = 20_000
"""Resolutions kept; model names come from outside and must not grow memory without end."""

STANDARD_TIERS: Final = frozenset({"", "default", "standard", "auto", "on_demand"})

Constraint = StartDateConstraint | TimeOfDateConstraint


class PriceBook:
    """Rates by seller, model, time and context.

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
        self._models: dict[tuple[str, str], _DatedModel | NoPrice] = {}

    @classmethod
    def bundled(cls, overlay: PriceOverlay | None = None) -> "PriceBook":
        """The book that the installed genai-prices carries."""
        return cls(get_snapshot(), _bundled_version(), overlay)

    def rates(
        self, provider: str, model: str, at_ns: int, context: Mapping[str, str], host: str = ""
    ) -> Rates | NoPrice:
        """Rates of a seller's model at a time.

        `provider` is the seller's name, `context` what selects a variant (`service_tier`, `processing`, `speed`),
        `host` where the call went, which tells deployments of one name apart.
        """
        if self.overlay is None:
            return self._listed(provider, model, at_ns, context)
        redirected = self.overlay.redirect(provider, model, host, at_ns)
        reason = ""
        if redirected is not None:
            provider, model, reason = redirected
        own = self.overlay.own_rates(provider, model, at_ns, context)
        rates = self._listed(provider, model, at_ns, context) if own is None else own
        if not reason or isinstance(rates, NoPrice):
            return rates
        return replace(rates, reason=f"{reason}; {rates.reason}" if rates.reason else reason)

    def _listed(self, provider: str, model: str, at_ns: int, context: Mapping[str, str]) -> Rates | NoPrice:
        key = (provider, model)
        found = self._models.get(key)
        if found is None:
            if len(self._models) >= MAX_CACHED:
                self._models.clear()
            found = self._models[key] = self._find(provider, model)
        return found if isinstance(found, NoPrice) else found.rates(at_ns, context)

    def _find(self, provider: str, model: str) -> "_DatedModel | NoPrice":
        if not provider:
            return NoPrice("unknown_provider")
        if not model:
            return NoPrice("unknown_model")
        seller = seller_named(provider)
        price_id = seller.price_id if seller else provider
        sold_by = next((p for p in self.snapshot.providers if p.id == price_id), None)
        if sold_by is None:
            return NoPrice(f"unknown_provider:{provider}")
        info = sold_by.find_model(model.lower(), all_providers=self.snapshot.providers)
        if info is None:
            return NoPrice(f"unknown_model:{model}")
        return _DatedModel(provider, info, _reason_of_fallback(info, sold_by, self.snapshot.providers))


class _DatedModel:
    """One model of one seller: its rates by which of its dated or timed constraints hold."""

    def __init__(self, provider: str, info: ModelInfo, reason: str) -> None:
        self._provider = provider
        self._info = info
        self._reason = reason
        self._constraints = _constraints_of(info)
        self._cache: dict[tuple[object, ...], Rates] = {}

    def rates(self, at_ns: int, context: Mapping[str, str]) -> Rates:
        at = _EPOCH
        key: tuple[object, ...] = tuple(sorted(context.items()) if len(context) > 1 else context.items())
        if self._constraints:
            at = datetime.fromtimestamp(at_ns // 1_000_000_000, UTC)
            key = (*key, *[constraint.active(at) for constraint in self._constraints])
        found = self._cache.get(key)
        if found is None:
            if len(self._cache) >= MAX_CACHED:
                self._cache.clear()
            found = self._cache[key] = self._compile(at, context)
        return found

    def _compile(self, at: datetime, context: Mapping[str, str]) -> Rates:
        prices = self._info.get_prices(at, context or None)
        by_bucket = {bucket: rate for bucket in Bucket if (rate := _rate_of(bucket, prices))}
        tier = context.get("service_tier", "")
        known = {v.when.get("service_tier") for v in self._info.price_variants or ()}
        reason = self._reason
        if tier not in STANDARD_TIERS and tier not in known:
            reason = f"no_price_for_tier:{tier}"
        return Rates(
            price_id=f"{self._provider}/{self._info.id}@{_valid_from(self._info, at)}",
            by_bucket=by_bucket,
            request=_as_rate(getattr(prices, "requests_kcount", None), "requests"),
            reason=reason,
        )


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DIMENSIONS: Final = {name: frozenset(unit["dimensions"].items()) for name, unit in unit_data.items()}


def _rate_of(bucket: Bucket, prices: ModelPrice) -> Rate | None:
    """Rate of the most specific priced unit that covers the bucket; None where the model prices none."""
    wanted = _DIMENSIONS[BUCKETS[bucket].unit]
    covering = sorted(
        (unit for unit in unit_data if _DIMENSIONS[unit] <= wanted), key=lambda unit: -len(_DIMENSIONS[unit])
    )
    rates = (_as_rate(getattr(prices, unit_data[unit]["price_key"], None), unit) for unit in covering)
    return next((rate for rate in rates if rate), None)


def _as_rate(price: Decimal | TieredPrices | None, unit: str) -> Rate | None:
    if price is None:
        return None
    per = Decimal(unit_data[unit]["per"])
    if isinstance(price, TieredPrices):
        return Rate(price.base / per, tuple((tier.start, tier.price / per) for tier in price.tiers))
    return Rate(price / per)


def _constraints_of(info: ModelInfo) -> tuple[Constraint, ...]:
    dated = info.prices if isinstance(info.prices, list) else []
    rows = (*dated, *(info.price_variants or ()))
    return tuple(row.constraint for row in rows if row.constraint is not None)


def _valid_from(info: ModelInfo, at: datetime) -> str:
    """When the price that holds at a time began to: a date, a daily interval, or `always`."""
    if isinstance(info.prices, list):
        for row in reversed(info.prices):
            if row.constraint is not None and row.constraint.active(at):
                return _began(row)
    return "always"


def _began(row: ConditionalPrice) -> str:
    constraint = row.constraint
    if isinstance(constraint, StartDateConstraint):
        return constraint.start_date.isoformat()
    assert isinstance(constraint, TimeOfDateConstraint)
    return f"{_hour(constraint.start_time)}-{_hour(constraint.end_time)}"


def _hour(value: time) -> str:
    return value.strftime("%H:%M")


def _reason_of_fallback(info: ModelInfo, sold_by: Provider, providers: list[Provider]) -> str:
    """Empty where the seller lists the model itself; else whose price it is."""
    if any(info is model for model in sold_by.models):
        return ""
    owner = next((p.id for p in providers if any(info is model for model in p.models)), "unknown")
    return f"price_of:{owner}"


@cache
def _bundled_version() -> str:
    spec = find_spec("genai_prices.data")
    assert spec is not None
    assert spec.origin is not None
    content = hashlib.sha256(Path(spec.origin).read_bytes()).hexdigest()[:12]
    return f"genai-prices-{distribution_version('genai-prices')}-{content}"
