"""An application that is killed with -9 anywhere: no line lost, none doubled, with a ledger that fails in between.

Some runs by default; `LLMCOST_CRASH_RUNS=200 python -m pytest tests/crash` is the long form. Each run draws its own
calls, moment of death and faults from its number; LLMCOST_CRASH_SEED begins elsewhere.
"""

import os
import random
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import pytest

from chdb_server import PASSWORD, USER, ChdbServer, serve
from crash.ledger_account import Account, check, settle_all
from crash.writing import cost_usd, journaled, start
from otel_llmcost.errors import RetryableError
from otel_llmcost.exporters.safekeeping import folder_of

RUNS = int(os.environ.get("LLMCOST_CRASH_RUNS", "3"))
SEED = int(os.environ.get("LLMCOST_CRASH_SEED", "0"))
FAULTS = (
    ("lost answer",),  # stored, and the writer does not hear of it
    ("lost request",),
    (500, 241),  # MEMORY_LIMIT_EXCEEDED
    (500, 319),  # UNKNOWN_STATUS_OF_INSERT
    (503, None),
    (500, 16),  # NO_SUCH_COLUMN_IN_TABLE: permanent, so the batch is taken apart
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChdbServer]:
    with serve(tmp_path_factory.mktemp("ledger")) as running:
        yield running


@pytest.mark.parametrize("number", range(SEED, SEED + RUNS))
def test_a_writer_killed_anywhere_loses_and_doubles_nothing(server: ChdbServer, tmp_path: Path, number: int) -> None:
    """One to three applications share the spool; each dies at its own moment, the last one clears up. Some hours are
    settled before the next one writes to them."""
    rng = random.Random(number)
    url = f"clickhouse://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{server.server_port}"
    spool, team = tmp_path / "spool", f"run {number}"
    server.faults = [rng.choice(FAULTS) if rng.random() < 0.5 else None for _ in range(rng.randrange(30))]
    journals, first = [], number * 10_000
    for _ in range(rng.randrange(1, 4)):
        numbers = range(first, first + rng.randrange(1, 400))
        first = numbers.stop
        journals.append(tmp_path / f"journal-{first}")
        process = start(url, spool, journals[-1], numbers, team)
        while not journals[-1].exists() and process.is_alive():
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.4) ** 2 * 4)  # many early deaths, some late ones
        process.kill()
        process.join()
        with suppress(RetryableError):  # it died while it was setting up the ledger
            if rng.random() < 0.5:
                settle_all(url)
    journals.append(tmp_path / "journal-last")
    last = start(url, spool, journals[-1], range(first, first + 5), team)
    last.join()
    assert 0 == last.exitcode
    told = set().union(*map(journaled, journals))
    assert set(range(first, first + 5)) <= told
    check(Account.of(url, team), told, range(number * 10_000, first + 5), cost_usd)
    settle_all(url)
    check(Account.of(url, team), told, range(number * 10_000, first + 5), cost_usd)
    assert [] == list((spool / folder_of(url)).glob("*.spool"))
