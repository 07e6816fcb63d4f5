"""Chat streams whose usage nobody tells: counted by us, off the caller's path, and marked so."""

import json

import pytest

from otel_llmcost import estimate
from otel_llmcost.call import Bucket, Source
from otel_llmcost.estimate import BACKGROUND, estimated_usage
from otel_llmcost.pipeline import Pipeline
from otel_llmcost.processors.sdk import from_sdk
from otel_llmcost.settings import Settings
from otel_llmcost.wire import exchange
from otel_llmcost.wire.exchange import Answer

PIPELINE = Pipeline.from_settings(Settings())
URL = "https://api.groq.com/openai/v1/chat/completions"
REQUEST = {"model": "llama-3.3-70b-versatile", "stream": True, "messages": [{"role": "user", "content": "x" * 41}]}
TEXT = "Grüße, " * 10


def chunks(*, finished: bool = True) -> list[bytes]:
    documents = [
        {"id": "c", "model": REQUEST["model"], "choices": [{"delta": {"content": TEXT[i]}}]} for i in range(70)
    ]
    if finished:
        documents.append({"id": "c", "choices": [{"delta": {}, "finish_reason": "stop"}]})
    return [b"data: " + json.dumps(document).encode() + b"\n\n" for document in documents]


def line_of(harness, body: list[bytes], request: dict = REQUEST, read: int | None = None, **environ: str):
    def handler(_request):
        headers = {"content-type": "text/event-stream"}
        return harness.http.Response(200, headers=headers, stream=harness.body(body))

    harness.instrument(**environ)
    harness.request(handler, URL, json=request, stream=True, read=read)
    BACKGROUND.flush()
    (span,) = harness.spans
    assert TEXT[:7] not in span.to_json()
    return PIPELINE.process_span(from_sdk(span), Source.SDK_SPAN)


def test_a_stream_without_usage_is_estimated_and_marked(harness) -> None:
    """41 bytes of prompt, 4 for the message and 3 to open; 90 bytes of answer; four bytes a token."""
    line = line_of(harness, chunks())
    assert {Bucket.INPUT: 11 + 4 + 3, Bucket.OUTPUT: 23} == line.usage.buckets
    assert ("estimated", "estimate:bytes/4") == (line.cost.status, line.cost.reason)
    assert line.cost.effective.total_usd > 0


def test_an_abandoned_stream_is_a_lower_bound_of_what_was_seen(harness) -> None:
    """Half of the answer was read."""
    line = line_of(harness, chunks(finished=False), read=35)
    assert ("lower_bound", "aborted") == (line.cost.status, line.cost.reason)
    assert 18 == line.usage.input_tokens
    assert 12 <= line.usage.output_tokens <= 13


def test_the_time_of_the_call_is_its_own_not_the_estimates(harness, monkeypatch) -> None:
    """The span ends when the stream did."""
    monkeypatch.setattr(estimate, "_by_bytes", lambda text: __import__("time").sleep(0.2) or 1)
    assert line_of(harness, chunks()).duration_ns < 150_000_000


def test_estimates_can_be_switched_off(harness) -> None:
    """Then such a stream has no price, and says why."""
    line = line_of(harness, chunks(), OTEL_LLMCOST_PROVIDERS_ESTIMATE="false")
    assert ("unpriced", "usage_unknown") == (line.cost.status, line.cost.reason)


def test_of_a_long_answer_the_beginning_is_counted_and_the_rest_taken_to_be_like_it(harness, monkeypatch) -> None:
    """Memory stays bounded; only the share is kept."""
    monkeypatch.setattr(exchange, "MAX_TEXT_BYTES", 64)
    assert 21 <= line_of(harness, chunks()).usage.output_tokens <= 27


def test_a_picture_in_the_prompt_makes_it_a_lower_bound(harness) -> None:
    """It is not counted, and that is said."""
    content = [{"type": "text", "text": "what is this"}, {"type": "image_url", "image_url": {"url": "data:…"}}]
    line = line_of(harness, chunks(), {**REQUEST, "messages": [{"role": "user", "content": content}]})
    assert ("lower_bound", "usage_unreadable:image_url: not counted") == (line.cost.status, line.cost.reason)


def test_reasoning_and_tool_calls_are_part_of_the_answer_and_quoted_json_is_text(harness) -> None:
    """They are billed as output; what looks like a key inside a text is none."""
    delta = {
        "reasoning_content": "abcd",
        "tool_calls": [{"id": "call_1", "function": {"name": "find", "arguments": '{"content": "ü\\n"}'}}],
    }
    body = [
        b"data: " + json.dumps({"id": "c", "choices": [{"delta": delta, "finish_reason": "stop"}]}).encode() + b"\n\n"
    ]
    size = len(("abcd" + "find" + '{"content": "ü\\n"}').encode())
    assert -(-size // 4) == line_of(harness, body).usage.output_tokens


@pytest.mark.parametrize("messages", [None, 3, [1, {"content": None}], [{"content": [7, {"type": "x" * 99}]}]])
def test_odd_requests_are_counted_without_an_error(messages: object) -> None:
    """Whatever the application sent."""
    assert estimated_usage({"messages": messages}, "m", Answer("", 0, 0)).known
