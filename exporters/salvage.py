"""What the ledger takes of a batch that it refused as a whole."""

from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

from otel_llmcost.errors import PermanentError, RetryableError

MAX_REFUSED: Final = 16
"""After so many refused lines and none stored, the ledger is at fault and not the lines."""

T = TypeVar("T")


class RefusesEverythingError(RetryableError):
    """The ledger took none of many lines: a wrong password or a table of another version, rather than bad lines."""


class Salvage(Generic[T]):
    """Halves what `write` refuses until the lines at fault stand alone. `stored`: how many it took."""

    def __init__(self, write: Callable[[Sequence[T]], None]) -> None:
        self._write = write
        self._refused = 0
        self.stored = 0

    def write(self, lines: Sequence[T]) -> list[tuple[T, str]]:
        """The lines that were refused, each with the reason; the others are stored.

        Raises:
            RefusesEverythingError: `MAX_REFUSED` were refused and none stored.
            RetryableError: of the ledger; some lines may be stored.
        """
        refused: list[tuple[T, str]] = []
        parts = [lines]
        while parts:
            part = parts.pop()
            try:
                self._write(part)
            except PermanentError as error:
                if len(part) > 1:
                    parts += [part[len(part) // 2 :], part[: len(part) // 2]]
                    continue
                refused.append((part[0], str(error)))
                self._refused += 1
                if self.stored == 0 and self._refused >= MAX_REFUSED:
                    raise RefusesEverythingError(f"the ledger refuses line after line: {error}") from error
            else:
                self.stored += len(part)
        return refused
