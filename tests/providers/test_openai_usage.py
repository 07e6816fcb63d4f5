"""The usage object of OpenAI and of everybody who speaks its formats, one oddity at a time."""

from decimal import Decimal
from typing import Any

import pytest

from otel_llmcost.call import Bucket
from providers.documents import read

CHAT = "/v1/chat/completions"


def chat(prompt: int, completion: int, total: int | None, model: str = "m", **more: Any) -> dict[str, Any]:
    usage = {"prompt_tokens": prompt, "completion_tokens": completion, **more}
    return {"id": "c", "model": model, "usage": usage if total is None else {**usage, "total_tokens": total}}


def reasoning(count: int) -> dict[str, Any]:
    return {"completion_tokens_details": {"reasoning_tokens": count}}


@pytest.mark.parametrize(
    ("seller", "document"),
    [
        ("", chat(100, 20, 100 + 20 + 30, **reasoning(30))),  # the total says so
        ("x_ai", chat(100, 20, None, **reasoning(30))),  # no total: known of the seller
        ("vercel", chat(100, 20, 100 + 20, "google/gemini-3-pro", **reasoning(30))),  # no part of any total
    ],
)
def test_reasoning_beside_the_completion_is_added(seller: str, document: dict[str, Any]) -> None:
    """xAI, and Gemini behind gateways, leave it out of completion_tokens."""
    usage = read(CHAT, document, seller=seller).usage
    assert ({Bucket.INPUT: 100, Bucket.OUTPUT: 20, Bucket.REASONING: 30}, ()) == (usage.buckets, usage.flags)
    assert "chat_completions:reasoning_beside" == usage.rule


@pytest.mark.parametrize(
    ("seller", "document"),
    [
        ("", chat(100, 20, 120, **reasoning(15))),
        ("x_ai", chat(100, 20, 120, **reasoning(15))),  # the total is asked before the seller
        ("vercel", chat(100, 20, 120, "openai/gpt-5", **reasoning(15))),
        ("", chat(100, 20, None, **reasoning(15))),
    ],
)
def test_reasoning_inside_the_completion_is_taken_out_of_it(seller: str, document: dict[str, Any]) -> None:
    """OpenAI's rule, and everybody else's."""
    usage = read(CHAT, document, seller=seller).usage
    assert {Bucket.INPUT: 100, Bucket.OUTPUT: 5, Bucket.REASONING: 15} == usage.buckets


def test_more_reasoning_than_completion_lies_beside_it_and_is_flagged() -> None:
    """Nobody can reason more than it puts out; the dearer reading."""
    usage = read(CHAT, chat(43, 10, 53, **reasoning(11))).usage
    assert {Bucket.INPUT: 43, Bucket.OUTPUT: 10, Bucket.REASONING: 11} == usage.buckets
    assert ("output: parts 11 exceed total 10",) == usage.flags


def test_thinking_that_google_shows_in_the_total_alone_is_reasoning() -> None:
    """At its OpenAI-compatible endpoint; flagged, for it is inferred. Of others such a total is only flagged."""
    google = read("/v1beta/openai/chat/completions", chat(35, 12, 109), seller="gcp.gemini").usage
    other = read(CHAT, chat(35, 12, 109), seller="openai").usage
    assert {Bucket.INPUT: 35, Bucket.OUTPUT: 12, Bucket.REASONING: 109 - 35 - 12} == google.buckets
    assert ("completion_tokens: 62 more in total_tokens, taken as reasoning",) == google.flags
    assert {Bucket.INPUT: 35, Bucket.OUTPUT: 12} == other.buckets
    assert ("total_tokens: 109 is not 35+12",) == other.flags


def test_cached_tokens_that_the_total_has_no_room_for_are_not_believed() -> None:
    """Grok on Azure: the provider's total confirms the input, so all of it is taken as uncached, and flagged."""
    usage = read(CHAT, chat(235, 90, 325, prompt_tokens_details={"cached_tokens": 373})).usage
    assert {Bucket.INPUT: 235, Bucket.OUTPUT: 90} == usage.buckets
    assert ("input: cached 373 exceeds total 235",) == usage.flags


def test_a_modality_that_overlaps_the_cache_is_cut_to_what_is_left() -> None:
    """Cached image tokens are counted as both; the input total stands."""
    details = {"cached_tokens": 162, "image_tokens": 256, "text_tokens": 9}
    usage = read(CHAT, chat(265, 52, 317, prompt_tokens_details=details)).usage
    assert {Bucket.CACHE_READ: 162, Bucket.INPUT_IMAGE: 265 - 162, Bucket.OUTPUT: 52} == usage.buckets
    assert ("input_image: 256 overlaps, 103 of it left",) == usage.flags


