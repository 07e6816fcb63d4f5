"""How each provider counts, one oddity at a time; the arithmetic is written out."""

from decimal import Decimal
from typing import Any

import pytest

from otel_llmcost.call import Bucket
from otel_llmcost.providers.formats import format_of
from otel_llmcost.wire.exchange import Exchange
from providers.documents import read
from wire import aws_frames

MESSAGES = "/v1/messages"
GEMINI = "/v1beta/models/gemini-3-pro:generateContent"
INVOKE = "/model/m/invoke"


def test_a_usage_object_without_counts_is_unknown_and_never_0() -> None:
    """xAI's images tell only their price, blocked Gemini prompts only their tier."""
    image = read("/v1/images/generations", {"usage": {"cost_in_usd_ticks": 200_000_000}}, seller="x_ai")
    blocked = read(GEMINI, {"promptFeedback": {}, "usageMetadata": {"trafficType": "ON_DEMAND"}})
    assert (False, Decimal("0.02"), False) == (image.usage.known, image.reported_usd, blocked.usage.known)


def test_compaction_steps_are_added_and_an_advisors_are_flagged() -> None:
    """Anthropic bills compaction at the same rates and leaves it out of the totals; an advisor is another model."""
    steps = [
        {"type": "compaction", "input_tokens": 99_195, "output_tokens": 81, "cache_creation_input_tokens": 10},
        {"type": "advisor_message", "model": "claude-opus-4-8", "input_tokens": 2_543, "output_tokens": 18},
        {"type": "message", "input_tokens": 162, "output_tokens": 11},
    ]
    usage = {"input_tokens": 162, "output_tokens": 11, "iterations": steps}
    found = read(MESSAGES, {"type": "message", "id": "msg_1", "usage": usage}).usage
    assert {Bucket.INPUT: 99_195 + 162, Bucket.CACHE_WRITE: 10, Bucket.OUTPUT: 81 + 11} == found.buckets
    assert ("unreadable iterations: claude-opus-4-8 used 2543 in 18 out beside this line",) == found.flags
    assert "messages:with_compaction" == found.rule


def test_anthropic_thinking_speed_and_searches_are_read() -> None:
    """Thinking is inside the output; fast mode has a price of its own."""
    usage = {
        "input_tokens": 5,
        "output_tokens": 50,
        "output_tokens_details": {"thinking_tokens": 40},
        "server_tool_use": {"web_search_requests": 2},
        "service_tier": "standard",
        "speed": "fast",
    }
    reading = read(MESSAGES, {"type": "message", "id": "msg_1", "usage": usage})
    assert {
        Bucket.INPUT: 5,
        Bucket.OUTPUT: 10,
        Bucket.REASONING: 40,
        Bucket.WEB_SEARCHES: 2,
    } == reading.usage.buckets
    assert ("standard", "fast") == (reading.service_tier, reading.attributes()["llmcost.usage.speed"])


def test_gemini_thoughts_and_tool_results_lie_beside_and_inside_the_total() -> None:
    """343 + 82 + 159 + 877 = 1461."""
    usage = {
        "promptTokenCount": 343,
        "candidatesTokenCount": 82,
        "thoughtsTokenCount": 159,
        "toolUsePromptTokenCount": 877,
        "totalTokenCount": 1461,
    }
    found = read(GEMINI, {"usageMetadata": usage}).usage
    assert {
        Bucket.INPUT: 343,
        Bucket.INPUT_TOOL: 877,
        Bucket.OUTPUT: 82,
        Bucket.REASONING: 159,
    } == found.buckets
    assert (1461, ()) == (found.input_tokens + found.output_tokens, found.flags)


@pytest.mark.parametrize(("video", "audio", "text"), [("VIDEO", "AUDIO", "TEXT"), (3, 4, 1)])
def test_gemini_modalities_are_names_or_numbers_and_told_for_the_cache_too(video, audio, text) -> None:
    """Cached tokens of a modality are taken out of its tokens."""
    usage = {
        "promptTokenCount": 17_713,
        "promptTokensDetails": [
            {"modality": text, "tokenCount": 16},
            {"modality": video, "tokenCount": 15_780},
            {"modality": audio, "tokenCount": 1_917},
        ],
        "cachedContentTokenCount": 17_379,
        "cacheTokensDetails": [
            {"modality": audio, "tokenCount": 1_881},
            {"modality": text, "tokenCount": 15},
            {"modality": video, "tokenCount": 15_483},
        ],
        "candidatesTokenCount": 68,
        "totalTokenCount": 17_781,
    }
    found = read(GEMINI, {"usageMetadata": usage}).usage
    assert {
        Bucket.INPUT: 16 - 15,
        Bucket.INPUT_VIDEO: 15_780 - 15_483,
        Bucket.INPUT_AUDIO: 1_917 - 1_881,
        Bucket.CACHE_READ: 15,
        Bucket.CACHE_READ_VIDEO: 15_483,
        Bucket.CACHE_READ_AUDIO: 1_881,
        Bucket.OUTPUT: 68,
    } == found.buckets
    assert () == found.flags


