"""The replay provider, seen through the real SDKs: what they receive is what its log says it served."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anthropic
import groq
import httpx
import openai
import pytest
from anthropic import Anthropic
from demo.services import read_log, replay_provider, sdk_environment
from groq import AsyncGroq, Groq
from openai import AsyncOpenAI, OpenAI

Entry = dict[str, Any]
Serve = Callable[..., list[Entry]]

LONG = "The same long instructions, again and again. " * 200
QUESTION = [{"role": "user", "content": "Where is my order?"}]


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Serve:
    """Run a function against a provider of its own; gives the provider's complete log."""

    def run(function: Callable[[], object], *options: str, log: str = "served.jsonl") -> list[Entry]:
        chosen = ("--rate-limit-every", "0", "--event-delay-ms", "0.5", *options)
        with replay_provider(tmp_path / log, *chosen) as origin:
            for name, value in sdk_environment(origin).items():
                monkeypatch.setenv(name, value)
            function()
        return read_log(tmp_path / log)

    return run


def agrees(told: object, served: object) -> bool:
    """Every number that was served arrived; an SDK's model may hold more, empty, fields."""
    if isinstance(served, dict):
        return all(agrees(getattr(told, name, None), value) for name, value in served.items())
    return told == served


def test_chat_completion(serve: Serve) -> None:
    """A chat completion comes from the dated snapshot, with cached tokens inside the prompt."""
    got = []
    messages = [{"role": "system", "content": LONG}, *QUESTION]
    [entry] = serve(lambda: got.append(OpenAI().chat.completions.create(model="gpt-4o", messages=messages)))

    assert ("gpt-4o", "gpt-4o-2024-08-06", got[0].id, 200, False, True) == (
        entry["requested_model"],
        got[0].model,
        entry["response_id"],
        entry["http_status"],
        entry["streaming"],
        entry["completed"],
    )
    assert agrees(got[0].usage, entry["usage"])
    assert got[0].usage.prompt_tokens_details.cached_tokens % 128 == 0
    assert got[0].usage.prompt_tokens > LONG.count(" ")


def test_reasoning_is_inside_the_output(serve: Serve) -> None:
    """A reasoning model bills its thoughts as part of the completion, at the tier that was asked for."""
    got = []
    call = {"model": "gpt-5-mini", "messages": QUESTION, "service_tier": "flex", "max_completion_tokens": 200}
    [entry] = serve(lambda: got.append(OpenAI().chat.completions.create(**call)))

    reasoning = got[0].usage.completion_tokens_details.reasoning_tokens
    assert 0 < reasoning < got[0].usage.completion_tokens <= 200
    assert (got[0].service_tier, entry["service_tier"]) == ("flex", "flex")
    assert agrees(got[0].usage, entry["usage"])


def test_stream_tells_usage_when_asked(serve: Serve) -> None:
    """With include_usage, one last chunk without choices carries the usage."""
    chunks: list[Any] = []
    call = {"model": "gpt-4o-mini", "messages": QUESTION, "stream": True}
    options = {"stream_options": {"include_usage": True}}
    [entry] = serve(lambda: chunks.extend(OpenAI().chat.completions.create(**call, **options)))

    assert chunks[-1].choices == []
    assert agrees(chunks[-1].usage, entry["usage"])
    assert entry["usage"] == entry["sent_usage"]
    assert [None] * (len(chunks) - 1) == [chunk.usage for chunk in chunks[:-1]]


def test_stream_tells_no_usage_unasked(serve: Serve) -> None:
    """Without include_usage, every chunk has a choice and none a usage; it is billed all the same."""
    chunks: list[Any] = []
    call = {"model": "gpt-4o-mini", "messages": QUESTION, "stream": True}
    [entry] = serve(lambda: chunks.extend(OpenAI().chat.completions.create(**call)))

    assert {1} == {len(chunk.choices) for chunk in chunks}
    assert {None} == {chunk.usage for chunk in chunks}
    assert {entry["response_id"]} == {chunk.id for chunk in chunks}
    assert entry["sent_usage"] is None
    assert entry["usage"]["completion_tokens"] > 0
    assert entry["completed"]


def test_responses_stream(serve: Serve) -> None:
    """A Responses stream runs from response.created to response.completed, which alone holds the usage."""
    events: list[Any] = []

    async def run() -> None:
        async with AsyncOpenAI() as client:
            call = {"model": "gpt-4.1", "input": "Hello", "instructions": LONG}
            events.extend([event async for event in await client.responses.create(**call, stream=True)])

    [entry] = serve(lambda: asyncio.run(run()))

    assert (events[0].type, events[-1].type) == ("response.created", "response.completed")
    assert list(range(len(events))) == [event.sequence_number for event in events]
    assert events[0].response.usage is None
    assert (entry["response_id"], "gpt-4.1-2025-04-14") == (events[-1].response.id, events[-1].response.model)
    assert agrees(events[-1].response.usage, entry["usage"])
    deltas = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert events[-1].response.output_text == deltas


