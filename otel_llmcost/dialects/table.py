"""One row per emitter: which keys it writes and how it counts.

Sources: opentelemetry-util-genai 1.3b0 and opentelemetry-instrumentation-openai-v2 2.4b0 for the current and older
generations of the conventions ("input SHOULD include cached", reasoning is part of output).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from otel_llmcost import semconv as sc
from otel_llmcost.call import Bucket

INFERENCE_OPERATIONS: Final = frozenset({"chat", "generate_content", "text_completion", "embeddings", "rerank"})
"""`gen_ai.operation.name` of spans that stand for a provider call. Agents, workflows, tools, retrieval and polling
repeat the usage of the calls below them and never make a line."""

Keys = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one emitter writes a call. Of several keys the first present one is read."""

    name: str
    scopes: tuple[str, ...] = ()  # prefixes of the instrumentation scope's name; none: the fallback
    input_total: Keys = (sc.USAGE_INPUT, sc.OLD_USAGE_PROMPT)
    output_total: Keys = (sc.USAGE_OUTPUT, sc.OLD_USAGE_COMPLETION)
    input_parts: Mapping[Bucket, Keys] = field(default_factory=dict)
    output_parts: Mapping[Bucket, Keys] = field(default_factory=dict)
    other: Mapping[Bucket, Keys] = field(default_factory=dict)
    input_inside: bool = True  # cached and other input parts are inside the input total
    output_inside: bool = True  # reasoning and other output parts are inside the output total


_OTEL_INPUT: Final[Mapping[Bucket, Keys]] = {
    Bucket.CACHE_READ: (sc.USAGE_CACHE_READ,),
    Bucket.CACHE_WRITE: (sc.USAGE_CACHE_WRITE, sc.OLD_USAGE_CACHE_CREATION),
    Bucket.INPUT_AUDIO: (sc.USAGE_AUDIO_INPUT,),
    Bucket.INPUT_IMAGE: (sc.USAGE_IMAGE_INPUT,),
    Bucket.CACHE_READ_AUDIO: (sc.USAGE_AUDIO_CACHE_READ,),
    Bucket.CACHE_READ_IMAGE: (sc.USAGE_IMAGE_CACHE_READ,),
}
_OTEL_OUTPUT: Final[Mapping[Bucket, Keys]] = {
    Bucket.REASONING: (sc.USAGE_REASONING,),
    Bucket.OUTPUT_AUDIO: (sc.USAGE_AUDIO_OUTPUT,),
    Bucket.OUTPUT_IMAGE: (sc.USAGE_IMAGE_OUTPUT,),
}

NESTED: Final[Mapping[Bucket, tuple[Bucket, ...]]] = {
    Bucket.CACHE_READ: (Bucket.CACHE_READ_AUDIO, Bucket.CACHE_READ_IMAGE, Bucket.CACHE_READ_VIDEO),
    Bucket.CACHE_WRITE: (Bucket.CACHE_WRITE_1H,),
    Bucket.INPUT_AUDIO: (Bucket.CACHE_READ_AUDIO,),
    Bucket.INPUT_IMAGE: (Bucket.CACHE_READ_IMAGE,),
}
"""Attributes whose count includes that of others: a cached audio token is told by all of `cache_read`, `audio` and
`audio.cache_read`, and belongs to one bucket."""

WIRE: Final = Dialect(
    name="wire",
    scopes=(sc.WIRE_SCOPE,),
    input_parts={
        **_OTEL_INPUT,
        Bucket.CACHE_WRITE_1H: (sc.USAGE_CACHE_WRITE_1H,),
        Bucket.INPUT_VIDEO: (sc.USAGE_VIDEO_INPUT,),
        Bucket.CACHE_READ_VIDEO: (sc.USAGE_VIDEO_CACHE_READ,),
        Bucket.INPUT_TOOL: (sc.USAGE_TOOL_INPUT,),
    },
    output_parts={
        **_OTEL_OUTPUT,
        Bucket.OUTPUT_VIDEO: (sc.USAGE_VIDEO_OUTPUT,),
        Bucket.OUTPUT_CITATION: (sc.USAGE_CITATION_OUTPUT,),
    },
    other={
        Bucket.WEB_SEARCHES: (sc.USAGE_WEB_SEARCHES,),
        Bucket.STORAGE_SEARCHES: (sc.USAGE_STORAGE_SEARCHES,),
        Bucket.RERANK_SEARCHES: (sc.USAGE_RERANK_SEARCHES,),
        Bucket.AUDIO_SECONDS: (sc.USAGE_AUDIO_SECONDS,),
        Bucket.DOCUMENT_PAGES: (sc.USAGE_DOCUMENT_PAGES,),
        Bucket.ANNOTATED_PAGES: (sc.USAGE_ANNOTATED_PAGES,),
    },
)
OTEL: Final = Dialect(name="otel", input_parts=_OTEL_INPUT, output_parts=_OTEL_OUTPUT)

DIALECTS: Final = (WIRE, OTEL)


def dialect_of(scope: str) -> Dialect:
    """The row for an instrumentation scope; the conventions themselves where no row claims it."""
    return next((row for row in DIALECTS if row.scopes and scope.startswith(row.scopes)), OTEL)
