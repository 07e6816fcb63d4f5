"""How sellers name models, and whose row a name finds: real names of recorded exchanges and of the sellers' docs."""

from datetime import UTC, datetime

import pytest
from genai_prices.data_snapshot import get_snapshot

from otel_llmcost.pricing import PriceBook
from otel_llmcost.pricing.rates import NoPrice, Rates
from otel_llmcost.providers.sellers import SELLERS, seller_named
from pricing.book_cases import ns
from pricing.test_book import make_call

BOOK = PriceBook.bundled()
AT_NS = ns(datetime(2026, 11, 20, 12, tzinfo=UTC))
ARN = "arn:aws:bedrock:us-east-1:000000000000"
SONNET = "anthropic.claude-sonnet-4-5-20250929-v1:0"


def found(provider: str, reference: str) -> tuple[str, str]:
    """Row (without seller and date) and reason; no row where there is no price."""
    rates = BOOK.rates(provider, reference, AT_NS, {})
    if isinstance(rates, NoPrice):
        return "", rates.reason
    assert isinstance(rates, Rates)
    assert rates.price_id.startswith(f"{provider}/") or provider == "huggingface"
    return rates.price_id.partition("/")[2].rpartition("@")[0], rates.reason


@pytest.mark.parametrize(
    ("provider", "reference", "row", "reason"),
    [
        # Bedrock: profiles of a region and of the world have rows of their own; the ARN of either is the same profile
        ("aws.bedrock", f"us.{SONNET}", f"regional.{SONNET}", ""),
        ("aws.bedrock", f"eu.{SONNET}", f"regional.{SONNET}", ""),
        ("aws.bedrock", SONNET, f"regional.{SONNET}", ""),
        ("aws.bedrock", f"global.{SONNET}", f"global.{SONNET}", ""),
        ("aws.bedrock", f"{ARN}:inference-profile/us.{SONNET}", f"regional.{SONNET}", ""),
        ("aws.bedrock", f"{ARN}:inference-profile/global.{SONNET}", f"global.{SONNET}", ""),
        ("aws.bedrock", f"arn:aws:bedrock:eu-west-1::foundation-model/{SONNET}", f"regional.{SONNET}", ""),
        ("aws.bedrock", f"bedrock/us.{SONNET}", f"regional.{SONNET}", ""),
        ("aws.bedrock", "us.amazon.nova-micro-v1:0", "amazon.nova-micro-v1:0", ""),
        ("aws.bedrock", "meta.llama3-1-8b-instruct-v1:0:128k", "meta.llama3-1-8b-instruct-v1:0", ""),
        ("aws.bedrock", "openai.gpt-oss-20b", "openai.gpt-oss-20b-1:0", ""),
        # Azure: its own row, else its maker's, said so
        ("azure.ai.openai", "o4-mini-2025-04-16", "o4-mini", ""),
        ("azure.ai.openai", "gpt-4o-2024-11-20", "gpt-4o", "price_of:openai"),
        ("azure.ai.openai", "gpt-35-turbo", "gpt-3.5-turbo", "price_of:openai"),
        ("azure.ai.inference", "grok-4-1-fast-non-reasoning", "grok-4-1-fast-non-reasoning", "price_of:x-ai"),
        # Vertex and Gemini
        ("gcp.vertex_ai", "publishers/anthropic/models/claude-3-7-sonnet@20250219", "claude-3-7-sonnet", ""),
        ("gcp.vertex_ai", "projects/p/locations/eu/publishers/google/models/gemini-2.5-pro", "gemini-2.5-pro", ""),
        ("gcp.vertex_ai", "claude-sonnet-4-5@20250929", "claude-sonnet-4-5", ""),
        ("gcp.vertex_ai", "google/gemini-2.5-flash", "gemini-2.5-flash", ""),
        ("gcp.gemini", "models/gemini-2.5-pro", "gemini-2.5-pro", ""),
        ("gcp.gemini", "gemini-2.5-pro-preview-05-06", "gemini-2.5-pro", ""),
        ("gcp.gemini", "gemini-2.0-flash-001", "gemini-2.0-flash", ""),
        # OpenRouter: slugs, their dated spelling, variants
        ("openrouter", "anthropic/claude-haiku-4.5", "anthropic/claude-haiku-4.5", ""),
        ("openrouter", "anthropic/claude-4.5-haiku-20251001", "anthropic/claude-haiku-4.5", ""),
        ("openrouter", "openai/gpt-5-mini-2025-08-07", "openai/gpt-5-mini", ""),
        ("openrouter", "google/gemini-3.1-flash-lite-preview-20260303", "google/gemini-3.1-flash-lite", ""),
        ("openrouter", "openai/gpt-4o:nitro", "openai/gpt-4o", "routing_variant:nitro"),
        ("openrouter", "openai/gpt-4o:floor", "openai/gpt-4o", "routing_variant:floor"),
        ("openrouter", "openai/gpt-4o:online", "openai/gpt-4o", "web_plugin_not_priced"),
        ("openrouter", "meta-llama/llama-3.3-70b-instruct:free", "meta-llama/llama-3.3-70b-instruct:free", "free"),
        ("openrouter", "minimax/minimax-m2:free", "minimax/minimax-m2:free", "free"),
        # gateways without a list that sell at the maker's
        ("vercel", "anthropic/claude-sonnet-4", "claude-sonnet-4-0", "price_of:anthropic"),
        ("vercel", "openai/gpt-5", "gpt-5", "price_of:openai"),
        # fine-tunes: their own price or none
        ("openai", "ft:gpt-4o-mini-2024-07-18:acme::abc", "ft:gpt-4o-mini", ""),
        ("openai", "ft:gpt-4o-mini:acme::abc", "ft:gpt-4o-mini", ""),
        ("openai", "ft:gpt-3.5-turbo-0125:acme:support:abc", "ft:gpt-3.5-turbo-", ""),
        ("azure.ai.openai", "gpt-4o-mini-2024-07-18.ft-0a1b", "gpt-4o-mini-2024-07-18.ft-", "price_of:openai"),
        # dated aliases
        ("openai", "gpt-4o-2024-08-06", "gpt-4o", ""),
        ("openai", "gpt-4o-2024-05-13", "gpt-4o-2024-05-13", ""),
        ("openai", "gpt-5.2-20251211", "gpt-5.2", ""),
        ("openai", "gpt-4o-2027-01-01", "gpt-4o", "price_of_model:gpt-4o"),
        ("openai", "openai/gpt-4o", "gpt-4o", ""),
        ("openai", "omni-moderation-latest", "moderation", "free"),
        ("anthropic", "claude-3-7-sonnet-20250219", "claude-3-7-sonnet-latest", ""),
        ("anthropic", "claude-3-5-haiku-latest", "claude-3-5-haiku-latest", ""),
        ("anthropic", "claude-2.1", "claude-2", ""),
        ("mistral_ai", "mistral-large-latest", "mistral-large", ""),
        # Together, Fireworks
        ("together", "meta-llama/Llama-3.3-70B-Instruct-Turbo", "meta-llama/Llama-3.3-70B-Instruct-Turbo", ""),
        ("fireworks", "accounts/fireworks/models/deepseek-v3p2", "deepseek-v3p2", ""),
        ("fireworks", "deepseek-v3p2", "deepseek-v3p2", ""),
    ],
)
def test_a_reference_finds_its_row(provider: str, reference: str, row: str, reason: str) -> None:
    """And the reason says where that is not the seller's own or not the plain one."""
    assert (row, reason) == found(provider, reference)
    assert (row, reason) == found(provider, reference.upper())


