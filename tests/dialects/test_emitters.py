"""What each emitter writes, by the sources of its package, read into the provider's numbers.

The spans that the packages themselves made are in test_golden.py; these state the rules one by one.
"""

import pytest

from otel_llmcost.call import Bucket, LLMCall, Source
from otel_llmcost.dialects import is_genai, is_inference, read_span
from otel_llmcost.dialects.selling import seller_of
from otel_llmcost.span import Span

OPENAI = {Bucket.INPUT: 176, Bucket.CACHE_READ: 1_024, Bucket.OUTPUT: 100, Bucket.REASONING: 200}
ANTHROPIC = {Bucket.INPUT: 176, Bucket.CACHE_READ: 1_024, Bucket.CACHE_WRITE: 512, Bucket.OUTPUT: 300}


def span(attributes: dict, scope: str) -> Span:
    return Span("call", bytes(15) + b"\1", bytes(7) + b"\1", b"", 10**18, 10**18 + 5, attributes, {}, scope)


def read(attributes: dict, scope: str) -> LLMCall:
    call = read_span(span(attributes, scope), Source.OTLP)
    assert call is not None
    return call


def semconv(system: str, model: str, **counts: int) -> dict:
    """The conventions' names; `counts` by what stands behind `gen_ai.usage.`, dots as two underscores."""
    usage = {f"gen_ai.usage.{name.replace('__', '.')}": count for name, count in counts.items()}
    return {"gen_ai.operation.name": "chat", "gen_ai.system": system, "gen_ai.request.model": model, **usage}


INCLUSIVE = {"input_tokens": 1_712, "output_tokens": 300}
EXCLUSIVE = {"input_tokens": 176, "output_tokens": 300}
CACHE = {"cache_read__input_tokens": 1_024, "cache_creation__input_tokens": 512}
CLAUDE = "claude-sonnet-4-5"
ON_BEDROCK = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"

COUNTING = {
    "OpenLLMetry sums Anthropic's": (
        "opentelemetry.instrumentation.anthropic",
        semconv("anthropic", CLAUDE, **INCLUSIVE, **CACHE),
        "openllmetry:cache_inside",
    ),
    "OpenLLMetry passes Converse's on": (
        "opentelemetry.instrumentation.bedrock",
        semconv("aws.bedrock", ON_BEDROCK, **EXCLUSIVE, **CACHE),
        "openllmetry:cache_beside",
    ),
    "botocore passes Converse's on": (
        "opentelemetry.instrumentation.botocore.bedrock-runtime",
        semconv("aws.bedrock", ON_BEDROCK, **EXCLUSIVE, **CACHE),
        "otel-botocore:cache_beside",
    ),
    "OpenLIT passes Anthropic's on": (
        "openlit.instrumentation.anthropic",
        semconv("anthropic", CLAUDE, **EXCLUSIVE, **CACHE),
        "openlit:cache_beside",
    ),
    "Pydantic AI sums, and tells the cache twice": (
        "pydantic-ai",
        semconv("anthropic", CLAUDE, **INCLUSIVE, **CACHE, details__cache_read_tokens=1_024),
        "pydantic-ai:cache_inside",
    ),
    "Strands sums, and names itself as the provider": (
        "strands.telemetry.tracer",
        semconv(
            "strands-agents",
            ON_BEDROCK,
            prompt_tokens=1_712,
            completion_tokens=300,
            **INCLUSIVE,
            cache_read_input_tokens=1_024,
            cache_write_input_tokens=512,
        ),
        "strands:cache_inside:provider_by_model",
    ),
    "LangSmith writes Python's text of the details": (
        "langsmith",
        {
            **semconv("anthropic", CLAUDE, **INCLUSIVE),
            "langsmith.span.kind": "llm",
            "gen_ai.usage.input_token_details": "{'cache_read': 1024, 'cache_creation': 512}",
        },
        "langsmith:cache_inside",
    ),
    "Agent Framework passes Anthropic's on": (
        "agent_framework",
        semconv("anthropic", CLAUDE, **EXCLUSIVE, **CACHE),
        "agent-framework:cache_beside",
    ),
    "Vercel 6 tells the uncached part": (
        "ai",
        {
            "ai.operationId": "ai.generateText.doGenerate",
            "ai.model.provider": "anthropic.messages",
            "ai.model.id": CLAUDE,
            "gen_ai.system": "anthropic.messages",
            "gen_ai.usage.input_tokens": 1_712,
            "gen_ai.usage.output_tokens": 300,
            "ai.usage.inputTokenDetails.noCacheTokens": 176,
            "ai.usage.inputTokenDetails.cacheReadTokens": 1_024,
            "ai.usage.inputTokenDetails.cacheWriteTokens": 512,
            "ai.usage.cachedInputTokens": 1_024,
        },
        None,
    ),
    "an unknown emitter whose total says that the cache lies beside": (
        "my.own.instrumentation",
        semconv("anthropic", CLAUDE, **EXCLUSIVE, **CACHE, total_tokens=2_012),
        "otel:cache_beside_by_total",
    ),
    "an unknown emitter with more cached than input": (
        "my.own.instrumentation",
        semconv("anthropic", CLAUDE, **EXCLUSIVE, **CACHE),
        "otel:cache_beside_by_size",
    ),
    "an unknown emitter that keeps to the conventions": (
        "my.own.instrumentation",
        semconv("anthropic", CLAUDE, **INCLUSIVE, **CACHE),
        "otel:cache_inside",
    ),
}


