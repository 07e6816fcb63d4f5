"""Every way in which a stream of a real SDK can end: its span ends, and the line says what is known."""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
import test_anthropic_sdk
import test_cohere_sdk
import test_gemini_sdk
import test_groq_sdk
import test_mistral_sdk
import test_openai_sdk
import wire_answers as wire
from billing import Bill, told
from driving import close, drive, entered, listed, plain, settled
from google.genai import types
from mistralai.client.utils import BackoffStrategy, RetryConfig
from wire_server import Answer, WireServer, json_answer, serving, stream_answer

READ_TIMEOUT_S = 0.2


@dataclass(frozen=True)
class Sdk:
    """How one SDK opens a stream, and what the wire carries of it."""

    seller: str
    client: Callable[..., Any]
    stream: Callable[[Any], Any]
    call: Callable[[Any], Any]
    chunks: list[bytes]
    impatient: dict[str, Any]  # options of a client that waits no longer than READ_TIMEOUT_S, and once
    told_early: dict[str, int]  # buckets that the first chunk tells
    told_whole: dict[str, int]


def _openai_like(client: Callable[..., Any], seller: str, chunks: list[bytes]) -> Sdk:
    question = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Where is my order?"}]}

    def make(flavour, origin, **options):
        sdk = client(flavour, origin, **options)
        sdk.base_url = f"{origin}/v1"
        return sdk

    return Sdk(
        seller,
        make,
        lambda sdk: sdk.chat.completions.create(**question, stream=True),
        lambda sdk: sdk.chat.completions.create(**question),
        chunks,
        {"timeout": READ_TIMEOUT_S, "max_retries": 0},
        {},
        {"input": 7, "output": 3},
    )


SDKS = {
    "openai": _openai_like(test_openai_sdk.client, "openai", wire.OPENAI_STREAM),
    "groq": _openai_like(test_groq_sdk.client, "groq", wire.GROQ_STREAM),
    "anthropic": Sdk(
        "anthropic",
        test_anthropic_sdk.client,
        lambda sdk: sdk.messages.create(**test_anthropic_sdk.UNCACHED, stream=True),
        lambda sdk: sdk.messages.create(**test_anthropic_sdk.UNCACHED),
        wire.ANTHROPIC_STREAM,
        {"timeout": READ_TIMEOUT_S, "max_retries": 0},
        {"input": 7, "output": 1},
        {"input": 7, "output": 3},
    ),
    "gemini": Sdk(
        "gcp.gemini",
        test_gemini_sdk.client,
        lambda sdk: sdk.models.generate_content_stream(model="gemini-2.5-flash", contents="Where is my order?"),
        lambda sdk: sdk.models.generate_content(model="gemini-2.5-flash", contents="Where is my order?"),
        wire.GEMINI_STREAM,
        {"timeout": int(READ_TIMEOUT_S * 1_000), "retry_options": types.HttpRetryOptions(attempts=1)},
        {"input": 1200},
        wire.GEMINI_BUCKETS,
    ),
    "mistral": Sdk(
        "mistral_ai",
        test_mistral_sdk.client,
        lambda sdk: sdk.call("chat", "stream", **test_mistral_sdk.CHAT),
        lambda sdk: sdk.call("chat", "complete", **test_mistral_sdk.CHAT),
        wire.MISTRAL_STREAM,
        {
            "timeout_ms": int(READ_TIMEOUT_S * 1_000),
            "retry_config": RetryConfig("none", BackoffStrategy(1, 1, 1.0, 1), retry_connection_errors=False),
        },
        {},
        wire.MISTRAL_BUCKETS,
    ),
    "cohere": Sdk(
        "cohere",
        test_cohere_sdk.client,
        lambda sdk: sdk.v2.chat_stream(model="command-r-08-2024", messages=test_cohere_sdk.MESSAGES),
        lambda sdk: sdk.v2.chat(model="command-r-08-2024", messages=test_cohere_sdk.MESSAGES),
        wire.COHERE_STREAM,
        {"timeout": READ_TIMEOUT_S, "max_retries": 0},
        {},
        wire.COHERE_BUCKETS,
    ),
}


@pytest.fixture(params=SDKS.values(), ids=SDKS.keys())
def sdk(request: pytest.FixtureRequest) -> Sdk:
    return request.param


def run(sdk: Sdk, flavour: str, use: Callable[[Any], Awaitable[Any]], bill: Bill, *answers: Answer, **options) -> Any:
    """Use an instrumented client of the SDK, in an event loop of its own."""
    server = WireServer(*answers)

    async def used() -> Any:
        client = sdk.client(flavour, server.origin, **options)
        try:
            return await use(client)
        finally:
            await close(client)

    with serving(server), bill.on({server.origin: sdk.seller}):
        return asyncio.run(used())


def stalled(sdk: Sdk) -> Answer:
    """A stream that stops after its first event."""
    return stream_answer(sdk.chunks[:1], stalls=True)


async def first(stream: Any) -> Any:
    """The first item of a stream of either kind, which stays open."""
    return await anext(stream) if hasattr(stream, "__anext__") else next(stream)


async def leave(stream: Any) -> None:
    await settled((getattr(stream, "aclose", None) or stream.close)())


def check_aborted(sdk: Sdk, bill: Bill) -> None:
    """One line, which is no more than a lower bound."""
    [line] = bill.lines
    assert (200, True, "aborted") == (line.http_status, line.streaming, line.outcome)
    assert line.cost.status in ("lower_bound", "unpriced")
    if sdk.told_early:
        assert (sdk.told_early, "lower_bound") == tuple(told(line, "buckets", "status").values())
    assert len(bill.spans) == 1


def test_a_stream_that_is_closed_early_is_a_lower_bound(bill, flavour: str, sdk: Sdk) -> None:
    """The application has seen enough."""

    async def use(client):
        async with_stream = None  # placeholder
        return with_stream

    run(sdk, flavour, use, bill, stalled(sdk))
    check_aborted(sdk, bill)
