"""The thread of `up` that looks for anomalies."""

import logging
from pathlib import Path

import pytest

from factories import make_call
from otel_llmcost.detection.detector import Detector
from otel_llmcost.exporters import open_sink
from otel_llmcost.exporters.clickhouse.client import Ledger
from polling import wait_until


def test_anomalies_are_looked_for_while_others_write(tmp_path: Path) -> None:
    """
    Beside an open sink its tables are made, and what expectations need is remembered; stopping waits.
    """
    url = f"chdb://{tmp_path}"
    sink = open_sink(url)
    sink.write([make_call(1)])
    detector = Detector(url, interval_s=0.05)
    detector.start()

    with Ledger.open(url) as ledger:
        tables = "SELECT count() FROM system.tables WHERE database = 'llmcost' AND name = 'series_expected'"
        wait_until(lambda: ledger.query(tables).rows == [(1,)])
        detector.stop()
        assert [] == ledger.query("SELECT * FROM anomalies").rows
    sink.close()


def test_an_outage_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """
    A ledger that cannot be opened is tried again, and one warning says so.
    """
    (tmp_path / "file").write_text("")
    detector = Detector(f"chdb://{tmp_path}/file", interval_s=0.01)
    with caplog.at_level(logging.WARNING):
        detector.start()
        wait_until(lambda: bool(caplog.messages))
        detector.stop()

    assert 1 == len([message for message in caplog.messages if "anomalies are not looked for" in message])
