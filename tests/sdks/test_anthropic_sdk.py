"""The Anthropic SDK 2, which is built on httpx2: every way to make a call is one exact line, and gives what it gave."""

import anthropic
import pytest
from anthropic import Anthropic, AsyncAnthropic
from billing import Bill, told
from driving import entered, listed, settled
from opentelemetry.trace import SpanKind
from replayed import check, line_of, replay

SDK_SCOPE = "com.anthropic.sdk.python"
LONG = "The same long instructions, again and again. " * 200
CALL = {
    "model": "claude-sonnet-4-6",
    "max_tokens": 120,
    "system": [{"type": "text", "text": LONG, "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
    "messages": [{"role": "user", "content": "Where is my order?"}],
}
UNCACHED = {"model": "claude-haiku-4-5", "max_tokens": 60, "messages": CALL["messages"]}


def client(flavour: str, origin: str, **options: object) -> Anthropic | AsyncAnthropic:
    kind = Anthropic if flavour == "sync" else AsyncAnthropic
    return kind(base_url=f"{origin}/anthropic", api_key="sk-ant-not-a-real-key", **options)


async def message(sdk):
    return [await settled(sdk.messages.create(**CALL))]


async def message_without_cache(sdk):
    return [await settled(sdk.messages.create(**UNCACHED))]


async def message_that_writes_the_cache(sdk):
    """The provider draws lots: one prefix out of eight is written to the cache rather than read from it."""
    answers = []
    for number in range(20, 80):
        question = {"role": "user", "content": f"Order {number}?"}
        answers.append(await settled(sdk.messages.create(**{**CALL, "messages": [question]})))
        if answers[-1].usage.cache_creation_input_tokens:
            break
    return answers


async def message_stream(sdk):
    return await listed(sdk.messages.create(**CALL, stream=True))


async def message_stream_helper(sdk):
    async with entered(sdk.messages.stream(**CALL)) as stream:
        events = await listed(stream)
        return [*events, await settled(stream.get_final_message())]


async def message_stream_helper_text(sdk):
    async with entered(sdk.messages.stream(**CALL)) as stream:
        return [*await listed(stream.text_stream), await settled(stream.get_final_text())]


async def raw_message(sdk):
    raw = await settled(sdk.messages.with_raw_response.create(**CALL))
    return [raw.status_code, raw.headers["request-id"], await settled(raw.parse())]


async def raw_message_stream(sdk):
    raw = await settled(sdk.messages.with_raw_response.create(**CALL, stream=True))
    return [raw.headers["content-type"], *await listed(await settled(raw.parse()))]


async def streaming_response_of_a_message(sdk):
    async with entered(sdk.messages.with_streaming_response.create(**CALL)) as response:
        return [response.status_code, await settled(response.json())]


async def streaming_response_in_bytes(sdk):
    async with entered(sdk.messages.with_streaming_response.create(**CALL, stream=True)) as response:
        return [b"".join(await listed(response.iter_bytes()))]


async def streaming_response_in_lines(sdk):
    async with entered(sdk.messages.with_streaming_response.create(**CALL, stream=True)) as response:
        return await listed(response.iter_lines())


MODES = [
    message,
    message_without_cache,
    message_that_writes_the_cache,
    message_stream,
    message_stream_helper,
    message_stream_helper_text,
    raw_message,
    raw_message_stream,
    streaming_response_of_a_message,
    streaming_response_in_bytes,
    streaming_response_in_lines,
]


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.__name__)
def test_each_way_to_call_is_one_exact_line_and_unchanged(bill, flavour: str, mode) -> None:
    """Objects, events, helpers, raw bytes and lines; cache reads and writes told apart by time to live."""
    check(lambda origin: client(flavour, origin), mode, bill)


def test_the_cache_is_written_in_one_of_the_modes(bill) -> None:
    """So that the bucket of one-hour writes is not compared with nothing."""
    replay(lambda origin: client("sync", origin), message_that_writes_the_cache, bill)
    assert {"cache_read", "cache_write_1h"} <= {name for line in bill.lines for name in told(line)["buckets"]}


def test_a_refused_attempt_is_a_line_of_its_own(bill, flavour: str) -> None:
    """429, then the answer, of a stream too; x-stainless-retry-count tells the attempts apart."""
    run = replay(lambda origin: client(flavour, origin), message_stream_helper, bill, rate_limit_every=1)
    refused, answered = bill.lines
    assert (429, 1, "error", {}) == tuple(told(refused, "http_status", "attempt", "outcome", "buckets").values())
    assert line_of(run.served[1], attempt=2) == told(answered)


def test_counting_tokens_is_no_line(bill, flavour: str) -> None:
    """It is free of charge; here it is not even served."""

    async def count(sdk):
        with pytest.raises(anthropic.NotFoundError):
            await settled(sdk.messages.count_tokens(model="claude-haiku-4-5", messages=CALL["messages"]))
        return []

    replay(lambda origin: client(flavour, origin), count, bill)
    assert [] == bill.lines


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.__name__)
def test_the_sdks_own_span_makes_no_second_line(bill: Bill, flavour: str, mode) -> None:
    """It stands around all attempts and repeats what the wire told."""

    def make(origin):
        return client(flavour, origin, open_telemetry={"tracer_provider": bill.provider})

    run = replay(make, mode, bill)
    own = [span for span in bill.spans if span.instrumentation_scope.name == SDK_SCOPE]
    assert [SpanKind.CLIENT] * len(run.served) == [span.kind for span in own]
    assert [line_of(entry) for entry in run.served] == [told(line) for line in bill.lines]
    assert {span.get_span_context().span_id.to_bytes(8, "big") for span in own} == {
        line.parent_span_id for line in bill.lines
    }


def test_with_the_sdks_own_span_a_refused_attempt_is_still_a_line(bill: Bill, flavour: str) -> None:
    """Two lines below one span of the SDK."""

    def make(origin):
        return client(flavour, origin, open_telemetry={"tracer_provider": bill.provider})

    replay(make, message, bill, rate_limit_every=1)
    assert [(429, 1), (200, 2)] == [(line.http_status, line.attempt) for line in bill.lines]
    assert 3 == len(bill.spans)