@pytest.mark.parametrize(("scope", "attributes", "rule"), COUNTING.values(), ids=list(COUNTING))
def test_cached_tokens_are_counted_once_whatever_the_emitter_does(scope: str, attributes: dict, rule: str) -> None:
    """The same call of Anthropic's, told inclusive or exclusive; the rule that read it stays on the record."""
    call = read(attributes, scope)
    assert ANTHROPIC == call.usage.buckets
    assert () == call.usage.flags
    if rule:
        assert rule == call.usage.rule


LANGFUSE_RAW = (
    '{"prompt_tokens": 1200, "completion_tokens": 300, "total_tokens": 1500,'
    ' "prompt_tokens_details": {"cached_tokens": 1024}, "completion_tokens_details": {"reasoning_tokens": 200}}'
)
LANGFUSE_OWN = '{"input": 176, "input_cache_read": 1024, "output": 100, "output_reasoning": 200, "total": 1500}'
OPENAI_CALLS = {
    "OpenInference": (
        "openinference.instrumentation.openai",
        {
            "openinference.span.kind": "LLM",
            "llm.provider": "openai",
            "llm.system": "openai",
            "llm.model_name": "gpt-4o",
            "llm.token_count.prompt": 1_200,
            "llm.token_count.completion": 300,
            "llm.token_count.total": 1_500,
            "llm.token_count.prompt_details.cache_read": 1_024,
            "llm.token_count.completion_details.reasoning": 200,
        },
    ),
    "Langfuse's OpenAI wrapper": (
        "langfuse-sdk",
        {
            "langfuse.observation.type": "generation",
            "langfuse.observation.model.name": "gpt-4o",
            "langfuse.observation.usage_details": LANGFUSE_RAW,
        },
    ),
    "Langfuse's LangChain handler": (
        "langfuse-sdk",
        {
            "langfuse.observation.type": "generation",
            "langfuse.observation.model.name": "gpt-4o",
            "langfuse.observation.usage_details": LANGFUSE_OWN,
        },
    ),
    "Vercel 5": (
        "ai",
        {
            "ai.operationId": "ai.streamText.doStream",
            "gen_ai.system": "openai.responses",
            "gen_ai.request.model": "gpt-4o",
            "ai.usage.inputTokens": 1_200,
            "ai.usage.outputTokens": 300,
            "ai.usage.reasoningTokens": 200,
            "ai.usage.cachedInputTokens": 1_024,
        },
    ),
    "OpenLLMetry": (
        "opentelemetry.instrumentation.openai.v1",
        {
            "llm.request.type": "chat",
            "gen_ai.system": "openai",
            "gen_ai.request.model": "gpt-4o",
            "gen_ai.usage.prompt_tokens": "1200",
            "gen_ai.usage.completion_tokens": 300.0,
            "llm.usage.total_tokens": 1_500,
            "gen_ai.usage.cache_read_input_tokens": 1_024,
            "gen_ai.usage.reasoning_tokens": 200,
        },
    ),
}


@pytest.mark.parametrize(("scope", "attributes"), OPENAI_CALLS.values(), ids=list(OPENAI_CALLS))
def test_the_same_call_of_openai_reads_the_same_from_every_emitter(scope: str, attributes: dict) -> None:
    """Ints, decimal text, floats, JSON; flat, nested, disjoint."""
    call = read(attributes, scope)
    assert ("openai", "gpt-4o", OPENAI) == (call.provider, call.model, call.usage.buckets)