def test_audio_beside_the_prompt_is_added() -> None:
    """Mistral: inside the total only; it also tells the seconds that it bills."""
    details = {"cached_tokens": 0, "audio_tokens": 375}
    usage = read(CHAT, chat(9, 201, 9 + 201 + 375, prompt_tokens_details=details, prompt_audio_seconds=4)).usage
    expected = {Bucket.INPUT: 9, Bucket.INPUT_AUDIO: 375, Bucket.OUTPUT: 201, Bucket.AUDIO_SECONDS: 4}
    assert (expected, "chat_completions:audio_beside", ()) == (usage.buckets, usage.rule, usage.flags)


@pytest.mark.parametrize(
    "more",
    [
        {"num_cached_tokens": 60},  # Mistral, older
        {"cached_tokens": 60},  # Together
        {"prompt_cache_hit_tokens": 60, "prompt_cache_miss_tokens": 40},  # DeepSeek
        {"prompt_tokens_details": {"cached_tokens": 60}, "cached_tokens": 60},  # told twice, counted once
        {"prompt_tokens_details": None, "cache_read_input_tokens": 60},  # Databricks
    ],
)
def test_cached_tokens_are_found_under_every_name(more: dict[str, Any]) -> None:
    """Inside the prompt under all of them."""
    usage = read(CHAT, chat(100, 5, 105, **more)).usage
    assert {Bucket.INPUT: 40, Bucket.CACHE_READ: 60, Bucket.OUTPUT: 5} == usage.buckets


def test_cached_tokens_are_told_apart_by_modality() -> None:
    """Images of gpt-image: cached image tokens are in the image tokens too."""
    details = {
        "text_tokens": 20,
        "image_tokens": 80,
        "cached_tokens": 50,
        "cached_tokens_details": {"text_tokens": 10, "image_tokens": 40},
    }
    document = {
        "usage": {"input_tokens": 100, "input_tokens_details": details, "output_tokens": 7, "total_tokens": 107}
    }
    assert {
        Bucket.INPUT: 10,
        Bucket.INPUT_IMAGE: 40,
        Bucket.CACHE_READ: 10,
        Bucket.CACHE_READ_IMAGE: 40,
        Bucket.OUTPUT: 7,
    } == read("/v1/images/edits", document).usage.buckets


def test_perplexity_counts_reasoning_citations_and_searches_of_deep_research_beside_its_total() -> None:
    """Of its other models the price of a request includes the searches."""
    more = {"citation_tokens": 20_016, "num_search_queries": 18, "reasoning_tokens": 73_482}
    usage = read(CHAT, chat(33, 7_163, 7_196, "sonar-deep-research", **more), seller="perplexity").usage
    assert {
        Bucket.INPUT: 33,
        Bucket.OUTPUT: 7_163,
        Bucket.REASONING: 73_482,
        Bucket.OUTPUT_CITATION: 20_016,
        Bucket.WEB_SEARCHES: 18,
    } == usage.buckets
    plain = read(CHAT, chat(33, 7, 40, "sonar-pro", num_search_queries=2), seller="perplexity").usage
    assert {Bucket.INPUT: 33, Bucket.OUTPUT: 7} == plain.buckets


@pytest.mark.parametrize(
    ("seller", "usage", "expected"),
    [
        ("x_ai", {"cost_in_usd_ticks": 37_756_000}, "0.0037756"),
        ("openrouter", {"cost": 0.03422675}, "0.03422675"),
        ("openrouter", {"cost": 3.4e-07}, "0.00000034"),
        ("vercel", {"cost": 0.00019199999999999998}, "0.00019199999999999998"),
        ("perplexity", {"cost": {"currency": "USD", "total_cost": 1.2e-08}}, "0.000000012"),
        ("perplexity", {"cost": {"request_cost": 0.005, "total_cost": 0.00522}}, "0.00522"),
        ("perplexity", {"cost": {"currency": "EUR", "total_cost": 1}}, None),
        ("pydantic_gateway", {"pydantic_ai_gateway": {"cost_estimate": 0.00012625}}, "0.00012625"),
        ("10.0.0.5", {"cost": 5}, None),  # five of what?
        ("openrouter", {"cost": -1}, None),
        ("openrouter", {"cost": float("nan")}, None),
        ("openrouter", {"cost": True}, None),
        ("openrouter", {"cost": "0.1"}, None),
        ("x_ai", {"cost_in_usd_ticks": 10**30}, None),
    ],
)
def test_the_providers_own_cost_is_kept_to_the_last_digit(
    seller: str, usage: dict[str, Any], expected: str | None
) -> None:
    """Where its unit is known; an amount that cannot be one is left out."""
    found = read(CHAT, chat(1, 1, 2, **usage), seller=seller).reported_usd
    assert (None if expected is None else Decimal(expected)) == found
