"""`SpooledSink`: a sink that keeps on disk what the ledger does not have yet.

    write(items) → spool (durable) → returns
                     └→ thread: a segment → ledger → removed

So the application's lines survive its crash, its exit and an outage of the ledger, in bounded memory. A segment goes to
the ledger as one batch, the same each time, and is removed once the ledger has it: after a crash in between it goes
once more, and the ledger counts it once.
"""

import logging
import random
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Final, Generic, TypeVar

from opentelemetry.instrumentation.utils import suppress_instrumentation

from otel_llmcost.errors import LlmcostError, RetryableError
from otel_llmcost.exporters.dead_letters import RAW, Letter
from otel_llmcost.exporters.forking import call_in_child
from otel_llmcost.exporters.outlet import Outlet, decoded
from otel_llmcost.exporters.salvage import RefusesEverythingError
from otel_llmcost.exporters.spool import Segment, Spool
from otel_llmcost.settings import DeliverySettings

_logger = logging.getLogger("otel_llmcost")

FIRST_RETRY_S: Final = 0.2
LONGEST_RETRY_S: Final = 15.0
ADOPT_EVERY_S: Final = 30.0
"""How often a process looks for what others left behind when they died."""

SEAL_AFTER_S: Final = 60.0
"""Age at which a segment is ended while the ledger fails, whatever its size."""
_NOT_READ: Final = "the spool cannot be read, what is left in it stays there: %s"

T = TypeVar("T")


@dataclass(slots=True)
class _Batch(Generic[T]):
    """A sealed segment. `items`: what is in it, while that need not be read from disk.

    `refused_at`: how much the ledger had stored when it refused all of the batch.
    """

    segment: Segment
    items: list[T] | None = None
    refused_at: int | None = None


