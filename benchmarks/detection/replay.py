"""A labelled set in a ledger of its own, judged day by day, minute for minute as it would have been at the time."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from detection.workloads import START, Feature, Floats
from otel_llmcost.detection import run
from otel_llmcost.detection.statements import schema
from otel_llmcost.exporters.clickhouse.client import Ledger

# In place of the two inputs of schema_input.sql, with their columns: traffic by minute and feature. No conversations.
INPUT = """
CREATE TABLE {database}.cells
(
    team LowCardinality(String), feature LowCardinality(String), model LowCardinality(String),
    user LowCardinality(String), minute DateTime('UTC'), calls UInt64, errors UInt64, retries UInt64,
    cost_usd Float64, max_call_usd Float64, input_tokens UInt64, output_tokens UInt64, cache_read_tokens UInt64
) ENGINE = MergeTree ORDER BY (minute, feature);
CREATE TABLE {database}.calls
(
    ts DateTime64(9), agent String, feature String, service String, session String, run String, trace_id String,
    model String, input_tokens UInt64, output_tokens UInt64, cost_usd Nullable(Decimal(18, 12)), usage_known UInt8
) ENGINE = MergeTree ORDER BY ts;
CREATE OR REPLACE VIEW {database}.series_minute AS
SELECT series.1 AS series_kind, series.2 AS series_key, minute, sum(c.calls) AS calls, sum(c.errors) AS errors,
    sum(c.retries) AS retries, toUInt64(0) AS conversations, sum(c.cost_usd) AS cost_usd,
    max(c.max_call_usd) AS max_call_usd, sum(c.input_tokens) AS input_tokens, sum(c.output_tokens) AS output_tokens,
    sum(c.cache_read_tokens) AS cache_read_tokens
FROM {database}.cells AS c
ARRAY JOIN [('total', ''), ('team', team), ('feature', feature), ('model', model), ('user', user)] AS series
WHERE c.minute >= {start:DateTime('UTC')} AND c.minute < {until:DateTime('UTC')}
GROUP BY series_kind, series_key, minute;
CREATE OR REPLACE VIEW {database}.series_shared AS
SELECT series.1 AS series_kind, series.2 AS series_key, other.1 AS other_kind, other.2 AS other_key, minute,
    sum(c.cost_usd) AS cost_usd
FROM {database}.cells AS c
ARRAY JOIN [('total', ''), ('team', team), ('feature', feature), ('model', model), ('user', user)] AS series
ARRAY JOIN [('total', ''), ('team', team), ('feature', feature), ('model', model), ('user', user)] AS other
WHERE series != other AND c.minute >= {start:DateTime('UTC')} AND c.minute < {until:DateTime('UTC')}
GROUP BY series_kind, series_key, other_kind, other_key, minute;
"""


@dataclass(frozen=True)
class Run:
    """What detection said of a set, and how long a day of it took to judge."""

    signals: list[tuple[str, str, str, str, int, int, int]]  # kind, key, detector, direction, first, last, window
    incidents: list[dict[str, Any]]
    seconds_per_day: float


def prepare(ledger: Ledger) -> None:
    """Tables and views, with the inputs of this set in place of those over `calls`."""
    ledger.execute("CREATE DATABASE IF NOT EXISTS {database}")
    for statement in [part.strip() for part in INPUT.split(";") if part.strip()]:
        ledger.execute(statement)
    for statement in schema():
        if "series_minute AS" not in statement and "series_shared AS" not in statement:
            ledger.execute(statement)


def take_series(ledger: Ledger) -> None:
    """Rows that are series already, in place of features: nothing is known of what they share."""
    ledger.execute(
        "CREATE TABLE {database}.series_rows (series_kind String, series_key String, minute DateTime('UTC'),"
        " calls UInt64, errors UInt64, retries UInt64, cost_usd Float64, max_call_usd Float64, input_tokens UInt64,"
        " output_tokens UInt64, cache_read_tokens UInt64) ENGINE = MergeTree ORDER BY (minute, series_kind, series_key)"
    )
    ledger.execute(
        "CREATE OR REPLACE VIEW {database}.series_minute AS SELECT *, toUInt64(0) AS conversations"
        " FROM {database}.series_rows WHERE minute >= {start:DateTime('UTC')} AND minute < {until:DateTime('UTC')}"
    )


def load(ledger: Ledger, feature: Feature, columns: Mapping[str, Floats]) -> None:
    """The minutes of a feature that have calls."""
    busy = np.flatnonzero(columns["calls"])
    seconds = int(START.timestamp()) + busy * 60
    place = {"team": feature.team, "feature": feature.name, "model": feature.model, "user": feature.user}
    data: dict[str, pa.Array] = {name: pa.array([value] * len(busy)) for name, value in place.items()}
    data["minute"] = pa.array(seconds.astype("datetime64[s]"))
    for name, values in columns.items():
        kept = values[busy]
        data[name] = pa.array(kept if name.endswith("_usd") else kept.astype(np.uint64))
    ledger.client.insert_arrow(f"{ledger.url.database}.cells", pa.table(data))


def judge(ledger: Ledger, first_day: int, days: int, start: datetime = START) -> Run:
    """Remember all, then expect and judge day after day; the days before `first_day` are history only."""
    run.remember(ledger, start, start + timedelta(days=days))
    run.expect(ledger, start + timedelta(days=first_day - 1), start + timedelta(days=first_day))
    started = time.perf_counter()
    for day in range(first_day, days):
        begin, end = start + timedelta(days=day), start + timedelta(days=day + 1)
        run.expect(ledger, begin, end)
        run.judge(ledger, begin, end)
        run.judge_hours(ledger, begin, end)
    spent = time.perf_counter() - started
    found = ledger.query(
        "SELECT series_kind, series_key, detector, direction, toUInt32(min(first_minute)), toUInt32(max(last_minute)),"
        " min(window_minutes) FROM anomaly_signals GROUP BY hour, series_kind, series_key, detector, direction"
        " ORDER BY 5, 1, 2, 3"
    ).rows
    zero = int(START.timestamp())
    signals = [(*row[:4], (row[4] - zero) // 60, (row[5] - zero) // 60, row[6]) for row in found]
    rows = ledger.query("SELECT * FROM anomalies ORDER BY started_at, id")
    incidents = [dict(zip(rows.columns, row, strict=True)) for row in rows.rows]
    for one in incidents:
        one["start"], one["end"] = (_minute(one[name]) for name in ("started_at", "last_seen_at"))
    return Run(signals, incidents, spent / (days - first_day))


def _minute(moment: Any) -> int:
    return int((moment.replace(tzinfo=UTC) - START).total_seconds() // 60)
