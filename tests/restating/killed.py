"""Restates a ledger and kills itself at its n-th write: `killed.py PATH N before|after`. 0 is never.

A process of its own, for an engine serves one path per process and nothing but SIGKILL shows what a crash leaves.
"""

import json
import os
import signal
import sys
from collections.abc import Sequence

from ledgers import CONTRACTED, contents, ledger_total

from otel_llmcost.exporters.clickhouse.client import Ledger, LedgerUrl
from otel_llmcost.restating.run import Restatement
from otel_llmcost.restating.scope import Scope

CHUNK_LINES = 20


class DyingLedger(Ledger):
    """Dies before or after its n-th insert."""

    dies_at = 0
    dies = "before"
    inserts = 0

    def insert(self, table: str, columns: Sequence[str], block: bytes, block_format: str, *, once: bool = True) -> None:
        self.inserts += 1
        if self.inserts == self.dies_at and self.dies == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        super().insert(table, columns, block, block_format, once=once)
        if self.inserts == self.dies_at:
            os.kill(os.getpid(), signal.SIGKILL)


def main(path: str, dies_at: int, dies: str) -> None:
    ledger = DyingLedger.connect(LedgerUrl("chdb", path=path), read_only=False)
    ledger.dies_at, ledger.dies = dies_at, dies
    restatement = Restatement(ledger, Scope(), CONTRACTED, who="finops", why="crash")
    outcome = restatement.restate(lines=CHUNK_LINES)
    report = {
        "changed": outcome.changed,
        "resumed": outcome.resumed,
        "run": outcome.run_id,
        "total": str(ledger_total(ledger)),
        "adjustments": ledger.query("SELECT count(), uniqExact(call_id) FROM adjustments FINAL").rows[0],
        "old": str(ledger.query("SELECT sum(old_cost_usd) FROM adjustments FINAL").rows[0][0]),
        "states": [state for (state,) in ledger.query("SELECT state FROM restatements FINAL").rows],
        "contents": contents(ledger),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