class SpooledSink(Generic[T]):
    """Takes items durably at once and delivers them from a thread of its own. Owns `spool`."""

    def __init__(self, spool: Spool, outlet: Outlet[T], close: Callable[[], None], settings: DeliverySettings) -> None:
        self._spool = spool
        self._outlet = outlet
        self._close = close
        self._settings = settings
        self._logged: set[str] = set()
        self._reset()
        call_in_child(self._reset)

    def _reset(self) -> None:
        """Fresh state; in a forked child too, where all that waits is the parent's."""
        self._changed = threading.Condition()
        self._waiting: deque[_Batch[T]] = deque()
        self._open: list[T] = []  # what is in the open segment
        self._open_since = 0.0
        self._in_hand: _Batch[T] | None = None
        self._failures = 0
        self._retry_at = 0.0
        self._adopt_at = 0.0
        self._hurry = False
        self._stopping = False
        self._thread: threading.Thread | None = None

    def write(self, items: Sequence[T]) -> None:
        """Keep the items; they are durable on return, in the spool or, where the disk does not take them, the ledger.

        Raises:
            RetryableError: neither takes them now.
        """
        records = [self._outlet.codec.encode(item) for item in items]
        try:
            with self._changed:
                self._append(records, items)
        except OSError as error:
            self._log_once("spool", "the spool takes no lines, they go to the ledger or wait in memory: %s", error)
            self._outlet.deliver(items, may_refuse_all=True)
        self.start()

    def start(self) -> None:
        """Begin to deliver, also what others left behind."""
        with self._changed:
            if self._thread is None and not self._stopping:
                self._thread = threading.Thread(target=self._run_unseen, name="llmcost-spool", daemon=True)
                self._thread.start()

    def start_for_leftovers(self) -> None:
        """Begin to deliver if anybody left something behind; a process that makes no calls has no thread otherwise."""
        try:
            found = self._spool.has_leftovers()
        except OSError as error:
            self._log_once("adopt", _NOT_READ, error)
            return
        if found:
            self.start()

    def flush(self, timeout_ms: int) -> bool:
        """Have all that is spooled delivered now; False where the time ran out first."""
        with self._changed:
            self._hurry = True
            self._retry_at = 0.0
            self._changed.notify_all()
            done = self._changed.wait_for(self._is_empty, timeout_ms / 1000)
            self._hurry = False
            return done

    def close(self) -> None:
        """Try once more to deliver what waits, for `shutdown_timeout_ms` at most; the rest stays for the next process.

        Safe to call twice.
        """
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(self._settings.shutdown_timeout_ms / 1000)
        with self._changed:
            if not self._is_empty():
                self._log_once(
                    "left", "calls stay in the spool, the next start delivers them: %s", self._spool.directory
                )
            if self._in_hand is None:
                self._spool.release()
        if self._in_hand is None:  # else the ledger hangs, and so would closing it
            self._close()

    def _is_empty(self) -> bool:
        return not (self._open or self._waiting or self._in_hand)

    def _append(self, records: list[bytes], items: Sequence[T]) -> None:
        self._spool.append(records)
        if not self._open:
            self._open_since = monotonic()
            self._changed.notify_all()
        self._open += items
        if len(self._open) >= self._settings.batch_size or self._spool.is_large:
            self._seal()
            self._changed.notify_all()

    def _seal(self) -> None:
        """End the open segment. Its items are kept in memory only where they are up next."""
        segment = self._spool.seal()
        items, self._open = self._open, []
        if segment is not None:
            self._waiting.append(_Batch(segment, None if self._waiting or self._failures else items))

    def _run_unseen(self) -> None:
        with suppress_instrumentation():  # the ledger's own requests are nobody's calls
            while (batch := self._next()) is not None or not self._stopping:
                if batch is None:
                    self._adopt()
                else:
                    self._settle(batch, self._deliver(batch))

    def _next(self) -> _Batch[T] | None:
        """The next batch once it is due; None when it is time to look for what others left, or to end."""
        with self._changed:
            while not self._stopping:
                now = monotonic()
                due_at = self._due_at()
                if due_at <= now:
                    break
                if self._adopt_at <= now and not self._failures:
                    return None
                self._changed.wait((due_at if self._failures else min(due_at, self._adopt_at)) - now)
            if self._stopping and self._failures:
                return None
            if self._open and self._open_is_wanted():
                self._seal()
            self._in_hand = self._waiting.popleft() if self._waiting else None
            return self._in_hand

    def _open_is_wanted(self) -> bool:
        """Whether to end the open segment: as the next one, or, while batch after batch fails, as another to try.

        Not at every attempt: a long outage shall not leave thousands of small files.
        """
        if not self._failures:
            return not self._waiting
        return len(self._waiting) < 2 or monotonic() - self._open_since > SEAL_AFTER_S

    def _due_at(self) -> float:
        if self._waiting:
            return self._retry_at
        if self._open:
            wait_s = 0.0 if self._hurry else self._settings.flush_interval_ms / 1000
            return max(self._open_since + wait_s, self._retry_at)
        return float("inf")

    def _deliver(self, batch: _Batch[T]) -> RetryableError | None:
        """Bring a batch to the ledger; the reason where it did not get there."""
        try:
            items = self._items_of(batch) if batch.items is None else batch.items
            if items:
                # Refused as a whole before, and others were taken since: then it is these lines that are at fault.
                at_fault = batch.refused_at is not None and self._outlet.stored > batch.refused_at
                self._outlet.deliver(items, may_refuse_all=at_fault)
            batch.segment.remove()
        except FileNotFoundError:
            self._log_once("gone", "a file of the spool was removed by somebody else: %s", batch.segment.path)
        except RetryableError as error:
            return error
        except LlmcostError as error:
            return RetryableError(str(error))
        except Exception as error:  # noqa: BLE001 - the thread must live on; the batch stays on disk
            return RetryableError(f"unforeseen: {type(error).__name__}")
        return None

    def _items_of(self, batch: _Batch[T]) -> list[T]:
        """Read a batch from disk. What is damaged is set aside first."""
        contents = batch.segment.read()
        items, letters = decoded(self._outlet.codec, contents.records)
        letters += [Letter(RAW, raw, reason) for raw, reason in contents.damaged]
        if letters:
            self._outlet.keep(letters)
        return items

    def _settle(self, batch: _Batch[T], error: RetryableError | None) -> None:
        with self._changed:
            self._in_hand = None
            if error is None:
                if self._failures:
                    _logger.warning("otel-llmcost: the ledger takes lines again")
                self._failures, self._retry_at = 0, 0.0
                self._logged.discard("retry")
            else:
                self._log_once("retry", "the ledger is not reachable, lines are kept on disk and sent again: %s", error)
                if batch.refused_at is None and isinstance(error, RefusesEverythingError):
                    batch.refused_at = self._outlet.stored
                batch.items = None
                self._waiting.append(batch)  # at the end: one batch must not keep the others
                self._back_off()
            self._changed.notify_all()

    def _back_off(self) -> None:
        pause_s = min(FIRST_RETRY_S * 2 ** min(self._failures, 20), LONGEST_RETRY_S)
        self._failures += 1
        self._retry_at = monotonic() + pause_s * random.uniform(0.5, 1.0)  # noqa: S311 - jitter

    def _adopt(self) -> None:
        with self._changed:
            self._adopt_at = monotonic() + ADOPT_EVERY_S
            try:
                adopted = self._spool.adopt()
            except OSError as error:
                self._log_once("adopt", _NOT_READ, error)
                return
            self._waiting += [_Batch(segment) for segment in adopted]

    def _log_once(self, key: str, message: str, detail: object) -> None:
        if key not in self._logged:
            self._logged.add(key)
            _logger.error("otel-llmcost: " + message + ". Logged once.", detail)