@pytest.mark.parametrize(
    ("provider", "reference", "reason"),
    [
        ("aws.bedrock", f"{ARN}:application-inference-profile/abc", "unmapped_model"),
        ("aws.bedrock", f"{ARN}:provisioned-model/abc", "unmapped_model"),
        ("aws.bedrock", f"{ARN}:custom-model/amazon.nova-lite-v1:0/abc", "unmapped_model"),
        ("gcp.vertex_ai", "projects/p/locations/us/endpoints/123", "unmapped_model"),
        ("gcp.gemini", "tunedModels/abc", "unmapped_model"),
        ("fireworks", "accounts/acme/models/mine", "unmapped_model"),
        ("fireworks", "accounts/fireworks/models/kimi-k3#accounts/acme/deployments/1", "unmapped_model"),
        ("openai", "ft:gpt-4-0613:acme::abc", "fine_tune_without_price"),
        ("openai", "ft:gpt-4.1-mini-2025-04-14:acme::abc", "fine_tune_without_price"),
        ("openai", "curie:ft-acme-2022-01-01", "fine_tune_without_price"),
        ("azure.ai.openai", "my-deployment", "unknown_model"),
        ("vercel", "nobody/gpt-5", "unknown_model"),
        ("huggingface", "deepseek-ai/DeepSeek-R1:fastest", "unknown_provider:huggingface_fastest"),
    ],
)
def test_what_a_name_does_not_tell_has_no_price(provider: str, reference: str, reason: str) -> None:
    """The reason names it, and says whether a deployment map is missing."""
    row, said = found(provider, reference)
    assert ("", reason if ":" in reason else f"{reason}:{reference}") == (row, said)


