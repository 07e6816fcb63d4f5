"""HTTP content encodings, bounded: no body grows beyond what its reader allows.

`gzip` and `deflate` are always there; `zstd` and `lz4` where their libraries are (they come with
clickhouse-connect).
"""

import gzip
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, Final

from otel_llmcost.errors import InputError

IDENTITY: Final = ("", "identity")


class TooLargeError(InputError):
    """A body is larger than its reader allows, compressed or not."""


class UnknownEncodingError(InputError):
    """No decoder for a content encoding is at hand."""


@dataclass(frozen=True, slots=True)
class Codec:
    """A content encoding. `decompressor` makes an object with `decompress(data, max_length)`, `eof`, `unused_data`."""

    decompressor: Callable[[], Any]
    errors: tuple[type[Exception], ...]
    compress: Callable[[bytes], bytes]


@cache
def codecs() -> Mapping[str, Codec]:
    """The encodings this installation knows, the preferred first."""
    found = {}
    zstd = _first_of("compression.zstd", "backports.zstd")
    if zstd:
        found["zstd"] = Codec(zstd.ZstdDecompressor, (zstd.ZstdError,), lambda data: bytes(zstd.compress(data, 1)))
    lz4 = _first_of("lz4.frame")
    if lz4:
        found["lz4"] = Codec(lz4.LZ4FrameDecompressor, (RuntimeError, EOFError), lambda data: bytes(lz4.compress(data)))
    found["gzip"] = Codec(lambda: zlib.decompressobj(31), (zlib.error,), lambda data: gzip.compress(data, 1, mtime=0))
    found["deflate"] = Codec(zlib.decompressobj, (zlib.error,), lambda data: zlib.compress(data, 1))
    return found


def decompress(data: bytes, encoding: str, max_bytes: int) -> bytes:
    """The plain body, of at most `max_bytes`; a body of several frames is read to its end.

    Raises:
        TooLargeError: there is more.
        UnknownEncodingError: no decoder for the encoding.
        InputError: the body is broken or cut short.
    """
    name = encoding.strip().lower()
    if name in IDENTITY:
        if len(data) > max_bytes:
            raise TooLargeError(f"the body is larger than {max_bytes} bytes")
        return data
    codec = codecs().get(name)
    if codec is None:
        raise UnknownEncodingError(f"content encoding {name[:32]!r} is not supported: {', '.join(codecs())}")
    plain = bytearray()
    while data:
        frame = codec.decompressor()
        try:
            plain += frame.decompress(data, max_bytes + 1 - len(plain))
        except codec.errors:
            raise InputError(f"the body is no {name}") from None
        if len(plain) > max_bytes:
            raise TooLargeError(f"the body is larger than {max_bytes} bytes once decompressed")
        if not frame.eof:
            raise InputError(f"the {name} body ends early")
        data = frame.unused_data or b""
    return bytes(plain)


def negotiate(accept_encoding: str) -> str:
    """The encoding to answer with, of those a client accepts; empty for none."""
    accepted = set()
    for part in accept_encoding.lower().split(","):
        name, _, parameters = part.strip().partition(";")
        if parameters.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000"):
            accepted.add(name.strip())
    return next((name for name in codecs() if name in accepted), "")


def _first_of(*modules: str) -> Any:
    for module in modules:
        try:
            return import_module(module)
        except ImportError:
            continue
    return None
