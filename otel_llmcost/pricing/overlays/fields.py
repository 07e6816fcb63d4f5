"""Types of the fields of price files: ids, patterns of names, rates by bucket."""

import re
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from otel_llmcost.call import Bucket, Part
from otel_llmcost.config_types import Amount
from otel_llmcost.errors import nearest
from otel_llmcost.pricing.overlays.patterns import MAX_PATTERN

ENTRY_ID: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
CONDITION_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")


def _check_id(text: str) -> str:
    if not ENTRY_ID.fullmatch(text):
        raise ValueError(f"{text!r} is no id: lower-case letters, digits, '.', '_' and '-', at most 63")
    return text


def _as_patterns(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _check_patterns(patterns: list[str]) -> list[str]:
    for pattern in patterns:
        if not pattern or len(pattern) > MAX_PATTERN:
            raise ValueError(f"must be names or patterns of 1 to {MAX_PATTERN} characters; * stands for any characters")
    if not patterns:
        raise ValueError("must name at least one")
    return sorted(set(patterns))


def _check_rates(rates: dict[str, Any]) -> dict[str, Any]:
    for name in rates:
        if name not in tuple(Bucket):
            raise ValueError(f"{name!r} is no bucket{nearest(name, [bucket.value for bucket in Bucket])}")
    return rates


def names_of(known: type[Bucket] | type[Part]) -> AfterValidator:
    """Each must be the name of one of those."""

    def check(names: list[str]) -> list[str]:
        for name in names:
            if name not in tuple(known):
                raise ValueError(f"{name!r} is unknown{nearest(name, [member.value for member in known])}")
        return names

    return AfterValidator(check)


_TEXTS: Final = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
_RATES: Final = {
    "type": "object",
    "additionalProperties": False,
    "properties": {bucket.value: {"type": ["number", "string"], "minimum": 0} for bucket in Bucket},
}

EntryId = Annotated[str, AfterValidator(_check_id)]
NamePatterns = Annotated[
    list[str], BeforeValidator(_as_patterns), AfterValidator(_check_patterns), WithJsonSchema(_TEXTS)
]
BucketRates = Annotated[dict[str, Amount], AfterValidator(_check_rates), WithJsonSchema(_RATES)]
PositiveCount = Annotated[int, Field(ge=1)]
