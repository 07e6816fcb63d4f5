"""Large bodies: memory stays flat, whatever the framing, and the usage at the end is read."""

import gzip
import json
import tracemalloc
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest

from corpus.replaying import body_of
from corpus.reported_usage import reported_usage
from otel_llmcost.providers.endpoints import Endpoints
from otel_llmcost.providers.formats import format_of
from otel_llmcost.wire.exchange import Exchange
from otel_llmcost.wire.reading import Reading
from wire import aws_frames

MIB = 1024 * 1024
DELTA = "x" * 16_000
USAGE = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
GEMINI_USAGE = {"promptTokenCount": 7, "candidatesTokenCount": 5, "totalTokenCount": 12}


def sse(document: object) -> bytes:
    return b"data: " + json.dumps(document).encode() + b"\n\n"


STREAMS = {
    "/v1/chat/completions": (
        "text/event-stream",
        sse({"id": "c", "choices": [{"delta": {"content": DELTA}}]}),
        sse({"id": "c", "choices": [], "usage": USAGE}) + b"data: [DONE]\n\n",
    ),
    "/v1beta/models/gemini-3-pro:streamGenerateContent": (
        "application/json",
        json.dumps([{"candidates": [{"text": DELTA}]}]).encode()[1:-1] + b",\r\n",
        json.dumps([{"responseId": "g", "usageMetadata": GEMINI_USAGE}]).encode()[1:],
    ),
    "/api/chat": (
        "application/x-ndjson",
        json.dumps({"message": {"content": DELTA}, "done": False}).encode() + b"\n",
        json.dumps({"done": True, "prompt_eval_count": 7, "eval_count": 5}).encode() + b"\n",
    ),
    "/model/m/converse-stream": (
        "application/vnd.amazon.eventstream",
        aws_frames.event("contentBlockDelta", {"delta": {"text": DELTA}}),
        aws_frames.event("metadata", {"usage": {"inputTokens": 7, "outputTokens": 5, "totalTokens": 12}}),
    ),
}
BEGINNING = {"/v1beta/models/gemini-3-pro:streamGenerateContent": b"["}


def peak_of(path: str, content_type: str, chunks: Iterator[bytes]) -> tuple[Reading, int]:
    """The reading, and the most memory that was in use on the way."""
    wire_format = format_of(path)
    assert wire_format is not None
    exchange = Exchange(wire_format)
    exchange.respond(200, {"content-type": content_type}, decoded=False)
    tracemalloc.start()
    try:
        for chunk in chunks:
            exchange.feed(chunk)
        return exchange.end(), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("path", STREAMS)
def test_a_stream_of_100_mb_is_read_in_flat_memory(path: str) -> None:
    """No more than a few events are ever held."""
    content_type, delta, last = STREAMS[path]
    times = 100 * MIB // len(delta)

    def chunks() -> Iterator[bytes]:
        yield BEGINNING.get(path, b"")
        yield from repeat(delta, times)
        yield last

    reading, peak = peak_of(path, content_type, chunks())
    assert (7, 5) == (reading.usage.input_tokens, reading.usage.output_tokens)
    assert peak < MIB / 2


def test_a_single_event_of_10_mb_is_read() -> None:
    """A whole response object in the last event, in chunks of 16 KiB."""
    response = {"id": "r", "usage": {"input_tokens": 7, "output_tokens": 5}, "output": ["x" * 10 * MIB]}
    body = sse({"type": "response.completed", "response": response})
    chunks = (body[i : i + 16_384] for i in range(0, len(body), 16_384))
    reading, peak = peak_of("/v1/responses", "text/event-stream", chunks)
    assert (7, 5, "r") == (reading.usage.input_tokens, reading.usage.output_tokens, reading.response_id)
    assert peak < 60 * MIB


def test_the_large_streams_of_the_corpus_are_read_in_flat_memory(corpus_folder: Path) -> None:
    """Twelve real streams of 200 KB to 1.6 MB, in chunks of 4 KiB: the providers' totals, in less than their size."""
    with gzip.open(corpus_folder / "large_streams.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows: list[dict[str, Any]] = [json.loads(line) for line in lines]
    for row in rows:
        host, path = row["url"].split("/")[2], "/" + row["url"].split("/", 3)[3].partition("?")[0]
        endpoint = Endpoints({}).find(host.partition(":")[0], None, path)
        assert endpoint is not None
        exchange = Exchange(endpoint.wire_format, endpoint.provider)
        exchange.respond(200, row["response_headers"], decoded=True)
        body = body_of(row)
        tracemalloc.start()
        for start in range(0, len(body), 4_096):
            exchange.feed(body[start : start + 4_096])
        usage, peak = exchange.end().usage, tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        wanted = reported_usage(row)
        assert (wanted is not None) == usage.known, row["id"]
        if wanted:
            assert (wanted.input_tokens, wanted.output_tokens) == (usage.input_tokens, usage.output_tokens), row["id"]
        assert peak < 150_000, row["id"]
