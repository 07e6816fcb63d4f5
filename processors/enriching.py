"""Bill lines → attributes on the spans of a message, which otherwise stays as it came."""

from collections.abc import Iterable, MutableSequence
from functools import lru_cache
from struct import Struct
from typing import Final

from otel_llmcost import semconv as sc
from otel_llmcost.annotate import cost_amounts, cost_attributes, cost_texts, id_told
from otel_llmcost.call import LLMCall
from otel_llmcost.processors.otlp import OtlpRequest, OtlpSpan, key_of
from otel_llmcost.processors.scanning import FOREIGN_NEEDLE

_PREFIX: Final = FOREIGN_NEEDLE
_BELIEVED: Final = sc.USAGE_PREFIX.encode()
USAGE_COST: Final = sc.USAGE_COST.encode()


def strip_foreign(request: OtlpRequest) -> None:
    """Take out what only a trusted host may say, wherever in the message attributes of ours are looked for."""
    for resource_spans in request.resource_spans:
        _strip(resource_spans.resource.attributes)
        for scope_spans in resource_spans.scope_spans:
            _strip(scope_spans.scope.attributes)
            for span in scope_spans.spans:
                _strip(span.attributes)


def _strip(attributes: MutableSequence[bytes]) -> None:
    for index in range(len(attributes) - 1, -1, -1):
        data = attributes[index]
        if _PREFIX in data:
            key = key_of(data)
            if key.startswith(_PREFIX) and not key.startswith(_BELIEVED):
                del attributes[index]


class Enricher:
    """Writes `llmcost.*` on spans. `usage_cost`: also `gen_ai.usage.cost`."""

    def __init__(self, *, usage_cost: bool) -> None:
        self._usage_cost = usage_cost

    def write(self, found: Iterable[tuple[OtlpSpan, LLMCall]], *, replaces: bool) -> None:
        """Add the attributes of each line to its span.

        `replaces`: spans may say something under a name that is written now; it is taken off.
        """
        for span, call in found:
            attributes = span.attributes
            if replaces:
                _remove(attributes, {key.encode() for key in cost_attributes(call, usage_cost=self._usage_cost)})
            attributes.append(_text(sc.CALL_ID, id_told(call)))
            if not call.is_repeated:
                attributes.extend(_texts(cost_texts(call)))
                attributes.extend(
                    [_double_head(key) + _DOUBLE(usd) for key, usd in cost_amounts(call, usage_cost=self._usage_cost)]
                )


def _remove(attributes: MutableSequence[bytes], keys: set[bytes]) -> None:
    for index in range(len(attributes) - 1, -1, -1):
        if key_of(attributes[index]) in keys:
            del attributes[index]


_DOUBLE: Final = Struct("<d").pack


@lru_cache(maxsize=1_024)
def _double_head(key: str) -> bytes:
    """An attribute up to the eight bytes of its value."""
    return _head(key, 9) + b"\x21"


def _text(key: str, value: str) -> bytes:
    text = value.encode("utf-8", "replace")
    inner = b"\x0a" + _varint(len(text)) + text
    return _head(key, len(inner)) + inner


@lru_cache(maxsize=4_096)
def _texts(told: tuple[tuple[str, str], ...]) -> list[bytes]:
    """Words as attributes in protobuf; the list is everybody's, and nobody's to change."""
    return [_text(key, value) for key, value in told]


@lru_cache(maxsize=4_096)
def _head(key: str, size: int) -> bytes:
    """`KeyValue` up to the content of its value, which is `size` bytes."""
    name = key.encode("utf-8", "replace")
    return b"\x0a" + _varint(len(name)) + name + b"\x12" + _varint(size)


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)
