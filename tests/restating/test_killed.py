"""kill -9 at every kind of write, then the same command again."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ledgers import CONTRACTED, LIST, priced, some_calls, total_of

SCRIPT = Path(__file__).parent / "killed.py"
LINES = 50
LONG = "LLMCOST_LONG" in os.environ
"""LLMCOST_LONG=1: every write by itself, on a ledger of its own."""

_STORE = """
import sys
from ledgers import priced, some_calls, write
write(f"chdb://{sys.argv[1]}", [priced(call) for call in some_calls(int(sys.argv[2]))])
"""
_FOLDERS = [str(SCRIPT.parent), str(SCRIPT.parents[1]), os.environ.get("PYTHONPATH", "")]
ENVIRON = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, _FOLDERS))}


def make_ledger(path: Path) -> None:
    subprocess.run([sys.executable, "-c", _STORE, str(path), str(LINES)], check=True, env=ENVIRON)


def run(path: Path, dies_at: int = 0, dies: str = "before") -> dict[str, Any] | None:
    """What a run reports; None where it was killed."""
    command = [sys.executable, str(SCRIPT), str(path), str(dies_at), dies]
    done = subprocess.run(command, capture_output=True, check=False, env=ENVIRON)
    if done.returncode == -signal.SIGKILL:
        return None
    assert done.returncode == 0, done.stderr.decode()
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def check(report: dict[str, Any]) -> None:
    """Every line restated once, every old amount kept once."""
    found = some_calls(LINES)
    assert str(total_of(found, CONTRACTED)) == report["total"]
    assert str(total_of([priced(call) for call in found], LIST)) == report["old"]
    assert ([LINES, LINES], ["finished"]) == (report["adjustments"], report["states"])


def test_a_run_that_is_killed_again_and_again_ends_right(tmp_path: Path) -> None:
    """
    Killed behind its first write, then at the next ones in turn, one run restates all lines once.
    """
    path = tmp_path / "ledger"
    make_ledger(path)
    # the archive takes two writes at first; then come the start, and three a chunk: old amounts, versions, how far
    for dies_at, dies in ((1, "after"), (4, "after"), (3, "before"), (2, "after"), (4, "before")):
        assert run(path, dies_at, dies) is None

    report = run(path)

    assert report is not None
    assert (True, 1, LINES) == (report["resumed"], report["run"], report["changed"])
    check(report)
    again = run(path)
    assert again is not None
    assert (0, report["contents"], report["total"]) == (again["run"], again["contents"], again["total"])


@pytest.mark.skipif(not LONG, reason="LLMCOST_LONG=1: half a minute more")
@pytest.mark.parametrize("dies", ["before", "after"])
def test_every_single_write_may_be_the_last(tmp_path: Path, dies: str) -> None:
    """
    Whichever write a run dies at, the next run ends right.
    """
    dies_at, died = 1, True
    while died:
        path = tmp_path / str(dies_at)
        make_ledger(path)
        died = run(path, dies_at, dies) is None
        report = run(path)
        assert report is not None
        check(report)
        dies_at += 1
    assert dies_at > 12
