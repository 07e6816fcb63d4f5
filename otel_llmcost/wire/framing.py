"""How a body is cut into JSON documents: one document, lines, an array, server-sent events or AWS frames.

A framing takes the body in any chunking and yields the raw bytes of each document. What is not complete waits, up to
a bound; what is longer is skipped and counted.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final, Protocol

from otel_llmcost.wire.event_stream import EventStreamParser
from otel_llmcost.wire.json_array import JsonArrayParser
from otel_llmcost.wire.json_document import parse_json
from otel_llmcost.wire.sse import MAX_EVENT_BYTES, SseParser


class Framing(Protocol):
    """Cuts a body into documents."""

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Take a chunk of the body; yields every document that it completes."""

    def close(self) -> Iterator[bytes]:
        """The body is over; yields what was still waiting."""


class WholeBody:
    """The body is one document. One longer than `limit` bytes is dropped."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._body = bytearray()

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        self._size += len(chunk)
        if self._size <= self._limit:
            self._body += chunk
        else:
            self._body.clear()
        return iter(())

    def close(self) -> Iterator[bytes]:
        body = bytes(self._body)
        self._body.clear()
        return iter(body.splitlines() if _is_lines(body) else [body])


def _is_lines(body: bytes) -> bool:
    """Whether the body is one document per line although its content type does not say so."""
    first, _, rest = body.strip().partition(b"\n")
    if not rest:
        return False
    try:
        parse_json(first)
    except (ValueError, RecursionError):
        return False
    return True


class LinesParser:
    """One JSON document per line."""

    def __init__(self) -> None:
        self.skipped = 0
        self._line = bytearray()
        self._skipping = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        *lines, rest = chunk.split(b"\n")
        for line in lines:
            whole = bytes(self._line + line) if self._line else line
            self._line.clear()
            if self._skipping:
                self._skipping = False
            elif whole.strip():
                yield whole
        if self._skipping or not rest:
            return
        self._line += rest
        if len(self._line) > MAX_EVENT_BYTES:
            self._line.clear()
            self._skipping = True
            self.skipped += 1

    def close(self) -> Iterator[bytes]:
        if self._line.strip():
            yield bytes(self._line)
        self._line.clear()


_BY_FIRST_BYTE: Final[Mapping[bytes, Callable[[], Framing]]] = {
    b"[": JsonArrayParser,
    b"\0": EventStreamParser,  # the length of the first frame, which is below 16 MiB
    **dict.fromkeys((b"d", b"e", b"i", b"r", b":"), SseParser),  # data, event, id, retry, a comment
}
_BY_CONTENT_TYPE: Final[Mapping[str, Callable[[], Framing]]] = {
    "text/event-stream": SseParser,
    "application/vnd.amazon.eventstream": EventStreamParser,
}
_LINES: Final = frozenset(
    {"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"}
    | {"application/stream+json"}  # Cohere v1
)
_BLANK: Final = b"\xef\xbb\xbf \t\r\n"  # a byte order mark, and white space


def framing_of(head: bytes, content_type: str, limit: int) -> Framing | None:
    """The framing of a body that begins with `head`; None while only blanks have come.

    The body itself is asked first: a content type may be missing, or be that of a stream while the body is an error.
    """
    first = head.lstrip(_BLANK)[:1]
    media_type = content_type.partition(";")[0].strip().lower()
    if not first:
        return None
    if first == b"{":
        return LinesParser() if media_type in _LINES else WholeBody(limit)
    make = _BY_CONTENT_TYPE.get(media_type) or _BY_FIRST_BYTE.get(first)
    return make() if make else WholeBody(limit)