def test_responses(serve: Serve) -> None:
    """A Responses body has the text, the id and the usage of the log."""
    got = []
    [entry] = serve(lambda: got.append(OpenAI().responses.create(model="gpt-5-mini", input="Hello")))

    assert got[0].output_text
    assert entry["response_id"] == got[0].id
    assert agrees(got[0].usage, entry["usage"])
    assert got[0].usage.output_tokens_details.reasoning_tokens > 0


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_embeddings(serve: Serve, encoding: str) -> None:
    """Embeddings come one a text in the size asked for, with prompt tokens and no response id."""
    got = []
    call = {"model": "text-embedding-3-small", "input": ["one text", "another"], "dimensions": 16}
    # The SDK asks for base64 by itself, and decodes it, where no encoding is named.
    named = {"encoding_format": "float"} if encoding == "float" else {}
    [entry] = serve(lambda: got.append(OpenAI().embeddings.create(**call, **named)))

    assert [len(item.embedding) for item in got[0].data] == [16, 16]
    assert all(-1 < number < 1 for item in got[0].data for number in item.embedding)
    assert agrees(got[0].usage, entry["usage"])
    assert entry["response_id"] == ""


@pytest.mark.parametrize("ttl", ["5m", "1h"])
def test_message(serve: Serve, ttl: str) -> None:
    """Anthropic leaves cached tokens out of input_tokens and tells the two lifetimes of a cache write apart."""
    got: list[Any] = []
    cache = {"type": "ephemeral", "ttl": ttl}
    call = {"model": "claude-haiku-4-5", "max_tokens": 50, "messages": QUESTION}
    system = [{"type": "text", "text": LONG, "cache_control": cache}]

    def run() -> None:
        client = Anthropic()
        got.extend(client.messages.create(**call, system=system) for _ in range(24))

    entries = serve(run)

    assert [entry["response_id"] for entry in entries] == [message.id for message in got]
    assert {"claude-haiku-4-5-20251001"} == {message.model for message in got}
    assert all(agrees(message.usage, entry["usage"]) for message, entry in zip(got, entries, strict=True))
    written = [message.usage.cache_creation for message in got if message.usage.cache_creation_input_tokens]
    read = [message for message in got if message.usage.cache_read_input_tokens]
    assert written
    assert read
    other, own = ("ephemeral_1h_input_tokens", "ephemeral_5m_input_tokens")[:: 1 if ttl == "5m" else -1]
    assert {0} == {getattr(creation, other) for creation in written}
    assert all(getattr(creation, own) > 1000 for creation in written)
    assert all(message.usage.input_tokens < 100 for message in got)


def test_message_stream(serve: Serve) -> None:
    """A Messages stream ends with the cumulative usage that the SDK's helper puts together."""
    got: list[Any] = []

    def run() -> None:
        with Anthropic().messages.stream(model="claude-haiku-4-5", max_tokens=80, messages=QUESTION) as stream:
            got.append("".join(stream.text_stream))
            got.append(stream.get_final_message())

    [entry] = serve(run)

    text, message = got
    assert text == message.content[0].text
    assert ("claude-haiku-4-5-20251001", entry["response_id"]) == (message.model, message.id)
    assert entry["usage"]["output_tokens"] == message.usage.output_tokens
    assert entry["usage"]["input_tokens"] == message.usage.input_tokens
    assert entry["usage"] == entry["sent_usage"]


def test_message_stream_left_early(serve: Serve) -> None:
    """When the reader leaves, the log tells what it had been told and what is billed."""

    def run() -> None:
        with Anthropic().messages.stream(model="claude-haiku-4-5", max_tokens=4096, messages=QUESTION) as stream:
            next(iter(stream.text_stream))

    [entry] = serve(run)

    assert not entry["completed"]
    assert entry["http_status"] == 200
    assert 1 == entry["sent_usage"]["output_tokens"] < entry["usage"]["output_tokens"]
    assert entry["usage"]["input_tokens"] == entry["sent_usage"]["input_tokens"]


def test_groq(serve: Serve) -> None:
    """Groq's body has its own ids and times beside the usage."""
    got = []
    call = {"model": "llama-3.3-70b-versatile", "messages": QUESTION}
    [entry] = serve(lambda: got.append(Groq().chat.completions.create(**call)))

    assert entry["response_id"] == got[0].id
    assert got[0].x_groq.id.startswith("req_")
    assert got[0].usage.queue_time > 0
    assert agrees(got[0].usage, entry["usage"])


