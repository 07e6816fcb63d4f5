"""Which spans stand for a provider call, and for nothing around it: agents, workflows, tools, retrieval, polling.

Those repeat the usage of the calls below them and never make a line.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from otel_llmcost import semconv as sc

_CONVENTIONS: Final = {
    **{name: name for name in ("chat", "generate_content", "text_completion", "embeddings", "rerank")},
    # What emitters write in their place.
    **dict.fromkeys(("chat.completions", "completion", "acompletion", "responses", "aresponses"), "chat"),
    **dict.fromkeys(("anthropic_messages", "message"), "chat"),
    **dict.fromkeys(("text_completions", "text.completions", "atext_completion"), "text_completion"),
    **dict.fromkeys(("embedding", "aembedding"), "embeddings"),
    **dict.fromkeys(("agenerate_content", "generate_content_stream", "agenerate_content_stream"), "generate_content"),
    "arerank": "rerank",
}

KINDS: Final[tuple[tuple[str, Mapping[str, str]], ...]] = (
    (sc.OPERATION_NAME, _CONVENTIONS),
    ("openinference.span.kind", {"LLM": "chat", "EMBEDDING": "embeddings", "RERANKER": "rerank"}),
    (
        "ai.operationId",  # Vercel: the inner spans; the outer ones repeat their usage
        {
            "ai.generateText.doGenerate": "chat",
            "ai.streamText.doStream": "chat",
            "ai.generateObject.doGenerate": "chat",
            "ai.streamObject.doStream": "chat",
            "ai.embed.doEmbed": "embeddings",
            "ai.embedMany.doEmbed": "embeddings",
            "ai.rerank.doRerank": "rerank",
        },
    ),
    ("langfuse.observation.type", {"generation": "chat", "embedding": "embeddings"}),
    ("langsmith.span.kind", {"llm": "chat", "embedding": "embeddings"}),
    ("traceloop.span.kind", {}),  # workflow, task, agent, tool
    (
        "llm.request.type",
        {"chat": "chat", "completion": "text_completion", "embedding": "embeddings", "rerank": "rerank"},
    ),
)
"""Attributes that say what a span stands for, and their values for a provider call: any other value is none."""

_AROUND: Final = frozenset(
    {
        "gen_ai.aggregated_usage.input_tokens",
        "gen_ai.aggregated_usage.output_tokens",
        "all_messages_events",
        "pydantic_ai.all_messages",
        "gen_ai.tool.name",
        "gen_ai.tool.call.id",
    }
)
"""Told by spans of agents and tools alone, for the generations that have no attribute for what they are."""

GENAI_KEYS: Final = frozenset(
    {
        *(key for key, _ in KINDS),
        sc.REQUEST_MODEL,
        sc.RESPONSE_MODEL,
        sc.PROVIDER_NAME,
        sc.OLD_SYSTEM,
        "llm.model_name",
        "ai.model.id",
    }
)
"""Attributes of which every GenAI span has one."""


def is_genai(attributes: Iterable[str] | Mapping[str, object]) -> bool:
    """Whether a span may stand for a GenAI call, or for something around one, from the keys of its attributes."""
    return not GENAI_KEYS.isdisjoint(attributes)


def operation_of(attributes: Mapping[str, object]) -> str | None:
    """The operation of a provider call, by the conventions; empty where nobody says, None where it is no such call."""
    told = ""
    for key, operations in KINDS:
        value = attributes.get(key)
        if value is not None and value != "":
            operation = operations.get(value) if isinstance(value, str) else None
            if operation is None:
                return None
            told = told or operation
    return told if told or _AROUND.isdisjoint(attributes) else None


def is_inference(attributes: Mapping[str, object]) -> bool:
    """Whether a span stands for a GenAI call and for nothing around it, such as an agent or a tool."""
    return is_genai(attributes) and operation_of(attributes) is not None
