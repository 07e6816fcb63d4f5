"""Content encodings: the bytes on the wire → the bytes of the body, incrementally."""

import zlib
from collections.abc import Callable
from typing import Final, Protocol


class Decoder(Protocol):
    """Decodes a body chunk by chunk."""

    def decompress(self, data: bytes, /) -> bytes: ...


class Identity:
    """No encoding."""

    def decompress(self, data: bytes, /) -> bytes:
        return data


class Deflate:
    """`deflate` as servers send it: in a zlib wrapper, or without one. The first two bytes tell."""

    def __init__(self) -> None:
        self._head = b""
        self._inner: Decoder | None = None

    def decompress(self, data: bytes, /) -> bytes:
        if self._inner is not None:
            return self._inner.decompress(data)
        self._head += data
        if len(self._head) < 2:
            return b""
        wrapped = self._head[0] & 0x0F == zlib.DEFLATED and int.from_bytes(self._head[:2], "big") % 31 == 0
        self._inner = zlib.decompressobj(zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS)
        return self._inner.decompress(self._head)


def _gzip() -> Decoder:
    return zlib.decompressobj(zlib.MAX_WBITS | 16)


def _brotli() -> Decoder | None:
    try:
        import brotli
    except ImportError:
        return None

    class Brotli:
        def __init__(self) -> None:
            self._decoder = brotli.Decompressor()

        def decompress(self, data: bytes, /) -> bytes:
            return bytes(self._decoder.process(data))

    return Brotli()


def _zstd() -> Decoder | None:
    try:
        from compression import zstd  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        try:
            from backports import zstd  # type: ignore[import-not-found, no-redef, unused-ignore]
        except ImportError:
            return None
    decoder: Decoder = zstd.ZstdDecompressor()
    return decoder


_DECODERS: Final[dict[str, Callable[[], Decoder | None]]] = {
    "": Identity,
    "identity": Identity,
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": Deflate,
    "br": _brotli,
    "zstd": _zstd,
}


def decoder_for(content_encoding: str) -> Decoder | None:
    """A new decoder for a `Content-Encoding`; None where it is unknown or its library is not installed.

    Several encodings in a row are not decoded: no provider sends them.
    """
    make = _DECODERS.get(content_encoding.strip().lower())
    return make() if make else None
