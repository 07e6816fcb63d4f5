"""`Spool`: records on disk that outlive the process that wrote them.

    <directory>/<writer>.lock               locked (flock) as long as the writer lives
    <directory>/<writer>.<number>.spool     a segment: records, one a line: `crc32 payload`

A process appends to a segment of its own, with nobody to wait for. A segment is removed as a whole, once the ledger has
its records. Those of a process that is gone are taken over by exactly one other, which renames them to its own; the
kernel gives up the lock of a dead process, however it died. No I/O but files; no threads.

Why files of our own and not SQLite: decision 10.
"""

import fcntl
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Final
from zlib import crc32

from otel_llmcost.exporters.forking import call_in_child

LOCK: Final = ".lock"
SEGMENT: Final = ".spool"
LARGE_BYTES: Final = 4 * 1024 * 1024
"""A segment of this size is to be ended."""
YOUNG_S: Final = 60.0
"""A lock file without segments may belong to a writer that is about to lock it, for so long."""
_CRC_CHARS: Final = 8


class SpoolFullError(OSError):
    """The spool has as many bytes as it may."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a file of records holds. `damaged`: raw bytes and what is wrong with them."""

    records: list[bytes]
    damaged: list[tuple[bytes, str]]


def framed(records: Iterable[bytes]) -> bytes:
    """The records as lines with checksums. A record has no line break in it."""
    return b"".join([b"%08x %s\n" % (crc32(record), record) for record in records])


def unframed(data: bytes) -> Contents:
    """The records that are whole. A damaged one does not cost those around it."""
    found = Contents([], [])
    *lines, tail = data.split(b"\n")
    for line in lines:
        record = line[_CRC_CHARS + 1 :]
        if line[: _CRC_CHARS + 1] == b"%08x " % crc32(record):
            found.records.append(record)
        else:
            found.damaged.append((line, "the checksum does not match"))
    if tail.strip(b"\0"):  # zeros: space that a file system had set aside when the machine stopped
        found.damaged.append((tail, "cut off while it was written"))
    return found


@dataclass(slots=True)
class Segment:
    """A file of records that nobody appends to any more."""

    path: Path

    def read(self) -> Contents:
        """
        Raises:
            OSError: it cannot be read.
        """
        return unframed(self.path.read_bytes())

    def remove(self) -> None:
        """Its records are with the ledger. A removal that is lost in a crash means one more delivery, which is safe."""
        self.path.unlink(missing_ok=True)


