"""Mistral conversations: usage in the body, or in the last event; the tools' tokens lie beside the prompt."""

import json

from otel_llmcost.call import Bucket
from otel_llmcost.providers.conversations import FORMAT
from otel_llmcost.wire.exchange import Exchange

USAGE = {
    "prompt_tokens": 10,
    "completion_tokens": 3,
    "total_tokens": 20,
    "connector_tokens": 7,
    "connectors": {"web": 1},
}
BUCKETS = {Bucket.INPUT: 10, Bucket.INPUT_TOOL: 7, Bucket.OUTPUT: 3}


def read(body: bytes, content_type: str) -> Exchange:
    exchange = Exchange(FORMAT, "mistral_ai")
    exchange.respond(200, {"content-type": content_type}, decoded=False)
    exchange.feed(body)
    exchange.end()
    return exchange


def test_a_body_tells_its_usage_and_no_id_of_its_own() -> None:
    """The conversation's id comes again with every turn."""
    reading = read(json.dumps({"conversation_id": "conv_1", "usage": USAGE}).encode(), "application/json").reading
    assert (BUCKETS, 20, "") == (reading.usage.buckets, sum(reading.usage.buckets.values()), reading.response_id)


def test_tokens_of_tools_that_the_total_leaves_out_are_part_of_the_prompt() -> None:
    """Then they are taken out of it."""
    reading = read(json.dumps({"usage": {**USAGE, "total_tokens": 13}}).encode(), "application/json").reading
    assert {Bucket.INPUT: 3, Bucket.INPUT_TOOL: 7, Bucket.OUTPUT: 3} == reading.usage.buckets


def test_a_stream_tells_it_in_its_last_event() -> None:
    """And is whole with it."""
    events = [
        {"type": "conversation.response.started", "conversation_id": "conv_1"},
        *({"type": "message.output.delta", "content": "x"} for _ in range(6)),
        {"type": "conversation.response.done", "usage": USAGE},
    ]
    body = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
    exchange = read(body, "text/event-stream")
    assert (BUCKETS, True) == (exchange.reading.usage.buckets, exchange.whole)
    assert not read(body.rsplit(b"data:", 1)[0], "text/event-stream").whole
