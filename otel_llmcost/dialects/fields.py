"""Which attribute tells what, whoever wrote it: one row per field, the keys of all emitters in order of trust.

The names of different emitters never mean different things, so one table serves them all; how their counts relate (what
is inside which total) is a matter of the emitter's row in `table.py`. Read from the packages named in docs/dialects.md.
"""

from collections.abc import Mapping
from typing import Final

from otel_llmcost import semconv as sc
from otel_llmcost.call import Bucket

Field = str
Keys = tuple[str, ...]

INPUT: Final = "input_total"
OUTPUT: Final = "output_total"
TOTAL: Final = "total"
UNCACHED: Final = "uncached"

TEXTS: Final[Mapping[Field, Keys]] = {
    "provider": (
        sc.PROVIDER_NAME,
        "llm.provider",  # OpenInference: who serves; llm.system: whose API it speaks
        sc.OLD_SYSTEM,
        "llm.system",
        "ai.model.provider",
        "gen_ai.request.provider",
    ),
    "requested_model": (
        sc.REQUEST_MODEL,
        "llm.request.model_name",
        "ai.model.id",
        "langfuse.observation.model.name",
        "llm.model_name",
        "embedding.model_name",
        "reranker.model_name",
    ),
    "model": (sc.RESPONSE_MODEL, "llm.response.model_name", "ai.response.model"),
    "response_id": (sc.RESPONSE_ID, "ai.response.id", "llm.response.id"),
    "host": (sc.SERVER_ADDRESS, "url.full", "gen_ai.openai.api_base"),
    "service_tier": (
        sc.OPENAI_SERVICE_TIER,
        sc.OLD_OPENAI_SERVICE_TIER,
        "gen_ai.response.service_tier",
    ),
    "speed": (sc.USAGE_SPEED,),
    "rule": (sc.USAGE_RULE,),
    "error_type": (sc.ERROR_TYPE,),
    "user": (
        sc.USER_ID,
        "enduser.id",
        "gen_ai.user",
        "gen_ai.request.user",
        "llm.user",
        "langfuse.user.id",
        "traceloop.association.properties.user_id",
        "ai.telemetry.metadata.userId",
        "langsmith.metadata.user_id",
    ),
    "session": (
        sc.CONVERSATION_ID,
        sc.SESSION_ID,
        "langfuse.session.id",
        "langsmith.trace.session_id",
        "langsmith.metadata.session_id",
        "langsmith.metadata.thread_id",
        "gcp.vertex.agent.session_id",
        "traceloop.association.properties.session_id",
        "traceloop.association.properties.thread_id",
        "ai.telemetry.metadata.sessionId",
    ),
    "agent": (sc.AGENT_NAME, "agent.name", "agent_name", "langsmith.metadata.agent_name"),
    "workflow": (sc.WORKFLOW_NAME, "traceloop.workflow.name", "ai.telemetry.functionId"),
    "run": (
        "gen_ai.agent.call.id",
        "gcp.vertex.agent.invocation_id",
        "gen_ai.agent.task.id",
        "traceloop.association.properties.run_id",
        "langsmith.metadata.run_id",
        "ai.telemetry.metadata.runId",
    ),
}

