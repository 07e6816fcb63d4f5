"""A LiteLLM price file (`model_prices_and_context_window.json`) → the `models` of a price file.

Source: the schema beside that file in BerriAI/litellm. Costs are USD per unit; `_above_<n>k_tokens` is the rate of
calls with more input than that, `_batches`, `_flex` and `_priority` that of a processing tier. What cannot be said in a
price file is told, never guessed.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from hashlib import sha256
from typing import Any, Final

import yaml

from otel_llmcost.call import Bucket
from otel_llmcost.config_types import MAX_AMOUNT
from otel_llmcost.errors import InputError
from otel_llmcost.money import EXACT
from otel_llmcost.pricing.overlays.patterns import MAX_PATTERN
from otel_llmcost.pricing.overlays.units import per_unit
from otel_llmcost.providers.sellers import seller_named

LEAST_AMOUNT: Final = Decimal("1e-20")
"""USD per token; a price file takes 30 digits."""
BUCKETS: Final[Mapping[str, Bucket]] = {
    "input_cost_per_token": Bucket.INPUT,
    "output_cost_per_token": Bucket.OUTPUT,
    "cache_read_input_token_cost": Bucket.CACHE_READ,
    "input_cost_per_token_cache_hit": Bucket.CACHE_READ,
    "cache_creation_input_token_cost": Bucket.CACHE_WRITE,
    "cache_creation_input_token_cost_above_1hr": Bucket.CACHE_WRITE_1H,
    "output_cost_per_reasoning_token": Bucket.REASONING,
    "citation_cost_per_token": Bucket.OUTPUT_CITATION,
    "input_cost_per_audio_token": Bucket.INPUT_AUDIO,
    "output_cost_per_audio_token": Bucket.OUTPUT_AUDIO,
    "cache_read_input_audio_token_cost": Bucket.CACHE_READ_AUDIO,
    "input_cost_per_image_token": Bucket.INPUT_IMAGE,
    "output_cost_per_image_token": Bucket.OUTPUT_IMAGE,
    "cache_read_input_image_token_cost": Bucket.CACHE_READ_IMAGE,
    "input_cost_per_video_token": Bucket.INPUT_VIDEO,
    "output_cost_per_video_token": Bucket.OUTPUT_VIDEO,
    "ocr_cost_per_page": Bucket.DOCUMENT_PAGES,
    "annotation_cost_per_page": Bucket.ANNOTATED_PAGES,
}
IN_MODE: Final[Mapping[tuple[str, str], Bucket]] = {
    ("audio_transcription", "input_cost_per_second"): Bucket.AUDIO_SECONDS,
    ("rerank", "input_cost_per_query"): Bucket.RERANK_SEARCHES,
}
"""Keys whose unit depends on the mode of the model."""
REQUEST: Final = "input_cost_per_request"
SEARCHES: Final = "search_context_cost_per_query"
TIERS: Final[Mapping[str, Mapping[str, str]]] = {
    "": {},
    "batches": {"processing": "batch"},
    "flex": {"service_tier": "flex"},
    "priority": {"service_tier": "priority"},
}
"""Suffix of a key → what the call must say."""
SELLERS: Final[Mapping[str, str]] = {
    "azure_ai": "azure.ai.inference",
    "azure_text": "azure.ai.openai",
    "bedrock_converse": "aws.bedrock",
    "bedrock_mantle": "aws.bedrock",
    "amazon_nova": "aws.bedrock",
    "cohere_chat": "cohere",
    "codestral": "mistral_ai",
    "text-completion-codestral": "mistral_ai",
    "text-completion-openai": "openai",
    "moonshot": "moonshot_ai",
    "vercel_ai_gateway": "vercel",
    "meta_llama": "meta",
    "qwen_ai_platform": "alibaba",
    "dashscope": "alibaba",
    "bigmodel": "zhipuai",
    "nvidia_nim": "nvidia",
}
"""LiteLLM's providers that are neither a seller's name nor an alias of one."""

_COST: Final = re.compile(r"cost|_price|pricing")
_KEY: Final = re.compile(r"(?P<base>.+?)(?:_above_(?P<above>\d+)k_tokens)?(?:_(?P<tier>batches|flex|priority))?")


@dataclass(slots=True)
class Imported:
    """What came of a file: a document for `prices/*.yaml`, and what was left out."""

    models: list[dict[str, Any]] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    """Reason → models that it left out, whole or in part."""

    def to_yaml(self) -> str:
        """The price file."""
        return yaml.dump({"models": self.models}, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def import_litellm(text: str, valid_from: date, providers: frozenset[str] = frozenset()) -> Imported:
    """The models of a LiteLLM price file, those of some sellers or all.

    Raises:
        InputError: the text is no such file.
    """
    try:
        data = json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        raise InputError(f"is no JSON: {error}") from None
    if not isinstance(data, dict) or not any(
        isinstance(row, dict) and "litellm_provider" in row for row in data.values()
    ):
        raise InputError("is no price file of LiteLLM: no model names its litellm_provider")
    importing = _Importing(valid_from)
    for key, row in data.items():
        if key == "sample_spec" or not isinstance(row, dict) or not isinstance(row.get("litellm_provider"), str):
            continue
        seller = _seller(row["litellm_provider"])
        if not providers or seller in providers:
            importing.take(key, seller, row)
    return importing.imported


class _Importing:
    """Takes one model after the other; the first price of a seller's model counts."""

    def __init__(self, valid_from: date) -> None:
        self.imported = Imported()
        self._valid_from = valid_from
        self._seen: set[tuple[str, str]] = set()

    def take(self, key: str, seller: str, row: Mapping[str, Any]) -> None:
        left_out = self.imported.left_out
        model = _model(key, row["litellm_provider"])
        if model is None:
            left_out["no usable name"] += 1
            return
        if (seller, model.lower()) in self._seen:
            left_out["a second price of one model, such as that of a region"] += 1
            return
        entry = _Card(row, left_out).entry()
        if entry is None:
            return
        self._seen.add((seller, model.lower()))
        head = {"id": _entry_id(key), "from": self._valid_from, "provider": seller, "model": model}
        self.imported.models.append({**head, **entry, "note": f"LiteLLM: {key}"})


