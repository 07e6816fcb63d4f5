"""Who sells the tokens: one row per seller.

A price belongs to the seller, not to the maker of the model, and the seller is found from the URL. Names follow
`gen_ai.provider.name`; a seller the conventions do not list has the id that genai-prices gives it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final


@dataclass(frozen=True, slots=True)
class Seller:
    """A seller of inference.

    `hosts` are host names; one that starts with `.` or `-` matches every host that ends so, one with `*` is a shell
    pattern, one with a path matches only requests below that path. Hosts where anybody may serve anything (the API
    gateways of a cloud) are nobody's: who sells there is configured. `ids_unique`: its response ids are unique across
    all customers and time, so they identify a call by themselves; of gateways and of servers that anybody can run, that
    is not known.
    """

    name: str
    price_id: str
    hosts: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    ids_unique: bool = True
    sold_by_request: bool = False


def _gateway(
    name: str, *hosts: str, price_id: str = "", aliases: tuple[str, ...] = (), sold_by_request: bool = False
) -> Seller:
    """A seller whose response ids may come again: they are another's, or not known to be unique."""
    return Seller(name, price_id or name, hosts, aliases, ids_unique=False, sold_by_request=sold_by_request)


SELLERS: Final = (
    Seller("openai", "openai", ("api.openai.com", ".api.openai.com")),
    Seller("anthropic", "anthropic", ("api.anthropic.com",)),
    Seller(
        "azure.ai.openai",
        "azure",
        (".openai.azure.com", ".cognitiveservices.azure.com"),
        ("az.ai.openai", "azure", "azure_openai"),
    ),
    Seller(
        "azure.ai.inference",
        "azure",
        (".services.ai.azure.com", ".inference.ai.azure.com", ".models.ai.azure.com"),
        ("az.ai.inference", "azure_ai_foundry"),
    ),
    Seller(
        "aws.bedrock",
        "aws",
        ("*bedrock-*.amazonaws.com", "bedrock-*.api.aws"),
        ("aws_bedrock", "bedrock"),
        sold_by_request=True,
    ),
    Seller("gcp.gemini", "google", ("generativelanguage.googleapis.com",), ("gemini", "google", "gcp.gen_ai")),
    Seller(
        "gcp.vertex_ai",
        "google",
        ("aiplatform.googleapis.com", "-aiplatform.googleapis.com", ".rep.googleapis.com"),
        ("vertex_ai", "vertexai"),
    ),
    Seller("groq", "groq", ("api.groq.com",)),
    Seller("mistral_ai", "mistral", ("api.mistral.ai", "codestral.mistral.ai"), ("mistral", "mistralai")),
    Seller("cohere", "cohere", ("api.cohere.com", "api.cohere.ai")),
    Seller("deepseek", "deepseek", ("api.deepseek.com",)),
    Seller("x_ai", "x-ai", ("api.x.ai", ".api.x.ai"), ("xai", "x-ai")),
    Seller("perplexity", "perplexity", ("api.perplexity.ai",)),
    Seller("moonshot_ai", "moonshotai", ("api.moonshot.ai", "api.moonshot.cn"), ("moonshotai",)),
    Seller("openrouter", "openrouter", ("openrouter.ai", "api.openrouter.ai")),
    Seller("together", "together", ("api.together.xyz", "api.together.ai"), ("together_ai",)),
    Seller("fireworks", "fireworks", ("api.fireworks.ai",), ("fireworks_ai",)),
    Seller("cerebras", "cerebras", ("api.cerebras.ai",)),
    Seller("voyageai", "voyageai", ("api.voyageai.com",), ("voyage",)),
    Seller("zai", "zai", ("api.z.ai",)),
    Seller("ibm.watsonx.ai", "watsonx", (".ml.cloud.ibm.com",), ("watsonx",)),
    Seller("replicate", "replicate", ("api.replicate.com",)),
    _gateway("aleph_alpha", "api.aleph-alpha.com", aliases=("alephalpha",)),
    _gateway("alibaba", "dashscope.aliyuncs.com", "dashscope-intl.aliyuncs.com", "dashscope-us.aliyuncs.com"),
    _gateway("arcee", "api.arcee.ai"),
    _gateway("avian", "api.avian.io"),
    _gateway("baseten", "inference.baseten.co"),
    _gateway("cloudflare", "api.cloudflare.com", "gateway.ai.cloudflare.com"),
    _gateway("crusoe", "api.inference.crusoecloud.com"),
    _gateway("databricks", ".cloud.databricks.com", ".azuredatabricks.net", ".gcp.databricks.com"),
    _gateway("doubleword", "api.doubleword.ai"),
    _gateway("github_copilot", "api.githubcopilot.com", ".githubcopilot.com", price_id="github-copilot"),
    _gateway("heroku", ".inference.heroku.com"),
    # The router passes a call on to the seller in its path, at that seller's price.
    *(
        _gateway(f"huggingface_{name}", f"router.huggingface.co/{name}")
        for name in (
            *("cerebras", "fireworks-ai", "groq", "hyperbolic", "nebius", "novita"),
            *("nscale", "ovhcloud", "publicai", "sambanova", "together"),
        )
    ),
    _gateway(
        "huggingface",
        *("router.huggingface.co", "api-inference.huggingface.co", ".endpoints.huggingface.cloud"),
        sold_by_request=True,
    ),
    _gateway("hyperbolic", "api.hyperbolic.xyz"),
    _gateway("meta", "api.meta.ai", "api.llama.com"),
    _gateway("minimax", "api.minimax.io", "api.minimaxi.com", "api.minimax.com"),
    _gateway("modal", ".modal.run", ".modal.direct"),
    _gateway("nebius", "api.studio.nebius.com", "api.tokenfactory.nebius.com"),
    _gateway("novita", "api.novita.ai"),
    _gateway("nvidia", "integrate.api.nvidia.com"),
    _gateway("ollama", "ollama.com", "api.ollama.com"),
    _gateway("ovhcloud", "oai.endpoints.kepler.ai.cloud.ovh.net"),
    _gateway("portkey", "api.portkey.ai"),
    _gateway("pydantic_gateway", "gateway.pydantic.dev"),
    _gateway("sambanova", "api.sambanova.ai"),
    _gateway("snowflake", ".snowflakecomputing.com"),
    _gateway("vercel", "ai-gateway.vercel.sh", aliases=("vercel_gateway",)),
    _gateway("writer", "api.writer.com"),
    _gateway("zhipuai", "open.bigmodel.cn"),
)

