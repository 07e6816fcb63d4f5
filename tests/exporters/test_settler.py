"""The thread of `up` that stores totals."""

import logging
from pathlib import Path

import pytest

from factories import make_call
from otel_llmcost.exporters import open_sink
from otel_llmcost.exporters.clickhouse import settler
from otel_llmcost.exporters.clickhouse.client import Ledger
from otel_llmcost.exporters.clickhouse.settler import Settler
from otel_llmcost.exporters.clickhouse.settling import settle
from polling import wait_until


def test_hours_are_settled_while_others_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Beside an open sink, every interval; stopping waits for the run under way.
    """
    url = f"chdb://{tmp_path}"
    sink = open_sink(url)
    sink.write([make_call(1)])
    monkeypatch.setattr(settler, "settle", lambda ledger: settle(ledger, grace_s=0))
    running = Settler(url, interval_s=0.02)
    running.start()

    with Ledger.open(url) as ledger:
        wait_until(lambda: ledger.query("SELECT countIf(settlement = 0), count() FROM hour_states").rows == [(0, 3)])
        running.stop()
        running.stop()
        assert [(1,)] == ledger.query("SELECT sum(calls) FROM hourly_totals").rows
    sink.close()


def test_an_outage_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """
    A ledger that cannot be opened is tried again, and one warning says so.
    """
    (tmp_path / "file").write_text("")
    running = Settler(f"chdb://{tmp_path}/file", interval_s=0.01)
    with caplog.at_level(logging.WARNING):
        running.start()
        wait_until(lambda: bool(caplog.messages))
        running.stop()

    assert 1 == len([message for message in caplog.messages if "totals are not stored" in message])
