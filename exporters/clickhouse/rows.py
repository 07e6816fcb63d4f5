"""`LLMCall` → columns of the table `call_versions`.

One table of (name, kind, getter) is all the writer knows of the schema; a test holds it against the engine's own
description. Any call makes a valid row: a value that its column cannot hold is replaced, and `usage_flags` of the line
says so. Otherwise one hostile span would keep a whole batch out of the ledger.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from operator import attrgetter
from typing import Any, Final

from otel_llmcost.call import Amounts, Cost, LLMCall, Part, Status
from otel_llmcost.errors import PermanentError
from otel_llmcost.exporters.clickhouse import pack
from otel_llmcost.exporters.clickhouse.shadows import add_shadows, blank, skew_h
from otel_llmcost.money import MAX_PICO_USD, MAX_USD, round_usd
from otel_llmcost.restating.versions import first_version

Getter = Callable[[LLMCall], Any]

TAG_COLUMNS: Final = ("team", "feature", "customer")
NANOSECONDS_PER_MS: Final = 1_000_000
UNFIT: Final = ": value does not fit the column"
"""How a flag ends that the writer sets; it names the column."""

_PARTS: Final = tuple(Part)
_NOT_PRICED: Final = Cost(Status.UNPRICED, reason="no pricing step")


@dataclass(frozen=True, slots=True)
class Kind:
    """What a column holds: its type, how it is judged as a whole (`fits`, fast), and how a value is made to fit."""

    type: pack.Type
    fits: Callable[[list[Any]], bool]
    fit: Callable[[Any], Any]


def _unsigned(bits: int, type_: pack.Type) -> Kind:
    top = (1 << bits) - 1
    return Kind(type_, lambda column: min(column) >= 0 and max(column) <= top, lambda value: min(max(value, 0), top))


def _optional(kind: Kind) -> Kind:
    def fits(column: list[Any]) -> bool:
        known = [value for value in column if value is not None]
        return not known or kind.fits(known)

    return Kind(pack.nullable(kind.type), fits, lambda value: None if value is None else kind.fit(value))


def _id(size: int) -> Kind:
    return Kind(
        pack.fixed_string(size),
        lambda column: {len(value) for value in column} <= {0, size},
        lambda value: value if len(value) == size else b"",
    )


def _is_storable(amount: Decimal) -> bool:
    return amount.is_finite() and abs(amount) < MAX_USD


def _encodable(text: str) -> str:
    """`text` with what UTF-8 cannot say (half of a surrogate pair, as JSON may hold) as `?`."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _joins(texts: Iterable[str]) -> bool:
    try:
        "".join(texts).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _words(mapping: Mapping[str, Any]) -> list[str]:
    return [word for pair in mapping.items() for word in pair if isinstance(word, str)]


FLAG: Final = Kind(pack.UINT8, lambda _: True, lambda value: value)
CALL_ID: Final = Kind(pack.fixed_string(16), lambda _: True, lambda value: value)  # no other id can stand in for it
UINT16: Final = _unsigned(16, pack.UINT16)
UINT32: Final = _unsigned(32, pack.UINT32)
UINT64: Final = _unsigned(64, pack.UINT64)
TIME: Final = _unsigned(63, pack.TIME)
TEXT: Final = Kind(pack.TEXT, _joins, _encodable)
WORD: Final = Kind(pack.WORD, lambda column: _joins(set(column)), _encodable)
TEXTS: Final = Kind(
    pack.array_of(pack.TEXT),
    lambda column: _joins([text for texts in column for text in texts]),
    lambda texts: [_encodable(text) for text in texts],
)
TEXT_MAP: Final = Kind(
    pack.map_of(pack.WORD, pack.TEXT),
    lambda column: _joins([word for mapping in column for word in _words(mapping)]),
    lambda mapping: {_encodable(key): _encodable(value) for key, value in mapping.items()},
)
COUNT_MAP: Final = Kind(
    pack.map_of(pack.WORD, pack.UINT64),
    lambda column: UINT64.fits([0, *(count for mapping in column for count in mapping.values())]),
    lambda mapping: {key: UINT64.fit(count) for key, count in mapping.items()},
)
# A saturated amount would be a wrong amount; NULL says that it is not known.
MONEY: Final = _optional(
    Kind(pack.MONEY, lambda column: all(map(_is_storable, column)), lambda v: v if _is_storable(v) else None)
)


PICO_USD: Final = _optional(
    Kind(
        pack.PICO_USD,
        lambda column: max(column) < MAX_PICO_USD and min(column) > -MAX_PICO_USD,
        lambda pico: pico if abs(pico) < MAX_PICO_USD else None,
    )
)


def _cost(call: LLMCall) -> Cost:
    return call.cost or _NOT_PRICED


def _part(part: Part) -> Getter:
    place = _PARTS.index(part)

    def get(call: LLMCall) -> int | None:
        amounts = _cost(call).effective
        return None if amounts is None else amounts.pico_usd[place]

    return get


def _total(amounts: Amounts | None) -> int | None:
    return None if amounts is None else sum(amounts.pico_usd)


def _cache_savings(call: LLMCall) -> Decimal | None:
    cost = _cost(call)
    return None if cost.effective is None else cost.cache_savings_usd


def _reported(call: LLMCall) -> Decimal | None:
    reported = _cost(call).reported_usd
    reported = call.reported_usd if reported is None else reported
    return round_usd(reported) if reported is not None and _is_storable(reported) else reported


def _other_tags(call: LLMCall) -> dict[str, str]:
    return {name: value for name, value in call.tags.items() if name not in TAG_COLUMNS}


