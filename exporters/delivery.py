"""`Delivery`: a bounded queue, a thread and retries between the application and whatever takes its lines.

`put` never blocks and never raises. What cannot be kept or delivered is counted and logged once a reason: nothing is
lost silently.
"""

import logging
import random
import threading
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Final, Generic, TypeVar

from opentelemetry.instrumentation.utils import suppress_instrumentation

from otel_llmcost.errors import PermanentError, RetryableError
from otel_llmcost.exporters.forking import call_in_child
from otel_llmcost.settings import DeliverySettings

_logger = logging.getLogger("otel_llmcost")

FIRST_RETRY_S: Final = 0.2
LONGEST_RETRY_S: Final = 15.0

T = TypeVar("T")


class Delivery(Generic[T]):
    """Hands batches of items to `handle`, in order, from one thread.

    `handle` raises `RetryableError` to get the same batch again later and `PermanentError` to give it up.
    `on_dropped` is called with the number of items lost and the reason. `flush_behind`, given a time in ms, has what
    `handle` keeps for later delivered, and says whether it is.
    """

    def __init__(
        self,
        handle: Callable[[list[T]], None],
        settings: DeliverySettings,
        on_dropped: Callable[[int, str], None],
        flush_behind: Callable[[int], bool] = lambda _timeout_ms: True,
    ) -> None:
        self._handle = handle
        self._flush_behind = flush_behind
        self._settings = settings
        self._on_dropped = on_dropped
        self._logged: set[str] = set()
        self._reset()
        call_in_child(self._reset)

    def _reset(self) -> None:
        """Fresh state; in a forked child too, where the parent keeps and delivers what waits."""
        self._queue: deque[T] = deque()
        self._lock = threading.Lock()
        self._begin = threading.Event()  # there is something to wait for
        self._wake = threading.Event()  # no more waiting
        self._stop = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        self._deadline = float("inf")
        self._in_hand = 0  # items that `handle` has and has not answered for
        self._thread: threading.Thread | None = None

    def put(self, item: T) -> None:
        """Queue an item; if the queue is full or shut down, the item is counted as dropped."""
        if self._stop.is_set():
            self._drop(1, "shut_down")
        elif len(self._queue) >= self._settings.queue_size:
            self._drop(1, "queue_full")
        else:
            self._queue.append(item)
            if self._idle.is_set():  # a look is free, clearing takes a lock
                self._idle.clear()
                self._begin.set()
            if self._thread is None:
                self._start()
            if len(self._queue) >= self._settings.batch_size:
                self._wake.set()

    def flush(self, timeout_ms: int) -> bool:
        """Wait until everything queued is delivered or given up; False when the time ran out first."""
        started = monotonic()
        self._wake.set()
        self._begin.set()
        if not self._idle.wait(timeout_ms / 1000):
            return False
        return self._flush_behind(max(timeout_ms - int((monotonic() - started) * 1000), 0))

    def shutdown(self) -> bool:
        """Deliver what waits, for `shutdown_timeout_ms` at most; what is left then is dropped. Safe to call twice.

        Returns whether `handle` is at rest; a batch that it still has is counted as dropped too.
        """
        if self._stop.is_set():
            return self._in_hand == 0
        self._deadline = monotonic() + self._settings.shutdown_timeout_ms / 1000
        self._stop.set()
        self._wake.set()
        self._begin.set()
        if self._thread is not None:
            self._thread.join(self._settings.shutdown_timeout_ms / 1000 + 1)
        in_hand = self._in_hand
        left = len(self._queue) + in_hand
        self._queue.clear()
        if left:
            self._drop(left, "shut_down")
        return in_hand == 0

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run_unseen, name="llmcost-delivery", daemon=True)
                self._thread.start()

    def _run_unseen(self) -> None:
        with suppress_instrumentation():  # the ledger's own requests are nobody's calls
            self._run()

    def _run(self) -> None:
        while True:
            self._begin.wait()
            self._begin.clear()
            self._wake.wait(self._settings.flush_interval_ms / 1000)
            self._wake.clear()
            while self._queue and monotonic() < self._deadline:
                batch = [self._queue.popleft() for _ in range(min(len(self._queue), self._settings.batch_size))]
                self._in_hand = len(batch)
                self._deliver(batch)
                self._in_hand = 0
            self._idle.set()
            if self._queue:  # put() came between the last look and the mark
                self._idle.clear()
                self._begin.set()
            if self._stop.is_set():
                return

    def _deliver(self, batch: list[T]) -> None:
        pause_s = FIRST_RETRY_S
        while True:
            try:
                self._handle(batch)
            except RetryableError as error:
                self._log_once("retry", "the ledger is not reachable, lines are kept and sent again: %s", error)
                if not self._pause(pause_s):
                    self._drop(len(batch), "unreachable")
                    return
                pause_s = min(pause_s * 2, LONGEST_RETRY_S)
            except PermanentError as error:
                self._log_once("refused", "the ledger refused lines: %s", error)
                self._drop(len(batch), "refused")
                return
            except Exception as error:  # noqa: BLE001 - the thread must live on; the loss is counted and logged
                self._log_once("failed", "lines could not be made or delivered: %s", type(error).__name__)
                self._drop(len(batch), "failed")
                return
            else:
                return

    def _pause(self, seconds: float) -> bool:
        """Wait before a retry; False when the time for retries is over."""
        wait_s = min(seconds * random.uniform(0.5, 1.0), self._deadline - monotonic())  # noqa: S311 - jitter
        if wait_s <= 0:
            return False
        if self._stop.is_set():
            threading.Event().wait(wait_s)
        else:
            self._stop.wait(wait_s)
        return monotonic() < self._deadline

    def _drop(self, count: int, reason: str) -> None:
        self._log_once(
            f"dropped:{reason}", f"{count} calls are missing from the ledger (%s); see llmcost.dropped", reason
        )
        self._on_dropped(count, reason)

    def _log_once(self, key: str, message: str, detail: object) -> None:
        if key not in self._logged:
            self._logged.add(key)
            _logger.error("otel-llmcost: " + message + ". Logged once; further ones are counted.", detail)
