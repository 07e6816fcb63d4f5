"""One exchange: the bytes of a response → a reading."""

import gzip
import json
import zlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_llmcost.call import Bucket
from otel_llmcost.providers.formats import format_of
from otel_llmcost.wire import exchange as exchange_module
from otel_llmcost.wire import json_document
from otel_llmcost.wire.exchange import Exchange
from otel_llmcost.wire.reading import Reading

CHAT = {
    "id": "chatcmpl-1",
    "model": "gpt-4o-2024-08-06",
    "service_tier": "default",
    "choices": [{"finish_reason": "stop", "message": {"content": 'say "usage": {"prompt_tokens": 9}'}}],
    "usage": {
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "prompt_tokens_details": {"cached_tokens": 60, "audio_tokens": 10},
        "completion_tokens_details": {"reasoning_tokens": 20},
    },
}
CHAT_BUCKETS = {
    Bucket.INPUT: 30,
    Bucket.CACHE_READ: 60,
    Bucket.INPUT_AUDIO: 10,
    Bucket.OUTPUT: 30,
    Bucket.REASONING: 20,
}
MESSAGE_START = {
    "type": "message_start",
    "message": {
        "type": "message",
        "id": "msg_1",
        "model": "claude-sonnet-4-5-20250929",
        "usage": {
            "input_tokens": 10,
            "cache_read_input_tokens": 500,
            "cache_creation_input_tokens": 300,
            "cache_creation": {"ephemeral_5m_input_tokens": 200, "ephemeral_1h_input_tokens": 100},
            "output_tokens": 1,
            "service_tier": "standard",
        },
    },
}
MESSAGE_DELTA = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 77}}
MESSAGE_BUCKETS = {
    Bucket.INPUT: 10,
    Bucket.CACHE_READ: 500,
    Bucket.CACHE_WRITE: 200,
    Bucket.CACHE_WRITE_1H: 100,
    Bucket.OUTPUT: 77,
}


def events(*documents: object) -> bytes:
    lines = [d if isinstance(d, str) else json.dumps(d, ensure_ascii=False) for d in documents]
    return "".join(f"data: {line}\n\n" for line in lines).encode()


def read(path: str, chunks: list[bytes], headers: dict[str, str] | None = None, status: int = 200) -> Reading:
    wire_format = format_of(path)
    assert wire_format is not None
    exchange = Exchange(wire_format)
    exchange.respond(status, headers or {"content-type": "text/event-stream; charset=utf-8"}, decoded=False)
    for chunk in chunks:
        exchange.feed(chunk)
    return exchange.end()


def read_json(path: str, document: object, status: int = 200) -> Reading:
    return read(path, [json.dumps(document).encode()], {"content-type": "application/json"}, status)


def test_a_chat_completion_is_read_into_exclusive_buckets() -> None:
    """Cached, audio and reasoning tokens are parts of the totals and are taken out of them."""
    reading = read_json("/v1/chat/completions", CHAT)
    assert CHAT_BUCKETS == reading.usage.buckets
    assert ("chatcmpl-1", "gpt-4o-2024-08-06", "default", "stop") == (
        reading.response_id,
        reading.model,
        reading.service_tier,
        reading.finish_reason,
    )


@given(st.lists(st.integers(0, 2_000), max_size=30))
def test_a_chat_stream_gives_the_same_usage_in_any_chunking(at: list[int]) -> None:
    """The usage in the last chunk counts, text that looks like usage does not."""
    chunk = {"id": "chatcmpl-1", "model": "gpt-4o-2024-08-06", "choices": [{"delta": {"content": "ü"}}], "usage": None}
    quoted = {"id": "chatcmpl-1", "choices": [{"delta": {"content": '"usage": {"prompt_tokens": 1}'}}]}
    last = {"id": "chatcmpl-1", "choices": [], "usage": CHAT["usage"]}
    body = events(chunk, chunk, quoted, last, "[DONE]")
    points = [0, *sorted(min(p, len(body)) for p in at), len(body)]
    reading = read("/v1/chat/completions", [body[a:b] for a, b in pairwise(points)])
    assert (CHAT_BUCKETS, True) == (reading.usage.buckets, reading.finished)


