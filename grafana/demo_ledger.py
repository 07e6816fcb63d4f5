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

# A restatement of last month's bill of one model, as `otel-llmcost restate` notes it, and the books it went between.
_RESTATED: Final = (
    """
INSERT INTO price_books (version, data_version, overlays, document, archived_at) VALUES
    ('2026.11.1', '2026.11.1', '', '{}', '2026-11-03 06:00:00'),
    ('2026.11.2', '2026.11.2', '', '{}', '2026-11-17 06:00:00')
""",
    """
INSERT INTO restatements (id, state, arguments, book, who, why, started_at, finished_at, lines, changed, written_at)
VALUES (1, 'finished', '{}', '2026.11.2', 'finance', 'discount since 1 November', '2026-11-18 09:30:00',
    '2026-11-18 09:30:04', 3000, 3000, 1)
""",
    """
INSERT INTO adjustments (restatement, call_id, day, environment, provider, model, team, feature, customer, old_version,
    old_cost_usd, cost_usd, old_status, status)
SELECT 1, unhex(call_id), toDate(ts), environment, provider, model, team, feature, customer, version,
    cost_usd, CAST(cost_usd * 0.92, 'Decimal(18, 12)'), status, status
FROM calls WHERE model = 'claude-haiku-4-5' AND cost_usd IS NOT NULL AND toDayOfMonth(ts) BETWEEN 12 AND 20
""",
)


def fill_ledger(path: Path, days: int = DAYS, *, judged_days: float = 2.5) -> None:
    """Make the ledger at `path`; detection judges its last days."""
    url = f"chdb://{path}"
    with Ledger.open(url, read_only=False) as ledger:
        prepare(ledger)
        create(ledger)
        ledger.execute("INSERT INTO {database}.detection_overrides (name, value) VALUES ('min_excess_usd', 0.05)")
    sink = open_sink(url)
    sink.write(demo_calls(days=days))
    sink.close()
    with Ledger.open(url, read_only=False) as ledger:
        names = ", ".join(ledger.query("SELECT * FROM current_versions LIMIT 1").columns)
        ledger.execute(_LANDED.replace("{names}", names))
        for statement in _RESTATED:
            ledger.execute(statement)
        settle(ledger, grace_s=0)
        if judged_days:
            update(ledger, NOW, since=NOW - timedelta(days=judged_days))
