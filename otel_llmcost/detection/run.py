"""Runs the statements: what to remember each hour, what to judge each minute. All that judges is in the SQL."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from otel_llmcost.detection.statements import schema, statements

if TYPE_CHECKING:
    from otel_llmcost.exporters.clickhouse.client import Ledger, Rows

MINUTE: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
LOOKBACK_MINUTES: Final = 59
"""Minutes before the first one judged that its longest window covers."""
LATE: Final = timedelta(hours=3)
"""How far back hours are remembered again, for lines that came late."""
AGAIN: Final = timedelta(minutes=15)
"""How far back minutes are judged again, for the same reason."""
HISTORY: Final = timedelta(days=37)
"""What an expectation looks back at."""


def create(ledger: "Ledger") -> None:
    """Create what is missing of the tables and views of detection.

    Raises:
        DeliveryError: the ledger refused.
    """
    for statement in schema():
        ledger.execute(statement)


def update(ledger: "Ledger", now: datetime, since: datetime | None = None) -> None:
    """Bring detection up to `now`: what is called once a minute.

    Remembers the hours that closed, says what the next ones should cost, and judges the last minutes; in the first call
    it takes in the history. With `since`, everything from then on is judged, as it would have been at the time.

    Raises:
        DeliveryError: the ledger refused.
    """
    this_hour, this_minute = _floor(now, HOUR), _floor(now, MINUTE)
    remembered = _newest(ledger, "series_hour")
    expected = _newest(ledger, "series_expected")
    begin = this_hour - HISTORY if since is None else _floor(since, HOUR) - HISTORY
    if since is None and remembered:
        begin = max(begin, remembered + HOUR - LATE)
    if since is not None or remembered != this_hour - HOUR:
        remember(ledger, begin, this_hour)
    # Shifts look back at two days of expectations, and a minute at an hour of them.
    first = this_hour - 2 * DAY - HOUR if since is None else _floor(since, HOUR) - 2 * DAY
    if since is None and expected:
        first = max(first, expected + HOUR)
    if first < this_hour + 2 * HOUR:
        expect(ledger, first, this_hour + 2 * HOUR)
    if since is not None or remembered != this_hour - HOUR:
        judge_hours(ledger, since or (remembered + HOUR if remembered else this_hour - DAY), this_hour)
    # The minute that goes on is judged by what of it landed, and again when it is over.
    judge(ledger, since or this_minute - AGAIN, this_minute + MINUTE, closed=this_minute)


def remember(ledger: "Ledger", start: datetime, end: datetime) -> None:
    """Take the full hours of [start, end) into memory, a week at a time."""
    start = _floor(start, HOUR)
    while start < end:
        _run(ledger, "remember", start, min(start + 7 * DAY, end))
        start += 7 * DAY


def expect(ledger: "Ledger", start: datetime, end: datetime) -> None:
    """Say what every series is expected to be like in the hours of [start, end), from what is remembered."""
    for first, last in _days(_floor(start, HOUR), end):
        for name in ("expect", "usual"):
            _run(ledger, name, first, last)
        _learn_conversations(ledger, _floor(first, DAY))


def judge(ledger: "Ledger", start: datetime, end: datetime, *, closed: datetime | None = None) -> None:
    """Judge every minute of [start, end); from `closed` on they go on, and may not be called silent."""
    for first, last in _days(_floor(start, MINUTE), _floor(end, MINUTE)):
        for name in ("spend", "measures", "newcomers", "conversations"):
            _run(ledger, name, first, last, closed=closed or last)
        _link(ledger, first, last)


def judge_hours(ledger: "Ledger", start: datetime, end: datetime) -> None:
    """Judge every full hour and every midnight of [start, end)."""
    for first, last in _days(_floor(start, HOUR), _floor(end, HOUR)):
        for name in ("shifts", "drift"):
            _run(ledger, name, first, last)
        _link(ledger, first, last)


def explain(
    ledger: "Ledger", series: tuple[str, str], start: datetime, end: datetime, *, limit: int = 10
) -> dict[str, "Rows"]:
    """Why a series cost what it did in [start, end): `parts`, `carriers` and `calls`, as sql/explain_*.sql say.

    Raises:
        DeliveryError: the ledger refused.
    """
    parameters = {"kind": series[0], "key": series[1], "from": start, "to": end, "limit": limit}
    return {
        name: ledger.query(_bound(ledger, f"explain_{name}"), parameters) for name in ("parts", "carriers", "calls")
    }


def _bound(ledger: "Ledger", name: str) -> str:
    return statements(name)[0].replace("{database}", f"`{ledger.url.database}`")


def _learn_conversations(ledger: "Ledger", midnight: datetime) -> None:
    """Once a day: it reads two weeks of calls."""
    known = "SELECT count() FROM series_usual WHERE measure = 'conversation_tokens' AND hour = {hour:DateTime('UTC')}"
    if ledger.query(known, {"hour": midnight}).rows == [(0,)]:
        _run(ledger, "usual_conversations", midnight, midnight + DAY)


def _link(ledger: "Ledger", start: datetime, end: datetime) -> None:
    """Note what the series that signalled in [start, end) have in common; nothing is read where none did."""
    signalled = (
        "SELECT DISTINCT direction FROM anomaly_signals"
        " WHERE hour >= {from:DateTime('UTC')} AND hour < {to:DateTime('UTC')} ORDER BY direction"
    )
    for (direction,) in ledger.query(signalled, {"from": _floor(start, HOUR), "to": end}).rows:
        _run(ledger, "links", start, end, direction=direction)


def _run(ledger: "Ledger", name: str, start: datetime, end: datetime, **more: Any) -> None:
    minutes = LOOKBACK_MINUTES + int((end - start) / MINUTE)
    for statement in statements(name):
        ledger.execute(statement, {"from": start, "to": end, "minutes": minutes, **more})


def _newest(ledger: "Ledger", table: str) -> datetime | None:
    """The newest hour that a table of memory holds."""
    ((hour, rows),) = ledger.query("SELECT max(hour), count() FROM {table:Identifier}", {"table": table}).rows
    return hour.replace(tzinfo=UTC) if rows else None


def _floor(moment: datetime, step: timedelta) -> datetime:
    """The full minute, hour or day at or before `moment`, in UTC."""
    seconds = int(moment.timestamp())
    return datetime.fromtimestamp(seconds - seconds % int(step.total_seconds()), UTC)


def _days(start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """[start, end) cut at each midnight, so that an expectation knows the day before."""
    while start < end:
        midnight = _floor(start, DAY) + DAY
        yield start, min(midnight, end)
        start = midnight
