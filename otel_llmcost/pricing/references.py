"""How sellers name models: a table of forms, from a reference as an API takes or gives it to the names of a list.

A reference is an ARN, a resource path, a slug with a variant, an alias with a date. Each form either takes a wrapper
away (the name inside is tried), spells the name another way (tried where the first is not listed), or says that what is
behind it cannot be known from the name. Sources: the sellers' API references, and recorded exchanges.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

FINE_TUNE: Final = re.compile(r"ft:(?P<base>[^:]+)(?::.*)?|(?P<azure>.+)\.ft-.*|[^:/]+:ft-.*", re.DOTALL)
"""Fine-tunes of OpenAI (`ft:<base>:<org>:<suffix>:<id>`, the legacy `<base>:ft-…`) and of Azure (`<base>.ft-…`)."""

DATE_TAIL: Final = r"[-@]\d{8}|[-@]\d{6}|-\d{4}-\d{2}-\d{2}|-\d{2}-\d{4}|-\d{2}-\d{2}|-\d{4}|-\d{3}"


@dataclass(frozen=True, slots=True)
class Name:
    """A name to look for. `mark` says what about it is not the plain name, and becomes part of the reason."""

    text: str
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Form:
    """One form: `pattern` of the whole reference, at these sellers (their ids in the book; all where empty).

    `to` is the template of the name inside or beside it; None where the name tells no price.
    """

    sellers: frozenset[str]
    pattern: re.Pattern[str]
    to: str | None
    mark: str = ""


def _form(sellers: str, pattern: str, to: str | None, mark: str = "") -> Form:
    return Form(frozenset(sellers.split()), re.compile(pattern, re.DOTALL), to, mark)


WRAPPERS: Final = (
    _form("aws", r"arn:aws[a-z-]*:bedrock:[^:]*:\d*:(?:foundation-model|inference-profile)/(.+)", r"\1"),
    _form("google", r"(?:projects/[^/]+/locations/[^/]+/)?publishers/[^/]+/models/(.+)", r"\1"),
    _form("google", r"(?:projects/[^/]+/locations/[^/]+/)?models/(.+)", r"\1"),
)

OPAQUE: Final = (
    _form("aws", r"arn:.*", None),  # application inference profiles, provisioned throughput, own models, routers
    _form("google", r"(?:.*/)?(?:endpoints|tunedmodels)/.+", None),
    _form("fireworks", r"accounts/(?!fireworks/).+|.*#.+", None),  # own models, deployments of one's own
)
"""Only a deployment map can tell what is behind these."""

SPELLINGS: Final = (
    _form("", r"(.+-)(20\d\d)(0[1-9]|1[0-2])([0-2]\d|3[01])((?:[-:].*)?)", r"\1\2-\3-\4\5"),
    _form("anthropic", r"(claude-2)\.[01]", r"\1"),
    _form("aws", r"(openai\.gpt-oss-(?:20|120)b)", r"\1-1:0"),  # the endpoint that speaks the OpenAI APIs
    _form("aws", r"bedrock/(?:converse/|invoke/)?(.+)", r"\1"),
    _form("azure", r"azure(?:_ai)?/(.+)", r"\1"),
    _form("google", r"(?:vertex_ai|gemini|google|anthropic|meta)/(.+)", r"\1"),
    _form("openai anthropic mistral groq cohere deepseek perplexity cerebras", r"(?:[a-z]+)/(.+)", r"\1"),
    _form("x-ai", r"(?:xai|x-ai)/(.+)", r"\1"),
    _form("openrouter", r"openrouter/(.+)", r"\1"),
    _form("fireworks", r"fireworks_ai/(.+)", r"\1"),
    _form("together", r"together_ai/(.+)", r"\1"),
    # A slug with its date is the same listing, spelled for good.
    _form("openrouter", rf"(.+?)(?:{DATE_TAIL})", r"\1"),
    # How a route is chosen; whoever then serves may ask another price than the listed one.
    _form("openrouter", r"(.+):(nitro|floor|exacto)", r"\1", r"routing_variant:\2"),
    _form("openrouter", r"(.+):online", r"\1", "web_plugin_not_priced"),
    _form("", r"(.+)-latest", r"\1", r"price_of_model:\1"),
    _form("", rf"(.+?)(?:{DATE_TAIL})", r"\1", r"price_of_model:\1"),
)
"""Tried in order where the name itself is not listed; a later one also on what an earlier one made."""

FREE_VARIANT: Final = _form("openrouter", r".+:free", None)
"""OpenRouter asks nothing for variants with this ending."""

SUB_SELLERS: Final[Mapping[str, Form]] = {
    "huggingface": _form("huggingface", r"(.+):([a-z][a-z0-9-]*)", r"huggingface_\2"),
}
"""Sellers whose reference may name the one that serves and sets the price."""

PASS_THROUGH: Final[Mapping[str, Mapping[str, str]]] = {
    "vercel": {
        **{maker: maker for maker in ("anthropic", "openai", "google", "cohere", "deepseek", "mistral", "moonshotai")},
        **{maker: maker for maker in ("perplexity", "voyageai", "zai", "minimax")},
        "voyage": "voyageai",
        "xai": "x-ai",
    },
}
"""Sellers without a list that sell `maker/model` at the maker's list price, and the makers' lists. Sources: Vercel AI
Gateway's pricing (no mark-up on list prices), and the cost that it states in recorded answers.
"""


def unwrapped(seller: str, reference: str) -> str | None:
    """The name inside a reference, in lower case; None where only configuration can tell what is behind it."""
    name = reference.strip().lower()
    for form in WRAPPERS:
        if seller in form.sellers and (found := form.pattern.fullmatch(name)):
            name = found.expand(form.to or "")
    opaque = any(seller in form.sellers and form.pattern.fullmatch(name) for form in OPAQUE)
    return None if opaque else name


def spellings(seller: str, name: str) -> Iterator[Name]:
    """The name, and how else it may be listed, the nearest first."""
    names = [Name(name)]
    yield names[0]
    for form in SPELLINGS:
        if form.sellers and seller not in form.sellers:
            continue
        for known in tuple(names):
            found = form.pattern.fullmatch(known.text)
            if found is None:
                continue
            marks = [mark for mark in (known.mark, found.expand(form.mark)) if mark]
            spelled = Name(found.expand(form.to or ""), "; ".join(marks))
            if all(spelled.text != other.text for other in names):
                names.append(spelled)
                yield spelled


def sub_seller(seller: str, name: str) -> tuple[str, str] | None:
    """The seller that a reference names, and the name there; None where it names none."""
    form = SUB_SELLERS.get(seller)
    found = form.pattern.fullmatch(name) if form else None
    return (found.expand(form.to or ""), found[1]) if form and found else None
