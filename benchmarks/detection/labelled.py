"""A labelled set from outside: a folder with series.csv (or series.parquet) and labels.csv.

series: series_kind, series_key, minute (ISO 8601, UTC), calls, cost_usd; where known also errors, retries,
max_call_usd, input_tokens, output_tokens, cache_read_tokens. labels: series_kind, series_key, start, end, fault, size.
"""

import csv
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from detection import replay
from detection.faults import Fault
from detection.score import Alert, Score, score
from detection.workloads import DAY, START
from otel_llmcost.exporters.clickhouse.client import Ledger

COLUMNS = {
    "series_kind": pa.string(), "series_key": pa.string(), "minute": pa.timestamp("s"), "calls": pa.uint64(),
    "errors": pa.uint64(), "retries": pa.uint64(), "cost_usd": pa.float64(), "max_call_usd": pa.float64(),
    "input_tokens": pa.uint64(), "output_tokens": pa.uint64(), "cache_read_tokens": pa.uint64(),
}  # fmt: skip


def judge(folder: Path, name: str) -> dict[str, Score]:
    """The score of a set; the first three weeks of it are history only."""
    table = _read(folder)
    minutes = [value.replace(tzinfo=UTC) for value in table["minute"].to_pylist()]
    first = min(minutes).replace(hour=0, minute=0, second=0)
    days = (max(minutes) - first).days + 1
    begin = min(21, days // 2)
    series = sorted(set(zip(table["series_kind"].to_pylist(), table["series_key"].to_pylist(), strict=True)))
    with tempfile.TemporaryDirectory() as place, Ledger.open(f"chdb://{place}", read_only=False) as ledger:
        replay.prepare(ledger)
        replay.take_series(ledger)
        ledger.client.insert_arrow(f"{ledger.url.database}.series_rows", table)
        found = replay.judge(ledger, begin, days, first)
    known = [(fault, fault.start) for fault in _labels(folder)]
    said = [Alert(frozenset((f"{kind}={key}",)), at, last) for kind, key, _, _, at, last, _ in found.signals]
    alerts = [
        Alert(
            frozenset(f"{kind}={key}" for kind, key in [(one["series_kind"], one["series_key"]), *one["folded"]]),
            one["start"], one["end"],
        )
        for one in found.incidents
    ]  # fmt: skip
    return {name: score(known, said, alerts, len(series), (days - begin) * DAY)}


def _read(folder: Path) -> pa.Table:
    path = folder / "series.parquet"
    table = pa.parquet.read_table(path) if path.exists() else pa.csv.read_csv(folder / "series.csv")
    columns = {}
    for column, kind in COLUMNS.items():
        if column in table.column_names:
            columns[column] = table[column].cast(kind, safe=False)
        else:
            columns[column] = pa.array([0] * len(table), kind)
    return pa.table(columns)


def _labels(folder: Path) -> list[Fault]:
    with (folder / "labels.csv").open(newline="") as lines:
        return [
            Fault(
                row["fault"], f"{row['series_kind']}={row['series_key']}", _minute(row["start"]), _minute(row["end"]),
                float(row.get("size") or 0),
            )
            for row in csv.DictReader(lines)
        ]  # fmt: skip


def _minute(text: str) -> int:
    moment = datetime.fromisoformat(text)
    return int((moment.replace(tzinfo=moment.tzinfo or UTC) - START).total_seconds() // 60)
