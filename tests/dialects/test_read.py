"""Spans of the GenAI conventions, all generations → calls."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_llmcost.call import Bucket, LLMCall, Outcome, Source
from otel_llmcost.dialects import is_genai, read_span
from otel_llmcost.span import Span

CURRENT = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "anthropic",
    "gen_ai.request.model": "claude-sonnet-4-5",
    "gen_ai.response.model": "claude-sonnet-4-5-20250929",
    "gen_ai.response.id": "msg_1",
    "gen_ai.usage.input_tokens": 1_000,
    "gen_ai.usage.cache_read.input_tokens": 600,
    "gen_ai.usage.cache_write.input_tokens": 100,
    "gen_ai.usage.output_tokens": 50,
    "gen_ai.usage.reasoning.output_tokens": 20,
    "gen_ai.conversation.id": "c-7",
    "gen_ai.agent.name": "planner",
    "user.id": "u-1",
}
BUCKETS = {
    Bucket.INPUT: 300,
    Bucket.CACHE_READ: 600,
    Bucket.CACHE_WRITE: 100,
    Bucket.OUTPUT: 30,
    Bucket.REASONING: 20,
}


def make_span(attributes: dict, *, scope: str = "some.instrumentation", span_id: int = 1, **more) -> Span:
    fields = {
        "name": "chat",
        "trace_id": bytes(15) + b"\x01",
        "span_id": span_id.to_bytes(8, "big"),
        "parent_span_id": b"",
        "start_ns": 10**18,
        "end_ns": 10**18 + 5,
        "resource": {"service.name": "bot", "deployment.environment.name": "prod"},
        **more,
    }
    return Span(attributes=attributes, scope=scope, **fields)


def read(attributes: dict, **more) -> LLMCall:
    call = read_span(make_span(attributes, **more), Source.SDK_SPAN)
    assert call is not None
    return call


def test_a_span_of_the_current_conventions_is_a_call() -> None:
    """Every field finds its place; parts inside the totals become exclusive buckets."""
    call = read(CURRENT)
    assert BUCKETS == call.usage.buckets
    assert ("bot", "prod", "anthropic", "claude-sonnet-4-5", "claude-sonnet-4-5-20250929") == (
        call.service,
        call.environment,
        call.provider,
        call.requested_model,
        call.model,
    )
    assert ("u-1", "c-7", "planner", Outcome.OK, Source.SDK_SPAN) == (
        call.user,
        call.session,
        call.agent,
        call.outcome,
        call.source,
    )


def test_both_older_generations_are_read() -> None:
    """`gen_ai.system` with prompt and completion tokens; `cache_creation` for `cache_write`."""
    oldest = {
        "gen_ai.system": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.usage.prompt_tokens": 7,
        "gen_ai.usage.completion_tokens": 3,
    }
    older = {**CURRENT, "gen_ai.usage.cache_creation.input_tokens": 100}
    del older["gen_ai.usage.cache_write.input_tokens"]
    assert {Bucket.INPUT: 7, Bucket.OUTPUT: 3} == read(oldest).usage.buckets
    assert BUCKETS == read(older).usage.buckets


@pytest.mark.parametrize(
    ("alias", "name"), [("xai", "x_ai"), ("az.ai.openai", "azure.ai.openai"), ("vertex_ai", "gcp.vertex_ai")]
)
def test_old_provider_names_are_the_same_seller(alias: str, name: str) -> None:
    """One seller, one price, one identity."""
    assert name == read({**CURRENT, "gen_ai.provider.name": alias}).provider


@pytest.mark.parametrize(
    "operation", ["invoke_agent", "execute_tool", "invoke_workflow", "fetch_response", "retrieval"]
)
def test_only_inference_makes_a_line(operation: str) -> None:
    """Agent spans repeat the usage of the calls below them."""
    assert read_span(make_span({**CURRENT, "gen_ai.operation.name": operation}), Source.SDK_SPAN) is None


@pytest.mark.parametrize("attributes", [{}, {"http.method": "GET"}, {"gen_ai.provider.name": "openai"}])
def test_other_spans_are_no_calls(attributes: dict) -> None:
    """Also not a span that names a provider and nothing else."""
    assert read_span(make_span(attributes), Source.SDK_SPAN) is None


def test_a_cached_audio_token_is_in_one_bucket() -> None:
    """`cache_read`, `audio` and `audio.cache_read` all tell it."""
    usage = read(
        {
            **CURRENT,
            "gen_ai.usage.audio.input_tokens": 150,
            "gen_ai.usage.audio.cache_read.input_tokens": 100,
        }
    ).usage
    assert (100, 500, 50, 250) == tuple(
        usage.buckets[b] for b in (Bucket.CACHE_READ_AUDIO, Bucket.CACHE_READ, Bucket.INPUT_AUDIO, Bucket.INPUT)
    )
    assert 1_000 == usage.input_tokens


def test_contradictions_are_flagged_with_both_numbers() -> None:
    """And priced the dearer way, never negative."""
    usage = read({**CURRENT, "gen_ai.usage.reasoning.output_tokens": 80}).usage
    assert ({Bucket.REASONING: 80, Bucket.OUTPUT: 50}, ("output: parts 80 exceed total 50",)) == (
        {b: usage.buckets[b] for b in (Bucket.REASONING, Bucket.OUTPUT)},
        usage.flags,
    )


def test_a_provider_stated_cost_is_kept_apart_and_any_other_is_not_believed() -> None:
    """`gen_ai.usage.cost.source` must say provider."""
    stated = {"gen_ai.usage.cost.amount": 0.0125, "gen_ai.usage.cost.currency": "USD"}
    assert Decimal("0.0125") == read({**CURRENT, **stated, "gen_ai.usage.cost.source": "provider"}).reported_usd
    assert read({**CURRENT, **stated, "gen_ai.usage.cost.source": "local"}).reported_usd is None
    assert read({**CURRENT, "gen_ai.usage.cost": 3.0}).reported_usd is None


@pytest.mark.parametrize("huge", ["1e9999999", "-1e9999999", "1e-9999999", "9" * 5_000])
def test_a_number_beyond_all_bounds_is_flagged(huge: str) -> None:
    """Not even its size may cost anything."""
    usage = read({**CURRENT, "gen_ai.usage.output_tokens": huge}).usage
    assert 1 == len([flag for flag in usage.flags if flag.startswith("unreadable gen_ai.usage.output_tokens: ")])


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=50) | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(sorted({*CURRENT, "gen_ai.usage.cost.amount", "error.type"})), values))
def test_any_attribute_values_are_read_without_an_error(attributes: dict) -> None:
    """Input is hostile: no exception, no negative bucket, no text without bound."""
    assert isinstance(is_genai(attributes), bool)
    call = read_span(make_span(attributes), Source.OTLP)
    if call is not None:
        assert all(count > 0 for count in call.usage.buckets.values())
