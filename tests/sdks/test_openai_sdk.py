"""The OpenAI SDK 3, which is built on httpx2: every way to make a call is one exact line, and gives what it gave."""

import openai
import pytest
from billing import told
from driving import entered, listed, settled
from openai import AsyncOpenAI, OpenAI
from replayed import check, line_of, replay

LONG = "The same long instructions, again and again. " * 200
MESSAGES = [{"role": "system", "content": LONG}, {"role": "user", "content": "Where is my order?"}]
CHAT = {"model": "gpt-4o", "messages": MESSAGES, "max_completion_tokens": 60}
REASONING = {"model": "gpt-5-mini", "messages": MESSAGES, "service_tier": "flex"}
RESPONSE = {"model": "gpt-4.1", "input": "Where is my order?", "instructions": LONG, "max_output_tokens": 60}
EMBEDDING = {"model": "text-embedding-3-small", "input": ["one", "two"]}
WITH_USAGE = {"stream": True, "stream_options": {"include_usage": True}}


def client(flavour: str, origin: str, **options: object) -> OpenAI | AsyncOpenAI:
    kind = OpenAI if flavour == "sync" else AsyncOpenAI
    return kind(base_url=f"{origin}/openai/v1", api_key="sk-not-a-real-key", **options)


async def chat(sdk):
    return [await settled(sdk.chat.completions.create(**CHAT))]


async def chat_that_reasons(sdk):
    return [await settled(sdk.chat.completions.create(**REASONING))]


async def chat_parsed(sdk):
    return [await settled(sdk.chat.completions.parse(**CHAT))]


async def chat_stream(sdk):
    return await listed(sdk.chat.completions.create(**CHAT, **WITH_USAGE))


async def chat_stream_that_does_not_ask(sdk):
    return await listed(sdk.chat.completions.create(**CHAT, stream=True))


async def chat_stream_helper(sdk):
    async with entered(sdk.chat.completions.stream(**CHAT)) as stream:
        events = await listed(stream)
        return [*events, await settled(stream.get_final_completion())]


async def chat_stream_helper_that_asks(sdk):
    async with entered(sdk.chat.completions.stream(**CHAT, stream_options={"include_usage": True})) as stream:
        return await listed(stream)


async def raw_chat(sdk):
    raw = await settled(sdk.chat.completions.with_raw_response.create(**CHAT))
    return [raw.status_code, raw.headers["x-request-id"], raw.retries_taken, await settled(raw.parse())]


async def raw_chat_stream(sdk):
    raw = await settled(sdk.chat.completions.with_raw_response.create(**CHAT, stream=True))
    return [raw.headers["content-type"], *await listed(raw.parse())]


async def streaming_response_of_a_chat(sdk):
    async with entered(sdk.chat.completions.with_streaming_response.create(**CHAT)) as response:
        return [response.status_code, await settled(response.parse())]


async def streaming_response_in_bytes(sdk):
    async with entered(sdk.chat.completions.with_streaming_response.create(**CHAT)) as response:
        return [b"".join(await listed(response.iter_bytes())).partition(b'"choices"')[2]]


async def streaming_response_of_a_stream(sdk):
    async with entered(sdk.chat.completions.with_streaming_response.create(**CHAT, stream=True)) as response:
        return await listed(await settled(response.parse()))


async def streaming_response_in_lines(sdk):
    async with entered(sdk.chat.completions.with_streaming_response.create(**CHAT, stream=True)) as response:
        return [line.partition('"system_fingerprint"')[2] for line in await listed(response.iter_lines())]


async def response(sdk):
    return [await settled(sdk.responses.create(**RESPONSE))]


async def response_stream(sdk):
    return await listed(sdk.responses.create(**RESPONSE, stream=True))


async def response_stream_helper(sdk):
    async with entered(sdk.responses.stream(**RESPONSE)) as stream:
        events = await listed(stream)
        return [*events, await settled(stream.get_final_response())]


async def raw_response(sdk):
    raw = await settled(sdk.responses.with_raw_response.create(**RESPONSE))
    return [raw.status_code, await settled(raw.parse())]


async def streaming_response_of_a_response(sdk):
    async with entered(sdk.responses.with_streaming_response.create(**RESPONSE, stream=True)) as response:
        return await listed(await settled(response.parse()))


async def embedding(sdk):
    return [await settled(sdk.embeddings.create(**EMBEDDING))]


async def raw_embedding(sdk):
    raw = await settled(sdk.embeddings.with_raw_response.create(**EMBEDDING, encoding_format="float"))
    return [raw.status_code, await settled(raw.parse())]


async def several_at_once(sdk):
    """One client, one connection pool, one call after the other."""
    return [*await chat(sdk), *await chat_stream(sdk), *await response(sdk), *await embedding(sdk)]


MODES = [
    chat,
    chat_that_reasons,
    chat_parsed,
    chat_stream,
    chat_stream_that_does_not_ask,
    chat_stream_helper,
    chat_stream_helper_that_asks,
    raw_chat,
    raw_chat_stream,
    streaming_response_of_a_chat,
    streaming_response_in_bytes,
    streaming_response_of_a_stream,
    streaming_response_in_lines,
    response,
    response_stream,
    response_stream_helper,
    raw_response,
    streaming_response_of_a_response,
    embedding,
    raw_embedding,
    several_at_once,
]


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.__name__)
def test_each_way_to_call_is_one_exact_line_and_unchanged(bill, flavour: str, mode) -> None:
    """Objects, events, helpers, raw bytes and lines; of a stream that does not ask, usage is asked at the wire."""
    check(lambda origin: client(flavour, origin), mode, bill)


def test_a_stream_that_may_not_be_asked_is_told_by_no_more_than_an_estimate(bill, flavour: str) -> None:
    """Switched off, the request stays as it is, and the line says that its tokens are ours."""
    asked = replay(lambda origin: client(flavour, origin), chat_stream_that_does_not_ask, bill, stream_usage=False)
    [entry], [line] = asked.served, bill.lines
    assert entry["sent_usage"] is None
    assert {**line_of(entry, status="estimated"), "buckets": told(line)["buckets"]} == told(line)


def test_a_refused_attempt_is_a_line_of_its_own(bill, flavour: str) -> None:
    """429, then the answer; x-stainless-retry-count tells the attempts apart."""
    run = replay(lambda origin: client(flavour, origin), chat, bill, rate_limit_every=1)
    assert [429, 200] == [entry["http_status"] for entry in run.served]
    refused, answered = bill.lines
    assert (429, 1, "error", "exact", {}) == tuple(
        told(refused, "http_status", "attempt", "outcome", "status", "buckets").values()
    )
    assert line_of(run.served[1], attempt=2) == told(answered)


def test_an_error_reaches_the_application_as_it_did(bill, flavour: str) -> None:
    """The SDK's own exception, with the provider's body."""

    async def broken(sdk):
        with pytest.raises(openai.InternalServerError) as error:
            await settled(sdk.chat.completions.create(model="gpt-4.5-preview", messages=MESSAGES))
        return [str(error.value), error.value.body]

    def make(origin):
        return client(flavour, origin, max_retries=0)

    bare, seen = replay(make, broken), replay(make, broken, bill)
    assert bare.results == seen.results
    assert [(500, 1, "error")] == [(line.http_status, line.attempt, line.outcome) for line in bill.lines]
