"""What a whole month came to, entry by entry: the input of a restatement that replaces the file's expectations."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from otel_llmcost.money import ZERO

MEASURED: Final = "-measured-"
"""What the version of overlays says before that of their totals."""


@dataclass(frozen=True, slots=True)
class Total:
    """Use that one entry was applied to in one month.

    `usd` is what the calls cost before the entry changed it; of a discount by volume and of a fixed cost spread by
    `usd`, their list price.
    """

    tokens: int = 0
    requests: int = 0
    seconds: Decimal = Decimal(0)
    usd: Decimal = ZERO

    def plus(self, tokens: int, seconds: Decimal, usd: Decimal) -> "Total":
        """With one more call."""
        return Total(self.tokens + tokens, self.requests + 1, self.seconds + seconds, self.usd + usd)


class PeriodTotals:
    """Totals by entry id and month (`2026-03`). Immutable."""

    def __init__(self, totals: Mapping[tuple[str, str], Total]) -> None:
        self._totals = dict(sorted(totals.items()))

    def get(self, entry_id: str, month: str) -> Total | None:
        """The total, or None where that month was not measured."""
        return self._totals.get((entry_id, month))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PeriodTotals) and self._totals == other._totals

    def __hash__(self) -> int:
        return hash(self.version)

    def __bool__(self) -> bool:
        return bool(self._totals)

    @property
    def version(self) -> str:
        """A hash of the content."""
        return hashlib.sha256(json.dumps(self.to_document()).encode()).hexdigest()[:12]

    def to_document(self) -> list[dict[str, Any]]:
        """As JSON has it, in a fixed order."""
        return [
            {
                "entry": entry,
                "month": month,
                "tokens": total.tokens,
                "requests": total.requests,
                "seconds": f"{total.seconds:f}",
                "usd": f"{total.usd:f}",
            }
            for (entry, month), total in self._totals.items()
        ]

    @classmethod
    def from_document(cls, document: list[dict[str, Any]]) -> "PeriodTotals":
        """What `to_document` wrote."""
        return cls(
            {
                (row["entry"], row["month"]): Total(
                    row["tokens"], row["requests"], Decimal(row["seconds"]), Decimal(row["usd"])
                )
                for row in document
            }
        )
