"""Framings: any body, any chunking, with and without a content type, gives the same documents."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_llmcost.wire import framing as framing_module
from otel_llmcost.wire import json_array
from otel_llmcost.wire.event_stream import EventStreamParser
from otel_llmcost.wire.framing import LinesParser, WholeBody, framing_of
from otel_llmcost.wire.json_array import JsonArrayParser
from otel_llmcost.wire.sse import SseParser
from wire import aws_frames

DOCUMENTS = [
    {"text": 'brackets ]}[{ and "quotes" and \\ backslashes \\" in strings', "n": [1, [2, {"a": "]"}]]},
    {"text": "größer 😀\u2028two", "empty": {}, "list": []},
    {"last": True},
]
BODIES = {
    "lines": ("application/x-ndjson", "\n".join(json.dumps(d, ensure_ascii=False) for d in DOCUMENTS).encode() + b"\n"),
    "array": ("application/json", json.dumps(DOCUMENTS, ensure_ascii=False, indent=2).encode()),
    "sse": (
        "text/event-stream; charset=utf-8",
        b"\n\n".join(b"data: " + json.dumps(d, ensure_ascii=False).encode() for d in DOCUMENTS) + b"\n\n",
    ),
    "frames": ("application/vnd.amazon.eventstream", b"".join(aws_frames.event("metadata", d) for d in DOCUMENTS)),
    "chunk frames": ("application/vnd.amazon.eventstream", b"".join(aws_frames.chunk(d) for d in DOCUMENTS)),
}


def read(body: bytes, content_type: str, at: list[int]) -> list[object]:
    points = [0, *sorted(min(p, len(body)) for p in at), len(body)]
    framing, documents, head = None, [], b""
    for a, b in pairwise(points):
        head += body[a:b]
        if framing is None:
            framing = framing_of(head, content_type, 10_000)
            if framing is None:
                continue
        documents.extend(framing.feed(head))
        head = b""
    assert framing is not None
    return [json.loads(data) for data in (*documents, *framing.close())]


@pytest.mark.parametrize("name", BODIES)
@given(at=st.lists(st.integers(0, 1_500), max_size=40))
def test_any_chunking_gives_the_same_documents(name: str, at: list[int]) -> None:
    """A chunk may end anywhere: in a character, a string, an escape, a length."""
    content_type, body = BODIES[name]
    assert DOCUMENTS == read(body, content_type, at)


@pytest.mark.parametrize("name", BODIES)
def test_every_byte_for_itself_and_no_content_type(name: str) -> None:
    """The body's first byte tells the framing; lines without a type are told apart at the end."""
    _, body = BODIES[name]
    assert DOCUMENTS == read(body, "", list(range(len(body))))


@pytest.mark.parametrize(
    ("head", "content_type", "expected"),
    [
        (b'\xef\xbb\xbf  {"id": 1}', "application/json", WholeBody),
        (b'{"error": 1}', "text/event-stream", WholeBody),  # a gateway that keeps the type of the stream it refuses
        (b'[{"error": 1}]', "application/json", JsonArrayParser),
        (b": keep-alive\n", "", SseParser),
        (b"\r\nevent: x\n", "text/plain", SseParser),
        (b"\0\0\0\x10", "", EventStreamParser),
        (b"unknown: field\n", "text/event-stream", SseParser),
        (b"<html>", "text/html", WholeBody),
        (b"{", "application/stream+json", LinesParser),
    ],
)
def test_the_first_byte_is_asked_before_the_content_type(head: bytes, content_type: str, expected: type) -> None:
    """Types are missing or wrong; a body never is what its first byte cannot begin."""
    assert type(framing_of(head, content_type, 100)) is expected


def test_an_array_says_when_it_is_over() -> None:
    """A stream that was cut has no closing bracket."""
    parser = JsonArrayParser()
    ended = []
    for chunk in (b'[{"a": "]"}', b",[1]", b"\r\n]", b"\n"):
        list(parser.feed(chunk))
        ended.append(parser.ended)
    assert [False, False, True, True] == ended


def test_blanks_alone_decide_nothing() -> None:
    """The framing waits for the first byte that means something."""
    assert framing_of(b"\xef\xbb\xbf\r\n \t", "text/event-stream", 100) is None


@pytest.mark.parametrize("parser", [LinesParser, JsonArrayParser])
def test_a_document_over_the_bound_is_skipped_and_counted(parser: type, monkeypatch) -> None:
    """Memory stays bounded, and the documents after it are read."""
    monkeypatch.setattr(framing_module, "MAX_EVENT_BYTES", 100)
    monkeypatch.setattr(json_array, "MAX_EVENT_BYTES", 100)
    long, short = b'{"text": "' + b"x" * 500 + b'"}', b'{"id": 1}'
    body = b"[" + long + b"," + short + b"]" if parser is JsonArrayParser else long + b"\n" + short + b"\n"
    for size in (7, 64):
        framing = parser()
        found = [d for i in range(0, len(body), size) for d in framing.feed(body[i : i + size])]
        assert ([short], 1) == ([*found, *framing.close()], framing.skipped)


def test_an_exception_frame_becomes_an_error() -> None:
    """Its type only: the message may quote the prompt."""
    headers = {":message-type": "exception", ":exception-type": "throttlingException"}
    parser = EventStreamParser()
    (data,) = parser.feed(aws_frames.frame(b'{"message": "secret"}', headers))
    assert {"error": {"type": "throttlingException"}} == json.loads(data)


@pytest.mark.parametrize("at", [3, 9, 40, -2])
def test_a_frame_that_does_not_add_up_ends_the_reading(at: int) -> None:
    """A broken length would make everything after it garbage; what was read before stands."""
    good, bad = aws_frames.chunk({"id": 1}), bytearray(aws_frames.chunk({"id": 2}))
    bad[at] ^= 0xFF
    parser = EventStreamParser()
    found = list(parser.feed(good + bytes(bad) + good))
    assert ([{"id": 1}], True) == ([json.loads(data) for data in found], parser.broken)


@given(st.binary(max_size=300))
def test_no_bytes_make_a_framing_raise(body: bytes) -> None:
    """Input is hostile."""
    for framing in (JsonArrayParser(), EventStreamParser(), LinesParser(), SseParser(), WholeBody(100)):
        list(framing.feed(body))
        list(framing.feed(body))
        list(framing.close())