@pytest.mark.parametrize(
    "attributes",
    [
        {"openinference.span.kind": "AGENT", "llm.token_count.prompt": 9},
        {"openinference.span.kind": "CHAIN", "llm.model_name": "gpt-4o", "llm.token_count.prompt": 9},
        {"ai.operationId": "ai.generateText", "gen_ai.usage.input_tokens": 9, "ai.model.id": "gpt-4o"},
        {"ai.operationId": "ai.toolCall"},
        {"langfuse.observation.type": "agent", "langfuse.observation.usage_details": '{"input": 9}'},
        {"langsmith.span.kind": "chain", "gen_ai.usage.input_tokens": 9},
        {"traceloop.span.kind": "workflow", "gen_ai.usage.input_tokens": 9, "gen_ai.request.model": "gpt-4o"},
        {"gen_ai.operation.name": "invoke_agent", "gen_ai.usage.input_tokens": 9},
        {"gen_ai.operation.name": "fetch_response", "gen_ai.response.id": "resp_1"},
        {"gen_ai.request.model": "gpt-4o", "gen_ai.usage.input_tokens": 9, "all_messages_events": "[]"},
        {"gen_ai.request.model": "gpt-4o", "gen_ai.aggregated_usage.input_tokens": 9},
    ],
)
def test_what_stands_around_a_call_makes_no_line(attributes: dict) -> None:
    """Agents, chains, tools, workflows and polling, also where they carry the usage of what is below them."""
    assert is_genai(attributes)
    assert not is_inference(attributes)
    assert read_span(span(attributes, "any"), Source.OTLP) is None


@pytest.mark.parametrize(
    ("told", "host", "model", "expected"),
    [
        ("openai", "api.groq.com", "llama-3.3-70b", ("groq", "host")),
        ("openai", "openrouter.ai", "openai/gpt-4o", ("openrouter", "host")),
        ("az.ai.openai", "x.openai.azure.com", "gpt-4o", ("azure.ai.openai", "")),
        ("openai.responses", "", "gpt-4o", ("openai", "")),
        ("google.generative-ai", "", "gemini-2.5-pro", ("gcp.gemini", "")),
        ("amazon-bedrock", "", "anthropic.claude-v2", ("aws.bedrock", "")),
        ("mistralai", "", "mistral-large", ("mistral_ai", "")),
        ("strands-agents", "", ON_BEDROCK, ("aws.bedrock", "model")),
        ("langchain", "", "azure/gpt-4o", ("azure.ai.openai", "model")),
        ("", "", "gpt-4o", ("openai", "model")),
        ("", "", "house-model", ("", "")),
        ("groq.internal", "", "x", ("groq.internal", "")),
    ],
)
def test_the_seller_is_found_from_what_emitters_write(told: str, host: str, model: str, expected: tuple) -> None:
    """A known host first, then the name, then forms of a model's name that only one seller uses."""
    assert expected == seller_of(told, host, model)


@pytest.mark.parametrize(
    "hostile",
    [
        "{'a': __import__('os')}",
        "[" * 3_000,
        "{" + "'a': 1, " * 2_000 + "}",
        "9" * 5_000,
        '{"input": "many"}',
        '{"input": -1}',
        '{"input": true}',
        7,
        ["a"],
    ],
)
def test_hostile_details_are_flagged_and_never_evaluated(hostile: object) -> None:
    """No count comes of them, and the flag does not repeat them."""
    attributes = {"langfuse.observation.type": "generation", "langfuse.observation.model.name": "gpt-4o"}
    usage = read({**attributes, "langfuse.observation.usage_details": hostile}, "langfuse-sdk").usage
    assert {} == usage.buckets
    assert usage.flags
    assert all(len(flag) < 100 for flag in usage.flags)


def test_ids_of_all_dialects_find_their_fields() -> None:
    """User, session, agent, workflow and run, however they are called."""
    call = read(
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": "gpt-4o",
            "traceloop.association.properties.user_id": 42,
            "gcp.vertex.agent.session_id": "s",
            "agent.name": "planner",
            "traceloop.workflow.name": "w",
            "gen_ai.agent.call.id": "r",
        },
        "any",
    )
    assert ("42", "s", "planner", "w", "r") == (call.user, call.session, call.agent, call.workflow, call.run)


def test_a_total_that_has_room_for_reasoning_beside_the_output_is_believed() -> None:
    """Vercel 5 tells Gemini's thoughts so."""
    counts = {"input_tokens": 1_200, "output_tokens": 100, "reasoning__output_tokens": 200}
    cached = {"cache_read__input_tokens": 1_024, "total_tokens": 1_500}
    assert OPENAI == read(semconv("gcp.gemini", "gemini-2.5-flash", **counts, **cached), "any").usage.buckets


def test_the_first_name_of_a_field_wins_in_any_order_of_the_attributes() -> None:
    """Current conventions before older ones and before an emitter's own."""
    attributes = {
        "llm.token_count.prompt": 1,
        "gen_ai.usage.prompt_tokens": 2,
        "gen_ai.usage.input_tokens": 3,
        "gen_ai.operation.name": "chat",
    }
    for order in (attributes, dict(reversed(attributes.items()))):
        assert {Bucket.INPUT: 3} == read(order, "any").usage.buckets
