"""Settled and live hours: rollups that are exact at all times, and computed once.

    touch → insert …            a writer says which hours it is about to write to
    settle                      totals of hours and days that were quiet for a while, under a settlement of their own
    calls_hourly, calls_daily   what is settled and was not touched since, and the rest straight from the calls

A settlement counts once it is listed in `settled_units`, which happens last; before that its totals are nothing, and
whoever was killed in between has changed nothing. Two settlers at once make two settlements of the same totals, of
which one counts. If nobody settles, everything is live: as exact, and slower.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import groupby
from secrets import randbits
from time import monotonic
from typing import Final

from otel_llmcost.exporters.clickhouse.client import Ledger
from otel_llmcost.exporters.clickhouse.shadows import DAYS_AT_ONCE, complete_shadows

TOUCH_AGAIN_S: Final = 60.0
"""How long a touch is as good as a new one for the writer that made it."""
GRACE_S: Final = 300.0
"""How long an hour must be quiet before it is settled. Longer than TOUCH_AGAIN_S and twice the longest insert together:
so no insert is under way in an hour that is settled, unless a touch of it came later."""
KEEP_REPLACED_S: Final = 86_400
"""How long totals stay that do not count: longer than any query may read them, or any settler may work on them."""

TOTALS: Final[Mapping[str, Sequence[str]]] = {"hour": ("hourly", "minute"), "day": ("daily", "user", "conversation")}
"""Grain → the totals that are made together; `<name>_live` is the query, `<name>_totals` the table."""
_KEYS: Final = {"hour": "day, hour", "day": "day"}
_HOUR_NS: Final = 3_600_000_000_000
_LAST_SECOND: Final = 2**32 - 1
"""Of a DateTime: the year 2106."""

_TOUCH_QUIET: Final = """
INSERT INTO {database}.touched_hours (day, hour, touched_at)
SELECT day, hour, fromUnixTimestamp64Milli({at_ms:Int64}) FROM
(
    SELECT DISTINCT toDate32(ts, 'UTC') AS day, toStartOfHour(ts, 'UTC') AS hour
    FROM {database}.call_versions WHERE shadow = 0
    UNION DISTINCT
    SELECT day, hour FROM {database}.touched_hours
)
WHERE (day, hour) NOT IN
(
    SELECT t.day, t.hour FROM {database}.touched_hours AS t
    GROUP BY t.day, t.hour
    HAVING max(t.touched_at) >= now64(3) - toIntervalMillisecond({grace_ms:UInt64})
    AND max(t.touched_at) != fromUnixTimestamp64Milli({own_ms:Int64})
)
"""
_QUIET: Final = {
    "hour": """
SELECT day, toUnixTimestamp(hour), toUnixTimestamp64Milli(t.at)
FROM (SELECT day, hour, max(touched_hours.touched_at) AS at FROM touched_hours GROUP BY day, hour) AS t
INNER JOIN (SELECT day, hour FROM hour_states WHERE settlement = 0) AS s USING (day, hour)
WHERE t.at < now64(3) - toIntervalMillisecond({grace_ms:UInt64}) OR t.at = fromUnixTimestamp64Milli({own_ms:Int64})
ORDER BY day, hour
""",
    "day": """
SELECT day, toUInt32(0), toUnixTimestamp64Milli(t.touched_at)
FROM
(
    SELECT day, max(at) AS touched_at, maxIf(at, at != fromUnixTimestamp64Milli({own_ms:Int64})) AS others_at
    FROM (SELECT day, hour, max(touched_hours.touched_at) AS at FROM touched_hours GROUP BY day, hour)
    GROUP BY day
) AS t
INNER JOIN (SELECT day FROM day_states WHERE settlement = 0) AS s USING (day)
WHERE t.others_at < now64(3) - toIntervalMillisecond({grace_ms:UInt64})
ORDER BY day
""",
}
_LIST: Final = """
INSERT INTO {database}.settled_units (grain, day, hour, seen, settlement)
SELECT
    {grain:String},
    addDays(toDate32('1970-01-01'), unit.1),
    fromUnixTimestamp(unit.2),
    fromUnixTimestamp64Milli(unit.3),
    sipHash64({run:UInt64}, {grain:String}, unit.1, unit.2)
