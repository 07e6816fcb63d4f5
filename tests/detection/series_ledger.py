"""A ledger whose series are written down as expressions: what one cost in minute `m` since `START`, a Monday."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from otel_llmcost.detection import run
from otel_llmcost.detection.statements import schema
from otel_llmcost.exporters.clickhouse.client import Ledger

START = datetime(2026, 3, 2, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)

OFFICE = "if(h BETWEEN 8 AND 17 AND d % 7 < 5, 30, 2)"
"""Calls per minute: weekdays from 8 to 18, little else."""

TABLES = """
CREATE TABLE {database}.rows
(
    series_kind String, series_key String, minute DateTime('UTC'), calls UInt64, errors UInt64, retries UInt64,
    conversations UInt64, cost_usd Nullable(Float64), max_call_usd Nullable(Float64), input_tokens UInt64,
    output_tokens UInt64, cache_read_tokens UInt64
) ENGINE = MergeTree ORDER BY minute;
CREATE OR REPLACE VIEW {database}.series_minute AS SELECT * FROM {database}.rows
WHERE minute >= {start:DateTime('UTC')} AND minute < {until:DateTime('UTC')};
CREATE TABLE {database}.pairs
(
    series_kind String, series_key String, other_kind String, other_key String, minute DateTime('UTC'), cost_usd Float64
) ENGINE = MergeTree ORDER BY minute;
CREATE OR REPLACE VIEW {database}.series_shared AS SELECT * FROM
(
    SELECT * FROM {database}.pairs
    UNION ALL SELECT other_kind, other_key, series_kind, series_key, minute, cost_usd FROM {database}.pairs
)
WHERE minute >= {start:DateTime('UTC')} AND minute < {until:DateTime('UTC')};
CREATE TABLE {database}.calls
(
    ts DateTime64(9), agent String, feature String, service String, session String, run String, trace_id String,
    model String, input_tokens UInt64, output_tokens UInt64, cost_usd Nullable(Decimal(18, 12)), usage_known UInt8
) ENGINE = MergeTree ORDER BY ts
"""


@dataclass(frozen=True)
class Told:
    """What was said of the series of a ledger, as `SeriesLedger` tells it."""

    said: list[tuple[Any, ...]]
    anomalies: list[dict[str, Any]]

    def signals(self, key: str) -> list[tuple[Any, ...]]:
        """(key, detector, first minute) of every signal of a series, in order."""
        return [one for one in self.said if one[0] == key]

    def detectors(self, key: str) -> set[str]:
        """What was said of a series."""
        return {what for _, what, _ in self.signals(key)}


class SeriesLedger:
    """Series in, signals and anomalies out."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        ledger.execute("CREATE DATABASE IF NOT EXISTS {database}")
        for statement in (*TABLES.split(";"), *schema()):
            if "series_minute AS\nSELECT\n" not in statement and "series_shared AS\nSELECT\n" not in statement:
                ledger.execute(statement)

    def fill(
        self,
        key: str,
        calls: str,
        *,
        kind: str = "feature",
        days: tuple[float, float] = (0, 29),
        usd: str = "calls * 0.01",
        dearest: str = "if(calls > 0, usd / calls * 1.5, 0)",
        inputs: str = "calls * 1000",
        cached: str = "calls * 500",
        failed: str = "0",
    ) -> None:
        """Write a series: each text is an expression of `m`, the minute; `d`, the day; `h`, its hour; and of `noise`,
        which is 0.85 to 1.15 and always the same."""
        self.ledger.execute(
            "INSERT INTO {database}.rows SELECT {kind:String}, {key:String}, {start:DateTime('UTC')} + m * 60, calls,"
            " failed, failed, 1, usd, dearest, inputs, calls * 100, cached FROM (SELECT *,"
            f" toUInt64({inputs}) AS inputs, toUInt64({cached}) AS cached, toUInt64({failed}) AS failed,"
            f" {dearest} AS dearest"
            f" FROM (SELECT *, toFloat64({usd}) AS usd FROM (SELECT *, toUInt64(round({calls})) AS calls"
            " FROM (SELECT number AS m, intDiv(m, 1440) AS d, intDiv(m % 1440, 60) AS h,"
            " 0.85 + 0.3 * (cityHash64(m, {key:String}) % 1000) / 1000 AS noise"
            " FROM numbers({first:UInt64}, {count:UInt64}))))) WHERE calls > 0",
            {
                "kind": kind, "key": key, "start": START,
                "first": int(days[0] * 1440), "count": int((days[1] - days[0]) * 1440),
            },
        )  # fmt: skip

    def share(
        self, one: tuple[str, str], other: tuple[str, str], usd: str, days: tuple[float, float] = (27, 29)
    ) -> None:
        """Write what two series have in common per minute."""
        self.ledger.execute(
            "INSERT INTO {database}.pairs SELECT {a:String}, {b:String}, {c:String}, {e:String},"
            " {start:DateTime('UTC')} + number * 60, " + usd + " FROM numbers({first:UInt64}, {count:UInt64})",
            {
                "a": one[0], "b": one[1], "c": other[0], "e": other[1], "start": START,
                "first": int(days[0] * 1440), "count": int((days[1] - days[0]) * 1440),
            },
        )  # fmt: skip

    def judge(self, begin: datetime, end: datetime, *, hours: bool = False) -> None:
        """What would have been said from `begin` to `end`; `hours`: of its hours and midnights too."""
        run.remember(self.ledger, START, end)
        run.expect(self.ledger, begin - (2 * DAY if hours else HOUR), end)
        run.judge(self.ledger, begin, end)
        if hours:
            run.judge_hours(self.ledger, begin, end)

    def told(self) -> "Told":
        """What was said, to be read when the ledger is closed: a process holds one embedded ledger at a time."""
        return Told(self.signals(), self.anomalies())

    def signals(self, key: str | None = None) -> list[tuple[Any, ...]]:
        """(key, detector, first minute) of every signal, in order."""
        rows = self.ledger.query(
            "SELECT series_key, detector, min(first_minute) AS first FROM anomaly_signals"
            " GROUP BY hour, series_kind, series_key, detector ORDER BY first, series_key, detector"
        ).rows
        return [(name, what, at.replace(tzinfo=UTC)) for name, what, at in rows if key in (None, name)]

    def detectors(self, key: str | None = None) -> set[str]:
        """What was said."""
        return {what for _, what, _ in self.signals(key)}

    def anomalies(self) -> list[dict[str, Any]]:
        """Rows of the view, in order."""
        found = self.ledger.query("SELECT * FROM anomalies ORDER BY started_at, id")
        return [dict(zip(found.columns, row, strict=True)) for row in found.rows]


@contextmanager
def opened(folder: Path) -> Iterator[SeriesLedger]:
    """A new one."""
    with Ledger.open(f"chdb://{folder}/ledger", read_only=False) as ledger:
        yield SeriesLedger(ledger)
