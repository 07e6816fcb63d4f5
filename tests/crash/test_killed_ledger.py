"""The process that keeps an embedded ledger is killed with -9 in the middle of requests, and its senders too.

What it acknowledged is in the ledger; what it did not comes again from the senders' spool. Starting that process takes
seconds: one life and one run by default, and one run with two lives for eight of `LLMCOST_CRASH_RUNS` in the long form.
"""

import os
import random
import socket
import time
from pathlib import Path

import pytest

from crash.ledger_account import Account, check, settle_all
from crash.writing import cost_usd, journaled, start
from otel_llmcost.exporters.safekeeping import folder_of
from up_process import Up, ledger_url, running_up

RUNS = max(int(os.environ.get("LLMCOST_CRASH_RUNS", "0")) // 8, 1)
LIVES = 2 if "LLMCOST_CRASH_RUNS" in os.environ else 1
SEED = int(os.environ.get("LLMCOST_CRASH_SEED", "0"))


def unused_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def endpoint(up: Up) -> str:
    return f"clickhouse://127.0.0.1:{up.ports['ClickHouse']}/llmcost"


@pytest.mark.parametrize("number", range(SEED, SEED + RUNS))
def test_a_ledger_killed_anywhere_has_each_call_once_in_the_end(tmp_path: Path, number: int) -> None:
    """Each of its lives but the last ends while an application sends, which dies a moment later. What is there when one
    begins is settled."""
    rng = random.Random(number)
    port, spool = unused_port(), tmp_path / "spool"
    dead = {"OTEL_LLMCOST_DELIVERY_DEAD_LETTERS": str(tmp_path / "dead")}
    url, team = f"otlp://127.0.0.1:{port}", f"run {number}"
    journals, first = [], number * 10_000
    for _ in range(LIVES):
        with running_up(ledger_url(tmp_path), "--writable", "--grpc-port", str(port), **dead) as up:
            settle_all(endpoint(up))
            numbers = range(first, first + rng.randrange(100, 400))
            first = numbers.stop
            journals.append(tmp_path / f"journal-{first}")
            process = start(url, spool, journals[-1], numbers, team, pause_s=0.01)
            while not journals[-1].exists():
                time.sleep(0.001)
            time.sleep(rng.uniform(0, 1))
            up.process.kill()
            time.sleep(rng.uniform(0, 0.2))
            process.kill()
            process.join()
    journals.append(tmp_path / "journal-last")
    with running_up(ledger_url(tmp_path), "--writable", "--grpc-port", str(port), **dead) as up:
        settle_all(endpoint(up))
        last = start(url, spool, journals[-1], range(first, first + 5), team)
        last.join()
        assert 0 == last.exitcode
        told = set().union(*map(journaled, journals))
        assert set(range(first, first + 5)) <= told
        check(Account.of(endpoint(up), team), told, range(number * 10_000, first + 5), cost_usd)
        settle_all(endpoint(up))
        check(Account.of(endpoint(up), team), told, range(number * 10_000, first + 5), cost_usd)
    assert [] == [*(spool / folder_of(url)).glob("*.spool"), *tmp_path.rglob("*.dead")]
