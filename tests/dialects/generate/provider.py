"""A provider on loopback that speaks OpenAI's, Anthropic's, Gemini's and Bedrock's APIs and knows what it sold.

Every answer has an id of its own, of the length and alphabet of the real ones; the counts are always the same.
"""

import hashlib
import json
import string
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "sdks"))

from wire_server import Answer, Received, WireServer, json_answer, stream_answer

PROMPT = "Where is my parcel?"
ANSWER = "Your parcel was delivered."
TOOL = "find_parcel"

OPENAI_MODEL, OPENAI_SNAPSHOT = "gpt-5-mini", "gpt-5-mini-2025-08-07"
ANTHROPIC_MODEL = "claude-sonnet-4-5-20250929"
GEMINI_MODEL = "gemini-2.5-flash"
BEDROCK_MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"

REASONED = {"input": 176, "cache_read": 1_024, "output": 100, "reasoning": 200}
CACHED = {"input": 176, "cache_read": 1_024, "cache_write": 512, "output": 300}
CACHED_FOR_AN_HOUR = {"input": 176, "cache_read": 1_024, "cache_write_1h": 512, "output": 300}
EMBEDDED = {"input": 1_200}
CREATED_S = 1_795_392_000


@dataclass(frozen=True)
class Sale:
    """What one answer sold."""

    provider: str
    model: str
    response_id: str
    buckets: dict[str, int]


def random_text(seed: str, length: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    """Text that looks random and is the same for the same seed."""
    number = int.from_bytes(hashlib.shake_256(seed.encode()).digest(length), "big")
    letters = []
    for _ in range(length):
        number, index = divmod(number, len(alphabet))
        letters.append(alphabet[index])
    return "".join(letters)


class Provider(WireServer):
    """Answers by the path of the request; `sales` are what it sold, in order."""

    def __init__(self) -> None:
        super().__init__(json_answer({}))
        self.sales: list[Sale] = []
        self.seed = ""
        self.caches_for_an_hour = False

    def take(self, received: Received) -> Answer:
        path, body = received.path, received.json
        for ending, make in _BY_PATH:
            if ending in path:
                return make(self, path, body)
        return json_answer({"error": {"message": f"no such path: {path}"}}, 404)

    def sell(self, provider: str, model: str, response_id: str, buckets: dict[str, int]) -> str:
        self.sales.append(Sale(provider, model, response_id, buckets))
        return response_id

    def next_text(self, length: int, alphabet: str = string.ascii_letters + string.digits) -> str:
        return random_text(f"{self.seed} {len(self.sales)}", length, alphabet)


def _wants_tool(body: dict[str, Any]) -> bool:
    """The first turn of a conversation with tools."""
    turns = body.get("messages") or body.get("input") or body.get("contents") or []
    text = json.dumps(turns)
    answered = any(
        word in text for word in ('"tool_call_id"', '"function_call_output"', "functionResponse", "tool_result")
    )
    return bool(body.get("tools") or body.get("toolConfig")) and not answered and "toolResult" not in text


def _openai_usage() -> dict[str, Any]:
    return {
        "prompt_tokens": 1_200,
        "completion_tokens": 300,
        "total_tokens": 1_500,
        "prompt_tokens_details": {"cached_tokens": 1_024, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 200, "audio_tokens": 0},
    }


def openai_chat(provider: Provider, path: str, body: dict[str, Any]) -> Answer:
    response_id = provider.sell("openai", OPENAI_SNAPSHOT, "chatcmpl-" + provider.next_text(29), REASONED)
    message: dict[str, Any] = {"role": "assistant", "content": ANSWER}
    finish = "stop"
    if _wants_tool(body):
        call = {"id": "call_" + provider.next_text(24), "type": "function", "index": 0}
        name = body["tools"][0]["function"]["name"]
        message = {
            "role": "assistant",
            "content": None,
            "tool_calls": [call | {"function": {"name": name, "arguments": "{}"}}],
        }
        finish = "tool_calls"
    head = {"id": response_id, "created": CREATED_S, "model": OPENAI_SNAPSHOT, "service_tier": "default"}
    if not body.get("stream"):
        choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": None}
        return json_answer({**head, "object": "chat.completion", "choices": [choice], "usage": _openai_usage()})
    head["object"] = "chat.completion.chunk"
    chunks = [
        {**head, "choices": [{"index": 0, "delta": message, "finish_reason": None}]},
        {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]},
    ]
    if (body.get("stream_options") or {}).get("include_usage"):
        chunks.append({**head, "choices": [], "usage": _openai_usage()})
    return stream_answer([*map(_event, chunks), b"data: [DONE]\n\n"])


def openai_response(provider: Provider, path: str, body: dict[str, Any]) -> Answer:
    alphabet = "0123456789abcdef"
    response_id = provider.sell("openai", OPENAI_SNAPSHOT, "resp_" + provider.next_text(48, alphabet), REASONED)
    text = {"type": "output_text", "text": ANSWER, "annotations": []}
    output: dict[str, Any] = {"type": "message", "role": "assistant", "status": "completed", "content": [text]}
    output["id"] = "msg_" + provider.next_text(48, alphabet)
    if _wants_tool(body):
        output = {"type": "function_call", "id": "fc_" + provider.next_text(48, alphabet), "status": "completed"}
        output |= {"call_id": "call_" + provider.next_text(24), "name": body["tools"][0]["name"], "arguments": "{}"}
    response = {
        "id": response_id,
        "object": "response",
        "created_at": CREATED_S,
        "status": "completed",
        "model": OPENAI_SNAPSHOT,
        "output": [output],
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "service_tier": "default",
        "usage": {
            "input_tokens": 1_200,
            "input_tokens_details": {"cached_tokens": 1_024},
            "output_tokens": 300,
            "output_tokens_details": {"reasoning_tokens": 200},
            "total_tokens": 1_500,
        },
    }
    return json_answer(response)


