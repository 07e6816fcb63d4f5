"""Days and months of UTC as nanoseconds."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Final

from otel_llmcost.config_types import FIRST_DAY, LAST_DAY

HOUR_NS: Final = 3_600_000_000_000
DAY_NS: Final = 24 * HOUR_NS
FOREVER_NS: Final = (1 << 63) - 1


def day_ns(day: date) -> int:
    """When a day begins."""
    return round(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000_000_000


def day_of(at_ns: int) -> date:
    """The day of a time."""
    return datetime.fromtimestamp(at_ns // 1_000_000_000, UTC).date()


@dataclass(frozen=True, slots=True)
class Month:
    """A calendar month of UTC, what volumes, fixed costs and free tiers are counted by."""

    name: str
    """Such as `2026-03`."""
    start_ns: int
    end_ns: int

    def days(self, from_ns: int = 0, until_ns: int = FOREVER_NS) -> Decimal:
        """Days of it that lie between the two times."""
        return Decimal(max(min(self.end_ns, until_ns) - max(self.start_ns, from_ns), 0)) / DAY_NS


def _months() -> Sequence[Month]:
    starts = [date(year, month, 1) for year in range(FIRST_DAY.year, LAST_DAY.year + 2) for month in range(1, 13)]
    return [Month(f"{start:%Y-%m}", day_ns(start), day_ns(after)) for start, after in pairwise(starts)]


MONTHS: Final = _months()
MONTH_STARTS: Final = [month.start_ns for month in MONTHS]


def month_at(at_ns: int) -> Month:
    """The month of a time; times outside 2015 to 2100 count as the first or the last month."""
    return MONTHS[min(max(bisect_right(MONTH_STARTS, at_ns) - 1, 0), len(MONTHS) - 1)]


def months_between(from_ns: int, until: Month) -> Sequence[Month]:
    """The months from that of a time up to another one, which is left out."""
    first = MONTHS.index(month_at(from_ns))
    return MONTHS[first : MONTHS.index(until)]
