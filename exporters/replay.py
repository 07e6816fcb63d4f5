"""What is left on disk on the way to a ledger, and sending it again: dead letters, and the spool of processes that are
gone."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from otel_llmcost.exporters.dead_letters import RAW, DeadLetters, Letter, LetterFile
from otel_llmcost.exporters.outlet import Codec, decoded
from otel_llmcost.exporters.salvage import Salvage
from otel_llmcost.exporters.spool import Contents, Segment, Spool

IN_SPOOL: Final = "(not refused: left in the spool by a process that is gone)"

T = TypeVar("T")


@dataclass(slots=True)
class Found:
    """Lines that are there for one reason."""

    lines: int = 0
    oldest_ns: int | None = None  # when the first of them was set aside


def found(letters: DeadLetters, spool: Spool, wanted: str) -> dict[str, Found]:
    """What there is, by reason; `wanted` is a part of the reasons that count.

    Raises:
        OSError: a file cannot be read.
    """
    by_reason: dict[str, Found] = {}
    for file in letters.files():
        for letter in file.letters:
            if wanted in letter.reason:
                row = by_reason.setdefault(letter.reason, Found())
                row.lines += 1
                row.oldest_ns = min(row.oldest_ns or letter.set_aside_ns, letter.set_aside_ns)
    for segment in spool.abandoned() if wanted in IN_SPOOL else ():
        contents = segment.read()
        by_reason.setdefault(IN_SPOOL, Found()).lines += len(contents.records) + len(contents.damaged)
    return by_reason


@dataclass(slots=True)
class Outcome:
    """What became of the lines. `refused`: reason → how many; `unreadable` ones are kept as they are."""

    stored: int = 0
    unreadable: int = 0
    refused: dict[str, int] = field(default_factory=dict)

    def refuse(self, reasons: Iterable[str]) -> None:
        for reason in reasons:
            self.refused[reason] = self.refused.get(reason, 0) + 1


class Replay(Generic[T]):
    """Sends again what is on disk. What the ledger takes is removed, what it refuses stays with its newest reason."""

    def __init__(
        self,
        letters: DeadLetters,
        spool: Spool,
        codec: Codec[T],
        write: Callable[[Sequence[T]], None],
        outcome: Outcome,
    ) -> None:
        self._letters = letters
        self._spool = spool
        self._codec = codec
        self._write = write
        self._outcome = outcome

    def run(self, wanted: str) -> Iterator[int]:
        """Send everything whose reason has `wanted` in it; yields how many lines each step dealt with.

        Raises:
            RetryableError: the ledger is not ready; what was not sent is still there.
            OSError: a file cannot be read or written; likewise.
        """
        for file in list(self._letters.files()):
            yield self._replay_file(file, wanted)
        for segment in self._spool.adopt() if wanted in IN_SPOOL else ():
            yield self._replay_segment(segment)

    def _replay_file(self, file: LetterFile, wanted: str) -> int:
        chosen = [letter for letter in file.letters if wanted in letter.reason]
        others = [letter for letter in file.letters if wanted not in letter.reason]
        left = self._send(chosen)
        if left != chosen:
            self._letters.replace(file, others + left)
        return len(chosen)

    def _replay_segment(self, segment: Segment) -> int:
        contents = segment.read()
        left = self._send(_as_letters(contents, self._codec.kind))
        if left:
            self._letters.add(left)
        segment.remove()
        return len(contents.records) + len(contents.damaged)

    def _send(self, letters: Sequence[Letter]) -> list[Letter]:
        """The letters that could not be sent, with the newest reason."""
        foreign = [letter for letter in letters if letter.kind != self._codec.kind]
        items, unreadable = decoded(
            self._codec, [letter.record for letter in letters if letter.kind == self._codec.kind]
        )
        left = foreign + unreadable
        self._outcome.unreadable += len(left)
        if items:
            salvage = Salvage(self._write)
            refused = salvage.write(items)
            self._outcome.stored += salvage.stored
            self._outcome.refuse(reason for _, reason in refused)
            left += [Letter(self._codec.kind, self._codec.encode(item), reason) for item, reason in refused]
        return left


def _as_letters(contents: Contents, kind: str) -> list[Letter]:
    damaged = [Letter(RAW, raw, problem) for raw, problem in contents.damaged]
    return [Letter(kind, record, IN_SPOOL) for record in contents.records] + damaged
