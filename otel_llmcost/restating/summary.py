"""Old and new amounts by seller and model (and other columns), exact."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from otel_llmcost.money import ZERO
from otel_llmcost.restating.arrow_columns import amounts, words
from otel_llmcost.restating.repricing import Repriced

if TYPE_CHECKING:
    import numpy as np

DIMENSIONS: Final = ("provider", "model")
_NOTHING_COMPUTED: Final[Mapping[str, Sequence[str]]] = MappingProxyType({})


@dataclass(slots=True)
class Line:
    """Sums of some lines. Lines without a price are counted and add nothing."""

    key: tuple[str, ...]
    calls: int = 0
    old_unpriced: int = 0
    new_unpriced: int = 0
    old_usd: Decimal = ZERO
    new_usd: Decimal = ZERO

    @property
    def delta_usd(self) -> Decimal:
        """What the lines cost more."""
        return self.new_usd - self.old_usd

    def add(self, calls: int, old_unpriced: int, new_unpriced: int, old_usd: Decimal, new_usd: Decimal) -> None:
        """Other lines of the same key."""
        self.calls += calls
        self.old_unpriced += old_unpriced
        self.new_unpriced += new_unpriced
        self.old_usd += old_usd
        self.new_usd += new_usd


class Summary:
    """Adds up chunks. Memory grows with the number of distinct keys."""

    def __init__(self, dimensions: Sequence[str] = DIMENSIONS) -> None:
        self.dimensions = tuple(dimensions)
        self._lines: dict[tuple[str, ...], Line] = {}

    def add(
        self, repriced: Repriced, which: "np.ndarray", computed: Mapping[str, Sequence[str]] = _NOTHING_COMPUTED
    ) -> None:
        """Add those lines of a chunk; `computed` are dimensions that are no columns."""
        import pyarrow as pa

        old, new = repriced.old["cost_usd"], repriced.new["cost_usd"]
        table = pa.table(
            {
                **{
                    str(n): computed[name] if name in computed else words(repriced.lines.column(name))
                    for n, name in enumerate(self.dimensions)
                },
                "old": amounts(old.units, old.known),
                "new": amounts(new.units, new.known),
            }
        ).filter(pa.array(which))
        for row in _grouped(table, [str(n) for n in range(len(self.dimensions))]):
            key = tuple(str(part) for part in row[: len(self.dimensions)])
            calls, known_old, known_new, old_usd, new_usd = row[len(self.dimensions) :]
            line = self._lines.setdefault(key, Line(key))
            line.add(calls, calls - known_old, calls - known_new, old_usd or ZERO, new_usd or ZERO)

    def add_row(self, key: tuple[str, ...], *sums: Any) -> None:
        """Add sums that the ledger made: calls, unpriced before and now, USD before and now."""
        calls, old_unpriced, new_unpriced, old_usd, new_usd = sums
        line = self._lines.setdefault(key, Line(key))
        line.add(calls, old_unpriced, new_unpriced, old_usd or ZERO, new_usd or ZERO)

    @property
    def lines(self) -> list[Line]:
        """The largest change first."""
        return sorted(self._lines.values(), key=lambda line: (-abs(line.delta_usd), line.key))

    @property
    def total(self) -> Line:
        """All lines."""
        total = Line(())
        for line in self._lines.values():
            total.add(line.calls, line.old_unpriced, line.new_unpriced, line.old_usd, line.new_usd)
        return total


def _grouped(table: Any, keys: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """Keys, lines, known old and new amounts, and their sums."""
    sums = [("old", "count"), ("new", "count"), ("old", "sum"), ("new", "sum")]
    grouped = table.group_by(keys, use_threads=False).aggregate([([], "count_all"), *sums])
    names = [*keys, "count_all", "old_count", "new_count", "old_sum", "new_sum"]
    columns: Iterable[list[Any]] = [grouped.column(name).to_pylist() for name in names]
    return zip(*columns, strict=True)
