"""Where our reading differs from genai-prices, by name. `docs/prices.md` says so in words."""

import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from genai_prices import extract_usage
from genai_prices.data_snapshot import get_snapshot

from otel_llmcost.call import Bucket, Status, Usage
from otel_llmcost.pricing import PriceBook, price_call
from otel_llmcost.providers.endpoints import Endpoints
from otel_llmcost.wire.exchange import Exchange
from pricing.test_book import make_call, mtok

BOOK = PriceBook.bundled()


def our_usage(url: str, body: dict[str, Any]) -> Usage:
    """What we read out of a response body."""
    parts = urlsplit(url)
    endpoint = Endpoints({}).find(parts.hostname or "", None, parts.path)
    assert endpoint is not None
    exchange = Exchange(endpoint.wire_format, endpoint.provider)
    exchange.respond(200, {"content-type": "application/json"}, decoded=True)
    exchange.feed(json.dumps(body).encode())
    return exchange.end().usage


def chat_completion(model: str, usage: dict[str, Any]) -> dict[str, Any]:
    message = {"role": "assistant", "content": "Yes."}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    return {"id": "1", "object": "chat.completion", "model": model, "choices": choices, "usage": usage}


def test_gemini_modalities_may_be_integers() -> None:
    """`$alt=json;enum-encoding=int` of older clients: genai-prices raises, and the call would have no cost."""
    counts = [{"modality": 1, "tokenCount": 30}]
    body = {
        "candidates": [{"content": {"parts": [{"text": "Yes."}]}, "finishReason": 1}],
        "modelVersion": "gemini-2.5-flash",
        "usageMetadata": {
            "promptTokenCount": 30,
            "candidatesTokenCount": 5,
            "totalTokenCount": 35,
            "promptTokensDetails": counts,
            "candidatesTokensDetails": [{"modality": 1, "tokenCount": 5}],
        },
    }
    with pytest.raises(AttributeError):
        extract_usage(body, provider_id="google")
    url = "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:generateContent"
    assert {Bucket.INPUT: 30, Bucket.OUTPUT: 5} == our_usage(url, body).buckets


def test_mistral_tells_cached_tokens_at_the_top_of_its_usage() -> None:
    """`num_cached_tokens`: genai-prices bills them as new input."""
    usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110, "num_cached_tokens": 64}
    body = chat_completion("mistral-small-latest", usage)
    assert "cache_read_tokens" not in vars(extract_usage(body, provider_id="mistral").usage)
    read = our_usage("https://api.mistral.ai/v1/chat/completions", body)
    assert {Bucket.INPUT: 36, Bucket.CACHE_READ: 64, Bucket.OUTPUT: 10} == read.buckets


def test_xai_counts_reasoning_beside_the_completion() -> None:
    """The total proves it. genai-prices adds it only under `api_flavor="chat"`; its default leaves 300 tokens out."""
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 10,
        "total_tokens": 410,
        "completion_tokens_details": {"reasoning_tokens": 300},
    }
    body = chat_completion("grok-4.3", usage)
    assert 10 == extract_usage(body, provider_id="x-ai").usage.output_tokens
    read = our_usage("https://api.x.ai/v1/chat/completions", body)
    assert {Bucket.INPUT: 100, Bucket.OUTPUT: 10, Bucket.REASONING: 300} == read.buckets
    cost = price_call(make_call({}, "grok-4.3", "x_ai", usage=read), BOOK)
    rates = BOOK.rates("x_ai", "grok-4.3", make_call({}).start_ns, {}).by_bucket
    assert rates[Bucket.REASONING].base * 310 == cost.effective.output_usd


def test_more_cached_than_prompt_tokens_are_no_reason_to_have_no_price() -> None:
    """Grok at Azure: genai-prices raises; we bill what the total has room for, and say that the numbers disagree."""
    usage = {
        "prompt_tokens": 235,
        "completion_tokens": 90,
        "total_tokens": 325,
        "prompt_tokens_details": {"cached_tokens": 373},
    }
    body = chat_completion("grok-4-1-fast-non-reasoning", usage)
    theirs = extract_usage(body, provider_id="azure", api_flavor="chat")
    with pytest.raises(ValueError, match="cannot exceed"):
        theirs.calc_price()
    read = our_usage("https://contoso.services.ai.azure.com/openai/v1/chat/completions", body)
    cost = price_call(make_call({}, "grok-4-1-fast-non-reasoning", "azure.ai.inference", usage=read), BOOK)
    assert {Bucket.INPUT: 235, Bucket.OUTPUT: 90} == read.buckets
    assert Status.EXACT is cost.status
    assert cost.reason.startswith("contradiction:input: cached 373")
    assert cost.reason.endswith("price_of:x-ai")


def test_a_unit_without_a_price_is_not_free() -> None:
    """genai-prices leaves web searches out where the row has no price for them; we give the call no price."""
    provider = next(provider for provider in get_snapshot().providers if provider.id == "groq")
    model = provider.find_model("llama-3.3-70b-versatile")
    usage = {"input_tokens": 1_000, "output_tokens": 0, "web_searches": 3}
    theirs = model.calc_price(usage, provider).total_price
    cost = price_call(make_call({Bucket.INPUT: 1_000, Bucket.WEB_SEARCHES: 3}, model.id, "groq"), BOOK)
    assert mtok("0.59", 1_000) == theirs
    assert (Status.UNPRICED, "unit_without_price:web_searches") == (cost.status, cost.reason)


def test_audio_at_the_rate_of_text_is_said() -> None:
    """The row of gpt-4o-audio-preview prices text alone; OpenAI asks many times as much for audio."""
    buckets = {Bucket.INPUT: 10, Bucket.INPUT_AUDIO: 1_000, Bucket.OUTPUT: 5}
    cost = price_call(make_call(buckets, "gpt-4o-audio-preview-2025-06-03"), BOOK)
    assert mtok("2.5", 1_010) == cost.effective.input_usd
    assert "text_rate_for:input_audio" == cost.reason
    plain = price_call(make_call({Bucket.INPUT: 10}, "gpt-4o-audio-preview-2025-06-03"), BOOK)
    assert not plain.reason