_BY_NAME: Final[Mapping[str, Seller]] = {name: seller for seller in SELLERS for name in (seller.name, *seller.aliases)}
_BY_HOST: Final[Mapping[str, Seller]] = {host: seller for seller in SELLERS for host in seller.hosts}
_BY_SUFFIX: Final = tuple((host, seller) for host, seller in _BY_HOST.items() if host[0] in ".-")
_BY_PATTERN: Final = tuple((host, seller) for host, seller in _BY_HOST.items() if "*" in host)
_WITH_PATHS: Final = frozenset(host.partition("/")[0] for host in _BY_HOST if "/" in host)

MAX_CACHED_HOSTS: Final = 1_024


def seller_named(name: str) -> Seller | None:
    """The seller of that name or alias, in any case."""
    return _BY_NAME.get(name) or _BY_NAME.get(name.lower())


def canonical_seller(name: str) -> str:
    """A seller's own name for its name or an alias of it; any other name, such as a host, as it is."""
    seller = seller_named(name)
    return seller.name if seller else name


def seller_at(host: str, path: str = "") -> Seller | None:
    """The seller that owns a host name (no port), or the part of it that a path begins with."""
    if host in _WITH_PATHS:
        below = _BY_HOST.get(f"{host}/{path.lstrip('/').partition('/')[0]}")
        if below:
            return below
    return _at(host)


@lru_cache(MAX_CACHED_HOSTS)
def _at(host: str) -> Seller | None:
    found = _BY_HOST.get(host)
    if found:
        return found
    ending = next((seller for suffix, seller in _BY_SUFFIX if host.endswith(suffix)), None)
    return ending or next((seller for pattern, seller in _BY_PATTERN if fnmatchcase(host, pattern)), None)
