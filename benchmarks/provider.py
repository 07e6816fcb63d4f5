"""A provider without a network: openai SDK clients over a mock transport that answers like OpenAI."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, Final

import httpx2
from openai import AsyncOpenAI, OpenAI

INPUT_TOKENS: Final = 400
OUTPUT_TOKENS: Final = 160
DELTAS: Final = 80
"""Events with text in one stream."""

REQUEST: Final[dict[str, Any]] = {
    "model": "gpt-4o",
    "messages": [
        {"role": "system", "content": "You answer customers of a web shop, politely and in one paragraph."},
        {"role": "user", "content": "Where is order 7013? " * 40},
    ],
    "temperature": 0.2,
}
STREAM_REQUEST: Final = REQUEST | {"stream": True, "stream_options": {"include_usage": True}}

_USAGE: Final = {
    "prompt_tokens": INPUT_TOKENS,
    "completion_tokens": OUTPUT_TOKENS,
    "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
    "prompt_tokens_details": {"cached_tokens": 128, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
}
_HEAD: Final = {"created": 1_795_000_000, "model": "gpt-4o-2024-08-06", "service_tier": "default"}


def _body(number: int) -> bytes:
    message = {"role": "assistant", "content": "It is on its way. " * 40}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    answer = {"id": f"chatcmpl-{number:012}", "object": "chat.completion", **_HEAD, "choices": [choice]}
    return json.dumps(answer | {"usage": _USAGE}).encode()


def _events(number: int) -> list[bytes]:
    head = {"id": f"chatcmpl-{number:012}", "object": "chat.completion.chunk", **_HEAD}
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}, *({"content": " way"} for _ in range(DELTAS))]
    chunks = [{**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    chunks.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    chunks.append({**head, "choices": [], "usage": _USAGE})
    return [f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks] + [b"data: [DONE]\n\n"]


class _EventStream(httpx2.AsyncByteStream):
    """One event a chunk; the loop turns between them, so that concurrent streams really take turns.

    Iterating again goes on where the last one stopped, as on a connection.
    """

    def __init__(self, events: list[bytes]) -> None:
        self._events = iter(events)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for event in self._events:
            await asyncio.sleep(0)
            yield event


def chat_client(calls: int) -> OpenAI:
    """Answers up to `calls` chat completions, each with a response id of its own."""
    bodies = iter([_body(number) for number in range(calls)])

    def answer(_request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "application/json"}, content=next(bodies))

    return OpenAI(api_key="none", http_client=httpx2.Client(transport=httpx2.MockTransport(answer)))


def stream_client(calls: int) -> AsyncOpenAI:
    """Answers up to `calls` streamed chat completions."""
    answers = iter([_events(number) for number in range(calls)])

    async def answer(_request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, stream=_EventStream(next(answers)))

    return AsyncOpenAI(api_key="none", http_client=httpx2.AsyncClient(transport=httpx2.MockTransport(answer)))
