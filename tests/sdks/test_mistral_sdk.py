"""The Mistral SDK 3, which is built on httpx2: every way to make a call is one line, and gives what it gave."""

import pytest
import wire_answers as wire
from billing import Bill, told
from driving import entered, listed, settled
from mistralai.client import Mistral
from mistralai.client.utils import BackoffStrategy, RetryConfig
from mistralai.extra.observability import configure_telemetry
from scripted import check_scripted, run_scripted
from wire_server import Answer, json_answer, stream_answer

MODEL = "mistral-small-latest"
CHAT = {"model": MODEL, "messages": [{"role": "user", "content": "Where is my order?"}]}
FIM = {"model": MODEL, "prompt": "def f(", "suffix": "return a"}
LINE = {
    "provider": "mistral_ai",
    "requested_model": MODEL,
    "model": MODEL,
    "response_id": wire.MISTRAL_ID,
    "streaming": False,
    "outcome": "ok",
    "http_status": 200,
    "attempt": 1,
    "service_tier": "",
    "buckets": wire.MISTRAL_BUCKETS,
    "status": "exact",
}


class Flavoured:
    """The SDK's methods come in pairs, `chat.complete` and `chat.complete_async`."""

    def __init__(self, sdk: Mistral, suffix: str) -> None:
        self.sdk = sdk
        self._suffix = suffix

    def call(self, resource: str, method: str, **arguments: object) -> object:
        return getattr(getattr(self.sdk, resource), method + self._suffix)(**arguments)

    async def aclose(self) -> None:
        self.sdk.sdk_configuration.client.close()
        await self.sdk.sdk_configuration.async_client.aclose()


def client(flavour: str, origin: str, **options: object) -> Flavoured:
    sdk = Mistral(api_key="not-a-real-key", server_url=origin, **options)
    return Flavoured(sdk, "" if flavour == "sync" else "_async")


async def chat(sdk):
    return [await settled(sdk.call("chat", "complete", **CHAT))]


async def chat_stream(sdk):
    async with entered(sdk.call("chat", "stream", **CHAT)) as stream:
        return await listed(stream)


async def fim(sdk):
    return [await settled(sdk.call("fim", "complete", **FIM))]


async def fim_stream(sdk):
    async with entered(sdk.call("fim", "stream", **FIM)) as stream:
        return await listed(stream)


async def agent(sdk):
    return [await settled(sdk.call("agents", "complete", agent_id="ag:1", messages=CHAT["messages"]))]


async def embed(sdk):
    return [await settled(sdk.call("embeddings", "create", model="mistral-embed", inputs=["one"]))]


async def read_document(sdk):
    document = {"type": "document_url", "document_url": "https://example.com/invoice.pdf"}
    return [await settled(sdk.call("ocr", "process", model="mistral-ocr-latest", document=document))]


STREAM = stream_answer(wire.MISTRAL_STREAM)
STREAMED = {**LINE, "streaming": True}
EMBEDDING = {
    **LINE,
    "requested_model": "mistral-embed",
    "model": "mistral-embed",
    "response_id": "e1",
    "buckets": {"input": 4},
}
OCR = {
    **LINE,
    "requested_model": "mistral-ocr-latest",
    "model": "mistral-ocr-2505-completion",
    "response_id": "",
    "buckets": {"document_pages": 3},
}
MODES = [
    (chat, wire.MISTRAL, LINE),
    (chat_stream, STREAM, STREAMED),
    (fim, wire.MISTRAL, LINE),
    (fim_stream, STREAM, STREAMED),
    (agent, wire.MISTRAL, {**LINE, "requested_model": ""}),
    (embed, wire.MISTRAL_EMBEDDING, EMBEDDING),
    (read_document, wire.MISTRAL_OCR, OCR),
]


def name(value: object) -> str:
    return getattr(value, "__name__", "")


@pytest.mark.parametrize(("mode", "answer", "line"), MODES, ids=name)
def test_each_way_to_call_is_one_line_and_unchanged(bill, flavour: str, mode, answer: Answer, line: dict) -> None:
    """The SDK has no raw responses; its stream is read by an event stream of its own."""
    check_scripted(lambda origin: client(flavour, origin), "mistral_ai", mode, answer, bill=bill)
    assert [line] == [told(found) for found in bill.lines]


def test_a_refused_attempt_is_a_line_of_its_own(bill: Bill, flavour: str) -> None:
    """The SDK does not tell which attempt a request is; that the same one failed just before does."""
    retries = RetryConfig("backoff", BackoffStrategy(5, 10, 1.0, 2_000), retry_connection_errors=False)
    refusal = json_answer(wire.MISTRAL_LIMIT, 429)
    run_scripted(
        lambda origin: client(flavour, origin, retry_config=retries),
        "mistral_ai",
        chat,
        refusal,
        wire.MISTRAL,
        bill=bill,
    )
    refused, answered = bill.lines
    assert (429, 1, "error", {}) == tuple(told(refused, "http_status", "attempt", "outcome", "buckets").values())
    assert LINE | {"attempt": 2} == told(answered)


@pytest.mark.parametrize(("mode", "answer", "line"), MODES, ids=name)
def test_the_sdks_own_span_makes_no_second_line(bill, flavour: str, mode, answer: Answer, line: dict) -> None:
    """It is made by a hook, and wraps the response of a stream."""

    def make(origin):
        sdk = client(flavour, origin)
        configure_telemetry(sdk.sdk, provider=bill.provider)
        return sdk

    run_scripted(make, "mistral_ai", mode, answer, bill=bill)
    assert [line] == [told(found) for found in bill.lines]
    assert 2 == len(bill.spans)