FROM (SELECT arrayJoin(arrayZip({days:Array(Int32)}, {hours:Array(UInt32)}, {seen:Array(Int64)})) AS unit)
"""
_SETTLE: Final = """
INSERT INTO {{database}}.{name}_totals
SELECT sipHash64({{run:UInt64}}, '{grain}', toInt32(day), {hour}) AS settlement, *
FROM {{database}}.{name}_live
WHERE day IN (SELECT arrayJoin(arrayMap(d -> addDays(toDate32('1970-01-01'), d), {{days:Array(Int32)}})))
AND ({keys}) IN
    (SELECT {unit} FROM (SELECT arrayJoin(arrayZip({{days:Array(Int32)}}, {{hours:Array(UInt32)}})) AS unit))
"""
_REPLACED: Final = """
SELECT settlement FROM settled_units
WHERE settled_at < now64(3) - toIntervalSecond({keep_s:UInt32})
AND settlement NOT IN (SELECT settlement FROM
    (SELECT argMax(u.settlement, (u.seen, u.settlement)) AS settlement FROM settled_units AS u
     WHERE u.seen > fromUnixTimestamp64Milli(0) GROUP BY u.grain, u.day, u.hour))
"""


class TouchedHours:
    """What one writer said it is about to write to. Not for several threads."""

    def __init__(self, ledger: Ledger, again_s: float = TOUCH_AGAIN_S) -> None:
        self._ledger = ledger
        self._again_s = again_s
        self._touched: dict[int, float] = {}

    def touch(self, times_ns: Iterable[int], skews_h: Iterable[int]) -> None:
        """Say so for lines with these times, whose other versions may lie so many hours away.

        Raises:
            DeliveryError: the ledger did not take it; the lines may not be inserted then.
        """
        moment = monotonic()
        began = set(zip((time_ns // _HOUR_NS for time_ns in times_ns), skews_h, strict=True))
        hours = {hour + apart for hour, skew in began for apart in range(-skew, skew + 1)}
        new = [hour for hour in hours if moment - self._touched.get(hour, -self._again_s) >= self._again_s]
        if not new:
            return
        rows = "".join(map(_touched_row, sorted(new)))
        # The time of a touch is the server's, so the same hours again are another touch.
        self._ledger.insert("touched_hours", ("day", "hour"), rows.encode(), "TabSeparated", once=False)
        kept = {hour: at for hour, at in self._touched.items() if moment - at < self._again_s}
        self._touched = kept | dict.fromkeys(new, moment)


def _touched_row(hour: int) -> str:
    """An hour since 1970 as the table has it; its DateTime ends at both ends where the engine's own does."""
    moment = datetime.fromtimestamp(hour * 3600, UTC)
    stored = datetime.fromtimestamp(min(max(hour * 3600, 0), _LAST_SECOND), UTC)
    return f"{moment:%Y-%m-%d}\t{stored:%Y-%m-%d %H:%M:%S}\n"


@dataclass(frozen=True, slots=True)
class Unit:
    """An hour or a day to settle: days and seconds since 1970 (UTC), and the last touch (ms) that its totals know."""

    day: int
    hour_s: int
    seen_ms: int


@dataclass(frozen=True, slots=True)
class Settled:
    """What a run has done."""

    hours: int = 0
    days: int = 0