def test_groq_stream(serve: Serve) -> None:
    """Groq tells the usage of a stream unasked, twice in its last chunk."""
    chunks: list[Any] = []

    async def run() -> None:
        async with AsyncGroq() as client:
            call = {"model": "openai/gpt-oss-120b", "messages": [{"role": "system", "content": LONG}, *QUESTION]}
            chunks.extend([chunk async for chunk in await client.chat.completions.create(**call, stream=True)])

    [entry] = serve(lambda: asyncio.run(run()))

    assert agrees(chunks[-1].usage, entry["usage"])
    assert agrees(chunks[-1].x_groq.usage, entry["usage"])
    assert entry["usage"] == entry["sent_usage"]
    assert chunks[-1].usage.completion_tokens_details.reasoning_tokens > 0


def test_rate_limit_is_retried(serve: Serve) -> None:
    """A rate-limited request is answered when the SDK sends it again; both requests are in the log."""
    got = []
    call = {"model": "gpt-4o-mini", "messages": QUESTION}
    entries = serve(lambda: got.append(OpenAI().chat.completions.create(**call)), "--rate-limit-every", "1")

    assert [(429, 1, ""), (200, 2, got[0].id)] == [(e["http_status"], e["attempt"], e["response_id"]) for e in entries]
    assert entries[0]["usage"] is None


@pytest.mark.parametrize(
    ("make", "error"),
    [(OpenAI, openai.RateLimitError), (Groq, groq.RateLimitError)],
)
def test_rate_limit_without_retries(serve: Serve, make: Callable[..., Any], error: type[Exception]) -> None:
    """An SDK that may not retry raises its own error for a 429."""

    def run() -> None:
        with pytest.raises(error):
            make(max_retries=0).chat.completions.create(model="gpt-4o-mini", messages=QUESTION)

    entries = serve(run, "--rate-limit-every", "1")

    assert [entry["http_status"] for entry in entries] == [429]


def test_anthropic_rate_limit(serve: Serve) -> None:
    """Anthropic's error body makes Anthropic's error."""

    def run() -> None:
        with pytest.raises(anthropic.RateLimitError, match="rate_limit_error"):
            Anthropic(max_retries=0).messages.create(model="claude-haiku-4-5", max_tokens=9, messages=QUESTION)

    serve(run, "--rate-limit-every", "1")


def test_failing_model(serve: Serve) -> None:
    """The failing model answers 500 however often it is asked."""

    def run() -> None:
        with pytest.raises(openai.InternalServerError):
            OpenAI(max_retries=1).chat.completions.create(model="gpt-4.5-preview", messages=QUESTION)

    entries = serve(run)

    assert [(entry["http_status"], entry["attempt"]) for entry in entries] == [(500, 1), (500, 2)]


def test_stream_cut_by_the_server(serve: Serve) -> None:
    """A stream that breaks off raises in the reader, and no usage was told."""

    def run() -> None:
        stream = Groq().chat.completions.create(model="openai/gpt-oss-20b", messages=QUESTION, stream=True)
        with pytest.raises(httpx.RemoteProtocolError):
            list(stream)

    [entry] = serve(run)

    assert (entry["completed"], entry["sent_usage"]) == (False, None)
    assert entry["usage"]["completion_tokens"] > 0


def test_needs_a_key(serve: Serve) -> None:
    """A request without a key is refused, as at the seller."""

    def run() -> None:
        url = f"{os.environ['OPENAI_BASE_URL']}/chat/completions"
        assert httpx.post(url, json={"model": "gpt-4o", "messages": QUESTION}).status_code == 401

    [entry] = serve(run)

    assert entry["http_status"] == 401


def test_same_seed_same_answers(serve: Serve) -> None:
    """Ids and counts follow from the seed and the request; the same request again is another response."""

    def run() -> None:
        for model in ("gpt-4o", "gpt-4o", "gpt-5-mini"):
            OpenAI().chat.completions.create(model=model, messages=QUESTION)

    first, again = serve(run, log="first"), serve(run, log="again")
    other = serve(run, "--seed", "8", log="other")

    assert first == again
    assert len({entry["response_id"] for entry in first}) == 3
    assert {entry["response_id"] for entry in first}.isdisjoint(entry["response_id"] for entry in other)


def test_log_holds_no_content(serve: Serve, tmp_path: Path) -> None:
    """Neither the prompt, nor the answer, nor the key is in the log."""
    got = []
    serve(lambda: got.append(OpenAI().chat.completions.create(model="gpt-4o", messages=QUESTION)))

    text = (tmp_path / "served.jsonl").read_text()
    answer = got[0].choices[0].message.content
    assert len(answer) > 20
    assert [secret for secret in ("Where is my order", answer, "not-a-real-key") if secret in text] == []
