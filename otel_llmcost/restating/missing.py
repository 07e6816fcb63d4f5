"""Stored lines without a price: which, why, since when, and the names of the book that come nearest."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from otel_llmcost.exporters.clickhouse.client import Ledger
from otel_llmcost.pricing.book import PriceBook
from otel_llmcost.pricing.rates import NoPrice
from otel_llmcost.restating.scope import Scope

NO_PRICE: Final = (
    *("unknown_provider", "unknown_model", "fine_tune_without_price"),
    *("unit_without_price", "unmapped_model"),  # nearest names say nothing of these
)
"""How reasons begin that a price file can remove; others tell that no usage is known."""


@dataclass(frozen=True, slots=True)
class Missing:
    """Lines of one seller's model that have no price for one reason."""

    provider: str
    model: str
    reason: str
    calls: int
    tokens: int
    first: datetime
    last: datetime
    nearest: Sequence[str]

    @property
    def needs_price(self) -> bool:
        """Whether a price is what is missing, and not the usage."""
        return self.reason.startswith(NO_PRICE)


def missing_prices(ledger: Ledger, scope: Scope, book: PriceBook, limit: int) -> list[Missing]:
    """Unpriced lines by seller, model and reason, those with the most tokens first; `limit` rows at most.

    Raises:
        DeliveryError: the ledger does not answer.
    """
    condition, parameters = scope.condition()
    sql = (
        "SELECT provider, model, reason, count(), sum(input_tokens + output_tokens) AS tokens,"  # noqa: S608 - our text
        " toUnixTimestamp64Nano(min(ts)), toUnixTimestamp64Nano(max(ts))"
        f" FROM current_versions WHERE {condition} AND status = 'unpriced'"
        f" GROUP BY provider, model, reason ORDER BY tokens DESC, count() DESC, provider, model, reason LIMIT {limit:d}"
    )
    found = []
    for provider, model, reason, calls, tokens, first_ns, last_ns in ledger.query(sql, parameters).rows:
        names = book.suggest(provider, model) if reason.startswith(NO_PRICE[:3]) else []
        found.append(Missing(provider, model, reason, calls, tokens, _utc(first_ns), _utc(last_ns), tuple(names)))
    return found


def _utc(time_ns: int) -> datetime:
    return datetime.fromtimestamp(time_ns // 1_000_000_000, UTC)


def still_missing(book: PriceBook, row: Missing) -> bool:
    """Whether the book of today has no price either; where it has, restating is all that is to be done."""

    at_ns = round(row.last.timestamp()) * 1_000_000_000
    return isinstance(book.rates(row.provider, row.model, at_ns, {}), NoPrice)