def settle(ledger: Ledger, *, grace_s: float = GRACE_S, own_touch_ms: int = 0) -> Settled:
    """Store the totals of hours and days that nothing was written to for `grace_s`, and drop those long replaced.

    `own_touch_ms` is when the caller itself touched hours last: that is not writing. Safe to run twice at once, and to
    be killed anywhere.

    Raises:
        DeliveryError: the ledger did not answer, or refused.
    """
    quiet = {"grace_ms": round(grace_s * 1000), "own_ms": own_touch_ms}
    done = {grain: _settle(ledger, grain, quiet) for grain in TOTALS}
    _drop_replaced(ledger)
    return Settled(done["hour"], done["day"])


def rebuild(ledger: Ledger, *, grace_s: float = GRACE_S) -> Settled:
    """Complete the shadows and settle every hour anew, those too that have no calls any more.

    Hours that were written to within `grace_s` are live, and stay so: a writer may be about to insert.

    Raises:
        DeliveryError: the ledger did not answer, or refused.
    """
    touched_ms = _touch_quiet(ledger, grace_s, 0)
    complete_shadows(ledger)
    touched_ms = _touch_quiet(ledger, grace_s, touched_ms)  # another settler may not have seen all shadows
    return settle(ledger, grace_s=grace_s, own_touch_ms=touched_ms)


def _touch_quiet(ledger: Ledger, grace_s: float, own_ms: int) -> int:
    """Touch every hour but those that others touch; when that was, by the clock of the server (ms)."""
    at_ms = int(ledger.query("SELECT toUnixTimestamp64Milli(now64(3))").rows[0][0])
    ledger.execute(_TOUCH_QUIET, {"at_ms": at_ms, "own_ms": own_ms, "grace_ms": round(grace_s * 1000)})
    return at_ms


def _settle(ledger: Ledger, grain: str, quiet: Mapping[str, int]) -> int:
    found = ledger.query(_QUIET[grain], quiet).rows
    units = [Unit((day - date(1970, 1, 1)).days, hour_s, seen_ms) for day, hour_s, seen_ms in found]
    for chunk in _by_days(units):
        _store(ledger, grain, chunk)
    return len(units)


def _by_days(units: Sequence[Unit]) -> Iterator[list[Unit]]:
    days = [list(of_day) for _, of_day in groupby(units, key=lambda unit: unit.day)]
    for start in range(0, len(days), DAYS_AT_ONCE):
        yield [unit for of_day in days[start : start + DAYS_AT_ONCE] for unit in of_day]


def _store(ledger: Ledger, grain: str, units: Sequence[Unit]) -> None:
    """Announce the settlement, store its totals, and list it with what it has seen: from then on it counts."""
    parameters = {
        "run": randbits(63),
        "days": [unit.day for unit in units],
        "hours": [unit.hour_s for unit in units],
    }
    ledger.execute(_LIST, {**parameters, "grain": grain, "seen": [0] * len(units)})
    for name in TOTALS[grain]:
        unit = "(addDays(toDate32('1970-01-01'), unit.1), fromUnixTimestamp(unit.2))"
        is_hour = grain == "hour"
        sql = _SETTLE.format(
            name=name,
            grain=grain,
            keys=_KEYS[grain],
            hour="toUnixTimestamp(hour)" if is_hour else "toUInt32(0)",
            unit=unit if is_hour else "addDays(toDate32('1970-01-01'), unit.1)",
        )
        ledger.execute(sql, parameters)
    ledger.execute(_LIST, {**parameters, "grain": grain, "seen": [unit.seen_ms for unit in units]})


def _drop_replaced(ledger: Ledger) -> None:
    """Totals that were replaced, or never listed, long ago."""
    replaced = [row[0] for row in ledger.query(_REPLACED, {"keep_s": KEEP_REPLACED_S}).rows]
    if not replaced:
        return
    tables = [f"{name}_totals" for names in TOTALS.values() for name in names]
    for table in (*tables, "settled_units"):
        ledger.execute(
            f"DELETE FROM {{database}}.{table} WHERE settlement IN {{replaced:Array(UInt64)}}",  # noqa: S608
            {"replaced": replaced},
        )
