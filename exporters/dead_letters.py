"""Dead letters: what the ledger refused for good, kept on disk with the reason until somebody replays it.

    <directory>/<time>-<random>.dead     one a batch: a JSON object a line, with its checksum (spool.py)

    {"reason": "…", "set_aside_ns": …, "line": {…}}           a bill line
    {"reason": "…", "set_aside_ns": …, "span": "<base64>"}    a span on its way to an otlp:// ledger
    {"reason": "…", "set_aside_ns": …, "raw": "<base64>"}     what a damaged file had in place of one

A file is written whole or not at all, and removed once nothing of it is left. `otel-llmcost ledger replay` sends them
again.
"""

import json
import os
import time
from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import Final

from otel_llmcost.errors import InputError
from otel_llmcost.exporters.spool import SpoolFullError, framed, sync_directory, unframed, used_bytes

DEAD: Final = ".dead"
LINE: Final = "line"
RAW: Final = "raw"


@dataclass(frozen=True, slots=True)
class Letter:
    """One record that was set aside. `kind` is the codec's that made the record, or `raw`."""

    kind: str
    record: bytes
    reason: str
    set_aside_ns: int = field(default_factory=time.time_ns)

    def to_json(self) -> bytes:
        """One line of JSON; a bill line stands in it as JSON too, for people to read."""
        kind, body = self.kind, b64encode(self.record).decode("ascii")
        if kind == LINE:
            try:
                body = json.loads(self.record)
            except ValueError:
                kind = RAW
        head = {"reason": self.reason, "set_aside_ns": self.set_aside_ns}
        return json.dumps(head | {kind: body}, separators=(",", ":")).encode("ascii")

    @classmethod
    def from_json(cls, record: bytes) -> "Letter":
        """
        Raises:
            InputError: no letter.
        """
        try:
            document = json.loads(record)
            reason, set_aside_ns = str(document.pop("reason")), int(document.pop("set_aside_ns"))
            ((kind, body),) = document.items()
            content = json.dumps(body).encode("ascii") if kind == LINE else b64decode(body, validate=True)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise InputError("no dead letter") from None
        return cls(str(kind), content, reason, set_aside_ns)


@dataclass(frozen=True, slots=True)
class LetterFile:
    """The letters of one file."""

    path: Path
    letters: list[Letter]


class DeadLetters:
    """The dead letters in a directory. Many processes may add to it; each adds files of its own."""

    def __init__(self, directory: Path, max_bytes: int) -> None:
        self.directory = directory
        self._max_bytes = max_bytes

    def add(self, letters: Sequence[Letter]) -> None:
        """Keep the letters; they are durable on return.

        Raises:
            SpoolFullError: there is no room.
            OSError: the disk does not take them.
        """
        data = framed(letter.to_json() for letter in letters)
        if used_bytes(self.directory) + len(data) > self._max_bytes:
            raise SpoolFullError(f"{self.directory}: no room for dead letters ({self._max_bytes} bytes)")
        self._write(self.directory / f"{time.time_ns()}-{token_hex(4)}{DEAD}", data)

    def replace(self, file: LetterFile, letters: Sequence[Letter]) -> None:
        """Keep only `letters` of a file; remove it where there is none.

        Raises:
            OSError: the disk does not take them; the file is as it was.
        """
        if letters:
            self._write(file.path, framed(letter.to_json() for letter in letters))
        else:
            file.path.unlink(missing_ok=True)

    def files(self) -> Iterator[LetterFile]:
        """What there is, the oldest first.

        Raises:
            OSError: a file cannot be read.
        """
        for path in sorted(self.directory.glob(f"*{DEAD}")):
            yield LetterFile(path, list(_letters(path.read_bytes())))

    def _write(self, path: Path, data: bytes) -> None:
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = path.with_suffix(f".{token_hex(4)}.part")
        try:
            with open(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:  # noqa: PTH123
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.rename(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        sync_directory(self.directory)


def _letters(data: bytes) -> Iterator[Letter]:
    contents = unframed(data)
    for record in contents.records:
        try:
            yield Letter.from_json(record)
        except InputError as error:
            yield Letter(RAW, record, str(error))
    for raw, problem in contents.damaged:
        yield Letter(RAW, raw, problem)
