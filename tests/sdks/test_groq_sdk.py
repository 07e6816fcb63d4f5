"""The Groq SDK, which is built on httpx 0.x: every way to make a call is one exact line, and gives what it gave."""

import pytest
from billing import told
from driving import entered, listed, settled
from groq import AsyncGroq, Groq
from replayed import check, line_of, replay

CALL = {
    "model": "openai/gpt-oss-120b",
    "messages": [
        {"role": "system", "content": "The same long instructions, again and again. " * 200},
        {"role": "user", "content": "Where is my order?"},
    ],
}


def client(flavour: str, origin: str, **options: object) -> Groq | AsyncGroq:
    kind = Groq if flavour == "sync" else AsyncGroq
    return kind(base_url=f"{origin}/groq", api_key="gsk-not-a-real-key", **options)


async def chat(sdk):
    return [await settled(sdk.chat.completions.create(**CALL))]


async def chat_stream(sdk):
    return await listed(sdk.chat.completions.create(**CALL, stream=True))


async def raw_chat(sdk):
    raw = await settled(sdk.chat.completions.with_raw_response.create(**CALL))
    return [raw.status_code, await settled(raw.parse())]


async def raw_chat_stream(sdk):
    raw = await settled(sdk.chat.completions.with_raw_response.create(**CALL, stream=True))
    return await listed(await settled(raw.parse()))


async def streaming_response_of_a_chat(sdk):
    async with entered(sdk.chat.completions.with_streaming_response.create(**CALL)) as response:
        return [await settled(response.parse())]


async def streaming_response_in_bytes(sdk):
    async with entered(sdk.chat.completions.with_streaming_response.create(**CALL)) as response:
        return [b"".join(await listed(response.iter_bytes())).partition(b'"choices"')[2]]


async def streaming_response_of_a_stream(sdk):
    async with entered(sdk.chat.completions.with_streaming_response.create(**CALL, stream=True)) as response:
        return await listed(await settled(response.parse()))


MODES = [
    chat,
    chat_stream,
    raw_chat,
    raw_chat_stream,
    streaming_response_of_a_chat,
    streaming_response_in_bytes,
    streaming_response_of_a_stream,
]


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.__name__)
def test_each_way_to_call_is_one_exact_line_and_unchanged(bill, flavour: str, mode) -> None:
    """Groq tells the usage of every stream in its last chunk, twice; it counts once."""
    check(lambda origin: client(flavour, origin), mode, bill)


def test_a_refused_attempt_is_a_line_of_its_own(bill, flavour: str) -> None:
    """429, then the answer; x-stainless-retry-count tells the attempts apart."""
    run = replay(lambda origin: client(flavour, origin), chat, bill, rate_limit_every=1)
    refused, answered = bill.lines
    assert (429, 1, "error", {}) == tuple(told(refused, "http_status", "attempt", "outcome", "buckets").values())
    assert line_of(run.served[1], attempt=2) == told(answered)
