"""The Google GenAI SDK 3, which is built on httpx2: every way to make a call is one line, and gives what it gave."""

import asyncio

import pytest
import wire_answers as wire
from billing import Bill, told
from driving import entered, listed, settled
from google import genai
from google.genai import types
from scripted import check_scripted, run_scripted
from wire_server import Answer, WireServer, json_answer, serving, stream_answer

MODEL = "gemini-2.5-flash"
QUESTION = "Where is my order?"
LINE = {
    "provider": "gcp.gemini",
    "requested_model": MODEL,
    "model": MODEL,
    "response_id": wire.GEMINI_ID,
    "streaming": False,
    "outcome": "ok",
    "http_status": 200,
    "attempt": 1,
    "service_tier": "",
    "buckets": wire.GEMINI_BUCKETS,
    "status": "exact",
}


def client(flavour: str, origin: str, **options: object) -> object:
    sdk = genai.Client(api_key="not-a-real-key", http_options=types.HttpOptions(base_url=origin, **options))
    return sdk if flavour == "sync" else sdk.aio


async def generate(sdk):
    return [await settled(sdk.models.generate_content(model=MODEL, contents=QUESTION))]


async def generate_stream(sdk):
    return await listed(sdk.models.generate_content_stream(model=MODEL, contents=QUESTION))


async def chat(sdk):
    return [await settled(sdk.chats.create(model=MODEL).send_message(QUESTION))]


async def chat_stream(sdk):
    return await listed(sdk.chats.create(model=MODEL).send_message_stream(QUESTION))


async def embed(sdk):
    return [await settled(sdk.models.embed_content(model="gemini-embedding-2", contents=QUESTION))]


async def interact(sdk):
    return [await settled(sdk.interactions.create(model=MODEL, input=QUESTION))]


async def interact_stream(sdk):
    return await listed(sdk.interactions.create(model=MODEL, input=QUESTION, stream=True))


async def interact_raw(sdk):
    raw = await settled(sdk.interactions.with_raw_response.create(model=MODEL, input=QUESTION))
    return [raw.status_code, await settled(raw.parse())]


async def interact_streaming_response(sdk):
    manager = sdk.interactions.with_streaming_response.create(model=MODEL, input=QUESTION, stream=True)
    async with entered(manager) as response:
        return [b"".join(await listed(response.iter_bytes()))]


STREAM = stream_answer(wire.GEMINI_STREAM)
STREAMED = {**LINE, "streaming": True}
EMBEDDING = {
    **LINE,
    "requested_model": "gemini-embedding-2",
    "model": "gemini-embedding-2",
    "response_id": "",
    "buckets": {"input": 4},
}
INTERACTION = json_answer(wire.INTERACTION)
INTERACTION_STREAM = stream_answer(wire.events(*wire.INTERACTION_STEPS))
INTERACTED = {**LINE, "response_id": wire.INTERACTION["id"]}


@pytest.mark.parametrize(
    ("mode", "answer", "line"),
    [
        (generate, wire.GEMINI, LINE),
        (generate_stream, STREAM, STREAMED),
        (chat, wire.GEMINI, LINE),
        (chat_stream, STREAM, STREAMED),
        (embed, wire.GEMINI_EMBEDDING, EMBEDDING),
        (interact, INTERACTION, INTERACTED),
        (interact_stream, INTERACTION_STREAM, {**INTERACTED, "streaming": True}),
        (interact_raw, INTERACTION, INTERACTED),
        (interact_streaming_response, INTERACTION_STREAM, {**INTERACTED, "streaming": True}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_each_way_to_call_is_one_line_and_unchanged(bill, flavour: str, mode, answer: Answer, line: dict) -> None:
    """Of a stream the last usage counts, which holds all that came before."""
    check_scripted(lambda origin: client(flavour, origin), "gcp.gemini", mode, answer, bill=bill)
    assert [line] == [told(found) for found in bill.lines]


def test_counting_tokens_is_no_line(bill: Bill, flavour: str) -> None:
    """It is free of charge."""

    async def count(sdk):
        return [await settled(sdk.models.count_tokens(model=MODEL, contents=QUESTION))]

    run = run_scripted(lambda origin: client(flavour, origin), "gcp.gemini", count, wire.GEMINI_COUNT, bill=bill)
    assert ([1200], []) == ([result["total_tokens"] for result in run.results], bill.spans)


def test_a_refused_attempt_is_a_line_of_its_own(bill: Bill, flavour: str) -> None:
    """The SDK does not tell which attempt a request is; that the same one failed just before does."""
    retries = types.HttpRetryOptions(attempts=2, initial_delay=0.01, jitter=0.0)
    refusal = json_answer(wire.GEMINI_LIMIT, 429)
    run_scripted(
        lambda origin: client(flavour, origin, retry_options=retries),
        "gcp.gemini",
        generate,
        refusal,
        wire.GEMINI,
        bill=bill,
    )
    refused, answered = bill.lines
    assert (429, 1, "error", {}) == tuple(told(refused, "http_status", "attempt", "outcome", "buckets").values())
    assert "RESOURCE_EXHAUSTED" == refused.error_type
    assert LINE | {"attempt": 2} == told(answered)


def test_one_client_in_two_event_loops_makes_one_line_a_call(bill: Bill) -> None:
    """The SDK has an inner client for each loop, which the outer one sends through."""
    server = WireServer(wire.GEMINI)
    sdk = client("async", server.origin)
    with serving(server), bill.on({server.origin: "gcp.gemini"}):
        asyncio.run(generate(sdk))
        asyncio.run(generate(sdk))
    assert [LINE, LINE] == [told(line) for line in bill.lines]
