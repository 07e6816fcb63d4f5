"""The Cohere SDK 7, which is built on httpx 0.x: every way to make a call is one line, and gives what it gave."""

import cohere
import pytest
import wire_answers as wire
from billing import Bill, told
from driving import entered, listed, settled
from scripted import check_scripted, run_scripted
from wire_server import Answer, json_answer, stream_answer

MODEL = "command-r-08-2024"
MESSAGES = [{"role": "user", "content": "Where is my order?"}]
LINE = {
    "provider": "cohere",
    "requested_model": MODEL,
    "model": MODEL,
    "response_id": wire.COHERE_ID,
    "streaming": False,
    "outcome": "ok",
    "http_status": 200,
    "attempt": 1,
    "service_tier": "",
    "buckets": wire.COHERE_BUCKETS,
    "status": "exact",
}


class Versions:
    """The clients of both versions of the API."""

    def __init__(self, flavour: str, **options: object) -> None:
        kinds = (cohere.Client, cohere.ClientV2) if flavour == "sync" else (cohere.AsyncClient, cohere.AsyncClientV2)
        self.v1, self.v2 = (kind(api_key="not-a-real-key", **options) for kind in kinds)


def client(flavour: str, origin: str, **options: object) -> Versions:
    return Versions(flavour, base_url=origin, **options)


async def chat(sdk):
    return [await settled(sdk.v2.chat(model=MODEL, messages=MESSAGES))]


async def chat_stream(sdk):
    return await listed(sdk.v2.chat_stream(model=MODEL, messages=MESSAGES))


async def raw_chat(sdk):
    raw = await settled(cohere_v2(sdk).with_raw_response.chat(model=MODEL, messages=MESSAGES))
    return [raw.headers["content-type"], raw.data]


async def raw_chat_stream(sdk):
    async with entered(cohere_v2(sdk).with_raw_response.chat_stream(model=MODEL, messages=MESSAGES)) as raw:
        return await listed(raw.data)


async def chat_v1(sdk):
    return [await settled(sdk.v1.chat(model=MODEL, message="Where is my order?"))]


async def chat_stream_v1(sdk):
    return await listed(sdk.v1.chat_stream(model=MODEL, message="Where is my order?"))


async def embed(sdk):
    call = {"model": "embed-v4.0", "texts": ["one"], "input_type": "search_query"}
    return [await settled(sdk.v2.embed(**call, embedding_types=["float"]))]


async def rerank(sdk):
    return [await settled(sdk.v2.rerank(model="rerank-v3.5", query="order", documents=["a", "b"], top_n=1))]


def cohere_v2(sdk: Versions) -> object:
    """The resource of version 2 below the client, whose raw responses the client itself leaves out."""
    return sdk.v1.v2


STREAM = stream_answer(wire.COHERE_STREAM)
STREAMED = {**LINE, "streaming": True}
EMBEDDING = {
    **LINE,
    "requested_model": "embed-v4.0",
    "model": "embed-v4.0",
    "response_id": "da6e531f-54c5-4a73-bf92-f60566d8d753",
    "buckets": {"input": 4},
}
RERANK = {
    **LINE,
    "requested_model": "rerank-v3.5",
    "model": "rerank-v3.5",
    "response_id": "07734bd2-2473-4f07-94e1-0d9f0e6843cf",
    "buckets": {"rerank_searches": 1},
    "status": "unpriced",  # nobody lists a price for it
}


@pytest.mark.parametrize(
    ("mode", "answer", "line"),
    [
        (chat, wire.COHERE, LINE),
        (chat_stream, STREAM, STREAMED),
        (raw_chat, wire.COHERE, LINE),
        (raw_chat_stream, STREAM, STREAMED),
        (chat_v1, wire.COHERE_V1, {**LINE, "response_id": wire.COHERE_V1_ID}),
        (chat_stream_v1, wire.COHERE_V1_STREAM, {**STREAMED, "response_id": wire.COHERE_V1_ID}),
        (embed, wire.COHERE_EMBEDDING, EMBEDDING),
        (rerank, wire.COHERE_RERANK, RERANK),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_each_way_to_call_is_one_line_and_unchanged(bill, flavour: str, mode, answer: Answer, line: dict) -> None:
    """Server-sent events of version 2, lines of JSON of version 1."""
    check_scripted(lambda origin: client(flavour, origin), "cohere", mode, answer, bill=bill)
    assert [line] == [told(found) for found in bill.lines]


def test_a_refused_attempt_is_a_line_of_its_own(bill: Bill, flavour: str) -> None:
    """The SDK does not tell which attempt a request is; that the same one failed just before does."""
    refusal = json_answer({"id": "1", "message": "Slow down."}, 429, retry_after_ms="1", x_ratelimit_reset="0")
    run_scripted(lambda origin: client(flavour, origin), "cohere", chat, refusal, wire.COHERE, bill=bill)
    refused, answered = bill.lines
    assert (429, 1, "error", {}) == tuple(told(refused, "http_status", "attempt", "outcome", "buckets").values())
    assert LINE | {"attempt": 2} == told(answered)
