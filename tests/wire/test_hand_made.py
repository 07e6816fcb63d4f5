"""Bodies that no recording has: broken, compressed otherwise, oddly encoded."""

import json

import pytest

from otel_llmcost.call import Bucket
from otel_llmcost.providers.formats import format_of
from otel_llmcost.wire.exchange import Exchange
from otel_llmcost.wire.reading import Reading

PATH = "/v1/chat/completions"
USAGE = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
BUCKETS = {Bucket.INPUT: 7, Bucket.OUTPUT: 5}
LAST = json.dumps({"id": "c", "choices": [], "usage": USAGE})


def read(body: bytes, headers: dict[str, str] | None = None, status: int = 200, path: str = PATH) -> Reading:
    wire_format = format_of(path)
    assert wire_format is not None
    exchange = Exchange(wire_format)
    exchange.respond(status, headers or {"content-type": "text/event-stream"}, decoded=False)
    for start in range(0, len(body), 5):
        exchange.feed(body[start : start + 5])
    return exchange.end()


@pytest.mark.parametrize("status", [500, 502, 503, 529])
@pytest.mark.parametrize(
    ("body", "error_type"),
    [
        (b"", ""),
        (b"<html><body>502 Bad Gateway</body></html>", ""),
        (b'{"error": {"message": "secret", "type": "server_error", "code": null}}', "server_error"),
        (b'{"error": {"code": 503, "message": "secret", "status": "UNAVAILABLE"}}', "UNAVAILABLE"),
        (b'[{"error": {"code": 503, "message": "secret", "status": "UNAVAILABLE"}}]', "UNAVAILABLE"),
        (b'{"error": "secret"}', ""),
        (b'{"error": {"code": true, "type": ["secret"]}}', ""),
        (b'{"error": {"mess', ""),
    ],
)
def test_a_failure_of_the_provider_gives_its_type_and_no_usage(status: int, body: bytes, error_type: str) -> None:
    """Whatever a server or a proxy in front of it says; never a message."""
    reading = read(body, {"content-type": "application/json"}, status)
    assert (error_type, False) == (reading.error_type, reading.usage.known)


def test_the_error_type_of_aws_is_in_a_header() -> None:
    """Its body has only a message."""
    headers = {"content-type": "application/json", "x-amzn-errortype": "ThrottlingException:http://internal/"}
    reading = read(b'{"message": "secret"}', headers, 429, "/model/m/converse")
    assert "ThrottlingException" == reading.error_type


def test_an_error_with_status_200_is_an_error() -> None:
    """Azure's content filter answers so."""
    reading = read(b'{"error": {"code": "content_filter"}}', {"content-type": "application/json"})
    assert ("content_filter", False) == (reading.error_type, reading.usage.known)


def test_a_brotli_body_is_read() -> None:
    """Where the library is installed the client asks for it, so bodies come in it."""
    brotli = pytest.importorskip("brotli", reason="brotli is not installed, so no client asks for it")
    headers = {"content-type": "application/json", "content-encoding": "br"}
    assert BUCKETS == read(brotli.compress(LAST.encode()), headers).usage.buckets


def test_a_body_in_an_encoding_that_cannot_be_read_leaves_usage_unknown() -> None:
    """Unknown, never 0."""
    headers = {"content-type": "application/json", "content-encoding": "br, gzip"}
    assert not read(b"\x0b\x02\x80abc\x03", headers).usage.known


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c"])
def test_exotic_line_separators_in_data_are_data(separator: str) -> None:
    """Python would split lines at them; server-sent events do not."""
    text = json.dumps({"id": "c", "choices": [{"delta": {"content": "one" + separator}}]}, ensure_ascii=False)
    body = f"data: {text}\n\ndata: {LAST}\n\n".encode()
    assert BUCKETS == read(body).usage.buckets


@pytest.mark.parametrize(
    "broken",
    [
        b"data: {not json}\n\n",
        b"data: [1, 2\n\n",
        b"data: \xff\xfe\n\n",
        b"data\n\n",
        b"no colon at all\n\n",
        b"data: " + b"[" * 5_000 + b"\n\n",
        b'data: {"usage": []}\n\ndata: {"usage": {"prompt_tokens": {}}}\n\n',
        b"event: error\n\n",
    ],
)
def test_a_broken_event_does_not_keep_the_others_from_being_read(broken: bytes) -> None:
    """What could not be read is missing; the usage after it counts."""
    assert BUCKETS == read(broken + f"data: {LAST}\n\n".encode()).usage.buckets


def test_the_event_line_may_follow_its_data() -> None:
    """Bedrock's OpenAI endpoint writes it so."""
    response = {"id": "r", "usage": {"input_tokens": 7, "output_tokens": 5}}
    event = json.dumps({"type": "response.completed", "response": response})
    reading = read(f"data: {event}\nevent: response.completed\n\n".encode(), path="/openai/v1/responses")
    assert (BUCKETS, True) == (reading.usage.buckets, reading.finished)


def test_a_document_spread_over_data_lines_is_one() -> None:
    """The specification joins them with line ends."""
    body = "".join(f"data: {line}\n" for line in json.dumps(json.loads(LAST), indent=1).splitlines()) + "\n"
    assert BUCKETS == read(body.encode()).usage.buckets
