"""Bounded content encodings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_llmcost.content_encoding import TooLargeError, UnknownEncodingError, codecs, decompress, negotiate
from otel_llmcost.errors import InputError

ENCODINGS = ("gzip", "deflate", "zstd", "lz4")


@given(parts=st.lists(st.binary(max_size=500), min_size=1, max_size=3), encoding=st.sampled_from(ENCODINGS))
def test_what_was_compressed_comes_back(parts: list[bytes], encoding: str) -> None:
    """Also where several frames follow each other, and up to exactly the bound."""
    plain = b"".join(parts)
    packed = b"".join(codecs()[encoding].compress(part) for part in parts)

    assert plain == decompress(packed, encoding.upper(), len(plain))


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_body_that_unfolds_beyond_the_bound_is_refused(encoding: str) -> None:
    """In one frame, and in many small ones."""
    codec = codecs()[encoding]

    for packed in (codec.compress(bytes(10_001)), codec.compress(bytes(101)) * 100):
        with pytest.raises(TooLargeError, match="larger than 10000 bytes"):
            decompress(packed, encoding, 10_000)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_broken_body_is_refused(encoding: str) -> None:
    """Cut short, or never of that encoding."""
    packed = codecs()[encoding].compress(b"some text" * 100)

    for broken in (packed[:-3], packed[:5], b"no such thing"):
        with pytest.raises(InputError):
            decompress(broken, encoding, 10_000)


def test_no_encoding_is_plain_and_bounded_too() -> None:
    """And an unknown one is told with those that are known."""
    assert b"abc" == decompress(b"abc", "", 3) == decompress(b"abc", "identity", 3)
    with pytest.raises(TooLargeError):
        decompress(b"abcd", "", 3)
    with pytest.raises(UnknownEncodingError, match="gzip"):
        decompress(b"abc", "snappy", 3)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("gzip", "gzip"),
        ("lz4, gzip", "lz4"),
        ("gzip;q=0, deflate", "deflate"),
        ("br", ""),
        ("", ""),
        ("GZIP;q=0.1", "gzip"),
    ],
)
def test_the_best_accepted_encoding_is_chosen(accept: str, expected: str) -> None:
    """Of those that both sides know; q=0 is a no."""
    assert expected == negotiate(accept)