def test_a_cached_document_may_be_told_as_an_image() -> None:
    """Vertex tells the pages of a document as DOCUMENT in the prompt and as IMAGE in the cache; one price."""
    usage = {
        "promptTokenCount": 1_344,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 54}, {"modality": "DOCUMENT", "tokenCount": 1_290}],
        "cachedContentTokenCount": 1_274,
        "cacheTokensDetails": [{"modality": "TEXT", "tokenCount": 51}, {"modality": "IMAGE", "tokenCount": 1_223}],
        "candidatesTokenCount": 99,
    }
    found = read(GEMINI, {"usageMetadata": usage}).usage
    assert {
        Bucket.INPUT: 3,
        Bucket.INPUT_IMAGE: 67,
        Bucket.CACHE_READ: 51,
        Bucket.CACHE_READ_IMAGE: 1_223,
        Bucket.OUTPUT: 99,
    } == found.buckets


@pytest.mark.parametrize(("model", "searches"), [("gemini-2.5-flash", 1), ("gemini-3-pro", 3)])
def test_grounding_is_billed_by_the_prompt_or_by_the_search(model: str, searches: int) -> None:
    """By the prompt up to Gemini 2.5; queries that a stream repeats count once."""
    chunk = {
        "modelVersion": model,
        "candidates": [{"groundingMetadata": {"webSearchQueries": ["a", "b", "c"]}}],
        "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 2},
    }
    found = read(GEMINI, {"responseId": "r"}, chunk, chunk).usage
    assert {Bucket.INPUT: 5, Bucket.OUTPUT: 2, Bucket.WEB_SEARCHES: searches} == found.buckets


@pytest.mark.parametrize(
    ("usage", "tier"),
    [
        ({"serviceTier": "FLEX"}, "flex"),
        ({"trafficType": "ON_DEMAND"}, "standard"),
        ({"trafficType": 1}, "standard"),
        ({"trafficType": "ON_DEMAND_PRIORITY"}, "priority"),
        ({"trafficType": "PROVISIONED_THROUGHPUT"}, "provisioned_throughput"),
        ({"trafficType": 7}, "traffic_type_7"),  # stays visible: there is no price for it
        ({}, ""),
    ],
)
def test_the_tier_of_google_is_told_in_two_ways(usage: dict[str, Any], tier: str) -> None:
    """As a service tier by Gemini and as a type of traffic by Vertex."""
    assert tier == read(GEMINI, {"usageMetadata": {"promptTokenCount": 1, **usage}}).service_tier


def test_searches_of_built_in_tools_are_counted_from_the_output() -> None:
    """Opening a found page is no search; where the provider counts itself, its count stands."""
    items = [
        {"type": "web_search_call", "action": {"type": "search"}},
        {"type": "web_search_call", "action": {"type": "open_page"}},
        {"type": "web_search_call"},
        {"type": "file_search_call"},
        {"type": "message"},
    ]
    usage = {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}
    counted = read("/v1/responses", {"id": "r", "output": items, "usage": usage}).usage.buckets
    tools = {"web_search": {"num_requests": 4}}
    told = read("/v1/responses", {"id": "r", "output": items, "tool_usage": tools, "usage": usage}).usage.buckets
    assert (2, 1) == (counted[Bucket.WEB_SEARCHES], counted[Bucket.STORAGE_SEARCHES])
    assert 4 == told[Bucket.WEB_SEARCHES]


