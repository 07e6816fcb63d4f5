"""A ledger with the demo's calls, judged for anomalies, as `otel-llmcost up` would leave it."""

from datetime import timedelta
from pathlib import Path
from typing import Final

from demo_calls import DAYS, NOW, demo_calls

from otel_llmcost.detection.run import create, update
from otel_llmcost.exporters import open_sink
from otel_llmcost.exporters.clickhouse.client import Ledger
from otel_llmcost.exporters.clickhouse.migrations import prepare
from otel_llmcost.exporters.clickhouse.settling import settle

# Lines are written today and tell of November: they landed when calls end and a batch is sent.
_LANDED: Final = """
INSERT INTO call_versions ({names})
SELECT * REPLACE (version + 1 AS version, ts + toIntervalMillisecond(duration_ms + 900 + sipHash64(call_id) % 4200)
    AS ingested_at)
FROM (SELECT {names} FROM current_versions)
"""


def fill_ledger(path: Path, days: int = DAYS, *, judged_days: float = 2.5) -> None:
    """Make the ledger at `path`; detection judges its last days."""
    url = f"chdb://{path}"
    with Ledger.open(url, read_only=False) as ledger:
        prepare(ledger)
        create(ledger)
    sink = open_sink(url)
    sink.write(demo_calls(days=days))
    sink.close()
    with Ledger.open(url, read_only=False) as ledger:
        names = ", ".join(ledger.query("SELECT * FROM current_versions LIMIT 1").columns)
        ledger.execute(_LANDED.replace("{names}", names))
        settle(ledger, grace_s=0)
        if judged_days:
            update(ledger, NOW, since=NOW - timedelta(days=judged_days))
