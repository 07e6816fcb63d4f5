"""Every way in which a stream of a real SDK can end: its span ends, and the line says what is known."""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator
from contextlib import nullcontext
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
from driving import close, each, listed, plain, settled
from google.genai import types
from mistralai.client.utils import BackoffStrategy, RetryConfig
from wire_server import Answer, WireServer, serving, stream_answer

READ_TIMEOUT_S = 0.15
NO_ANSWER = Answer(stalls=True, status=0)
"""The request is taken, and that is all."""


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
    asked: bytes = b""
    closes_late: bool = False  # leaving its asynchronous stream reaches the connection by the garbage collector only

    def answer(self, **options: Any) -> Answer:
        """The whole stream."""
        return stream_answer(self.chunks, asked=self.asked, **options)


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
        asked=wire.OPENAI_ASKED if seller == "openai" else b"",
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
        closes_late=True,
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


@pytest.fixture(scope="module", autouse=True)
def quick_collections() -> Iterator[None]:
    """The garbage collector looks at nothing that was there before: the SDKs have a great many classes."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(params=SDKS.values(), ids=SDKS.keys())
def sdk(request: pytest.FixtureRequest) -> Sdk:
    return request.param


Use = Callable[[Any], Awaitable[Any]]


def run(sdk: Sdk, flavour: str, use: Use, bill: Bill | None, *answers: Answer, **options: Any) -> Any:
    """Use a client of the SDK in an event loop of its own; with a bill, instrumented."""
    return run_with(WireServer(*answers), sdk, flavour, use, bill, **options)


def run_with(server: WireServer, sdk: Sdk, flavour: str, use: Use, bill: Bill | None, **options: Any) -> Any:
    """The same with a server that the test can look at."""

    async def used() -> Any:
        client = sdk.client(flavour, server.origin, **options)
        try:
            return await use(client)
        finally:
            await close(client)

    with serving(server), bill.on({server.origin: sdk.seller}) if bill else nullcontext():
        return asyncio.run(used())


def stalled(sdk: Sdk) -> Answer:
    """A stream that stops after its first event."""
    return stream_answer(sdk.chunks[:1], stalls=True)


async def collected() -> None:
    """What nobody holds any more is gone. A loop closes asynchronous generators, one inside the other, turn by turn."""
    for _ in range(3):
        gc.collect()
        await asyncio.sleep(0.005)


async def opened(sdk: Sdk, client: Any) -> Any:
    """A stream of which the first item has been read; it stays open."""
    stream = await settled(sdk.stream(client))
    await (anext(stream) if hasattr(stream, "__anext__") else asyncio.to_thread(next, stream))
    return stream


def check_aborted(sdk: Sdk, bill: Bill) -> None:
    """One line, which is no more than a lower bound."""
    [line] = bill.lines
    assert (200, True, "aborted") == (line.http_status, line.streaming, line.outcome)
    assert line.cost.status in ("lower_bound", "unpriced")
    if sdk.told_early:
        assert (sdk.told_early, "lower_bound") == tuple(told(line, "buckets", "status").values())
    assert 1 == len(bill.spans)


def test_a_stream_that_is_closed_early_is_a_lower_bound(bill, flavour: str, sdk: Sdk) -> None:
    """The application has seen enough."""

    async def use(client):
        stream = await opened(sdk, client)
        assert [] == bill.spans
        await settled((getattr(stream, "aclose", None) or stream.close)())
        if sdk.closes_late and flavour == "async":
            await collected()
        assert 1 == len(bill.spans)

    run(sdk, flavour, use, bill, stalled(sdk))
    check_aborted(sdk, bill)


def test_a_stream_that_is_dropped_is_a_lower_bound(bill, flavour: str, sdk: Sdk) -> None:
    """No close: the garbage collector finds it, while its client lives on."""

    async def use(client):
        await opened(sdk, client)
        await collected()
        assert 1 == len(bill.spans)

    run(sdk, flavour, use, bill, stalled(sdk))
    check_aborted(sdk, bill)


def test_a_task_that_is_cancelled_in_a_stream_ends_its_span(bill, sdk: Sdk) -> None:
    """The application sees its own cancellation."""

    async def use(client):
        reached = asyncio.Event()

        async def read_on():
            async for _ in each(sdk.stream(client)):
                reached.set()

        task = asyncio.create_task(read_on())
        await reached.wait()
        assert (False, []) == (task.done(), bill.spans)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await collected()
        assert 1 == len(bill.spans)

    run(sdk, "async", use, bill, stalled(sdk))
    check_aborted(sdk, bill)


def test_a_task_that_is_cancelled_before_the_answer_ends_its_span(bill, sdk: Sdk) -> None:
    """Nothing is known of what it cost."""
    server = WireServer(NO_ANSWER)

    async def use(client):
        task = asyncio.create_task(settled(sdk.call(client)))
        await asyncio.to_thread(server.reached.wait)
        assert (False, []) == (task.done(), bill.spans)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run_with(server, sdk, "async", use, bill)
    [line] = bill.lines
    assert ("error", "CancelledError", "unpriced") == (line.outcome, line.error_type, line.cost.status)


def test_a_stream_that_stalls_until_the_timeout_ends_its_span(bill, flavour: str, sdk: Sdk) -> None:
    """The application gets the exception that it would have got."""
    seen = []

    async def use(client):
        with pytest.raises(Exception) as error:  # noqa: PT011 - each SDK has its own
            await listed(sdk.stream(client))
        seen.append((type(error.value), str(error.value)))

    run(sdk, flavour, use, bill, stalled(sdk), **sdk.impatient)
    check_aborted(sdk, bill)
    run(sdk, flavour, use, None, stalled(sdk), **sdk.impatient)
    assert seen[0] == seen[1]


def test_an_answer_that_does_not_come_in_time_is_a_line(bill, flavour: str, sdk: Sdk) -> None:
    """It was asked for, and may be billed: its price is not known."""
    seen = []

    async def use(client):
        with pytest.raises(Exception) as error:  # noqa: PT011 - each SDK has its own
            await settled(sdk.call(client))
        seen.append((type(error.value), str(error.value)))

    run(sdk, flavour, use, bill, NO_ANSWER, **sdk.impatient)
    [line] = bill.lines
    assert ("error", "ReadTimeout", "unpriced") == (line.outcome, line.error_type, line.cost.status)
    run(sdk, flavour, use, None, NO_ANSWER, **sdk.impatient)
    assert seen[0] == seen[1]


def test_a_redirected_stream_is_one_line_and_unchanged(bill, flavour: str, sdk: Sdk) -> None:
    """The SDK's client follows it below `send`."""
    moved = Answer(status=307, headers={"location": "{origin}{path}"})

    async def use(client):
        return [plain(item) for item in await listed(sdk.stream(client))]

    seen = run(sdk, flavour, use, bill, moved, sdk.answer())
    assert seen == run(sdk, flavour, use, None, moved, sdk.answer())
    [line] = bill.lines
    assert (200, "ok", sdk.told_whole) == tuple(told(line, "http_status", "outcome", "buckets").values())
    assert 1 == len(bill.spans)


def test_a_stream_in_small_pieces_is_unchanged(bill, flavour: str, sdk: Sdk) -> None:
    """However the network cuts it."""
    cut = sdk.answer(piece_bytes=97)

    async def use(client):
        return [plain(item) for item in await listed(sdk.stream(client))]

    assert run(sdk, flavour, use, None, cut) == run(sdk, flavour, use, bill, cut)
    [line] = bill.lines
    assert ("ok", sdk.told_whole) == tuple(told(line, "outcome", "buckets").values())


def test_a_broken_connection_is_a_lower_bound(bill, flavour: str, sdk: Sdk) -> None:
    """The provider hangs up in the middle of the stream."""
    seen = []

    async def use(client):
        with pytest.raises(Exception) as error:  # noqa: PT011 - each SDK has its own
            await listed(sdk.stream(client))
        seen.append((type(error.value), str(error.value)))

    broken = stream_answer(sdk.chunks[:1], breaks=True)
    run(sdk, flavour, use, bill, broken, **sdk.impatient)
    check_aborted(sdk, bill)
    run(sdk, flavour, use, None, broken, **sdk.impatient)
    assert seen[0] == seen[1]