COUNTS: Final[Mapping[Field | Bucket, Keys]] = {
    INPUT: (
        sc.USAGE_INPUT,
        sc.OLD_USAGE_PROMPT,
        "llm.token_count.prompt",
        "ai.usage.inputTokens",
        "ai.usage.promptTokens",
        "ai.usage.tokens",  # Vercel's embeddings
        "gen_ai.response.prompt_tokens",  # Semantic Kernel of .NET
        "llm.usage.prompt_tokens",
    ),
    OUTPUT: (
        sc.USAGE_OUTPUT,
        sc.OLD_USAGE_COMPLETION,
        "llm.token_count.completion",
        "ai.usage.outputTokens",
        "ai.usage.completionTokens",
        "gen_ai.response.completion_tokens",
        "llm.usage.completion_tokens",
    ),
    TOTAL: (
        "gen_ai.usage.total_tokens",
        "llm.token_count.total",
        "ai.usage.totalTokens",
        "llm.usage.total_tokens",
    ),
    UNCACHED: ("ai.usage.inputTokenDetails.noCacheTokens",),
    Bucket.CACHE_READ: (
        sc.USAGE_CACHE_READ,
        "gen_ai.usage.cache_read_input_tokens",
        "gen_ai.usage.prompt_tokens_details.cached_tokens",
        "gen_ai.usage.details.cache_read_tokens",
        "gen_ai.usage.details.cached_tokens",
        "llm.token_count.prompt_details.cache_read",
        "llm.token_count.prompt_details.cache_input",
        "ai.usage.inputTokenDetails.cacheReadTokens",
        "ai.usage.cachedInputTokens",
    ),
    Bucket.CACHE_WRITE: (
        sc.USAGE_CACHE_WRITE,
        sc.OLD_USAGE_CACHE_CREATION,
        "gen_ai.usage.cache_write_input_tokens",
        "gen_ai.usage.cache_creation_input_tokens",
        "gen_ai.usage.prompt_tokens_details.cache_creation_tokens",
        "gen_ai.usage.details.cache_write_tokens",
        "llm.token_count.prompt_details.cache_write",
        "ai.usage.inputTokenDetails.cacheWriteTokens",
    ),
    Bucket.CACHE_WRITE_1H: (
        sc.USAGE_CACHE_WRITE_1H,
        "anthropic.usage.cache_creation.ephemeral_1h_input_tokens",  # Anthropic's SDK, of its own
    ),
    Bucket.CACHE_READ_AUDIO: (sc.USAGE_AUDIO_CACHE_READ, "gen_ai.usage.details.cache_audio_read_tokens"),
    Bucket.CACHE_READ_IMAGE: (sc.USAGE_IMAGE_CACHE_READ,),
    Bucket.CACHE_READ_VIDEO: (sc.USAGE_VIDEO_CACHE_READ,),
    Bucket.INPUT_AUDIO: (
        sc.USAGE_AUDIO_INPUT,
        "llm.token_count.prompt_details.audio",
        "gen_ai.usage.details.input_audio_tokens",
    ),
    Bucket.INPUT_IMAGE: (sc.USAGE_IMAGE_INPUT,),
    Bucket.INPUT_VIDEO: (sc.USAGE_VIDEO_INPUT,),
    Bucket.INPUT_TOOL: (sc.USAGE_TOOL_INPUT,),
    Bucket.REASONING: (
        sc.USAGE_REASONING,
        "gen_ai.usage.reasoning_tokens",
        "gen_ai.usage.completion_tokens_details.reasoning_tokens",
        "gen_ai.usage.details.reasoning_tokens",
        "gen_ai.usage.details.thoughts_tokens",
        "llm.token_count.completion_details.reasoning",
        "ai.usage.outputTokenDetails.reasoningTokens",
        "ai.usage.reasoningTokens",
    ),
    Bucket.OUTPUT_AUDIO: (
        sc.USAGE_AUDIO_OUTPUT,
        "gen_ai.usage.completion_tokens_details.audio_tokens",
        "llm.token_count.completion_details.audio",
        "gen_ai.usage.details.output_audio_tokens",
    ),
    Bucket.OUTPUT_IMAGE: (sc.USAGE_IMAGE_OUTPUT,),
    Bucket.OUTPUT_VIDEO: (sc.USAGE_VIDEO_OUTPUT,),
    Bucket.OUTPUT_CITATION: (sc.USAGE_CITATION_OUTPUT,),
    Bucket.WEB_SEARCHES: (sc.USAGE_WEB_SEARCHES,),
    Bucket.STORAGE_SEARCHES: (sc.USAGE_STORAGE_SEARCHES,),
    Bucket.RERANK_SEARCHES: (sc.USAGE_RERANK_SEARCHES,),
    Bucket.AUDIO_SECONDS: (sc.USAGE_AUDIO_SECONDS,),
    Bucket.DOCUMENT_PAGES: (sc.USAGE_DOCUMENT_PAGES,),
    Bucket.ANNOTATED_PAGES: (sc.USAGE_ANNOTATED_PAGES,),
}

VALUES: Final[Mapping[Field, Keys]] = {
    "stream": (sc.REQUEST_STREAM, "gen_ai.is_streaming", "llm.is_streaming"),
    "first_chunk_s": (sc.RESPONSE_TIME_TO_FIRST_CHUNK, "gen_ai.client.operation.time_to_first_chunk"),
    "first_chunk_ms": ("ai.response.msToFirstChunk",),
    "first_token": ("gen_ai.server.time_to_first_token",),  # in a unit of the emitter's
    "finish_reasons": (sc.RESPONSE_FINISH_REASONS, "ai.response.finishReason", "llm.finish_reason"),
    "http_status": (sc.HTTP_STATUS,),
    "resends": (sc.HTTP_RESEND_COUNT,),
    "flags": (sc.USAGE_FLAGS,),
    "reported_amount": (sc.USAGE_COST_AMOUNT,),
    "reported_currency": (sc.USAGE_COST_CURRENCY,),
    "reported_source": (sc.USAGE_COST_SOURCE,),
    "usage_details": (
        "langfuse.observation.usage_details",
        "gen_ai.usage.raw",  # Logfire: the provider's own
        "metadata.usage_object",  # LiteLLM: OpenAI's form, whoever sold
    ),
    "input_details": ("gen_ai.usage.input_token_details",),
    "output_details": ("gen_ai.usage.output_token_details",),
    "usage_metadata": ("langsmith.metadata.usage_metadata",),
    "provider_metadata": ("ai.response.providerMetadata",),
}
"""Of no one type; their readers judge them."""

KEYS_OF: Final[Mapping[Field | Bucket, Keys]] = {**TEXTS, **COUNTS, **VALUES}

FIELD_OF: Final[Mapping[str, Field | Bucket]] = {key: field for field, keys in KEYS_OF.items() for key in keys}
LONG: Final = frozenset({"usage_details", "input_details", "output_details", "usage_metadata", "provider_metadata"})
"""Fields whose text is longer than a name."""
WHO: Final = ("user", "session", "agent", "workflow", "run")
