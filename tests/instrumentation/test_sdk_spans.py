"""An SDK or another instrumentation that has a span of its own around a call: still one line a provider call."""

import pytest
from opentelemetry.trace import SpanKind

from otel_llmcost.call import Source
from otel_llmcost.pipeline import Pipeline
from otel_llmcost.processors.sdk import from_sdk
from otel_llmcost.settings import Settings

PIPELINE = Pipeline.from_settings(Settings())
SDK_SPAN = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "anthropic", "gen_ai.request.model": "claude-x"}
AGENT_SPAN = {**SDK_SPAN, "gen_ai.operation.name": "invoke_agent"}
BODY = {
    "type": "message",
    "id": "msg_1",
    "model": "claude-sonnet-4-6",
    "usage": {"input_tokens": 10, "output_tokens": 5},
}


def lines(harness) -> list:
    found = (PIPELINE.process_span(from_sdk(span), Source.SDK_SPAN) for span in harness.spans)
    return [line for line in found if line is not None]


@pytest.mark.parametrize("url", ["https://api.anthropic.com/v1/messages", "http://127.0.0.1:9/v1/messages"])
@pytest.mark.parametrize("attributes", [SDK_SPAN, AGENT_SPAN])
def test_every_attempt_below_another_span_is_one_line(harness, url: str, attributes: dict) -> None:
    """A refused attempt and the answered one, and none for the span around them, whatever it repeats."""
    harness.instrument()
    answers = iter([(429, {"error": {"type": "rate_limit_error"}}), (200, BODY)])

    def handler(_request):
        status, body = next(answers)
        return harness.http.Response(status, json=body)

    tracer = harness.provider.get_tracer("com.anthropic.sdk.python")
    with tracer.start_as_current_span("anthropic.messages.create", kind=SpanKind.CLIENT, attributes=attributes) as span:
        for _ in range(2):
            harness.request(handler, url, json={"model": "claude-x"})
        span.set_attributes({"gen_ai.response.id": "msg_1", "gen_ai.usage.output_tokens": 5})
    assert [(429, 0), (200, 15)] == [
        (line.http_status, line.usage.input_tokens + line.usage.output_tokens) for line in lines(harness)
    ]


def test_without_the_wire_the_other_span_is_the_line(harness) -> None:
    """Where the call goes through a client that is not instrumented."""
    with harness.provider.get_tracer("sdk").start_as_current_span("chat", attributes=SDK_SPAN) as span:
        span.set_attribute("gen_ai.usage.output_tokens", 5)
    assert [5] == [line.usage.output_tokens for line in lines(harness)]


def test_two_answers_with_one_id_in_one_trace_are_two_lines(harness) -> None:
    """A mock or a cache that answers every request with the same body."""
    harness.instrument()

    def handler(_request):
        return harness.http.Response(200, json=BODY)

    with harness.provider.get_tracer("app").start_as_current_span("request"):
        for _ in range(2):
            harness.request(handler, "http://mock.internal/v1/messages", json={"model": "m"})
    assert 2 == len({line.call_id for line in lines(harness)})
