"""What the replay provider answers: requests → token counts → the wire formats of three sellers.

Nothing here reads a clock, a socket or a file: an answer follows from the request and a `Draw`. Each wire format is
one function `Answer → Reply`.
"""

import json
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from struct import pack
from typing import Any, Final

Json = dict[str, Any]

CHARACTERS_PER_TOKEN: Final = 4
TOKENS_PER_EVENT: Final = 4
MIN_CACHED_PROMPT_TOKENS: Final = 1024
CACHE_STEP_TOKENS: Final = 128
ID_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
HEX_ALPHABET: Final = "0123456789abcdef"
ANSWER: Final = "your order was shipped on Monday and the refund is on its way to the account you named"
WORDS: Final = tuple(ANSWER.split())


@dataclass(frozen=True, slots=True)
class Model:
    """What a seller does with a model name: the snapshot that answers, and what it bills apart."""

    snapshot: str
    caches: bool = False  # by itself; Anthropic caches where the request marks it
    reasons: bool = False


MODELS: Final[Mapping[str, Model]] = {
    "gpt-4o": Model("gpt-4o-2024-08-06", caches=True),
    "gpt-4o-mini": Model("gpt-4o-mini-2024-07-18", caches=True),
    "gpt-4.1": Model("gpt-4.1-2025-04-14", caches=True),
    "gpt-5-mini": Model("gpt-5-mini-2025-08-07", caches=True, reasons=True),
    "claude-sonnet-4-6": Model("claude-sonnet-4-6"),
    "claude-sonnet-4-5": Model("claude-sonnet-4-5-20250929"),
    "claude-haiku-4-5": Model("claude-haiku-4-5-20251001"),
    "openai/gpt-oss-120b": Model("openai/gpt-oss-120b", caches=True, reasons=True),
}


