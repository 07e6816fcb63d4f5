"""`Outlet`: the way into a ledger, and what becomes of the lines that it refuses for good."""

import logging
from collections.abc import Callable, Sequence
from typing import Final, Generic, Protocol, TypeVar

from otel_llmcost.errors import InputError, PermanentError, RetryableError
from otel_llmcost.exporters.dead_letters import DeadLetters, Letter
from otel_llmcost.exporters.salvage import RefusesEverythingError, Salvage

_logger = logging.getLogger("otel_llmcost")

PATIENCE: Final = 7

T = TypeVar("T")


class Codec(Protocol[T]):
    """Items as records of a file: bytes without a line break. `kind` names what they are."""

    @property
    def kind(self) -> str: ...

    def encode(self, item: T) -> bytes: ...

    def decode(self, record: bytes) -> T:
        """
        Raises:
            InputError: the record is none of this version's.
        """


class LossCounts(Protocol):
    """Where calls are counted that did not reach the ledger; `CallMetrics` is one."""

    def dropped(self, count: int, reason: str) -> None: ...
    def set_aside(self, count: int) -> None: ...


class Outlet(Generic[T]):
    """Writes items, and keeps those that the ledger refuses as dead letters; without a place for them they are dropped.

    `stored` counts what the ledger took so far.
    """

    def __init__(
        self,
        write: Callable[[Sequence[T]], None],
        codec: Codec[T],
        counts: LossCounts,
        dead_letters: DeadLetters | None,
    ) -> None:
        self.codec = codec
        self.stored = 0
        self._write = write
        self._counts = counts
        self._dead_letters = dead_letters
        self._logged: set[str] = set()

    def deliver(self, items: Sequence[T], *, may_refuse_all: bool) -> None:
        """Write the items. Those that the ledger refuses are set aside and the others stored on return.

        `may_refuse_all`: believe the ledger where it takes none of them. Otherwise it is taken to be at fault itself.

        Raises:
            RetryableError: not now, or it refuses everything.
        """
        try:
            self._write(items)
        except PermanentError:
            self._deliver_apart(items, may_refuse_all)
        else:
            self.stored += len(items)

    def _deliver_apart(self, items: Sequence[T], may_refuse_all: bool) -> None:
        salvage = Salvage(self._write)
        try:
            refused = salvage.write(items)
        except RefusesEverythingError as error:
            if not may_refuse_all:
                raise
            refused = [(item, str(error)) for item in items]
        if refused and not salvage.stored and not may_refuse_all:
            raise RefusesEverythingError(f"the ledger refuses every line: {refused[0][1]}")
        self.stored += salvage.stored
        if refused:
            self.set_aside(refused)

    def set_aside(self, refused: Sequence[tuple[T, str]]) -> None:
        """Keep refused items with their reasons.

        Raises:
            RetryableError: there is no room for them now.
        """
        self.keep([Letter(self.codec.kind, self.codec.encode(item), reason) for item, reason in refused])

    def keep(self, letters: Sequence[Letter]) -> None:
        """Keep dead letters, or drop them where there is no place for any.

        Raises:
            RetryableError: there is no room for them now.
        """
        if self._dead_letters is None:
            self._counts.dropped(len(letters), "refused")
            self._log_once("%d calls are missing from the ledger, which refused them: %s", letters)
            return
        try:
            self._dead_letters.add(letters)
        except OSError as error:
            raise RetryableError(f"refused lines cannot be set aside: {error}") from None
        self._counts.set_aside(len(letters))
        self._log_once(
            f"%d calls are set aside in {self._dead_letters.directory}: %s; see `otel-llmcost ledger replay`", letters
        )

    def _log_once(self, message: str, letters: Sequence[Letter]) -> None:
        reason = letters[0].reason
        if reason not in self._logged and len(self._logged) < 100:
            self._logged.add(reason)
            _logger.error("otel-llmcost: " + message + ". Logged once a reason; all are counted.", len(letters), reason)


def decoded(codec: Codec[T], records: Sequence[bytes]) -> tuple[list[T], list[Letter]]:
    """The items of records, and those that cannot be read as dead letters."""
    items, unreadable = [], []
    for record in records:
        try:
            items.append(codec.decode(record))
        except InputError as error:
            unreadable.append(Letter(codec.kind, record, str(error)))
    return items, unreadable


class DirectSink(Generic[T]):
    """A sink without a spool: what the ledger refuses is set aside or dropped.

    A ledger that refuses everything, such as one whose password was just changed, is asked `PATIENCE` times, some
    twenty seconds at the pace of `Delivery`, before that is believed.
    """

    def __init__(self, outlet: Outlet[T], close: Callable[[], None]) -> None:
        self._outlet = outlet
        self._refusals = 0
        self.close = close

    def write(self, items: Sequence[T]) -> None:
        """
        Raises:
            RetryableError: not now.
        """
        try:
            self._outlet.deliver(items, may_refuse_all=self._refusals >= PATIENCE)
        except RefusesEverythingError:
            self._refusals += 1
            raise
        self._refusals = 0

    def flush(self, _timeout_ms: int) -> bool:
        """Nothing waits here."""
        return True
