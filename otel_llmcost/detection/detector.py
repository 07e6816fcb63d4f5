"""The thread that looks for anomalies while a process serves a ledger."""

from datetime import UTC, datetime

from otel_llmcost.detection.run import create, update
from otel_llmcost.exporters.clickhouse.client import Ledger
from otel_llmcost.exporters.clickhouse.settler import Keeper


class Detector(Keeper):
    """Brings detection up to now every `interval_s`. In its first run it takes in the history."""

    def __init__(self, url: str, interval_s: float) -> None:
        super().__init__(url, interval_s, self._update, "anomalies are not looked for now")
        self._created = False

    def _update(self, ledger: Ledger) -> None:
        if not self._created:
            create(ledger)
            self._created = True
        update(ledger, datetime.now(UTC))
