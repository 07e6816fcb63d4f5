"""Group commit: lines of many requests are written at once, and each request is answered when its own are durable.

While one write is under way the next ones gather, so that a hundred small requests cost the ledger two writes and
not a hundred. Nothing is held back for a timer, and nothing waits here that its sender does not wait for too.
"""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Condition, Thread
from typing import Final

from otel_llmcost.call import LLMCall
from otel_llmcost.errors import DeliveryError, PermanentError, RetryableError
from otel_llmcost.exporters import Sink
from otel_llmcost.exporters.salvage import Salvage

logger = logging.getLogger(__name__)

MAX_LINES: Final = 20_000
"""Lines of one write at most, unless a single request has more."""


Refused = tuple[LLMCall, str]
"""A line and why the ledger does not take it."""
SetAside = Callable[[Sequence[Refused]], None]


@dataclass(frozen=True, slots=True)
class _Request:
    calls: Sequence[LLMCall]
    done: "Future[list[str]]" = field(default_factory=Future)


class LedgerWriter:
    """Owns a sink and the one thread that writes to it.

    `set_aside` keeps lines that the ledger refuses, durably; what it kept is acknowledged. Without it their senders are
    told.
    """

    def __init__(self, sink: Sink, set_aside: SetAside | None = None) -> None:
        self._sink = sink
        self._set_aside = set_aside
        self._waiting: deque[_Request] = deque()
        self._changed = Condition()
        self._closing = False
        self._failing = False
        self._thread = Thread(target=self._run, name="llmcost-ledger-writer", daemon=True)
        self._thread.start()

    def submit(self, calls: Sequence[LLMCall]) -> "Future[list[str]]":
        """Write the calls soon. The future ends once they are durable, with the reasons of refused lines.

        It raises RetryableError (or what the sink raised) where nothing may be acknowledged.
        """
        request = _Request(calls)
        with self._changed:
            if self._closing:
                raise RetryableError("the ledger writer is shutting down")
            self._waiting.append(request)
            self._changed.notify()
        return request.done

    def close(self) -> None:
        """Write what waits, then close the sink. Safe to call twice."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()
        self._sink.close()

    def _run(self) -> None:
        while batch := self._next_batch():
            self._write(batch)

    def _next_batch(self) -> list[_Request]:
        """The requests of the next write; empty when there will be none."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            batch: list[_Request] = []
            lines = 0
            while self._waiting and (not batch or lines + len(self._waiting[0].calls) <= MAX_LINES):
                batch.append(self._waiting.popleft())
                lines += len(batch[-1].calls)
            return batch

    def _write(self, batch: list[_Request]) -> None:
        try:
            self._sink.write([call for request in batch for call in request.calls])
        except PermanentError as error:
            self._write_apart(batch, error)
        except Exception as error:  # noqa: BLE001 - the thread must outlive it; every sender is told
            self._fail(batch, error)
        else:
            self._answer(batch, [[] for _ in batch])

    def _write_apart(self, batch: list[_Request], error: PermanentError) -> None:
        """Write every line that the ledger takes, and tell each request which of its own it did not.

        A line is refused for good only when the ledger took others meanwhile: a ledger that refuses everything (a
        wrong password, a table of another version) is at fault itself, and its senders keep their lines.
        """
        salvage = Salvage(self._sink.write)
        try:
            refused = [salvage.write(request.calls) for request in batch]
            if not salvage.stored:
                raise RetryableError(f"the ledger refuses every line: {error}")
            if self._set_aside is not None:
                self._set_aside([each for lines in refused for each in lines])
                refused = [[] for _ in batch]
        except Exception as unforeseen:  # noqa: BLE001 - as above
            self._fail(batch, unforeseen)
        else:
            self._answer(batch, [[reason for _, reason in lines] for lines in refused])

    def _answer(self, batch: list[_Request], refused: list[list[str]]) -> None:
        if self._failing:
            logger.warning("the ledger takes lines again")
        self._failing = False
        for request, reasons in zip(batch, refused, strict=True):
            request.done.set_result(reasons)

    def _fail(self, batch: list[_Request], error: Exception) -> None:
        if not self._failing:  # once per outage, not per request
            what = error if isinstance(error, DeliveryError) else type(error).__name__
            logger.warning("the ledger takes no lines, and senders keep theirs: %s", what)
        self._failing = True
        for request in batch:
            request.done.set_exception(error)
