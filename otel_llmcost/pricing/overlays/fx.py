"""Currencies: dated rates → exact USD."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Final

from otel_llmcost.config_types import FxRate, plain_amount
from otel_llmcost.errors import ConfigError, nearest
from otel_llmcost.money import EXACT

USD: Final = "USD"


class Fx:
    """What a unit of a currency is worth in USD on a day."""

    def __init__(self, rates: Mapping[str, Sequence[FxRate]]) -> None:
        """
        Raises:
            ConfigError: USD has a rate, a currency has none, or two rates begin on one day.
        """
        self._days: dict[str, list[date]] = {}
        self._rates: dict[str, list[Decimal]] = {}
        for currency, dated in rates.items():
            rows = sorted(dated, key=lambda row: row.valid_from)
            days = [row.valid_from for row in rows]
            if currency == USD or not rows:
                raise ConfigError(f"prices.fx.{currency}: {'USD is what rates are in' if rows else 'names no rate'}")
            for day in days:
                if days.count(day) > 1:
                    raise ConfigError(f"prices.fx.{currency}: two rates begin on {day}")
            self._days[currency] = days
            self._rates[currency] = [row.rate for row in rows]

    def gap(self, currency: str, day: date) -> str:
        """Why there is no rate of that day; empty where there is one."""
        if currency == USD:
            return ""
        if currency not in self._days:
            return f"prices.fx has no {currency}{nearest(currency, self._days) if self._days else ''}"
        first = self._days[currency][0]
        return f"prices.fx.{currency} has no rate from {day} until {first}" if day < first else ""

    def usd(self, amount: Decimal, currency: str, day: date) -> Decimal:
        """The exact amount in USD. The rate must be there (`gap`)."""
        if currency == USD:
            return amount
        place = bisect_right(self._days[currency], day) - 1
        return EXACT.multiply(amount, self._rates[currency][max(place, 0)])

    def boundaries(self, currency: str) -> Sequence[date]:
        """Days that a rate of the currency begins on."""
        return self._days.get(currency, ())

    def to_document(self, currencies: set[str]) -> dict[str, Any]:
        """The rates of those currencies, for the archive."""
        return {
            currency: [
                {"from": day.isoformat(), "rate": plain_amount(rate)}
                for day, rate in zip(self._days[currency], self._rates[currency], strict=True)
            ]
            for currency in sorted(currencies & self._days.keys())
        }