def openai_embedding(provider: Provider, path: str, body: dict[str, Any]) -> Answer:
    provider.sell("openai", "text-embedding-3-small", "", EMBEDDED)
    data = [{"object": "embedding", "index": 0, "embedding": [0.25, 0.5]}]
    usage = {"prompt_tokens": 1_200, "total_tokens": 1_200}
    return json_answer({"object": "list", "data": data, "model": "text-embedding-3-small", "usage": usage})


def anthropic_message(provider: Provider, path: str, body: dict[str, Any]) -> Answer:
    sold = CACHED_FOR_AN_HOUR if provider.caches_for_an_hour else CACHED
    response_id = provider.sell("anthropic", ANTHROPIC_MODEL, "msg_01" + provider.next_text(22), sold)
    five_minutes = sold.get("cache_write", 0)
    usage = {
        "input_tokens": 176,
        "cache_read_input_tokens": 1_024,
        "cache_creation_input_tokens": 512,
        "cache_creation": {"ephemeral_5m_input_tokens": five_minutes, "ephemeral_1h_input_tokens": 512 - five_minutes},
        "output_tokens": 300,
        "service_tier": "standard",
    }
    content, stop = [{"type": "text", "text": ANSWER}], "end_turn"
    if _wants_tool(body):
        name = body["tools"][0]["name"]
        content, stop = (
            [{"type": "tool_use", "id": "toolu_01" + provider.next_text(22), "name": name, "input": {}}],
            "tool_use",
        )
    message: dict[str, Any] = {"id": response_id, "type": "message", "role": "assistant", "model": ANTHROPIC_MODEL}
    message |= {"stop_sequence": None}
    if not body.get("stream"):
        return json_answer({**message, "content": content, "stop_reason": stop, "usage": usage})
    begun = {**message, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    events = [
        {"type": "message_start", "message": begun},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": ANSWER}},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": stop, "stop_sequence": None},
            "usage": {"output_tokens": 300},
        },
        {"type": "message_stop"},
    ]
    return stream_answer([f"event: {each['type']}\n".encode() + _event(each) for each in events])


def gemini_content(provider: Provider, path: str, body: dict[str, Any]) -> Answer:
    response_id = provider.sell("gcp.gemini", GEMINI_MODEL, provider.next_text(23), REASONED)
    usage = {
        "promptTokenCount": 1_200,
        "cachedContentTokenCount": 1_024,
        "candidatesTokenCount": 100,
        "thoughtsTokenCount": 200,
        "totalTokenCount": 1_500,
    }
    part: dict[str, Any] = {"text": ANSWER}
    if _wants_tool(body):
        part = {"functionCall": {"name": body["tools"][0]["functionDeclarations"][0]["name"], "args": {}}}
    candidate = {"content": {"parts": [part], "role": "model"}, "index": 0, "finishReason": "STOP"}
    document = {
        "candidates": [candidate],
        "usageMetadata": usage,
        "modelVersion": GEMINI_MODEL,
        "responseId": response_id,
    }
    return stream_answer([_event(document)]) if "stream" in path else json_answer(document)


def bedrock_converse(provider: Provider, path: str, body: dict[str, Any]) -> Answer:
    provider.sell("aws.bedrock", BEDROCK_MODEL, "", CACHED)  # its answers have an id in no field
    usage = {
        "inputTokens": 176,
        "outputTokens": 300,
        "totalTokens": 2_012,
        "cacheReadInputTokens": 1_024,
        "cacheWriteInputTokens": 512,
    }
    content, stop = [{"text": ANSWER}], "end_turn"
    if _wants_tool(body):
        name = body["toolConfig"]["tools"][0]["toolSpec"]["name"]
        content, stop = (
            [{"toolUse": {"toolUseId": "tooluse_" + provider.next_text(22), "name": name, "input": {}}}],
            "tool_use",
        )
    document = {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": stop,
        "usage": usage,
        "metrics": {"latencyMs": 800},
    }
    return json_answer(document)


def bedrock_invoke(provider: Provider, path: str, body: dict[str, Any]) -> Answer:
    """Claude's own body, which has an id of its own."""
    answer = anthropic_message(provider, path, body)
    response_id = provider.sales.pop().response_id
    provider.sell("aws.bedrock", BEDROCK_MODEL, response_id, CACHED)
    headers = {
        "x-amzn-requestid": "0f1e2d3c-4b5a-4697-8877-665544332211",
        "x-amzn-bedrock-input-token-count": "176",
        "x-amzn-bedrock-output-token-count": "300",
        "x-amzn-bedrock-cache-read-input-token-count": "1024",
        "x-amzn-bedrock-cache-write-input-token-count": "512",
    }
    return Answer(answer.body, headers={**answer.headers, **headers})


def _event(document: Any) -> bytes:
    return b"data: " + json.dumps(document).encode() + b"\n\n"


_BY_PATH = (
    ("/chat/completions", openai_chat),
    ("/responses", openai_response),
    ("/embeddings", openai_embedding),
    ("/messages", anthropic_message),
    ("enerateContent", gemini_content),
    ("/converse", bedrock_converse),
    ("/invoke", bedrock_invoke),
)
