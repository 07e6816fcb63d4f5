"""Hand-written answers in the documented wire formats of each seller, with every bucket told apart that it has."""

import json
from typing import Any

from wire_server import Answer, json_answer


def events(*documents: Any, named: bool = False, done: bool = False) -> list[bytes]:
    """Server-sent events of these documents; `named`: with an event line of their `type`; `done`: with OpenAI's end."""
    found = [
        (f"event: {document['type']}\n" if named else "").encode() + b"data: " + json.dumps(document).encode() + b"\n\n"
        for document in documents
    ]
    return [*found, b"data: [DONE]\n\n"] if done else found


# Gemini: thoughts beside the candidates, cached tokens inside the prompt.

GEMINI_USAGE = {
    "promptTokenCount": 1200,
    "cachedContentTokenCount": 1000,
    "candidatesTokenCount": 30,
    "thoughtsTokenCount": 12,
    "totalTokenCount": 1242,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 1200}],
    "cacheTokensDetails": [{"modality": "TEXT", "tokenCount": 1000}],
}
GEMINI_BUCKETS = {"input": 200, "cache_read": 1000, "output": 30, "reasoning": 12}
GEMINI_ID = "qQd5aOmYJ6-ZvdIP2fjs8AE"


def gemini_chunk(text: str, usage: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
    return {
        "candidates": [candidate | ({"finishReason": finish} if finish else {})],
        "usageMetadata": usage,
        "modelVersion": "gemini-2.5-flash",
        "responseId": GEMINI_ID,
    }


# In a stream the candidates grow from chunk to chunk.
GEMINI_STEPS = [
    gemini_chunk("Your order ", {"promptTokenCount": 1200, "totalTokenCount": 1200}),
    gemini_chunk("was ", {**GEMINI_USAGE, "candidatesTokenCount": 8, "totalTokenCount": 1220}),
    gemini_chunk("shipped.", GEMINI_USAGE, "STOP"),
]
GEMINI = json_answer(gemini_chunk("Your order was shipped.", GEMINI_USAGE, "STOP"))
GEMINI_STREAM = [event.replace(b"\n\n", b"\r\n\r\n") for event in events(*GEMINI_STEPS)]
GEMINI_EMBEDDING = json_answer({"embeddings": [{"values": [0.25, 0.5]}], "usageMetadata": {"promptTokenCount": 4}})
GEMINI_COUNT = json_answer({"totalTokens": 1200})
INTERACTION = {
    "id": "v1_ChdxUWQ1YU9tWUo2",
    "object": "interaction",
    "model": "gemini-2.5-flash",
    "role": "model",
    "status": "completed",
    "created": "2026-11-20T10:00:00Z",
    "updated": "2026-11-20T10:00:02Z",
    "steps": [{"type": "model_output", "content": [{"type": "text", "text": "Shipped."}]}],
    "usage": {
        "total_input_tokens": 1200,
        "total_cached_tokens": 1000,
        "total_output_tokens": 30,
        "total_thought_tokens": 12,
        "total_tool_use_tokens": 0,
        "total_tokens": 1242,
    },
}
INTERACTION_STEPS = [
    {"event_type": "interaction.created", "interaction": {**INTERACTION, "status": "in_progress", "usage": None}},
    {"event_type": "interaction.completed", "interaction": INTERACTION},
]
GEMINI_LIMIT = {"error": {"code": 429, "message": "Slow down.", "status": "RESOURCE_EXHAUSTED"}}

# Mistral: chat completions with a tier in the usage.

MISTRAL_USAGE = {
    "prompt_tokens": 900,
    "completion_tokens": 21,
    "total_tokens": 921,
    "prompt_tokens_details": {"cached_tokens": 640},
}
MISTRAL_BUCKETS = {"input": 260, "cache_read": 640, "output": 21}
MISTRAL_ID = "cmpl-e5cc70bb28c444948073e77776eb30ef"
MISTRAL_HEAD = {"id": MISTRAL_ID, "created": 1_763_632_800, "model": "mistral-small-latest"}


def mistral_choice(text: str, finish: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": finish}


MISTRAL = json_answer(
    {
        **MISTRAL_HEAD,
        "object": "chat.completion",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "Shipped."}, "finish_reason": "stop"},
        ],
        "usage": MISTRAL_USAGE,
    }
)
MISTRAL_STEPS = [
    {**MISTRAL_HEAD, "object": "chat.completion.chunk", "choices": [mistral_choice("Your order ")]},
    {**MISTRAL_HEAD, "object": "chat.completion.chunk", "choices": [mistral_choice("was shipped.")]},
    {
        **MISTRAL_HEAD,
        "object": "chat.completion.chunk",
        "choices": [mistral_choice("", "stop")],
        "usage": MISTRAL_USAGE,
    },
]
MISTRAL_STREAM = events(*MISTRAL_STEPS, done=True)
MISTRAL_EMBEDDING = json_answer(
    {
        "id": "e1",
        "object": "list",
        "model": "mistral-embed",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.25, 0.5]}],
        "usage": {"prompt_tokens": 4, "completion_tokens": 0, "total_tokens": 4},
    }
)
MISTRAL_OCR = json_answer(
    {
        "pages": [{"index": 0, "markdown": "# Invoice", "images": [], "dimensions": None}],
        "model": "mistral-ocr-2505-completion",
        "usage_info": {"pages_processed": 3, "doc_size_bytes": 4096},
    }
)
MISTRAL_LIMIT = {"object": "error", "message": "Requests rate limit exceeded", "type": "rate_limited", "code": "1300"}

