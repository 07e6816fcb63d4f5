"""The thread that stores totals while a process serves a ledger."""

import logging
from threading import Event, Thread

from otel_llmcost.errors import LlmcostError
from otel_llmcost.exporters.clickhouse.client import Ledger
from otel_llmcost.exporters.clickhouse.settling import settle

logger = logging.getLogger(__name__)


class Settler:
    """Settles every `interval_s`. A ledger that cannot be reached is tried again; its dashboards stay exact."""

    def __init__(self, url: str, interval_s: float) -> None:
        self._url = url
        self._interval_s = interval_s
        self._stop = Event()
        self._failing = False
        self._thread = Thread(target=self._run, name="llmcost-settler", daemon=True)

    def start(self) -> None:
        """Begin, after a first interval."""
        self._thread.start()

    def stop(self) -> None:
        """End, after the run that is under way. Safe to call twice."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._interval_s):
            try:
                with Ledger.open(self._url, read_only=False) as ledger:
                    settle(ledger)
            except LlmcostError as error:
                if not self._failing:  # once per outage
                    logger.warning("totals are not stored for now, dashboards add up calls instead: %s", error)
                self._failing = True
            else:
                self._failing = False
