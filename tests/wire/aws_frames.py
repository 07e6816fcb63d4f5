"""AWS event stream frames, written as the specification says."""

import json
import struct
from base64 import b64encode
from zlib import crc32


def frame(payload: bytes, headers: dict[str, str]) -> bytes:
    """One frame; every header is a string."""
    block = b"".join(
        struct.pack(">B", len(name)) + name.encode() + struct.pack(">BH", 7, len(value)) + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack(">II", 12 + len(block) + len(payload) + 4, len(block))
    message = prelude + struct.pack(">I", crc32(prelude)) + block + payload
    return message + struct.pack(">I", crc32(message))


def event(kind: str, document: object) -> bytes:
    """An event of converse-stream."""
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return frame(json.dumps(document).encode(), headers)


def chunk(document: object) -> bytes:
    """A chunk of invoke-with-response-stream: the model's JSON in base64."""
    inner = b64encode(json.dumps(document).encode()).decode()
    return event("chunk", {"bytes": inner, "p": "abcdef"})