# Cohere: what is billed is less than what went through the model.

COHERE_USAGE = {
    "billed_units": {"input_tokens": 50, "output_tokens": 20},
    "tokens": {"input_tokens": 550, "output_tokens": 22},
}
COHERE_BUCKETS = {"input": 50, "output": 20}
COHERE_ID = "c14c80c3-18eb-4519-9460-6c92edd8cfb4"
COHERE_V1_ID = "0385c7cf-4247-43a3-a450-b25b547a31e1"


def cohere_delta(text: str) -> dict[str, Any]:
    return {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": text}}}}


COHERE = json_answer(
    {
        "id": COHERE_ID,
        "message": {"role": "assistant", "content": [{"type": "text", "text": "Shipped."}]},
        "finish_reason": "COMPLETE",
        "usage": COHERE_USAGE,
    }
)
COHERE_STEPS = [
    {"type": "message-start", "id": COHERE_ID, "delta": {"message": {"role": "assistant", "content": []}}},
    {"type": "content-start", "index": 0, "delta": {"message": {"content": {"type": "text", "text": ""}}}},
    cohere_delta("Your order "),
    cohere_delta("was shipped."),
    {"type": "content-end", "index": 0},
    {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": COHERE_USAGE}},
]
COHERE_STREAM = events(*COHERE_STEPS, named=True, done=True)
COHERE_V1_BODY = {
    "response_id": COHERE_V1_ID,
    "text": "Shipped.",
    "generation_id": "2e2f3b8c-7a0b-4a4e-9f6c-1c2d3e4f5a6b",
    "finish_reason": "COMPLETE",
    "meta": {"api_version": {"version": "1"}, **COHERE_USAGE},
}
COHERE_V1 = json_answer(COHERE_V1_BODY)
COHERE_V1_STEPS = [
    {"is_finished": False, "event_type": "stream-start", "generation_id": COHERE_V1_BODY["generation_id"]},
    {"is_finished": False, "event_type": "text-generation", "text": "Shipped."},
    {
        "is_finished": True,
        "event_type": "stream-end",
        "finish_reason": "COMPLETE",
        "response": COHERE_V1_BODY,
    },
]
COHERE_V1_STREAM = Answer(  # a JSON object a line
    chunks=tuple(json.dumps(step).encode() + b"\n" for step in COHERE_V1_STEPS),
    headers={"content-type": "application/stream+json"},
)
COHERE_EMBEDDING = json_answer(
    {
        "id": "da6e531f-54c5-4a73-bf92-f60566d8d753",
        "embeddings": {"float": [[0.25, 0.5]]},
        "texts": ["one"],
        "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 4}},
        "response_type": "embeddings_by_type",
    }
)
COHERE_RERANK = json_answer(
    {
        "id": "07734bd2-2473-4f07-94e1-0d9f0e6843cf",
        "results": [{"index": 1, "relevance_score": 0.99}],
        "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}},
    }
)

# The three that the replay provider speaks as well: short streams, for the ways in which one can end.

OPENAI_USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
OPENAI_HEAD = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_763_632_800, "model": "gpt-4o"}


def openai_step(text: str, finish: str | None = None) -> dict[str, Any]:
    return {**OPENAI_HEAD, "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]}


OPENAI_STREAM = events(
    openai_step("Your order "),
    openai_step("was shipped."),
    openai_step("", "stop"),
    done=True,
)
[OPENAI_ASKED] = events({**OPENAI_HEAD, "choices": [], "usage": OPENAI_USAGE})
GROQ_STREAM = events(
    openai_step("Your order "),
    openai_step("was shipped."),
    {**openai_step("", "stop"), "usage": OPENAI_USAGE, "x_groq": {"id": "req_1", "usage": OPENAI_USAGE}},
    done=True,
)
ANTHROPIC_STREAM = events(
    {
        "type": "message_start",
        "message": {
            "id": "msg_01XFDUDYJgAACzvnptvVoYEL",
            "type": "message",
            "role": "assistant",
            "model": "claude-sonnet-4-6",
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"input_tokens": 7, "output_tokens": 1},
        },
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Your order "}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "was shipped."}},
    {"type": "content_block_stop", "index": 0},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": 3},
    },
    {"type": "message_stop"},
    named=True,
)
