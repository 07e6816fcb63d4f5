"""The elements of one JSON array that arrives bit by bit, as Gemini streams without `alt=sse`."""

import re
from collections.abc import Iterator
from typing import Final

from otel_llmcost.wire.sse import MAX_EVENT_BYTES

_OUTSIDE_STRING: Final = re.compile(rb'["{}\[\]]')
_INSIDE_STRING: Final = re.compile(rb'["\\]')


class JsonArrayParser:
    """Yields each element that is an object or an array. `skipped` counts elements that were too long to keep.

    Only brackets and strings are looked at; whether an element is valid JSON shows when it is parsed.
    """

    def __init__(self) -> None:
        self.skipped = 0
        self.ended = False  # the array was closed
        self._element = bytearray()  # the beginning of an element that has not ended
        self._depth = 0  # 1: in the array, 2 and more: in an element
        self._in_string = False
        self._escaped = False  # the last byte was a backslash in a string

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Take a chunk of the body; yields every element that it completes."""
        start, position = 0, 0
        while position < len(chunk):
            if self._escaped:
                self._escaped = False
                position += 1
                continue
            found = (_INSIDE_STRING if self._in_string else _OUTSIDE_STRING).search(chunk, position)
            if found is None:
                break
            position = found.end()
            depth = self._depth
            self._take(found[0])
            if (depth, self._depth) == (1, 2):
                start = found.start()
            elif (depth, self._depth) == (2, 1):
                element = self._complete(chunk[start:position])
                if element is not None:
                    yield element
        if self._depth > 1:
            self._keep(chunk[start:])

    def close(self) -> Iterator[bytes]:
        """The body is over; an element without its end is no document."""
        self._element.clear()
        return iter(())

    def _take(self, byte: bytes) -> None:
        if byte == b"\\":
            self._escaped = True
        elif byte == b'"':
            self._in_string = not self._in_string
        else:
            self._depth += 1 if byte in b"{[" else -1
            self.ended = self._depth == 0

    def _keep(self, part: bytes) -> None:
        if len(self._element) <= MAX_EVENT_BYTES:
            self._element += part

    def _complete(self, end: bytes) -> bytes | None:
        self._keep(end)
        element = bytes(self._element)
        self._element.clear()
        if len(element) > MAX_EVENT_BYTES:
            self.skipped += 1
            return None
        return element
