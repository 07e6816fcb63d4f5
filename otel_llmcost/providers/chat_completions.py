"""OpenAI Chat Completions and Completions, and everybody who speaks them.

Source: the API reference of chat completions. Groq sends a stream's usage in `x_groq`, and again in `usage`; on Azure
the deployment in the path is the model that was asked for.
"""

import re
from typing import Any, Final

from otel_llmcost.providers.fields import first_object, read_identity, section, text
from otel_llmcost.providers.openai_usage import read_usage
from otel_llmcost.providers.reported_cost import read_reported_cost
from otel_llmcost.providers.wire_format import WireFormat
from otel_llmcost.wire.reading import Reading


def read(document: dict[str, Any], reading: Reading) -> None:
    """A response body, or one chunk of a stream."""
    read_identity(document, reading)
    reading.finish_reason = text(first_object(document, "choices"), "finish_reason") or reading.finish_reason
    usage = section(document, "usage") or section(section(document, "x_groq"), "usage")
    if usage:
        reading.service_tier = reading.service_tier or text(usage, "service_tier")
        read_reported_cost(usage, reading)
        reading.usage = read_usage(usage, reading, "chat_completions")


_TEXT: Final = re.compile(
    rb'"(?:content|reasoning_content|reasoning|refusal|text|name|arguments)"\s*:\s*"((?:[^"\\]++|\\.)*+)"'
)
"""What an answer is made of, tool calls included. Inside a JSON string every quote is escaped, so only keys match."""

_INTERESTING: Final = re.compile(rb'"usage"\s*:\s*\{|"finish_reason"\s*:\s*"|"error"')

FORMAT: Final = WireFormat(
    name="chat_completions",
    operation="chat",
    # With the model in the path: Azure's deployments, and Vertex's partner models other than Anthropic's.
    path=re.compile(
        r"(?:/deployments/(?P<model>[^/]+))?/chat/completions/?$"
        r"|/ml/v1/text/chat(?P<stream>_stream)?/?$"  # watsonx
        r"|/cortex/inference:complete$"  # Snowflake
    ),
    read=read,
    interesting=_INTERESTING,
    text=_TEXT,
)
VERTEX_PARTNERS: Final = WireFormat(
    name="chat_completions",
    operation="chat",
    path=re.compile(
        r"/publishers/(?!anthropic/)[^/]+/models/(?P<model>[^/:]+):(?:rawPredict|(?P<stream>streamRawPredict))$"
    ),
    read=read,
    interesting=_INTERESTING,
    text=_TEXT,
)
WRITER: Final = WireFormat(
    name="chat_completions",
    operation="chat",
    path=re.compile(r"/v1/chat/?$"),
    read=read,
    interesting=_INTERESTING,
    text=_TEXT,
    sellers=frozenset({"writer"}),
)
PROMPTS: Final = WireFormat(  # Portkey: a stored prompt is run, the answer is a chat completion
    name="chat_completions",
    operation="chat",
    path=re.compile(r"/prompts/[^/]+/completions/?$"),
    read=read,
    interesting=_INTERESTING,
    text=_TEXT,
)
COMPLETIONS: Final = WireFormat(
    name="completions",
    operation="text_completion",
    path=re.compile(r"(?:/deployments/(?P<model>[^/]+))?/completions/?$"),
    read=read,
    interesting=_INTERESTING,
    text=_TEXT,
)