class Draw:
    """Numbers and ids that depend on nothing but what it was made from."""

    def __init__(self, *parts: object) -> None:
        self._key = blake2b("\0".join(map(str, parts)).encode(), digest_size=32).digest()

    def number(self, name: str, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included."""
        digest = blake2b(name.encode(), key=self._key, digest_size=16).digest()
        return low + int.from_bytes(digest) % (high - low + 1)

    def text(self, name: str, length: int, alphabet: str = ID_ALPHABET) -> str:
        return "".join(alphabet[self.number(f"{name}{i}", 0, len(alphabet) - 1)] for i in range(length))

    def uuid(self, name: str) -> str:
        return "-".join(self.text(f"{name}-{i}", length, HEX_ALPHABET) for i, length in enumerate((8, 4, 4, 4, 12)))


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a request is billed for. `input` holds the cached ones, `output` the reasoning."""

    input: int
    output: int
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    reasoning: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """One request as the seller will answer it, before it takes a wire format."""

    request: Json
    model: Model
    tokens: Tokens
    draw: Draw
    created: int

    @property
    def tier(self) -> str:
        return "flex" if self.request.get("service_tier") == "flex" else "default"

    def pieces(self) -> list[str]:
        """The text of the answer as it is streamed; longer answers have more pieces."""
        count = max((self.tokens.output - self.tokens.reasoning) // TOKENS_PER_EVENT, 1)
        start = self.draw.number("words", 0, len(WORDS) - 1)
        return [WORDS[(start + i) % len(WORDS)] + " " for i in range(count)]


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event; `usage` is all the usage that the client has been told once it has read this one."""

    data: Json | str
    name: str = ""
    usage: Json | None = None

    def encode(self) -> bytes:
        data = self.data if isinstance(self.data, str) else json.dumps(self.data, separators=(",", ":"))
        return (f"event: {self.name}\n" if self.name else "").encode() + f"data: {data}\n\n".encode()


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer in its wire format: a JSON body, or the events of a stream."""

    response_id: str
    usage: Json  # what the seller bills
    body: Json | None = None
    events: Sequence[Event] = ()
    service_tier: str = ""  # as told


# Counting


def strings_in(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from strings_in(list(value.values()))
    elif isinstance(value, Sequence):
        for item in value:
            yield from strings_in(item)


def token_count(value: object) -> int:
    return sum(len(text) for text in strings_in(value)) // CHARACTERS_PER_TOKEN + 1


def output_limit(request: Json) -> int:
    limit = request.get("max_tokens") or request.get("max_completion_tokens") or request.get("max_output_tokens")
    return limit if isinstance(limit, int) and limit > 0 else 160


def count_chat_tokens(request: Json, model: Model, draw: Draw) -> Tokens:
    """Chat completions and responses: a long prompt is mostly read from the cache, three times out of four."""
    prompt = token_count([request.get(key) for key in ("instructions", "messages", "input", "tools")])
    cached = 0
    if model.caches and prompt >= MIN_CACHED_PROMPT_TOKENS and draw.number("cached", 0, 3):
        cached = (prompt // CACHE_STEP_TOKENS - draw.number("uncached", 0, 1)) * CACHE_STEP_TOKENS
    limit = output_limit(request)
    output = draw.number("output", (limit + 1) // 2, limit)
    reasoning = output * draw.number("reasoning", 20, 60) // 100 if model.reasons else 0
    return Tokens(prompt, output, cache_read=cached, reasoning=reasoning)


def count_message_tokens(request: Json, _: Model, draw: Draw) -> Tokens:
    """Messages: the blocks marked for the cache are written one time out of eight and read otherwise."""
    system = request.get("system")
    marked = [b for b in system if isinstance(b, dict) and "cache_control" in b] if isinstance(system, list) else []
    cacheable = sum(token_count(block.get("text", "")) for block in marked)
    lasting = any((block["cache_control"] or {}).get("ttl") == "1h" for block in marked)
    written = cacheable if draw.number("written", 0, 7) == 0 else 0
    limit = output_limit(request)
    return Tokens(
        input=token_count([request.get("messages"), request.get("tools"), system if not marked else None]) + cacheable,
        output=draw.number("output", (limit + 1) // 2, limit),
        cache_read=cacheable - written,
        cache_write_5m=0 if lasting else written,
        cache_write_1h=written if lasting else 0,
    )


def count_embedding_tokens(request: Json, _: Model, __: Draw) -> Tokens:
    return Tokens(token_count(request.get("input")), 0)


# Chat completions, of OpenAI and of Groq


def chat_usage(tokens: Tokens) -> Json:
    return {
        "prompt_tokens": tokens.input,
        "completion_tokens": tokens.output,
        "total_tokens": tokens.input + tokens.output,
        "prompt_tokens_details": {"cached_tokens": tokens.cache_read, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": tokens.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def chat_choice(answer: Answer) -> Json:
    message: Json = {"role": "assistant", "content": "".join(answer.pieces()), "refusal": None, "annotations": []}
    return {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}


def chat_deltas(answer: Answer) -> Iterator[Json]:
    yield {"index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None}
    for piece in answer.pieces():
        yield {"index": 0, "delta": {"content": piece}, "logprobs": None, "finish_reason": None}


FINAL_DELTA: Final = {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}


def wants_usage(request: Json) -> bool:
    options = request.get("stream_options")
    return isinstance(options, dict) and options.get("include_usage") is True


def openai_chat(answer: Answer) -> Reply:
    usage = chat_usage(answer.tokens)
    head: Json = {
        "id": f"chatcmpl-{answer.draw.text('id', 28)}",
        "created": answer.created,
        "model": answer.model.snapshot,
        "service_tier": answer.tier,
        "system_fingerprint": f"fp_{answer.draw.text('fingerprint', 10, HEX_ALPHABET)}",
    }
    if not answer.request.get("stream"):
        body = head | {"object": "chat.completion", "choices": [chat_choice(answer)], "usage": usage}
        return Reply(head["id"], usage, body=body, service_tier=answer.tier)
    head["object"] = "chat.completion.chunk"
    told = wants_usage(answer.request)
    head |= {"usage": None} if told else {}
    events = [Event(head | {"choices": [delta]}) for delta in (*chat_deltas(answer), FINAL_DELTA)]
    if told:
        events.append(Event(head | {"choices": [], "usage": usage}, usage=usage))
    events.append(Event("[DONE]", usage=usage if told else None))
    return Reply(head["id"], usage, events=events, service_tier=answer.tier)


def groq_usage(tokens: Tokens, draw: Draw) -> Json:
    times = {name: draw.number(name, 1_000, 400_000) / 1e6 for name in ("queue_time", "prompt_time", "completion_time")}
    usage: Json = {
        "queue_time": times["queue_time"],
        "prompt_tokens": tokens.input,
        "prompt_time": times["prompt_time"],
        "completion_tokens": tokens.output,
        "completion_time": times["completion_time"],
        "total_tokens": tokens.input + tokens.output,
        "total_time": round(times["prompt_time"] + times["completion_time"], 6),
    }
    # Groq names the details only where there are any.
    usage |= {"prompt_tokens_details": {"cached_tokens": tokens.cache_read}} if tokens.cache_read else {}
    usage |= {"completion_tokens_details": {"reasoning_tokens": tokens.reasoning}} if tokens.reasoning else {}
    return usage


def groq_chat(answer: Answer) -> Reply:
    """Groq tells the usage of every stream, in its last chunk twice, and once more where `include_usage` asks."""
    usage = groq_usage(answer.tokens, answer.draw)
    x_groq = {"id": f"req_{answer.draw.text('request', 26, ID_ALPHABET[:10] + ID_ALPHABET[36:])}"}
    head: Json = {
        "id": f"chatcmpl-{answer.draw.uuid('id')}",
        "created": answer.created,
        "model": answer.model.snapshot,
        "system_fingerprint": f"fp_{answer.draw.text('fingerprint', 10, HEX_ALPHABET)}",
    }
    if not answer.request.get("stream"):
        body = head | {"object": "chat.completion", "choices": [chat_choice(answer)], "usage": usage}
        body |= {"usage_breakdown": None, "x_groq": x_groq, "service_tier": "on_demand"}
        return Reply(head["id"], usage, body=body, service_tier="on_demand")
    head["object"] = "chat.completion.chunk"
    events = [Event(head | {"choices": [delta]}) for delta in chat_deltas(answer)]
    last = head | {"choices": [FINAL_DELTA], "x_groq": x_groq | {"usage": usage}, "usage": usage}
    events.append(Event(last, usage=usage))
    tier = {"service_tier": "on_demand"} if wants_usage(answer.request) else {}
    if tier:
        events.append(Event(head | tier | {"choices": [], "usage": usage}, usage=usage))
    events.append(Event("[DONE]", usage=usage))
    return Reply(head["id"], usage, events=events, service_tier=tier.get("service_tier", ""))


# Responses and embeddings, of OpenAI


def response_object(answer: Answer, item: Json, usage: Json) -> Json:
    return {
        "id": f"resp_{answer.draw.text('id', 50, HEX_ALPHABET)}",
        "object": "response",
        "created_at": answer.created,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": answer.model.snapshot,
        "output": [item],
        "parallel_tool_calls": True,
        "service_tier": answer.tier,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": usage,
    }


def openai_response(answer: Answer) -> Reply:
    tokens = answer.tokens
    usage: Json = {
        "input_tokens": tokens.input,
        "input_tokens_details": {"cached_tokens": tokens.cache_read},
        "output_tokens": tokens.output,
        "output_tokens_details": {"reasoning_tokens": tokens.reasoning},
        "total_tokens": tokens.input + tokens.output,
    }
    part = {"type": "output_text", "text": "".join(answer.pieces()), "annotations": [], "logprobs": []}
    item_id = f"msg_{answer.draw.text('item', 50, HEX_ALPHABET)}"
    item = {"id": item_id, "type": "message", "role": "assistant", "status": "completed", "content": [part]}
    body = response_object(answer, item, usage)
    if not answer.request.get("stream"):
        return Reply(body["id"], usage, body=body, service_tier=answer.tier)
    started = body | {"status": "in_progress", "output": [], "usage": None, "service_tier": "auto"}
    place = {"item_id": item_id, "output_index": 0, "content_index": 0}
    steps: list[tuple[str, Json]] = [
        ("response.created", {"response": started}),
        ("response.in_progress", {"response": started}),
        ("response.output_item.added", {"output_index": 0, "item": item | {"status": "in_progress", "content": []}}),
        ("response.content_part.added", place | {"part": part | {"text": ""}}),
        *(("response.output_text.delta", place | {"delta": piece, "logprobs": []}) for piece in answer.pieces()),
        ("response.output_text.done", place | {"text": part["text"], "logprobs": []}),
        ("response.content_part.done", place | {"part": part}),
        ("response.output_item.done", {"output_index": 0, "item": item}),
        ("response.completed", {"response": body}),
    ]
    events = [
        Event({"type": name, "sequence_number": i} | data, name, usage if name == "response.completed" else None)
        for i, (name, data) in enumerate(steps)
    ]
    return Reply(body["id"], usage, events=events, service_tier=answer.tier)


def openai_embeddings(answer: Answer) -> Reply:
    """OpenAI's embeddings carry no response id."""
    texts = answer.request.get("input")
    texts = [texts] if isinstance(texts, str) else list(texts or [])
    size = answer.request.get("dimensions")
    size = size if isinstance(size, int) and 0 < size <= 3072 else 64
    vectors = [[answer.draw.number(f"{i}.{j}", -999, 999) / 1000 for j in range(size)] for i in range(len(texts))]
    if answer.request.get("encoding_format") == "base64":
        encoded: Iterable[object] = (b64encode(pack(f"<{size}f", *vector)).decode() for vector in vectors)
    else:
        encoded = vectors
    usage: Json = {"prompt_tokens": answer.tokens.input, "total_tokens": answer.tokens.input}
    data = [{"object": "embedding", "index": i, "embedding": vector} for i, vector in enumerate(encoded)]
    return Reply("", usage, body={"object": "list", "data": data, "model": answer.model.snapshot, "usage": usage})


# Messages, of Anthropic


def message_usage(tokens: Tokens) -> Json:
    """Anthropic's `input_tokens` leaves the cached ones out."""
    written = tokens.cache_write_5m + tokens.cache_write_1h
    return {
        "input_tokens": tokens.input - tokens.cache_read - written,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": tokens.cache_read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": tokens.cache_write_5m,
            "ephemeral_1h_input_tokens": tokens.cache_write_1h,
        },
        "output_tokens": tokens.output,
        "service_tier": "standard",
    }


def anthropic_message(answer: Answer) -> Reply:
    usage = message_usage(answer.tokens)
    body: Json = {
        "id": f"msg_01{answer.draw.text('id', 22)}",
        "type": "message",
        "role": "assistant",
        "model": answer.model.snapshot,
        "content": [{"type": "text", "text": "".join(answer.pieces())}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": usage,
    }
    if not answer.request.get("stream"):
        return Reply(body["id"], usage, body=body, service_tier="standard")
    first = usage | {"output_tokens": 1}
    block = {"type": "text", "text": ""}
    started = body | {"content": [], "stop_reason": None, "usage": first}
    deltas = [{"index": 0, "delta": {"type": "text_delta", "text": piece}} for piece in answer.pieces()]
    final: Json = {"delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": dict(list(usage.items())[:3])}
    final["usage"]["output_tokens"] = usage["output_tokens"]
    steps: list[tuple[str, Json, Json]] = [
        ("message_start", {"message": started}, first),
        ("content_block_start", {"index": 0, "content_block": block}, first),
        ("ping", {}, first),
        *(("content_block_delta", delta, first) for delta in deltas),
        ("content_block_stop", {"index": 0}, first),
        ("message_delta", final, usage),
        ("message_stop", {}, usage),
    ]
    events = [Event({"type": name} | data, name, told) for name, data, told in steps]
    return Reply(body["id"], usage, events=events, service_tier="standard")
