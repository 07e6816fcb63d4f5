"""Who sells the tokens: one row per seller.

A price belongs to the seller, not to the maker of the model, and the seller is found from the URL. Names follow
`gen_ai.provider.name`; a seller the conventions do not list has the id that genai-prices gives it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Seller:
    """A seller of inference.

    `hosts` are host names; one that starts with `.` or `-` matches every host that ends so. `ids_unique`: its
    response ids are unique across all customers and time, so they identify a call by themselves.
    """

    name: str
    price_id: str
    hosts: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    ids_unique: bool = True


SELLERS: Final = (
    Seller("openai", "openai", ("api.openai.com", ".api.openai.com")),
    Seller("anthropic", "anthropic", ("api.anthropic.com",)),
    Seller(
        "azure.ai.openai",
        "azure",
        (".openai.azure.com", ".azure-api.net", ".cognitiveservices.azure.com"),
        ("az.ai.openai", "azure", "azure_openai"),
    ),
    Seller(
        "azure.ai.inference",
        "azure",
        (".services.ai.azure.com", ".inference.ai.azure.com"),
        ("az.ai.inference", "azure_ai_foundry"),
    ),
    Seller("aws.bedrock", "aws", (".amazonaws.com",), ("aws_bedrock", "bedrock")),
    Seller("gcp.gemini", "google", ("generativelanguage.googleapis.com",), ("gemini", "google", "gcp.gen_ai")),
    Seller(
        "gcp.vertex_ai",
        "google",
        ("aiplatform.googleapis.com", "-aiplatform.googleapis.com"),
        ("vertex_ai", "vertexai"),
    ),
    Seller("groq", "groq", ("api.groq.com",)),
    Seller("mistral_ai", "mistral", ("api.mistral.ai",), ("mistral", "mistralai")),
    Seller("cohere", "cohere", ("api.cohere.com", "api.cohere.ai")),
    Seller("deepseek", "deepseek", ("api.deepseek.com",)),
    Seller("x_ai", "x-ai", ("api.x.ai",), ("xai", "x-ai")),
    Seller("perplexity", "perplexity", ("api.perplexity.ai",)),
    Seller("moonshot_ai", "moonshotai", ("api.moonshot.ai", "api.moonshot.cn"), ("moonshotai",)),
    Seller("openrouter", "openrouter", ("openrouter.ai",)),
    Seller("together", "together", ("api.together.xyz", "api.together.ai"), ("together_ai",)),
    Seller("fireworks", "fireworks", ("api.fireworks.ai",), ("fireworks_ai",)),
    Seller("cerebras", "cerebras", ("api.cerebras.ai",)),
    Seller("voyageai", "voyageai", ("api.voyageai.com",), ("voyage",)),
    Seller("zai", "zai", ("api.z.ai",)),
)

_BY_NAME: Final[Mapping[str, Seller]] = {name: seller for seller in SELLERS for name in (seller.name, *seller.aliases)}
_BY_HOST: Final[Mapping[str, Seller]] = {host: seller for seller in SELLERS for host in seller.hosts}
_BY_SUFFIX: Final = tuple((host, seller) for host, seller in _BY_HOST.items() if host[0] in ".-")


def seller_named(name: str) -> Seller | None:
    """The seller of that name or alias, in any case."""
    return _BY_NAME.get(name) or _BY_NAME.get(name.lower())


def seller_at(host: str) -> Seller | None:
    """The seller that owns a host name (no port)."""
    found = _BY_HOST.get(host)
    if found:
        return found
    return next((seller for suffix, seller in _BY_SUFFIX if host.endswith(suffix)), None)