def _seller(provider: str) -> str:
    name = "vertex_ai" if provider.startswith("vertex_ai") else provider.removesuffix("-embedding-models")
    seller = seller_named(SELLERS.get(name, name))
    return seller.name if seller else name


def _model(key: str, provider: str) -> str | None:
    """The model as the seller calls it; None where the name is a pattern, or of a region's own price."""
    name = key
    for prefix in (f"{provider}/", f"{provider.partition('-')[0]}/", f"{provider.removesuffix('_converse')}/"):
        name = name.removeprefix(prefix)
    if not name or "*" in name or len(name) > MAX_PATTERN:
        return None
    return name.rpartition("/")[2] if name != key and provider.startswith("bedrock") else name


def _entry_id(key: str) -> str:
    slug = re.sub(r"[^a-z0-9._-]+", "-", key.lower()).strip("-._")[:44]
    return f"litellm-{slug}-{sha256(key.encode()).hexdigest()[:8]}"


class _Card:
    """The prices of one model, sorted by tier, length of input and bucket."""

    def __init__(self, row: Mapping[str, Any], left_out: Counter[str]) -> None:
        self._mode = str(row.get("mode", ""))
        self._left_out = left_out
        self._rates: dict[str, dict[int, dict[str, Decimal]]] = defaultdict(lambda: defaultdict(dict))
        self._per_request: Decimal | None = None
        for key, value in row.items():
            if _COST.search(key):
                self._read(key, value)

    def entry(self) -> dict[str, Any] | None:
        """Its price as a price file says it; None where nothing of it can be said."""
        base = self._rates.pop("", {})
        amounts = [usd for rates in base.values() for usd in rates.values()]
        if self._per_request is None and not any(amounts):
            self._left_out["no price, or 0 for everything: free or unknown"] += 1
            return None
        entry = self._level(base)
        variants = [
            {"when": dict(TIERS[tier]), **level} for tier, by in self._rates.items() if (level := self._level(by))
        ]
        if variants and "rates" in entry:
            entry["variants"] = variants
        if self._per_request is not None:
            entry["per_request"] = self._per_request
        return entry

    def _level(self, by_length: Mapping[int, Mapping[str, Decimal]]) -> dict[str, Any]:
        rates = by_length.get(0, {})
        longer = []
        for above, tier in sorted(by_length.items()):
            said = {name: usd for name, usd in tier.items() if name in rates}
            self._left_out["a rate of long input without one of short input"] += bool(above and len(said) < len(tier))
            if above and said:
                longer.append({"above_input_tokens": above, "rates": said})
        level: dict[str, Any] = {"rates": dict(rates)} if rates else {}
        return {**level, "long_context": longer} if longer else level

    def _read(self, key: str, value: Any) -> None:
        for name, amount in _amounts(key, value):
            if isinstance(amount, bool) or not isinstance(amount, int | Decimal) or not _is_rate(amount):
                self._left_out[f"{name}: no number"] += 1
                continue
            self._place(name, Decimal(amount))

    def _place(self, key: str, usd: Decimal) -> None:
        if key == REQUEST:
            self._per_request = usd
            return
        found = _KEY.fullmatch(key)
        assert found is not None
        bucket = BUCKETS.get(found["base"]) or IN_MODE.get((self._mode, found["base"]))
        if key == SEARCHES:
            bucket = Bucket.WEB_SEARCHES
        if bucket is None:
            self._left_out[f"{key}: no such unit"] += 1
            return
        above = int(found["above"] or 0) * 1_000
        self._rates[found["tier"] or ""][above].setdefault(bucket.value, EXACT.multiply(usd, per_unit(bucket)))


def _amounts(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The amounts of a key: itself, that of a search of any size, or those of lengths of input."""
    if key == SEARCHES and isinstance(value, dict):
        sizes = set(value.values())
        yield (key, sizes.pop()) if len(sizes) == 1 else (f"{key} by size", None)
    elif key == "tiered_pricing" and isinstance(value, list):
        for tier in value:
            start = int(tier["range"][0]) if isinstance(tier, dict) and isinstance(tier.get("range"), list) else None
            if start is None or start % 1_000:
                yield f"{key} by something else", None
                continue
            suffix = f"_above_{start // 1_000}k_tokens" if start else ""
            yield from ((f"{name}{suffix}", usd) for name, usd in tier.items() if "cost" in name)
    else:
        yield key, value


class _Dumper(yaml.SafeDumper):
    """Writes decimals as plain numbers, and no anchors."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def _write_decimal(dumper: yaml.SafeDumper, amount: Decimal) -> yaml.Node:
    text = f"{amount.normalize(EXACT):f}"
    return dumper.represent_scalar("tag:yaml.org,2002:float" if "." in text else "tag:yaml.org,2002:int", text)


_Dumper.add_representer(Decimal, _write_decimal)


def _is_rate(amount: int | Decimal) -> bool:
    """Whether a price file can say it."""
    return amount == 0 or LEAST_AMOUNT <= amount < MAX_AMOUNT