class Spool:
    """The segments of this process in `directory`, which many processes share. Not thread-safe.

    `max_bytes` bounds the whole directory; processes that append at the same time may exceed it by one batch each.
    With `sync`, what is appended survives the machine's crash and not only the process's.
    """

    def __init__(self, directory: Path, max_bytes: int, *, sync: bool = True) -> None:
        self.directory = directory
        self._max_bytes = max_bytes
        self._sync = sync
        self._file: int | None = None
        self._lock: int | None = None
        self._forget()
        call_in_child(self._leave_to_parent)

    def _forget(self) -> None:
        self._writer = ""
        self._number = 0
        self._file, self._lock = None, None
        self._open: Segment | None = None
        self._size = 0
        self._used = 0  # bytes of the whole directory, when it was last looked at, and what was appended since

    def _leave_to_parent(self) -> None:
        """In a forked child: the lock is the parent's, and would live as long as the child if the child kept it."""
        for descriptor in (self._file, self._lock):
            if descriptor is not None:
                os.close(descriptor)
        self._forget()

    @property
    def is_large(self) -> bool:
        """Whether the open segment is to be ended."""
        return self._size >= LARGE_BYTES

    def append(self, records: Sequence[bytes]) -> None:
        """Write the records to the open segment, or to a new one; they are durable on return.

        Raises:
            SpoolFullError: there is no room.
            OSError: the disk does not take them. In both cases none is in the segment.
        """
        data = framed(records)
        if self._file is None or self._used + len(data) > self._max_bytes:
            self._used = used_bytes(self.directory)
        if self._used + len(data) > self._max_bytes:
            raise SpoolFullError(f"{self.directory}: the spool is full ({self._max_bytes} bytes)")
        if self._file is None:
            self._begin_segment()
        assert self._file is not None
        try:
            _write_all(self._file, data)
            if self._sync:
                os.fdatasync(self._file)
        except OSError:
            self._take_back()
            raise
        self._size += len(data)
        self._used += len(data)

    def _take_back(self) -> None:
        """Cut off what an append that failed has written of its records."""
        assert self._file is not None
        try:
            os.ftruncate(self._file, self._size)
        except OSError:
            os.close(self._file)  # its whole records are safe there until the next process comes for them
            self._file, self._open = None, None

    def seal(self) -> Segment | None:
        """End the open segment, so that it can be delivered; None where there is none."""
        segment, self._open = self._open, None
        if self._file is not None:
            os.close(self._file)
            self._file = None
        return segment

    def adopt(self) -> list[Segment]:
        """Take over the segments of writers that are gone; empty where there are none.

        Raises:
            OSError: the directory cannot be read or written.
        """
        return [segment for writer in self._locked_writers() for segment in self._take_over(writer)]

    def abandoned(self) -> list[Segment]:
        """The segments of writers that are gone, left as they are.

        Raises:
            OSError: the directory cannot be read.
        """
        return [Segment(path) for writer in self._locked_writers() for path in sorted(self._segments_of(writer))]

    def release(self) -> None:
        """Close everything. What was not delivered is left for the next process. Safe to call twice."""
        self.seal()
        if self._lock is not None:
            if not any(self._segments_of(self._writer)):
                self._lock_path(self._writer).unlink(missing_ok=True)
            os.close(self._lock)
        self._forget()

    def has_leftovers(self) -> bool:
        """Whether any writer left something, living ones included."""
        return any(path.suffix == SEGMENT for path, _ in _files(self.directory))

    def _begin_segment(self) -> None:
        if self._lock is None:
            self._begin_writing()
        segment = Segment(self._next_path())
        self._file = os.open(segment.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # should the lock file be cleaned away under us
        self._open, self._size = segment, 0
        if self._sync:
            sync_directory(self.directory)

    def _begin_writing(self) -> None:
        """Get a name of one's own, and its lock."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        while self._lock is None:
            writer = f"{os.getpid()}-{token_hex(4)}"
            lock = os.open(self._lock_path(writer), os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX)  # waits for one that looks whether we are gone
            if os.fstat(lock).st_nlink:
                self._writer, self._lock = writer, lock
            else:
                os.close(lock)

    def _other_writers(self) -> set[str]:
        names = (path.name.partition(".")[0] for path, _ in _files(self.directory) if path.suffix in (LOCK, SEGMENT))
        return {name for name in names if name != self._writer}

    def _locked_writers(self) -> Iterator[str]:
        """Every writer that is gone, with its lock held until the next one is asked for."""
        for writer in sorted(self._other_writers()):
            lock = _try_lock(self._lock_path(writer))
            if lock is not None:
                try:
                    yield writer
                finally:
                    os.close(lock)

    def _take_over(self, writer: str) -> list[Segment]:
        """Rename the segments of a writer whose lock we hold."""
        lock_path = self._lock_path(writer)
        segments = sorted(self._segments_of(writer))
        if not segments and time.time() - lock_path.stat().st_mtime < YOUNG_S:
            return []
        if segments and self._lock is None:
            self._begin_writing()
        taken: list[Segment] = []
        for path in segments:
            held = _try_lock(path)
            if held is None:
                return taken
            segment = Segment(self._next_path())
            path.rename(segment.path)
            os.close(held)
            taken.append(segment)
        lock_path.unlink(missing_ok=True)
        return taken

    def _segments_of(self, writer: str) -> Iterator[Path]:
        return (path for path, _ in _files(self.directory) if path.match(f"{writer}.*{SEGMENT}"))

    def _next_path(self) -> Path:
        self._number += 1
        return self.directory / f"{self._writer}.{self._number:08}{SEGMENT}"

    def _lock_path(self, writer: str) -> Path:
        return self.directory / f"{writer}{LOCK}"


def used_bytes(directory: Path) -> int:
    """Bytes of all files in a directory; 0 where there is none."""
    return sum(size for _, size in _files(directory))


def _files(directory: Path) -> list[tuple[Path, int]]:
    """Every file and its size; others may remove theirs meanwhile."""
    found = []
    with suppress(FileNotFoundError), os.scandir(directory) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                if entry.is_file(follow_symlinks=False):
                    found.append((Path(entry.path), entry.stat(follow_symlinks=False).st_size))
    return found


def _try_lock(path: Path) -> int | None:
    """The descriptor of a lock that nobody held; None where its writer lives, or another took it over just now."""
    lock = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)  # created anew: somebody removed it, and left its segments
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    if not os.fstat(lock).st_nlink:
        os.close(lock)
        return None
    return lock


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