def test_usage_that_comes_twice_counts_once() -> None:
    """Groq tells a stream's usage in x_groq and again in usage."""
    usage = {"prompt_tokens": 7, "completion_tokens": 3}
    body = events({"id": "c", "choices": [], "x_groq": {"usage": usage}}, {"id": "c", "choices": [], "usage": usage})
    assert {Bucket.INPUT: 7, Bucket.OUTPUT: 3} == read("/openai/v1/chat/completions", [body]).usage.buckets


def test_anthropic_usage_is_merged_over_the_events() -> None:
    """Input from message_start, output from message_delta; cache lies beside input_tokens."""
    text = {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "hello"}}
    reading = read("/v1/messages", [events(MESSAGE_START, text, MESSAGE_DELTA, {"type": "message_stop"})])
    assert (MESSAGE_BUCKETS, "end_turn", True) == (reading.usage.buckets, reading.finish_reason, reading.finished)


def test_a_correction_in_message_delta_replaces_the_earlier_number() -> None:
    """The later value that is not null counts."""
    delta = {**MESSAGE_DELTA, "usage": {"input_tokens": 25, "cache_read_input_tokens": None, "output_tokens": 77}}
    reading = read("/v1/messages", [events(MESSAGE_START, delta)])
    assert {**MESSAGE_BUCKETS, Bucket.INPUT: 25} == reading.usage.buckets


def test_an_aborted_anthropic_stream_keeps_what_message_start_told() -> None:
    """The input is known from the first event on."""
    reading = read("/v1/messages", [events(MESSAGE_START)])
    assert ({**MESSAGE_BUCKETS, Bucket.OUTPUT: 1}, False) == (reading.usage.buckets, reading.finished)


def test_a_responses_stream_is_read_from_its_last_event() -> None:
    """response.completed carries the whole response object."""
    usage = {
        "input_tokens": 40,
        "input_tokens_details": {"cached_tokens": 8},
        "output_tokens": 30,
        "output_tokens_details": {"reasoning_tokens": 25},
    }
    created = {"type": "response.created", "response": {"id": "resp_1", "model": "gpt-5-mini", "usage": None}}
    completed = {"type": "response.completed", "response": {"id": "resp_1", "model": "gpt-5-mini", "usage": usage}}
    reading = read("/v1/responses", [events(created, {"type": "response.output_text.delta", "delta": "x"}, completed)])
    expected = {Bucket.INPUT: 32, Bucket.CACHE_READ: 8, Bucket.OUTPUT: 5, Bucket.REASONING: 25}
    assert (expected, "resp_1", True) == (reading.usage.buckets, reading.response_id, reading.finished)


def test_embeddings_are_input_only() -> None:
    """There is no output side and no id."""
    reading = read_json(
        "/v1/embeddings", {"model": "m", "data": [], "usage": {"prompt_tokens": 12, "total_tokens": 12}}
    )
    assert {Bucket.INPUT: 12} == reading.usage.buckets


@pytest.mark.parametrize("model_first", [True, False])
def test_a_large_body_of_vectors_is_read_from_its_end(monkeypatch, model_first: bool) -> None:
    """Usage and model, wherever the model stands; the vectors are not parsed."""
    vectors = {"data": [{"embedding": [0.123456789] * 1_500} for _ in range(10)]}
    model = {"model": "text-embedding-3-small"}
    usage = {"usage": {"prompt_tokens": 12, "total_tokens": 12}}
    parsed: list[int] = []
    parse = json_document.parse_json
    monkeypatch.setattr(json_document, "parse_json", lambda data: (parsed.append(len(data)), parse(data))[1])
    body = {**model, **vectors, **usage} if model_first else {**vectors, **model, **usage}
    reading = read_json("/v1/embeddings", body)
    assert ({Bucket.INPUT: 12}, "text-embedding-3-small") == (reading.usage.buckets, reading.model)
    assert max(parsed) < 1_000


