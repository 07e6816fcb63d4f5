"""The threads that keep a ledger up to date while a process serves it."""

import logging
from collections.abc import Callable
from threading import Event, Thread

from otel_llmcost.errors import LlmcostError
from otel_llmcost.exporters.clickhouse.client import Ledger
from otel_llmcost.exporters.clickhouse.settling import settle

logger = logging.getLogger(__name__)


class Keeper:
    """Does `work` on a ledger every `interval_s`. One that cannot be reached is tried again, and `lacking` says once an
    outage what that means."""

    def __init__(self, url: str, interval_s: float, work: Callable[[Ledger], object], lacking: str) -> None:
        self._url = url
        self._interval_s = interval_s
        self._work = work
        self._lacking = lacking
        self._stop = Event()
        self._failing = False
        self._thread = Thread(target=self._run, name=f"llmcost-{type(self).__name__.lower()}", daemon=True)

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
                    self._work(ledger)
            except LlmcostError as error:
                if not self._failing:  # once per outage
                    logger.warning("%s: %s", self._lacking, error)
                self._failing = True
            else:
                self._failing = False


class Settler(Keeper):
    """Stores the totals of hours that are over; without it dashboards stay exact."""

    def __init__(self, url: str, interval_s: float) -> None:
        lacking = "totals are not stored for now, dashboards add up calls instead"
        super().__init__(url, interval_s, settle, lacking)
