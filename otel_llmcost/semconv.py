"""Every attribute name, once.

Source: semantic-conventions-genai as `opentelemetry-util-genai` 1.3b0 emits it, with the older spellings that are
still in use; `llmcost.*` is this project's own contract with whoever reads its spans.
"""

from typing import Final

# GenAI, current
OPERATION_NAME: Final = "gen_ai.operation.name"
PROVIDER_NAME: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
REQUEST_STREAM: Final = "gen_ai.request.stream"
RESPONSE_MODEL: Final = "gen_ai.response.model"
RESPONSE_ID: Final = "gen_ai.response.id"
RESPONSE_FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
RESPONSE_TIME_TO_FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"  # seconds
USAGE_INPUT: Final = "gen_ai.usage.input_tokens"
USAGE_OUTPUT: Final = "gen_ai.usage.output_tokens"
USAGE_CACHE_READ: Final = "gen_ai.usage.cache_read.input_tokens"
USAGE_CACHE_WRITE: Final = "gen_ai.usage.cache_write.input_tokens"
USAGE_REASONING: Final = "gen_ai.usage.reasoning.output_tokens"
USAGE_AUDIO_INPUT: Final = "gen_ai.usage.audio.input_tokens"
USAGE_AUDIO_OUTPUT: Final = "gen_ai.usage.audio.output_tokens"
USAGE_IMAGE_INPUT: Final = "gen_ai.usage.image.input_tokens"
USAGE_IMAGE_OUTPUT: Final = "gen_ai.usage.image.output_tokens"
USAGE_AUDIO_CACHE_READ: Final = "gen_ai.usage.audio.cache_read.input_tokens"
USAGE_IMAGE_CACHE_READ: Final = "gen_ai.usage.image.cache_read.input_tokens"
USAGE_COST: Final = "gen_ai.usage.cost"  # de-facto key of today's readers
USAGE_COST_AMOUNT: Final = "gen_ai.usage.cost.amount"  # proposed: semantic-conventions-genai pull request 443
USAGE_COST_CURRENCY: Final = "gen_ai.usage.cost.currency"
USAGE_COST_SOURCE: Final = "gen_ai.usage.cost.source"
CONVERSATION_ID: Final = "gen_ai.conversation.id"
AGENT_NAME: Final = "gen_ai.agent.name"
WORKFLOW_NAME: Final = "gen_ai.workflow.name"
OPENAI_SERVICE_TIER: Final = "openai.response.service_tier"

# GenAI, older generations
OLD_SYSTEM: Final = "gen_ai.system"
OLD_USAGE_PROMPT: Final = "gen_ai.usage.prompt_tokens"
OLD_USAGE_COMPLETION: Final = "gen_ai.usage.completion_tokens"
OLD_USAGE_CACHE_CREATION: Final = "gen_ai.usage.cache_creation.input_tokens"
OLD_OPENAI_SERVICE_TIER: Final = "gen_ai.openai.response.service_tier"

# General
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
ERROR_TYPE: Final = "error.type"
HTTP_STATUS: Final = "http.response.status_code"
HTTP_RESEND_COUNT: Final = "http.request.resend_count"
USER_ID: Final = "user.id"
SESSION_ID: Final = "session.id"
SERVICE_NAME: Final = "service.name"
DEPLOYMENT_ENVIRONMENT: Final = "deployment.environment.name"
OLD_DEPLOYMENT_ENVIRONMENT: Final = "deployment.environment"

# Ours, written on the GenAI span
LLMCOST_PREFIX: Final = "llmcost."
CALL_ID: Final = "llmcost.call.id"
COST_USD: Final = "llmcost.cost.usd"
COST_LIST_USD: Final = "llmcost.cost.list_usd"
COST_INPUT_USD: Final = "llmcost.cost.input_usd"
COST_OUTPUT_USD: Final = "llmcost.cost.output_usd"
COST_CACHE_READ_USD: Final = "llmcost.cost.cache_read_usd"
COST_CACHE_WRITE_USD: Final = "llmcost.cost.cache_write_usd"
COST_OTHER_USD: Final = "llmcost.cost.other_usd"
COST_CACHE_SAVINGS_USD: Final = "llmcost.cost.cache_savings_usd"
COST_REPORTED_USD: Final = "llmcost.cost.reported_usd"
COST_STATUS: Final = "llmcost.cost.status"
COST_REASON: Final = "llmcost.cost.reason"
PRICE_ID: Final = "llmcost.price.id"
PRICE_BOOK: Final = "llmcost.price.book"
TAG_PREFIX: Final = "llmcost.tag."

USAGE_PREFIX: Final = "llmcost.usage."
"""Prefix of usage that the conventions have no name for, as our wire instrumentation reports it. It says what was
used, not what it cost or whose it is, and is therefore the one `llmcost.` prefix believed from outside."""
USAGE_CACHE_WRITE_1H: Final = "llmcost.usage.cache_write_1h"
USAGE_VIDEO_INPUT: Final = "llmcost.usage.input_video"
USAGE_VIDEO_OUTPUT: Final = "llmcost.usage.output_video"
USAGE_VIDEO_CACHE_READ: Final = "llmcost.usage.cache_read_video"
USAGE_TOOL_INPUT: Final = "llmcost.usage.input_tool"
USAGE_CITATION_OUTPUT: Final = "llmcost.usage.output_citation"
USAGE_WEB_SEARCHES: Final = "llmcost.usage.web_searches"
USAGE_STORAGE_SEARCHES: Final = "llmcost.usage.storage_searches"
USAGE_RERANK_SEARCHES: Final = "llmcost.usage.rerank_searches"
USAGE_AUDIO_SECONDS: Final = "llmcost.usage.audio_seconds"
USAGE_DOCUMENT_PAGES: Final = "llmcost.usage.document_pages"
USAGE_ANNOTATED_PAGES: Final = "llmcost.usage.annotated_pages"
USAGE_SPEED: Final = "llmcost.usage.speed"  # the speed the provider served at, where it prices that
USAGE_FLAGS: Final = "llmcost.usage.flags"
USAGE_RULE: Final = "llmcost.usage.rule"

USAGE_AT_WIRE: Final = "llmcost.usage.at_wire"
"""On an SDK's own span of a call: the wire below it tells every attempt of it, so this span makes no line."""

USAGE_INNER: Final = "llmcost.usage.inner"
"""On a span around others of its kind: what those told (`same_call.Facts`), to see whether it is the same call."""
USAGE_CALLS_BELOW: Final = "llmcost.usage.calls_below"
"""On the span of an agent: calls are told below it, so it stands for none itself."""
USAGE_GATEWAY: Final = "llmcost.usage.gateway"
"""On the span of a call that a gateway makes for its clients: made while it answers a request for inference."""

WIRE_SCOPE: Final = "otel_llmcost.instrumentation"
"""Instrumentation scope of the spans that our wire instrumentation makes."""

ERROR_ABORTED: Final = "stream_aborted"
"""`error.type` of a stream that ended before the provider had finished."""


def is_believed(key: str) -> bool:
    """Whether an attribute that came in from outside may be read, and may stay on the span."""
    return not key.startswith(LLMCOST_PREFIX) or key.startswith(USAGE_PREFIX)
