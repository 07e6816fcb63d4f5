"""Server-sent events."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from otel_llmcost.wire import sse
from otel_llmcost.wire.sse import SseParser

STREAM = (
    ": a comment\r\n\r\n"
    'event: message\r\ndata: {"text": "one\u2028two"}\r\n\r\n'
    "data: first line\rdata: second line\r\r"
    "data:without a space\nid: 7\nretry: 10\n\n"
    "data: größer 😀\n\n"
    "\n\n\n"
    "data: [DONE]\n\n"
).encode()
EVENTS = [
    '{"text": "one\u2028two"}'.encode(),
    b"first line\nsecond line",
    b"without a space",
    "größer 😀".encode(),
    b"[DONE]",
]


def read(chunks: list[bytes]) -> list[bytes]:
    parser = SseParser()
    events = [event for chunk in chunks for event in parser.feed(chunk)]
    return [*events, *parser.close()]


def cut(data: bytes, at: list[int]) -> list[bytes]:
    points = [0, *sorted(at), len(data)]
    return [data[a:b] for a, b in pairwise(points)]


def test_events_are_told_apart_by_blank_lines_of_any_line_end() -> None:
    """CR, LF and CRLF end lines; comments, ids and empty events are passed over; U+2028 is data."""
    assert EVENTS == read([STREAM])


@given(st.lists(st.integers(0, len(STREAM)), max_size=40))
def test_any_chunking_gives_the_same_events(at: list[int]) -> None:
    """A chunk may end anywhere, also between CR and LF and inside a character."""
    assert EVENTS == read(cut(STREAM, at))


def test_every_byte_for_itself_gives_the_same_events() -> None:
    """The finest chunking of all."""
    assert EVENTS == read([bytes([byte]) for byte in STREAM])


def test_chunks_that_are_whole_events_join_what_waits_before_them() -> None:
    """A chunk that looks like one event may be the rest of another."""
    assert [b"\nx"] == read([b"data:\n", b"data: x\n\n"])
    assert [b"onedata: x"] == read([b"data: one", b"data: x\n\n"])
    assert [b"one", b"x"] == read([b"data: one\r\r", b"data: x\n\n"])
    assert [b"x", b"y", b""] == read([b"data: x\n\n", b"data: y\n\n", b"data: \n\n"])


def test_an_event_without_its_blank_line_is_told_at_the_end() -> None:
    """Providers leave out the last blank line, and even the last line end."""
    assert [b"last"] == read([b"data: last"])
    assert [b"last"] == read([b"data: last\n"])


def test_an_event_over_the_bound_is_skipped_and_counted(monkeypatch) -> None:
    """Memory stays bounded, and the events after it are read."""
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 100)
    for chunking in (10, 1_000):
        parser = SseParser()
        body = b"data: " + b"x" * 500 + b"\n\ndata: small\n\n"
        events = [e for i in range(0, len(body), chunking) for e in parser.feed(body[i : i + chunking])]
        assert ([b"small"], 1) == (events, parser.skipped)