def test_bedrock_tells_cache_counts_under_two_names_and_by_time_to_live() -> None:
    """Beside the input, each counted once: 3 + 61 + 2074 + 297 = 2435."""
    usage = {
        "inputTokens": 3,
        "outputTokens": 61,
        "totalTokens": 2_435,
        "cacheReadInputTokens": 2_074,
        "cacheReadInputTokenCount": 2_074,
        "cacheWriteInputTokens": 297,
        "cacheWriteInputTokenCount": 297,
        "cacheDetails": [{"ttl": "5m", "inputTokens": 97}, {"ttl": "1h", "inputTokens": 200}],
    }
    found = read("/model/m/converse", {"stopReason": "end_turn", "usage": usage}).usage
    assert {
        Bucket.INPUT: 3,
        Bucket.CACHE_READ: 2_074,
        Bucket.CACHE_WRITE: 97,
        Bucket.CACHE_WRITE_1H: 200,
        Bucket.OUTPUT: 61,
    } == found.buckets
    assert () == found.flags


HEADERS = {"x-amzn-bedrock-input-token-count": "30", "x-amzn-bedrock-output-token-count": "51"}


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"generations": []}, (30, 51)),  # headers alone
        ({"usage": {"inputTokens": 29}}, (29, 51)),  # what the body leaves out
        ({"prompt_token_count": 8, "generation_token_count": 9}, (8, 9)),
        ({"inputTextTokenCount": 5, "results": [{"tokenCount": 2}, {"tokenCount": 3}]}, (5, 5)),
        ({"inputTextTokenCount": 5, "embedding": []}, (5, 51)),
        ({"id": "m", "usage": {"prompt_tokens": 1, "completion_tokens": 2}}, (1, 2)),
        ({"type": "message", "id": "m", "usage": {"input_tokens": 4, "output_tokens": 6}}, (4, 6)),
    ],
)
def test_models_behind_bedrock_answer_in_their_own_way(document: dict[str, Any], expected: tuple[int, int]) -> None:
    """The body's own numbers, and from the headers what it does not tell."""
    usage = read(INVOKE, document, headers=HEADERS).usage
    assert expected == (usage.input_tokens, usage.output_tokens)


def test_a_bedrock_stream_tells_its_metrics_at_the_end() -> None:
    """They count where the model's own chunks tell nothing, and not a second time where those do."""
    metrics = {"amazon-bedrock-invocationMetrics": {"inputTokenCount": 5, "outputTokenCount": 10}}
    titan = [{"outputText": "a", "inputTextTokenCount": 99}, {"outputText": "b", **metrics}]
    claude = [
        {"type": "message_start", "message": {"type": "message", "id": "msg", "usage": {"input_tokens": 7}}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}},
        {"type": "message_stop", **metrics},
    ]
    found = []
    for documents in (titan, claude):
        exchange = Exchange(format_of("/model/m/invoke-with-response-stream"))  # type: ignore[arg-type]
        exchange.respond(200, {"content-type": "application/vnd.amazon.eventstream"}, decoded=False)
        exchange.feed(b"".join(aws_frames.chunk(document) for document in documents))
        reading = exchange.end()
        found.append((reading.usage.input_tokens, reading.usage.output_tokens, reading.finished))
    assert [(5, 10, True), (7, 3, True)] == found


@pytest.mark.parametrize(
    ("usage", "expected", "rule"),
    [
        (
            {"billed_units": {"input_tokens": 1, "output_tokens": 8}, "tokens": {"input_tokens": 496}},
            {Bucket.INPUT: 1, Bucket.OUTPUT: 8},
            "cohere:billed_units",
        ),
        ({"tokens": {"input_tokens": 5, "output_tokens": 2}}, {Bucket.INPUT: 5, Bucket.OUTPUT: 2}, "cohere:tokens"),
        (
            {"billed_units": {"input_tokens": 5, "image_tokens": 3}},
            {Bucket.INPUT: 5, Bucket.INPUT_IMAGE: 3},
            "cohere:billed_units",
        ),
        (
            {"billed_units": {"input_tokens": 5, "output_tokens": 9}, "tokens": {"reasoning_tokens": 7}},
            {Bucket.INPUT: 5, Bucket.OUTPUT: 2, Bucket.REASONING: 7},
            "cohere:billed_units",
        ),
    ],
)
def test_cohere_bills_other_units_than_it_counts(usage: dict[str, Any], expected: dict[Bucket, int], rule: str) -> None:
    """The line holds what is billed, and its rule says so."""
    found = read("/v2/chat", {"id": "c", "usage": usage}).usage
    assert (expected, rule) == (found.buckets, found.rule)


