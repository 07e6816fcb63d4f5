"""Server-sent events from bytes; any chunking gives the same events.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream. Works on bytes, so
that a chunk may end inside a character, and so that U+2028 in data is no line end.
"""

import re
from collections.abc import Iterator
from typing import Final

MAX_EVENT_BYTES: Final = 16 * 1024 * 1024
"""An event whose data is longer is skipped and counted, so that memory stays bounded."""

_LINE_END: Final = re.compile(rb"\r\n|\n|\r")


class SseParser:
    """Yields the data of each event. `skipped` counts events that were too long to keep."""

    def __init__(self) -> None:
        self.skipped = 0
        self._line = bytearray()  # a line not ended yet
        self._after_cr = False  # the last chunk ended with CR; a leading LF belongs to it
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Take a chunk of the body; yields the data of every event that it completes."""
        if not (self._line or self._data or self._size or self._after_cr) and _is_one_event(chunk):
            return iter((chunk[6:-2],))
        return self._feed(chunk)

    def _feed(self, chunk: bytes) -> Iterator[bytes]:
        if self._after_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]
        if not chunk:
            return
        self._after_cr = chunk.endswith(b"\r")
        *lines, rest = _LINE_END.split(chunk)
        for line in lines:
            whole = bytes(self._line + line) if self._line else line
            self._line.clear()
            data = self._take(whole)
            if data is not None:
                yield data
        self._keep(rest)

    def close(self) -> Iterator[bytes]:
        """The body is over. An event that no blank line ended is still told: providers leave it out at the end."""
        if self._line:
            line = bytes(self._line)
            self._line.clear()
            self._take(line)
        data = self._take(b"")
        if data is not None:
            yield data

    def _keep(self, rest: bytes) -> None:
        if len(self._line) + len(rest) <= MAX_EVENT_BYTES:
            self._line += rest
        elif rest:
            self._line.clear()
            self._size = MAX_EVENT_BYTES + 1

    def _take(self, line: bytes) -> bytes | None:
        if not line:
            return self._dispatch()
        if line.startswith(b"data:"):
            value = line[6:] if line[5:6] == b" " else line[5:]
            self._size += len(value)
            if self._size <= MAX_EVENT_BYTES:
                self._data.append(value)
        return None

    def _dispatch(self) -> bytes | None:
        if self._size > MAX_EVENT_BYTES:
            self.skipped += 1
            data = None
        else:
            data = b"\n".join(self._data) if self._data else None
        self._data.clear()
        self._size = 0
        return data


def _is_one_event(chunk: bytes) -> bool:
    """One line of data and the blank line that ends it: what most providers send most of the time."""
    return (
        chunk.startswith(b"data: ")
        and chunk.endswith(b"\n\n")
        and chunk.find(b"\n") == len(chunk) - 2
        and b"\r" not in chunk
        and len(chunk) <= MAX_EVENT_BYTES
    )
