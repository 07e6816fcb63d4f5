"""A LiteLLM price file as a price file of ours."""

import json
from datetime import date

import pytest
from overlay_books import a_call, book_with, mtok, usd

from otel_llmcost.call import Bucket
from otel_llmcost.errors import InputError
from otel_llmcost.pricing.overlays.litellm import import_litellm

DAY = date(2026, 1, 1)
FILE = {
    "sample_spec": {"litellm_provider": "one of many", "input_cost_per_token": 0.0},
    "gemini/gemini-pro-x": {
        "litellm_provider": "gemini",
        "mode": "chat",
        "input_cost_per_token": 1.25e-06,
        "input_cost_per_token_above_200k_tokens": 2.5e-06,
        "output_cost_per_token": 1e-05,
        "cache_read_input_token_cost": 1.25e-07,
        "cache_creation_input_token_cost": 1.5e-06,
        "cache_creation_input_token_cost_above_1hr": 2e-06,
        "input_cost_per_token_batches": 6.25e-07,
        "output_cost_per_token_batches": 5e-06,
        "input_cost_per_token_above_200k_tokens_batches": 1.5e-06,
        "input_cost_per_token_priority": 3e-06,
        "search_context_cost_per_query": {"search_context_size_low": 0.035, "search_context_size_high": 0.035},
        "output_cost_per_image": 0.04,
    },
    "qwen-x": {
        "litellm_provider": "dashscope",
        "tiered_pricing": [
            {"range": [0, 32000], "input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06},
            {"range": [32000.0, 128000.0], "input_cost_per_token": 3e-06, "output_cost_per_token": 4e-06},
        ],
    },
    "whisper-x": {"litellm_provider": "openai", "mode": "audio_transcription", "input_cost_per_second": 0.0001},
    "azure/east/gpt-x": {"litellm_provider": "azure", "input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06},
    "free-x": {"litellm_provider": "ollama", "input_cost_per_token": 0.0, "output_cost_per_token": 0.0},
    "odd-x": {"litellm_provider": "openai", "input_cost_per_token": "cheap", "output_cost_per_token": -1},
    "bedrock/us-east-1/claude-x": {"litellm_provider": "bedrock", "input_cost_per_token": 8e-06},
    "claude-x": {"litellm_provider": "bedrock", "input_cost_per_token": 9e-06},
}


@pytest.fixture(scope="module")
def imported():
    return import_litellm(json.dumps(FILE), DAY)


def test_rates_are_per_million_and_exact(imported) -> None:
    """Cached, written for an hour, above 200,000 tokens, in batch, with priority; a thousand searches."""
    book = book_with(imported.to_yaml())
    name = "gcp.gemini/gemini-pro-x"
    used = {Bucket.INPUT: 7, Bucket.CACHE_READ: 5, Bucket.CACHE_WRITE: 3, Bucket.CACHE_WRITE_1H: 2, Bucket.OUTPUT: 11}
    plain = mtok("1.25", 7) + mtok("0.125", 5) + mtok("1.5", 3) + mtok("2", 2) + mtok("10", 11)
    assert plain == usd(book, a_call(used, name))
    assert plain + (mtok("3", 7) - mtok("1.25", 7)) == usd(book, a_call(used, name, service_tier="priority"))
    long = {Bucket.INPUT: 200_001, Bucket.OUTPUT: 1}
    assert mtok("2.5", 200_001) + mtok("10", 1) == usd(book, a_call(long, name))
    batch = a_call(long, name, price_context={"processing": "batch"})
    assert mtok("1.5", 200_001) + mtok("5", 1) == usd(book, batch)
    assert mtok("35000", 2) == usd(book, a_call({Bucket.WEB_SEARCHES: 2}, name))


def test_lists_of_tiers_and_units_by_mode(imported) -> None:
    """Alibaba's tiers by length; seconds of audio where a model transcribes."""
    book = book_with(imported.to_yaml())
    assert mtok("1", 32_000) == usd(book, a_call({Bucket.INPUT: 32_000}, "alibaba/qwen-x"))
    assert mtok("3", 32_001) == usd(book, a_call({Bucket.INPUT: 32_001}, "alibaba/qwen-x"))
    assert mtok("100", 60) == usd(book, a_call({Bucket.AUDIO_SECONDS: 60}, "openai/whisper-x"))


def test_what_cannot_be_said_is_told(imported) -> None:
    """Never guessed: images by the piece, prices of 0, words for numbers, a second price of one model."""
    assert {
        "output_cost_per_image: no such unit": 1,
        "no price, or 0 for everything: free or unknown": 2,
        "input_cost_per_token: no number": 1,
        "output_cost_per_token: no number": 1,
        "a second price of one model, such as that of a region": 1,
    } == {reason: models for reason, models in imported.left_out.items() if models}
    assert {"gemini-pro-x", "qwen-x", "whisper-x", "east/gpt-x", "claude-x"} == {it["model"] for it in imported.models}


def test_a_rate_with_more_digits_than_a_price_file_takes_is_left_out() -> None:
    """What was imported is a price file without a mistake."""
    model = {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1e-6}
    text = json.dumps({"a": model, "b": model}).replace("1e-06", "1e-400", 1)
    found = import_litellm(text, DAY)
    assert ["b"] == [entry["model"] for entry in found.models]
    assert mtok("1", 5) == usd(book_with(found.to_yaml()), a_call({Bucket.INPUT: 5}, "openai/b"))


def test_only_the_sellers_asked_for() -> None:
    """By the names that bill lines have."""
    found = import_litellm(json.dumps(FILE), DAY, frozenset({"alibaba"}))
    assert ["qwen-x"] == [entry["model"] for entry in found.models]


@pytest.mark.parametrize("text", ["", "[", "[]", "{}", '{"a": 1}', '{"a": {"input_cost_per_token": 1}}', "[" * 100_000])
def test_another_file_is_refused(text: str) -> None:
    """With what is wrong."""
    with pytest.raises(InputError, match=r"is no (JSON|price file of LiteLLM)"):
        import_litellm(text, DAY)