def test_a_large_body_that_ends_otherwise_is_parsed_whole() -> None:
    """Usage before the vectors."""
    body = {"usage": {"prompt_tokens": 12}, "model": "m", "data": [0.5] * 20_000}
    assert {Bucket.INPUT: 12} == read_json("/v1/embeddings", body).usage.buckets


@pytest.mark.parametrize("bad", [True, -1, 1.5, "many", 10**13, [1], float("nan")])
def test_a_number_that_cannot_be_a_count_is_flagged_and_left_out(bad: object) -> None:
    """Never clamped, never guessed; the other numbers stand."""
    reading = read_json("/v1/chat/completions", {"id": "c", "usage": {"prompt_tokens": bad, "completion_tokens": 3}})
    assert {Bucket.OUTPUT: 3} == reading.usage.buckets
    assert reading.usage.flags[0].startswith("unreadable prompt_tokens: ")


def test_more_cached_tokens_than_input_are_taken_as_lying_beside_it_and_flagged() -> None:
    """The dearer reading of a contradiction, with both numbers told."""
    usage = {"prompt_tokens": 235, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 373}}
    reading = read_json("/v1/chat/completions", {"id": "c", "usage": usage})
    assert {Bucket.INPUT: 235, Bucket.CACHE_READ: 373, Bucket.OUTPUT: 1} == reading.usage.buckets
    assert ("input: parts 373 exceed total 235",) == reading.usage.flags


@pytest.mark.parametrize(
    ("name", "encoded"),
    [
        ("gzip", gzip.compress(json.dumps(CHAT).encode())),
        ("deflate", zlib.compress(json.dumps(CHAT).encode())),
        ("deflate", zlib.compress(json.dumps(CHAT).encode(), wbits=-15)),
        ("zstd", __import__("backports.zstd", fromlist=["compress"]).compress(json.dumps(CHAT).encode())),
    ],
)
def test_encoded_bodies_are_decoded_byte_by_byte(name: str, encoded: bytes) -> None:
    """The client gets the encoded bytes; we read along."""
    headers = {"content-type": "application/json", "content-encoding": name}
    reading = read("/v1/chat/completions", [bytes([byte]) for byte in encoded], headers)
    assert CHAT_BUCKETS == reading.usage.buckets


@pytest.mark.parametrize("body", [b"", b"not json", b"[1, 2]", b'{"usage": 3}', b'{"id": ', b"[" * 100_000])
def test_a_body_that_cannot_be_read_leaves_usage_unknown(body: bytes) -> None:
    """Malformed input never raises."""
    reading = read("/v1/chat/completions", [body], {"content-type": "application/json"})
    assert not reading.usage.known


def test_broken_gzip_leaves_usage_unknown() -> None:
    """The client meets the same error and raises it."""
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    assert not read("/v1/chat/completions", [b"garbage"], headers).usage.known


def test_a_body_over_the_bound_is_not_read(monkeypatch) -> None:
    """Its usage is unknown, not guessed from a part."""
    monkeypatch.setattr(exchange_module, "MAX_BODY_BYTES", 50)
    assert not read_json("/v1/chat/completions", CHAT).usage.known


def test_an_error_gives_the_providers_type_and_never_its_message() -> None:
    """The message may quote the prompt."""
    error = {"error": {"type": "invalid_request_error", "code": "context_length_exceeded", "message": "secret prompt"}}
    reading = read_json("/v1/chat/completions", error, status=400)
    assert ("context_length_exceeded", False) == (reading.error_type, reading.usage.known)
    assert "secret" not in repr(reading.attributes())


def test_an_error_event_in_a_stream_is_told() -> None:
    """Anthropic sends overloaded_error after the head said 200."""
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "secret"}}
    assert "overloaded_error" == read("/v1/messages", [events(MESSAGE_START, error)]).error_type
