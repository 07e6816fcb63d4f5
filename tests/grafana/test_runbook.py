"""The queries that the runbook of the alert tells an engineer to run."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from grafana_ledger import filled_ledger

from factories import make_call

RUNBOOK = Path(__file__).parents[2] / "docs/runbooks/spend-rate.md"
QUERIES = re.findall(r"```sql\n(.*?)```", RUNBOOK.read_text("utf-8"), re.DOTALL)
SECOND_NS = 1_000_000_000


def test_runbook_queries_point_at_the_culprit(tmp_path: Path) -> None:
    """
    With 30 calls of one run in the last hour, against 3 calls an hour yesterday, each query shows that run's doing.
    """
    now = datetime.now(UTC)
    yesterday = [(now - timedelta(hours=23, minutes=20 * n + 5), "cx", "usual") for n in range(3)]
    lately = [(now - timedelta(minutes=n + 5), "ml", "loop") for n in range(30)]
    calls = [
        make_call(n, start_ns=int(t.timestamp()) * SECOND_NS, end_ns=0, tags={"team": team}, run=run, attempt=2)
        for n, (t, team, run) in enumerate([*yesterday, *lately], start=1)
    ]

    with filled_ledger(tmp_path / "ledger", calls) as ledger:
        growth, shape, runs = (ledger.query(query) for query in QUERIES)

    first = dict(zip(growth.columns, growth.rows[0], strict=True))
    assert ("ml", 30, 0) == (first["team"], first["last_hour_calls"], first["same_hour_yesterday_calls"])
    assert ["ml", "cx"] == [row[0] for row in growth.rows]
    assert (33, 33) == tuple(sum(row[shape.columns.index(name)] for row in shape.rows) for name in ("calls", "retries"))
    assert [("loop", 30)] == [(row[2], row[4]) for row in runs.rows]