def test_rerank_is_billed_by_the_search_or_by_the_token() -> None:
    """Cohere's search units, Voyage's tokens."""
    cohere = read("/v2/rerank", {"id": "r", "meta": {"billed_units": {"search_units": 3}}}).usage.buckets
    voyage = read("/v1/rerank", {"model": "rerank-2", "usage": {"total_tokens": 43}}).usage.buckets
    assert ({Bucket.RERANK_SEARCHES: 3}, {Bucket.INPUT: 43}) == (cohere, voyage)


@pytest.mark.parametrize(
    ("more", "bucket"),
    [
        ({"document_annotation": None}, Bucket.DOCUMENT_PAGES),
        ({"document_annotation": "{}"}, Bucket.ANNOTATED_PAGES),
        ({"pages": [{"images": [{"image_annotation": "{}"}]}]}, Bucket.ANNOTATED_PAGES),
    ],
)
def test_ocr_is_billed_by_the_page(more: dict[str, Any], bucket: Bucket) -> None:
    """Annotated pages have a price of their own, instead of the plain one."""
    assert {bucket: 12} == read("/v1/ocr", {"usage_info": {"pages_processed": 12}, **more}).usage.buckets


def test_a_transcription_is_billed_by_tokens_or_by_seconds() -> None:
    """whisper-1 tells a duration, gpt-4o-transcribe tokens by modality."""
    seconds = {"usage": {"type": "duration", "seconds": 9}}
    tokens = {
        "type": "tokens",
        "input_tokens": 37,
        "input_token_details": {"text_tokens": 7, "audio_tokens": 30},
        "output_tokens": 12,
        "total_tokens": 49,
    }
    path = "/v1/audio/transcriptions"
    assert {Bucket.AUDIO_SECONDS: 9} == read(path, seconds).usage.buckets
    expected = {Bucket.INPUT: 7, Bucket.INPUT_AUDIO: 30, Bucket.OUTPUT: 12}
    assert expected == read(path, {"type": "transcript.text.done", "usage": tokens}).usage.buckets


def test_of_a_run_and_its_steps_only_the_run_counts() -> None:
    """Each step repeats the usage."""
    usage = {"prompt_tokens": 381, "completion_tokens": 88, "total_tokens": 469}
    step = {"id": "step_1", "object": "thread.run.step", "usage": usage}
    run = {"id": "run_1", "object": "thread.run", "status": "completed", "model": "gpt-4o", "usage": usage}
    reading = read("/v1/threads/thread_1/runs", {**run, "status": "queued", "usage": None}, step, step, run)
    assert ({Bucket.INPUT: 381, Bucket.OUTPUT: 88}, "run_1") == (reading.usage.buckets, reading.response_id)


def test_watsonx_tells_the_input_first_and_the_output_as_it_grows() -> None:
    """Zeros in later events take nothing back."""
    events = [
        {"results": [{"generated_token_count": 0, "input_token_count": 8, "stop_reason": "not_finished"}]},
        {"results": [{"generated_token_count": 5, "input_token_count": 0, "stop_reason": "not_finished"}]},
        {"results": [{"generated_token_count": 11, "input_token_count": 0, "stop_reason": "eos_token"}]},
    ]
    reading = read("/ml/v1/text/generation_stream", *events)
    assert ({Bucket.INPUT: 8, Bucket.OUTPUT: 11}, True) == (reading.usage.buckets, reading.finished)


def test_ollama_leaves_the_prompt_out_where_it_was_cached() -> None:
    """The output is known, the input is not, and the line says so."""
    usage = read("/api/generate", {"done": True, "eval_count": 38}).usage
    assert ({Bucket.OUTPUT: 38}, ("unreadable prompt_eval_count: absent",)) == (usage.buckets, usage.flags)


@pytest.mark.parametrize(
    ("more", "tells"),
    [
        ({}, True),
        ({"background": False}, False),  # a stored response is read again: its POST was the call
        ({"usage": None, "status": "in_progress"}, False),
        ({"created_at": None}, False),
    ],
)
def test_a_poll_tells_a_background_response_alone(more: dict[str, Any], tells: bool) -> None:
    """And gives the provider's own times."""
    response = {
        "id": "resp_1",
        "background": True,
        "status": "completed",
        "created_at": 1_784_670_683,
        "completed_at": 1_784_670_685,
        "usage": {"input_tokens": 14, "output_tokens": 12, "total_tokens": 26},
    }
    reading = read("/v1/responses", {**response, **more})
    assert tells is reading.tells_deferred_call
    if tells:
        assert (1_784_670_683 * 10**9, 1_784_670_685 * 10**9) == (reading.started_ns, reading.ended_ns)