@pytest.mark.parametrize(
    ("provider", "reference", "taken_for"),
    [
        ("anthropic", "claude-opus-4-10", "claude-opus-4-1"),
        ("anthropic", "claude-sonnet-4-5-fast", "claude-sonnet-4-5"),
        ("openai", "gpt-5-nano-deluxe", "gpt-5-nano"),
        ("openai", "ft:gpt-4-0613:acme::abc", "gpt-4"),
        ("aws.bedrock", "global.amazon.nova-lite-v1:0", "amazon.nova-lite-v1:0"),
        ("aws.bedrock", "anthropic.claude-opus-4-8-fast", "regional.anthropic.claude-opus-4-8-v1:0"),
        ("azure.ai.openai", "team-o4-mini-eval", "o4-mini"),
        ("gcp.gemini", "gemini-3.6-flash-lite", "gemini-3.6-flash"),
        ("deepseek", "deepseek-r1-distill-llama-70b", "deepseek-reasoner"),
    ],
)
def test_a_name_that_is_only_like_another_has_no_price(provider: str, reference: str, taken_for: str) -> None:
    """genai-prices takes each of these for a model of another price; we say that we do not know it."""
    snapshot = get_snapshot()
    seller = seller_named(provider)
    theirs = next(p for p in snapshot.providers if p.id == seller.price_id).find_model(reference)
    assert taken_for == theirs.id
    row, reason = found(provider, reference)
    assert ("", reference) == (row, reason.partition(":")[2])


def test_an_own_row_is_taken_before_the_makers_that_is_like_it() -> None:
    """Azure's row for o4-mini is not the one of o4-mini-deep-research, which is OpenAI's alone."""
    assert ("o4-mini-deep-research", "price_of:openai") == found("azure.ai.openai", "o4-mini-deep-research")


@pytest.mark.parametrize(
    ("provider", "requested", "model", "price_id", "reason"),
    [
        # the answer tells neither region nor route: the request does
        ("aws.bedrock", f"global.{SONNET}", "claude-sonnet-4-5-20250929", f"global.{SONNET}", ""),
        (
            *("aws.bedrock", f"{ARN}:application-inference-profile/abc", "claude-sonnet-4-5-20250929"),
            *(f"regional.{SONNET}", f"price_of_responding_model:{ARN}:application-inference-profile/abc"),
        ),
        ("openrouter", "openai/gpt-oss-20b:free", "openai/gpt-oss-20b", "openai/gpt-oss-20b:free", "free"),
        # a gateway may answer with another model
        ("openrouter", "openai/gpt-4o", "anthropic/claude-haiku-4.5", "anthropic/claude-haiku-4.5", ""),
        # a deployment's name tells nothing where the answer does
        ("azure.ai.openai", "prod-chat", "gpt-4o-2024-11-20", "gpt-4o", "price_of:openai"),
        ("openai", "gpt-4o", "a-name-of-its-own", "gpt-4o", "price_of_requested_model:a-name-of-its-own"),
        (
            *("azure.ai.openai", "gpt-4o", "a-name-of-its-own", "gpt-4o"),
            "price_of_requested_model:a-name-of-its-own; price_of:openai",
        ),
    ],
)
def test_two_names_of_a_call(provider: str, requested: str, model: str, price_id: str, reason: str) -> None:
    """Which of the names of request and answer sets the price depends on the seller; a fallback is said."""
    price = BOOK.price_of(make_call({}, model, provider, requested_model=requested))
    assert (price_id, reason) == (price.rates.price_id.partition("/")[2].rpartition("@")[0], price.rates.reason)


