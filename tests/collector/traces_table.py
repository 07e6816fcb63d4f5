"""`otel_traces` as the Collector's ClickHouse exporter makes it (v0.161), in the embedded engine behind `up`.

`up` takes inserts but no CREATE, so the table is made beforehand and the exporter is told not to.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from up_process import Up, ledger_url, running_up

PASSWORD = "for the test"

_TABLE = """
CREATE TABLE otel.otel_traces (
    Timestamp DateTime64(9), TraceId String, SpanId String, ParentSpanId String, TraceState String,
    SpanName LowCardinality(String), SpanKind LowCardinality(String), ServiceName LowCardinality(String),
    ResourceAttributes Map(LowCardinality(String), String), ScopeName String, ScopeVersion String,
    SpanAttributes Map(LowCardinality(String), String), Duration UInt64, StatusCode LowCardinality(String),
    StatusMessage String,
    Events Nested(Timestamp DateTime64(9), Name LowCardinality(String), Attributes Map(LowCardinality(String), String)),
    Links Nested(TraceId String, SpanId String, TraceState String, Attributes Map(LowCardinality(String), String))
) ENGINE = MergeTree PARTITION BY toDate(Timestamp) ORDER BY (ServiceName, SpanName, toDateTime(Timestamp))
"""
_PREPARE = """
import sys, chdb
engine = chdb.connect(sys.argv[1])
for statement in sys.argv[2:]:
    engine.query(statement)
"""


@contextmanager
def running_clickhouse(directory: Path) -> Iterator[Up]:
    """`up` with the table; an engine serves one path per process, so the table is made in one of its own."""
    statements = ["CREATE DATABASE otel", _TABLE]
    subprocess.run([sys.executable, "-c", _PREPARE, str(directory / "ledger"), *statements], check=True)
    with running_up(ledger_url(directory), "--writable", CLICKHOUSE_PASSWORD=PASSWORD) as up:
        yield up


def variables(up: Up) -> dict[str, str]:
    """What the gateway's configuration needs to know."""
    return {
        "CLICKHOUSE_ENDPOINT": f"http://127.0.0.1:{up.ports['ClickHouse']}",
        "CLICKHOUSE_PASSWORD": PASSWORD,
        "CLICKHOUSE_COMPRESS": "none",  # the engine behind `up` reads no compressed blocks
        "CLICKHOUSE_CREATE_SCHEMA": "false",
    }
