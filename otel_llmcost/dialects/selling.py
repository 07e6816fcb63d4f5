"""The seller of a call, from what an emitter says: emitters name makers, frameworks and SDK classes as well."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from otel_llmcost.providers.sellers import seller_at, seller_named

MAX_CACHED: Final = 4_096

FRAMEWORKS: Final = frozenset(
    {
        *("strands-agents", "gcp.vertex.agent", "langchain", "llamaindex", "llama_index", "crewai", "haystack"),
        *("semantic_kernel", "microsoft.agent_framework", "agno", "litellm", "dspy", "custom", "unknown", "_other"),
    }
)
"""Written where the provider should stand."""

_NAMES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("google_genai", "google_generativeai", "google-gla", "google-gemini"), "gcp.gemini"),
    **dict.fromkeys(("google.generative-ai", "generative-ai", "google_ai_studio"), "gcp.gemini"),
    **dict.fromkeys(("google_vertexai", "google-vertex", "google.vertex", "vertex", "vertex_ai_beta"), "gcp.vertex_ai"),
    **dict.fromkeys(("vertex.anthropic", "google_anthropic_vertex", "anthropic_vertex"), "gcp.vertex_ai"),
    **dict.fromkeys(("aws", "amazon", "amazon_bedrock", "amazon-bedrock", "bedrock_converse"), "aws.bedrock"),
    **dict.fromkeys(("bedrock-runtime", "anthropic_bedrock", "chatbedrock"), "aws.bedrock"),
    **dict.fromkeys(("azure-openai", "azure_text", "microsoft"), "azure.ai.openai"),
    **dict.fromkeys(("azure_ai", "azure-ai", "azure.ai"), "azure.ai.inference"),
    **dict.fromkeys(("mistral-ai", "mistral_ai"), "mistral_ai"),
    **dict.fromkeys(("cohere_chat", "cohere-v2"), "cohere"),
    **dict.fromkeys(("togetherai", "together-ai"), "together"),
    **dict.fromkeys(("fireworks-ai", "fireworksai"), "fireworks"),
    **dict.fromkeys(("moonshot", "moonshot-ai"), "moonshot_ai"),
    **dict.fromkeys(("hugging_face", "hf"), "huggingface"),
    **dict.fromkeys(("ollama_chat",), "ollama"),
    **dict.fromkeys(("grok", "xai_chat"), "x_ai"),
    **dict.fromkeys(("gateway", "vercel-ai-gateway"), "vercel"),
    **dict.fromkeys(("ibm", "watsonx_text"), "ibm.watsonx.ai"),
}
"""Names that emitters write, beside the sellers' own and their aliases."""

_CLASS: Final = re.compile(
    r"\.(?:chat|responses?|completions?|messages|embeddings?|text-?embedding|image|speech|transcription|rerank(?:ing)?)$"
)

_BY_MODEL: Final = (
    (re.compile(r"^(?:arn:aws[\w-]*:bedrock:|(?:us|us-gov|eu|apac|au|jp|ca|global)\.[a-z0-9]+\.)"), "aws.bedrock"),
    (re.compile(r"^(?:anthropic|amazon|meta|mistral|cohere|ai21|deepseek|openai|qwen|writer)\.[a-z]"), "aws.bedrock"),
    (re.compile(r"^claude-"), "anthropic"),
    (re.compile(r"^(?:gpt-|chatgpt-|o[1-9](?:-|$)|text-embedding-|ft:gpt-)"), "openai"),
    (re.compile(r"^(?:models/)?gemini-"), "gcp.gemini"),
    (re.compile(r"^(?:mistral|codestral|magistral|ministral|pixtral|devstral)-"), "mistral_ai"),
    (re.compile(r"^(?:command-|embed-(?:english|multilingual|v4))"), "cohere"),
    (re.compile(r"^grok-"), "x_ai"),
    (re.compile(r"^deepseek-(?:chat|reasoner)"), "deepseek"),
    (re.compile(r"^sonar"), "perplexity"),
)
"""Where nothing else tells the seller: forms that only one seller, or the maker itself, uses."""


@lru_cache(MAX_CACHED)
def seller_of(told: str, host: str, model: str) -> tuple[str, str]:
    """The seller's name, and how it was found where the emitter did not name it: `host`, `model`, or empty.

    The host wins over the name: an SDK of one vendor is used to call another (an OpenAI client at Groq), and prices
    belong to whom the request went to.
    """
    named = _named(told)
    at_host = seller_at(host)
    if at_host is not None:
        seller = seller_named(named)
        same = seller is not None and seller.price_id == at_host.price_id
        return (named, "") if same else (at_host.name, "host")
    if named:
        return named, ""
    prefix, slash, rest = model.partition("/")
    by_prefix = _named(prefix) if slash else ""
    if by_prefix:
        return by_prefix, "model"
    by_form = next((name for form, name in _BY_MODEL if form.match((rest if slash else model).lower())), "")
    return (by_form, "model") if by_form else (told, "")


def _named(told: str) -> str:
    """The seller that a name stands for; empty for a framework's, and the name itself where nobody knows it.

    Vercel and others write the SDK's class after the name: `openai.responses`, `mistral.chat`.
    """
    name = told.strip().lower()
    if not name or name in FRAMEWORKS:
        return ""
    for candidate in (name, _CLASS.sub("", name)):
        found = _NAMES.get(candidate)
        if found:
            return found
        seller = seller_named(candidate)
        if seller is not None:
            return seller.name
    return told


def host_of(address: str) -> str:
    """The host name of an address, which some emitters write as a whole URL."""
    if "/" not in address:
        return address
    try:
        return urlsplit(address if "//" in address else f"//{address}").hostname or ""
    except ValueError:
        return ""
