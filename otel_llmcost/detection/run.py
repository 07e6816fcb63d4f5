"""Runs the statements: what to remember each hour, what to judge each minute. All that judges is in the SQL."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from otel_llmcost.detection.statements import schema, statements

if TYPE_CHECKING:
    from otel_llmcost.exporters.clickhouse.client import Ledger

HOUR: Final = timedelta(hours=1)
MINUTE: Final = timedelta(minutes=1)
DAY: Final = timedelta(days=1)
LOOKBACK: Final = 60
"""Minutes before the first one judged that its longest window covers."""
LATE: Final = timedelta(hours=3)
"""How far back `refresh` reads hours again, for lines that came late."""


def create(ledger: "Ledger") -> None:
    """Create what is missing of the tables and views of detection.

    Raises:
        DeliveryError: the ledger refused.
    """
    for statement in schema():
        ledger.execute(statement)


def remember(ledger: "Ledger", start: datetime, end: datetime) -> None:
    """Take the full hours of [start, end) into memory, a few days at a time."""
    for first, last in _chunks(_floor(start, HOUR), _floor(end, HOUR), 7 * DAY):
        _run(ledger, "remember", first, last)


def expect(ledger: "Ledger", start: datetime, end: datetime) -> None:
    """Say what every series is expected to cost in the hours of [start, end), from what is remembered."""
    for first, last in _days(_floor(start, HOUR), end):
        _run(ledger, "expect", first, last)
        _run(ledger, "usual", first, last)


def judge(ledger: "Ledger", start: datetime, end: datetime) -> None:
    """Judge every minute of [start, end), and every hour that ends in it."""
    for first, last in _days(_floor(start, MINUTE), _floor(end, MINUTE)):
        _run(ledger, "spend", first, last)
        _run(ledger, "measures", first, last)
        link(ledger, first, last)


def judge_hours(ledger: "Ledger", start: datetime, end: datetime) -> None:
    """Judge every full hour and every midnight of [start, end)."""
    for first, last in _days(_floor(start, HOUR), _floor(end, HOUR)):
        _run(ledger, "shifts", first, last)
        _run(ledger, "drift", first, last)
        link(ledger, first, last)


def link(ledger: "Ledger", start: datetime, end: datetime) -> None:
    """Note what the series that signalled in [start, end) have in common; nothing is read where none did."""
    signalled = "SELECT DISTINCT direction FROM anomaly_signals WHERE hour >= {from:DateTime('UTC')} AND hour < {to:DateTime('UTC')}"
    for (direction,) in ledger.query(signalled, {"from": _floor(start, HOUR), "to": end}).rows:
        _run(ledger, "links", start, end, direction=direction)


def _run(ledger: "Ledger", name: str, start: datetime, end: datetime, **more: str) -> None:
    minutes = LOOKBACK - 1 + int((end - start) / MINUTE)
    for statement in statements(name):
        ledger.execute(statement, {"from": start, "to": end, "minutes": max(minutes, LOOKBACK), **more})


def _floor(moment: datetime, step: timedelta) -> datetime:
    """The full hour or minute at or before `moment`, in UTC."""
    seconds = int(moment.timestamp())
    return datetime.fromtimestamp(seconds - seconds % int(step.total_seconds()), UTC)


def _chunks(start: datetime, end: datetime, size: timedelta) -> Iterator[tuple[datetime, datetime]]:
    while start < end:
        yield start, min(start + size, end)
        start += size


def _days(start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """[start, end) cut at each midnight, so that an expectation knows the day before."""
    while start < end:
        midnight = _floor(start, DAY) + DAY
        yield start, min(midnight, end)
        start = midnight
