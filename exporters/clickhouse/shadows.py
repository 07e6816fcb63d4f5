"""Shadow rows: the marks that a line leaves in days next to its own.

Versions of one call collapse where they have the same day and id (schema/0001_calls.sql), and their times may differ:
clocks of two hosts, another time zone in a later import. A line whose call may have a version in another day so puts a
row there with its id and version and nothing else. Of the versions in a day, shadows included, the highest counts, and
a shadow is no line: whatever a day shows, no other day shows too.
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from otel_llmcost.call import LLMCall, Source

if TYPE_CHECKING:
    from otel_llmcost.exporters.clickhouse.client import Ledger

HOUR_NS: Final = 3_600_000_000_000
DAY_NS: Final = 24 * HOUR_NS
LAST_NS: Final = (1 << 63) - 1

SKEW_H: Final = 1
"""How far apart two clocks may be."""
WIDE_SKEW_H: Final = 26
"""Two imports of a row may read its time in the zones farthest from one another; a row that hides a line that another
span tells has the time of its own span."""

_BLANKS: Final[Mapping[str, Any]] = {
    "Nullable(Decimal": 0,  # not None: lines have amounts, as a rule, and a mask that is even takes no bytes
    "Nullable(UInt16)": 200,
    "Nullable": None,
    "LowCardinality": "",
    "String": "",
    "FixedString": b"",
    "UInt": 0,
    "DateTime64": 0,
    "Map": {},
    "Array": (),
}

INSERT_SHADOWS: Final = """
INSERT INTO {database}.call_versions
    (call_id, version, ts, shadow, skew_h, http_status, usage_known, input_cost_usd, output_cost_usd,
     cache_read_cost_usd, cache_write_cost_usd, other_cost_usd, cache_savings_usd, cost_usd, list_cost_usd)
SELECT call_id, version, other_day, 1, skew_h, 200, 1, 0, 0, 0, 0, 0, 0, 0, 0
FROM
(
    SELECT
        call_id, version, skew_h, toStartOfDay(ts, 'UTC') AS own_day,
        arrayJoin(arrayDistinct(arrayMap(
            h -> toStartOfDay(ts + toIntervalHour(h), 'UTC'), range(-toInt16(skew_h), toInt16(skew_h) + 1)
        ))) AS other_day
    FROM {database}.current_versions
    WHERE toDate32(ts, 'UTC') IN {days:Array(Date32)}
)
WHERE other_day != own_day
AND NOT (other_day > own_day AND (call_id, version, other_day) IN
(
    SELECT call_id, version, toStartOfDay(ts, 'UTC') FROM {database}.call_versions
    WHERE shadow = 0 AND toDate32(ts, 'UTC') IN {later_days:Array(Date32)}
))
SETTINGS max_partitions_per_insert_block = 0
"""
"""Completes the shadows of the lines of some days: rows that were not written by the writer have none. Of two lines
with equal versions the later day's counts; the other one casts no shadow there, or each would hide the other."""
DAYS_AT_ONCE: Final = 4
"""Days of calls in one statement, which bounds its memory."""


def complete_shadows(ledger: "Ledger") -> None:
    """Add the shadows that are missing, day by day. Again changes nothing.

    Raises:
        DeliveryError: the ledger did not answer, or refused.
    """
    found = ledger.query("SELECT DISTINCT toDate32(ts, 'UTC') AS day FROM call_versions WHERE shadow = 0 ORDER BY day")
    days = [day for (day,) in found.rows]
    reach = -(-WIDE_SKEW_H // 24)
    for start in range(0, len(days), DAYS_AT_ONCE):
        chunk = days[start : start + DAYS_AT_ONCE]
        later = {day + timedelta(apart) for day in chunk for apart in range(1, reach + 1)}
        ledger.execute(INSERT_SHADOWS, {"days": chunk, "later_days": sorted(later)})


def skew_h(call: LLMCall) -> int:
    """How many hours away from this record another one of the same call may be."""
    return WIDE_SKEW_H if call.source is Source.IMPORT or call.duplicate_of else SKEW_H


def other_days(start_ns: int, skew: int) -> Iterator[int]:
    """Beginnings (UTC, ns since 1970) of the days, but the own one, that another version may lie in."""
    own = start_ns // DAY_NS
    first, last = max(0, start_ns - skew * HOUR_NS) // DAY_NS, min(LAST_NS, start_ns + skew * HOUR_NS) // DAY_NS
    return (day * DAY_NS for day in range(first, last + 1) if day != own)


def blank(type_name: str) -> Any:
    """What a column of that ClickHouse type holds where there is nothing."""
    return next(value for start, value in _BLANKS.items() if type_name.startswith(start))


def add_shadows(filled: dict[str, list[Any]], blanks: Mapping[str, Any]) -> None:
    """Add the shadows of all rows to the columns of a batch; `blanks` is what each column holds in them.

    Of rows with equal versions the later one counts. One import may tell a call twice: the shadows of the earlier
    row stand before all lines, or the two rows would hide each other.
    """
    rows = zip(filled["call_id"], filled["version"], filled["ts"], filled["skew_h"], strict=True)
    reaching = [row for row in rows if not row[3] * HOUR_NS <= row[2] % DAY_NS < DAY_NS - row[3] * HOUR_NS]
    if not reaching:
        return
    last = {(call_id, version): place for place, (call_id, version, *_) in enumerate(reaching)}
    before: list[dict[str, Any]] = []
    after: list[dict[str, Any]] = []
    for place, (call_id, version, start_ns, skew) in enumerate(reaching):
        marks = after if last[call_id, version] == place else before
        for day_ns in other_days(start_ns, skew):
            marks.append({**blanks, "call_id": call_id, "version": version, "ts": day_ns, "skew_h": skew, "shadow": 1})
    for name, column in filled.items():
        column[:0] = [mark[name] for mark in before]
        column.extend([mark[name] for mark in after])
