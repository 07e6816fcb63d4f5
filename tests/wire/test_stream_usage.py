"""Asking for usage and taking it out again."""

import json
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_llmcost.wire import stream_usage
from otel_llmcost.wire.stream_usage import UsageChunkRemover, asking_for_usage

QUOTED = r'{"id":"c","choices":[{"delta":{"content":"\"usage\":null, \"usage\":{} \"choices\":[]"}}]'
WITHOUT = [
    '{"id":"c","service_tier":"default","choices":[{"delta":{"role":"assistant"}}],"obfuscation":"x"}',
    QUOTED + "}",
    '{"choices":[],"prompt_filter_results":[{"prompt_index":0}]}',
    '{"id":"c","choices":[{"delta":{},"finish_reason":"stop"}]}',
]
WITH = [
    '{"id":"c","service_tier":"default","usage":null,"choices":[{"delta":{"role":"assistant"}}],"obfuscation":"x"}',
    QUOTED + ',"usage":null}',
    '{"choices":[],"prompt_filter_results":[{"prompt_index":0}],"usage":null}',
    '{"id":"c","choices":[{"delta":{},"finish_reason":"stop"}],"usage": null}',
    '{"id":"c","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}',
]


def stream(documents: list[str], end: str) -> bytes:
    return "".join(f"data: {document}{end}{end}" for document in [*documents, "[DONE]"]).encode()


def passed(chunks: list[bytes]) -> bytes:
    remover = UsageChunkRemover()
    return b"".join([*(remover.feed(chunk) for chunk in chunks), remover.close()])


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_the_client_gets_what_it_would_have_got(end: str) -> None:
    """The usage chunk is gone and so is every `"usage": null`; what only looks like them stays."""
    assert stream(WITHOUT, end) == passed([stream(WITH, end)])


@given(st.lists(st.integers(0, len(stream(WITH, "\n"))), max_size=30))
def test_in_any_chunking(at: list[int]) -> None:
    """Byte for byte."""
    body = stream(WITH, "\n")
    assert stream(WITHOUT, "\n") == passed([body[a:b] for a, b in pairwise([0, *sorted(at), len(body)])])


def test_a_whole_event_is_never_held_back() -> None:
    """Timing and order stay the provider's."""
    remover = UsageChunkRemover()
    assert b"data: 1\n\n" == remover.feed(b"data: 1\n\ndata: 2")
    assert b"data: 2\n\n" == remover.feed(b"\n\n")


def test_an_endless_event_passes_in_bounded_memory(monkeypatch) -> None:
    """It can be no usage chunk."""
    monkeypatch.setattr(stream_usage, "MAX_HELD_BYTES", 10)
    assert b"data: " + b"x" * 50 == UsageChunkRemover().feed(b"data: " + b"x" * 50)


def ask(body: bytes) -> bytes | None:
    return asking_for_usage(body, json.loads(body))


def test_asking_adds_to_the_body_and_changes_nothing_else() -> None:
    """The prompt stays byte for byte."""
    body = '{"model": "m", "messages": [{"content": "grün"}], "stream": true}\n'.encode()
    asked = ask(body)
    assert {**json.loads(body), "stream_options": {"include_usage": True}} == json.loads(asked)
    assert asked.startswith(body.rstrip()[:-1])


@pytest.mark.parametrize("options", ['{"include_usage": true}', '{"include_usage": false}', '"odd"', "[]"])
def test_a_client_that_decided_itself_is_left_alone(options: str) -> None:
    """Also one that said no, and one that sends nonsense."""
    assert ask(f'{{"stream": true, "stream_options": {options}}}'.encode()) is None


@pytest.mark.parametrize("body", [b"{}", b'{"stream": false}', b'{"stream": "yes"}'])
def test_what_is_no_stream_is_not_asked(body: bytes) -> None:
    """A whole answer has its usage anyway."""
    assert ask(body) is None


@pytest.mark.parametrize("options", ["null", "{}", '{"include_obfuscation": false}'])
def test_other_options_are_kept(options: str) -> None:
    """They are the client's."""
    asked = json.loads(ask(f'{{"stream": true, "stream_options": {options}}}'.encode()))
    assert {**(json.loads(options) or {}), "include_usage": True} == asked["stream_options"]


def test_every_recorded_stream_that_was_asked_is_cleaned(corpus_exchanges) -> None:
    """On real streams of OpenAI and Azure: no usage is left, and every chunk with choices is still there."""
    found = 0
    for exchange in corpus_exchanges:
        body = exchange["response_body"]
        if exchange["api_flavor"] != "openai_chat" or "usage_chunk_empty_choices" not in exchange["tags"]:
            continue
        found += 1
        cleaned = passed([body.encode()]).decode()
        assert not re.search(r'"usage"\s*:\s*\{', cleaned) or "usage_repeated_identical" in exchange["tags"]
        assert body.count('"delta"') == cleaned.count('"delta"')
    assert found > 50
