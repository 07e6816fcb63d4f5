"""One row per emitter: how it counts. What it calls things is in `fields.py`.

Emitters differ in whether cached tokens are inside the input they tell, and reasoning inside the output; several pass
on what the provider says, so that it depends on the provider too. Read from the packages named in docs/dialects.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from otel_llmcost import semconv as sc
from otel_llmcost.call import Bucket

_RAW_BESIDE: Final = frozenset({"anthropic", "aws.bedrock"})
"""Sellers whose own input count leaves the cache out: who passes their numbers on does so too."""

Providers = frozenset[str] | None
"""Sellers for whom something holds; None: not known of this emitter, so that the numbers themselves decide."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one emitter counts. `scopes`: prefixes of its instrumentation scope's name.

    `cache_beside`: sellers of whose calls it tells cached tokens beside the input, of all others inside;
    `reasoning_beside`: the same of reasoning and output. `tells_streams_after`: a stream has a span for the request,
    which tells no answer, and one for the answer. `first_token_unit_ns`: of `gen_ai.server.time_to_first_token`.
    """

    name: str
    scopes: tuple[str, ...] = ()
    cache_beside: Providers = frozenset()
    reasoning_beside: frozenset[str] = frozenset()
    tells_streams_after: bool = False
    first_token_unit_ns: int = 1_000_000_000


WIRE: Final = Dialect("wire", (sc.WIRE_SCOPE,))
OTEL: Final = Dialect("otel", cache_beside=None)
"""The conventions, for whoever has no row: "input SHOULD include cached", and the numbers tell who does not."""

_OPENLLMETRY: Final = tuple(
    f"opentelemetry.instrumentation.{library}"
    for library in (
        *("alephalpha", "anthropic", "bedrock", "cohere", "crewai", "google_generativeai", "groq", "haystack"),
        *("langchain", "llamaindex", "mistralai", "ollama", "openai.", "openai_agents", "replicate", "sagemaker"),
        *("together", "transformers", "vertexai", "voyageai", "watsonx", "writer"),
    )
)

DIALECTS: Final = (
    WIRE,
    # OpenTelemetry's own: util-genai sums; the Bedrock extension of botocore passes Converse's numbers on.
    Dialect("otel-botocore", ("opentelemetry.instrumentation.botocore",), cache_beside=frozenset({"aws.bedrock"})),
    Dialect(
        "otel-contrib",
        (
            "opentelemetry.instrumentation.openai_v2",
            "opentelemetry.instrumentation.google_genai",
            "opentelemetry.instrumentation.genai",
            "opentelemetry.util.genai",
        ),
    ),
    Dialect("openllmetry", _OPENLLMETRY, cache_beside=frozenset({"aws.bedrock"})),
    Dialect("openinference", ("openinference.instrumentation", "@arizeai/openinference")),
    Dialect("openlit", ("openlit",), cache_beside=_RAW_BESIDE),
    Dialect("pydantic-ai", ("pydantic-ai", "pydantic_ai")),
    Dialect("logfire", ("logfire",), tells_streams_after=True),
    Dialect("vercel-ai", ("ai", "@ai-sdk/"), cache_beside=_RAW_BESIDE),
    Dialect("langsmith", ("langsmith",)),
    Dialect("langfuse", ("langfuse",)),
    Dialect("google-adk", ("gcp.vertex.agent", "google.adk", "google_adk")),
    Dialect("strands", ("strands",), first_token_unit_ns=1_000_000),
    Dialect("semantic-kernel", ("semantic_kernel", "Microsoft.SemanticKernel"), cache_beside=_RAW_BESIDE),
    Dialect(
        "agent-framework",
        ("agent_framework", "Microsoft.Agents.AI", "Experimental.Microsoft.Agents.AI"),
        cache_beside=_RAW_BESIDE,
    ),
    Dialect("microsoft-extensions-ai", ("Experimental.Microsoft.Extensions.AI", "Microsoft.Extensions.AI")),
    Dialect("litellm", ("litellm",)),
)


def dialect_of(scope: str) -> Dialect:
    """The row for an instrumentation scope; the conventions themselves where no row claims it."""
    return next((row for row in DIALECTS if any(_is_of(scope, name) for name in row.scopes)), OTEL)


def _is_of(scope: str, name: str) -> bool:
    """Short names are whole names: a scope `ai.example` is not Vercel's `ai`."""
    return scope == name or (len(name) > 2 and scope.startswith(name))


NESTED: Final[Mapping[Bucket, tuple[Bucket, ...]]] = {
    Bucket.CACHE_READ: (Bucket.CACHE_READ_AUDIO, Bucket.CACHE_READ_IMAGE, Bucket.CACHE_READ_VIDEO),
    Bucket.CACHE_WRITE: (Bucket.CACHE_WRITE_1H,),
    Bucket.INPUT_AUDIO: (Bucket.CACHE_READ_AUDIO,),
    Bucket.INPUT_IMAGE: (Bucket.CACHE_READ_IMAGE,),
}
"""Attributes whose count includes that of others: a cached audio token is told by all of `cache_read`, `audio` and
`audio.cache_read`, and belongs to one bucket."""