COLUMNS: Final[Mapping[str, tuple[Kind, Getter]]] = {
    "call_id": (CALL_ID, attrgetter("call_id")),
    "version": (UINT64, first_version),
    "duplicate_of": (_id(16), attrgetter("duplicate_of")),
    "ts": (TIME, attrgetter("start_ns")),
    "trace_id": (_id(16), attrgetter("trace_id")),
    "span_id": (_id(8), attrgetter("span_id")),
    "parent_span_id": (_id(8), attrgetter("parent_span_id")),
    "source": (WORD, attrgetter("source")),
    "emitter": (WORD, attrgetter("emitter")),
    "service": (WORD, attrgetter("service")),
    "environment": (WORD, attrgetter("environment")),
    "provider": (WORD, attrgetter("provider")),
    "host": (WORD, attrgetter("host")),
    "model": (WORD, attrgetter("model")),
    "requested_model": (WORD, attrgetter("requested_model")),
    "operation": (WORD, attrgetter("operation")),
    "response_id": (TEXT, attrgetter("response_id")),
    "streaming": (FLAG, attrgetter("streaming")),
    "outcome": (WORD, attrgetter("outcome")),
    "http_status": (_optional(UINT16), attrgetter("http_status")),
    "error_type": (WORD, attrgetter("error_type")),
    "finish_reason": (WORD, attrgetter("finish_reason")),
    "attempt": (UINT16, attrgetter("attempt")),
    "service_tier": (WORD, attrgetter("service_tier")),
    "price_context": (TEXT_MAP, attrgetter("price_context")),
    "team": (WORD, lambda call: call.tags.get("team", "")),
    "feature": (WORD, lambda call: call.tags.get("feature", "")),
    "customer": (WORD, lambda call: call.tags.get("customer", "")),
    "user": (TEXT, attrgetter("user")),
    "agent": (WORD, attrgetter("agent")),
    "workflow": (WORD, attrgetter("workflow")),
    "session": (TEXT, attrgetter("session")),
    "run": (TEXT, attrgetter("run")),
    "tags": (TEXT_MAP, _other_tags),
    "usage_known": (FLAG, attrgetter("usage.known")),
    "usage_rule": (WORD, attrgetter("usage.rule")),
    "usage_flags": (TEXTS, lambda call: list(call.usage.flags)),
    "buckets": (COUNT_MAP, attrgetter("usage.buckets")),
    "input_tokens": (UINT64, attrgetter("usage.input_tokens")),
    "cache_read_tokens": (UINT64, attrgetter("usage.cache_read_tokens")),
    "cache_write_tokens": (UINT64, attrgetter("usage.cache_write_tokens")),
    "output_tokens": (UINT64, attrgetter("usage.output_tokens")),
    "reasoning_tokens": (UINT64, attrgetter("usage.reasoning_tokens")),
    "duration_ms": (UINT32, lambda call: call.duration_ns // NANOSECONDS_PER_MS),
    "ttft_ms": (_optional(UINT32), lambda call: None if call.ttft_ns is None else call.ttft_ns // NANOSECONDS_PER_MS),
    "cost_usd": (PICO_USD, lambda call: _total(_cost(call).effective)),
    "list_cost_usd": (PICO_USD, lambda call: _total(_cost(call).list)),
    "input_cost_usd": (PICO_USD, _part(Part.INPUT)),
    "output_cost_usd": (PICO_USD, _part(Part.OUTPUT)),
    "cache_read_cost_usd": (PICO_USD, _part(Part.CACHE_READ)),
    "cache_write_cost_usd": (PICO_USD, _part(Part.CACHE_WRITE)),
    "other_cost_usd": (PICO_USD, _part(Part.OTHER)),
    "cache_savings_usd": (MONEY, _cache_savings),
    "reported_cost_usd": (MONEY, _reported),
    "status": (WORD, lambda call: _cost(call).status),
    "reason": (WORD, lambda call: _cost(call).reason),
    "price_id": (WORD, lambda call: _cost(call).price_id),
    "price_book": (WORD, lambda call: _cost(call).price_book),
    "shadow": (FLAG, lambda _: 0),
    "skew_h": (FLAG, skew_h),
}
_BLANKS: Final = {name: blank(kind.type.name) for name, (kind, _) in COLUMNS.items()} | {
    "reported_cost_usd": None,
    "usage_known": 1,
}


def columns(calls: Sequence[LLMCall]) -> dict[str, list[Any]]:
    """Values of every column of `call_versions` that the writer fills, in the order of `calls`, then their shadows.

    Raises:
        PermanentError: a call has no 16-byte id, so no line can stand for it.
    """
    if any(len(call.call_id) != 16 for call in calls):
        raise PermanentError("a call without a 16-byte call_id cannot be a bill line")
    filled = {name: list(map(get, calls)) for name, (_, get) in COLUMNS.items()}
    for name, (kind, _) in COLUMNS.items():
        if calls and not kind.fits(filled[name]):
            _fit(filled, name, kind)
    add_shadows(filled, _BLANKS)
    return filled


def native_block(filled: Mapping[str, list[Any]]) -> bytes:
    """The columns as one block of ClickHouse's Native format."""
    rows = len(filled["call_id"])
    return pack.block(((name, COLUMNS[name][0].type, values) for name, values in filled.items()), rows)


def _fit(filled: dict[str, list[Any]], name: str, kind: Kind) -> None:
    """Replace what does not fit and flag the line; the flag names the column, never the value."""
    for row, value in enumerate(filled[name]):
        fitting = kind.fit(value)
        if fitting != value:
            filled[name][row] = fitting
            filled["usage_flags"][row] = [*filled["usage_flags"][row], f"{name}{UNFIT}"]
