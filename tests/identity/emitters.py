"""One provider call as different instrumentations tell it: what each knows is what matters here, not its keys.

How each emitter's own keys are read is tested in tests/dialects/.
"""

from collections.abc import Mapping
from typing import Any

from otel_llmcost.semconv import WIRE_SCOPE

RESPONSE_ID = "chatcmpl-DuLZEecdAJKA6JI76nZgu64Qgpo1z"
INPUT, CACHED, OUTPUT = 1_200, 1_024, 345

USAGE: Mapping[str, Any] = {"gen_ai.usage.input_tokens": INPUT, "gen_ai.usage.output_tokens": OUTPUT}
OLD_USAGE: Mapping[str, Any] = {"gen_ai.usage.prompt_tokens": INPUT, "gen_ai.usage.completion_tokens": OUTPUT}
DETAILS: Mapping[str, Any] = {"gen_ai.usage.cache_read.input_tokens": CACHED}
CALL: Mapping[str, Any] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
}
ANSWER: Mapping[str, Any] = {"gen_ai.response.model": "gpt-4o-2024-08-06"}
ID: Mapping[str, Any] = {"gen_ai.response.id": RESPONSE_ID}
HOST: Mapping[str, Any] = {"server.address": "api.openai.com"}

Emitter = tuple[str, Mapping[str, Any]]
"""Instrumentation scope and attributes."""

WIRE: Emitter = (f"{WIRE_SCOPE}.httpx2", {**CALL, **ANSWER, **USAGE, **DETAILS, **ID, **HOST})

SDK_LEVEL: Mapping[str, Emitter] = {
    "wire": WIRE,
    "id and host": ("opentelemetry.instrumentation.openai_v2", {**CALL, **ANSWER, **USAGE, **DETAILS, **ID, **HOST}),
    "id": ("opentelemetry.instrumentation.openai.v1", {**CALL, **ANSWER, **USAGE, **DETAILS, **ID}),
    "old conventions": (
        "openlit.otel.tracing",
        {"gen_ai.system": "openai", "gen_ai.request.model": "gpt-4o", **OLD_USAGE, **ID},
    ),
    "no id": ("openinference.instrumentation.openai", {**CALL, **ANSWER, **USAGE, **DETAILS}),
    "no id, no answer": ("langfuse-sdk", {**CALL, **USAGE}),
}
"""Instrumentations of an SDK, by what they know."""

FRAMEWORKS: Mapping[str, Emitter] = {
    "id": ("pydantic-ai", {**CALL, **ANSWER, **USAGE, **DETAILS, **ID, **HOST}),
    "id, other name of the seller": (
        "agent_framework",
        {**CALL, **USAGE, **ID, "gen_ai.provider.name": "azure_openai"},
    ),
    "no id": ("opentelemetry.instrumentation.langchain", {**CALL, **USAGE}),
    "uncached input only": (
        "langfuse-sdk",
        {**CALL, "gen_ai.usage.input_tokens": INPUT - CACHED, "gen_ai.usage.output_tokens": OUTPUT},
    ),
    "its own name as seller": ("strands.telemetry.tracer", {**CALL, **USAGE, "gen_ai.provider.name": "strands-agents"}),
    "no usage": ("ai", {**CALL, "gen_ai.request.model": "openai/gpt-4o"}),
    "an agent": (
        "google.adk",
        {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": "helper",
            **USAGE,
            "gen_ai.request.model": "gpt-4o",
        },
    ),
}
"""What is around the SDK, by what it knows."""