def test_a_paid_model_that_answers_for_a_free_variant_is_not_free() -> None:
    """OpenRouter falls back to other models; one that the book does not know stays without a price."""
    call = make_call({}, "x-ai/grok-unheard-of", "openrouter", requested_model="google/gemini-2.0-flash-exp:free")
    assert NoPrice("unknown_model:x-ai/grok-unheard-of") == BOOK.price_of(call)


@pytest.mark.parametrize(
    ("provider", "reference", "first"),
    [
        ("openai", "gpt-5.2-proo", "gpt-5.2-pro"),
        ("anthropic", "claude-sonet-4-5", "claude-sonnet-4-5"),
        ("azure.ai.openai", "gpt-4o-minni", "gpt-4o-mini"),
        ("aws.bedrock", f"{ARN}:inference-profile/us.amazon.nova-mikro-v1:0", "amazon.nova-micro-v1:0"),
        ("vercel", "anthropic/claude-sonet-4-5", "anthropic/claude-sonnet-4-5"),
        ("opennai", "gpt-4o", "openai"),
    ],
)
def test_the_nearest_listed_names_are_suggested(provider: str, reference: str, first: str) -> None:
    """The likest first; of an unknown seller, sellers."""
    names = BOOK.suggest(provider, reference)
    assert first == names[0]
    assert len(names) <= 3
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    "hostile",
    [
        "claude-opus-4-1" + "-1234-12-34" * 2_000 + "x",
        "ft:" + "gpt-4o-mini-" * 2_000,
        "x" * 20_000 + ":free:nitro:online-latest",
        "arn:aws:bedrock:" + ":" * 20_000,
        "projects/p/locations/l/" * 1_000 + "models/m",
        "gpt-4o" + "-20241231" * 2_000 + "!",
    ],
    ids=lambda name: name[:20],
)
def test_a_hostile_name_is_only_a_name(hostile: str) -> None:
    """At every seller; a rule that goes back and forth in it would never end."""
    for seller in {seller.name for seller in SELLERS}:
        assert isinstance(BOOK.rates(seller, hostile, AT_NS, {}), NoPrice | Rates)


def test_nothing_is_suggested_where_nothing_is_like_it() -> None:
    """No name is better than a wrong one."""
    assert [] == BOOK.suggest("openai", "zzzzqqqqxxxx")


@pytest.mark.parametrize(
    ("context", "reason"),
    [
        ({"service_tier": "flex"}, "price_of:openai; no_price_for_tier:flex"),
        ({"processing": "batch"}, "price_of:openai; no_price_for_processing:batch"),
        ({"service_tier": "default"}, "price_of:openai"),
    ],
)
def test_anothers_list_says_nothing_of_tiers_here(context: dict[str, str], reason: str) -> None:
    """Azure's flex price is not OpenAI's: the plain price is taken, and that is said."""
    plain = BOOK.rates("azure.ai.openai", "gpt-5", AT_NS, {})
    rates = BOOK.rates("azure.ai.openai", "gpt-5", AT_NS, context)
    assert (plain.by_bucket, reason) == (rates.by_bucket, rates.reason)


def test_a_tier_that_has_no_price_yet_is_said() -> None:
    """The price of flex is known since 2026-10-12; a call of the day before has the plain price and the reason."""
    before = ns(datetime(2026, 10, 11, 23, 59, 59, tzinfo=UTC))
    day = ns(datetime(2026, 10, 12, tzinfo=UTC))
    reasons = [BOOK.rates("openai", "gpt-5", at_ns, {"service_tier": "flex"}).reason for at_ns in (before, day)]
    assert ["no_price_for_tier:flex", ""] == reasons


def test_a_batch_told_as_a_tier_has_the_price_of_a_batch() -> None:
    """Anthropic's Messages say `service_tier: batch`; the book calls it `processing: batch`."""
    told = BOOK.rates("anthropic", "claude-sonnet-4-5", AT_NS, {"service_tier": "batch"})
    plain = BOOK.rates("anthropic", "claude-sonnet-4-5", AT_NS, {})
    assert BOOK.rates("anthropic", "claude-sonnet-4-5", AT_NS, {"processing": "batch"}) == told
    assert {bucket: rate.base / 2 for bucket, rate in plain.by_bucket.items() if "searches" not in bucket} == {
        bucket: rate.base for bucket, rate in told.by_bucket.items() if "searches" not in bucket
    }
