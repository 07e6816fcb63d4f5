"""Ollama's native API: a body, or one JSON line per token; the last has `done` and the counts.

Source: Ollama's API documentation. `prompt_eval_count` is left out where the prompt was cached.
"""

import re
from typing import Any, Final

from otel_llmcost.providers import embeddings
from otel_llmcost.providers.fields import Counts, read_identity, text
from otel_llmcost.providers.wire_format import WireFormat
from otel_llmcost.usage import UNREADABLE, Side, exclusive_usage
from otel_llmcost.wire.reading import Reading


def read(document: dict[str, Any], reading: Reading) -> None:
    """A response body, or one line of a stream."""
    read_identity(document, reading)
    reading.finish_reason = text(document, "done_reason") or reading.finish_reason
    reading.finished = reading.finished or document.get("done") is True
    counts = Counts()
    prompt, output = counts.get(document, "prompt_eval_count"), counts.get(document, "eval_count")
    if prompt is None and output is not None:
        counts.flags.append(f"{UNREADABLE}prompt_eval_count: absent")
    if prompt is not None or output is not None or counts.flags:
        reading.usage = exclusive_usage(Side(prompt), Side(output), rule="ollama", flags=tuple(counts.flags))


def read_embeddings(document: dict[str, Any], reading: Reading) -> None:
    """A response body; servers that imitate the path answer as OpenAI does."""
    (embeddings.read if "usage" in document else read)(document, reading)


_INTERESTING: Final = re.compile(rb'"done"\s*:\s*true|"eval_count"|"error"')

CHAT: Final = WireFormat(
    name="ollama_chat", operation="chat", path=re.compile(r"/api/chat/?$"), read=read, interesting=_INTERESTING
)
GENERATE: Final = WireFormat(
    name="ollama_generate",
    operation="text_completion",
    path=re.compile(r"/api/generate/?$"),
    read=read,
    interesting=_INTERESTING,
)
EMBED: Final = WireFormat(
    name="ollama_embed",
    operation="embeddings",
    path=re.compile(r"/api/embed(?:dings)?/?$"),
    read=read_embeddings,
    interesting=_INTERESTING,
)
