"""AWS event stream frames, as Bedrock streams.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/RESTSelectObjectAppendix.html. A frame is a prelude (total
length, length of the headers, CRC of both), headers, a payload and a CRC over all before it.
"""

import json
import re
import struct
from base64 import b64decode
from collections.abc import Iterator
from typing import Final
from zlib import crc32

MAX_FRAME_BYTES: Final = 16 * 1024 * 1024
"""AWS's own limit; a length above it is no length."""

_PRELUDE: Final = struct.Struct(">III")
_CRC_BYTES: Final = 4
_STRING: Final = 7
_VALUE_BYTES: Final = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Length of a header's value by its type; types 6 and 7 (bytes, string) carry theirs in two bytes."""

_CHUNK_BYTES: Final = re.compile(rb'"bytes"\s*:\s*"([A-Za-z0-9+/=]*)"')


class EventStreamParser:
    """Yields the JSON of each frame: the payload, unwrapped where the model's JSON is in it as base64.

    An exception frame becomes `{"error": {"type": …}}`. `broken` is True once a frame did not add up; the rest of the
    stream is then not read.
    """

    def __init__(self) -> None:
        self.broken = False
        self._buffer = bytearray()

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Take a chunk of the body; yields the document of every frame that it completes."""
        if self.broken:
            return
        self._buffer += chunk
        start = 0
        while not self.broken:
            frame = self._frame(start)
            if frame is None:
                break
            start += len(frame)
            document = _document(frame)
            if document is not None:
                yield document
        del self._buffer[:start]

    def close(self) -> Iterator[bytes]:
        """The body is over; a frame without its end is no document."""
        self._buffer.clear()
        return iter(())

    def _frame(self, start: int) -> bytes | None:
        """The frame that begins at `start`; None while it is not complete."""
        if len(self._buffer) - start < _PRELUDE.size:
            return None
        total, headers, crc = _PRELUDE.unpack_from(self._buffer, start)
        smallest = _PRELUDE.size + headers + _CRC_BYTES
        if crc32(self._buffer[start : start + 8]) != crc or not smallest <= total <= MAX_FRAME_BYTES:
            self.broken = True
            return None
        if len(self._buffer) - start < total:
            return None
        frame = bytes(self._buffer[start : start + total])
        self.broken = crc32(frame[:-_CRC_BYTES]) != int.from_bytes(frame[-_CRC_BYTES:], "big")
        return None if self.broken else frame


def _document(frame: bytes) -> bytes | None:
    _, length, _ = _PRELUDE.unpack_from(frame)
    headers = _text_headers(frame[_PRELUDE.size : _PRELUDE.size + length])
    payload = frame[_PRELUDE.size + length : -_CRC_BYTES]
    if headers.get(":message-type", "event") != "event":
        name = headers.get(":exception-type") or headers.get(":error-code", "")
        return json.dumps({"error": {"type": name}}).encode()
    if headers.get(":event-type") != "chunk":
        return payload
    wrapped = _CHUNK_BYTES.search(payload)
    return b64decode(wrapped[1] + b"==") if wrapped else None


def _text_headers(data: bytes) -> dict[str, str]:
    """The headers whose value is a string, up to the first one that is malformed."""
    found: dict[str, str] = {}
    position = 0
    while position + 1 < len(data):
        name_end = position + 1 + data[position]
        name, kind = data[position + 1 : name_end], data[name_end : name_end + 1]
        position = name_end + 1
        size = _VALUE_BYTES.get(kind[0]) if kind else None
        if size is None:
            size = int.from_bytes(data[position : position + 2], "big")
            position += 2
        if kind == bytes([_STRING]):
            found[name.decode("utf-8", "replace")] = data[position : position + size].decode("utf-8", "replace")
        position += size
    return found
