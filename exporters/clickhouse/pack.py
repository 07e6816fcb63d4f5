"""Columns of Python values → one block of ClickHouse's Native format, with the standard library alone.

The client library packs any type it is told of and pays for that; the ledger has a dozen types, and a row costs a
third. Layouts as in ClickHouse's `SerializationNumber`, `…String`, `…LowCardinality`, `…Nullable`, `…Map` and `…Array`,
revision 0: little-endian numbers, strings behind a varint of their length, a column's prefix before its data.
"""

import sys
from array import array
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, localcontext
from itertools import accumulate, chain
from typing import Any, Final

from otel_llmcost.exporters.clickhouse.native import string, varint
from otel_llmcost.money import EXACT

_LITTLE: Final = sys.byteorder == "little"
_LENGTHS: Final = tuple(varint(length) for length in range(1024))
_SHARED_DICTIONARIES: Final = (1).to_bytes(8, "little")
_ADDITIONAL_KEYS: Final = 1 << 9 | 1 << 10  # the keys follow, and they are a new dictionary
_FIRST_DAY: Final = date(1970, 1, 1).toordinal()
_MICROMICRO: Final = Decimal(10) ** 12


@dataclass(frozen=True, slots=True)
class Type:
    """A column type: its name in SQL, and its data. `prefix` stands before the data."""

    name: str
    pack: Callable[[Sequence[Any]], bytes]
    prefix: bytes = b""


def _numbers(code: str, values: Iterable[int]) -> bytes:
    """
    Raises:
        OverflowError: a number needs more bits.
    """
    packed = array(code, values)
    if not _LITTLE:
        packed.byteswap()
    return packed.tobytes()


def _unsigned(bits: int, code: str) -> Type:
    return Type(f"UInt{bits}", lambda column: _numbers(code, column))


def fixed_string(size: int) -> Type:
    """Bytes of one length; none stands for that many zero bytes."""
    blank = bytes(size)
    return Type(f"FixedString({size})", lambda column: b"".join([value or blank for value in column]))


def _pack_strings(column: Collection[str]) -> bytes:
    parts: list[bytes] = []
    for text in column:
        raw = text.encode()
        length = len(raw)
        parts.append(_LENGTHS[length] if length < 1024 else varint(length))
        parts.append(raw)
    return b"".join(parts)


def _pack_words(column: Sequence[str]) -> bytes:
    """A dictionary of the words and the place of each value in it."""
    if not column:
        return b""
    words = dict.fromkeys(column)
    width = 0 if len(words) <= 1 << 8 else 1 if len(words) <= 1 << 16 else 2
    head = (_ADDITIONAL_KEYS | width).to_bytes(8, "little") + len(words).to_bytes(8, "little")
    places = dict(zip(words, range(len(words)), strict=True))
    indexes = _numbers("BHI"[width], map(places.__getitem__, column)) if len(words) > 1 else bytes(len(column))
    return head + _pack_strings(words) + len(column).to_bytes(8, "little") + indexes


def _pack_money(column: Sequence[Decimal]) -> bytes:
    with localcontext(EXACT):
        return _numbers("q", [int(usd * _MICROMICRO) if usd else 0 for usd in column])


def _pack_dates(column: Sequence[date]) -> bytes:
    return _numbers("H", [day.toordinal() - _FIRST_DAY for day in column])


def decimal(precision: int, scale: int) -> Type:
    """Amounts of up to 38 digits, rounded half-even to `scale` digits after the point."""
    unit = Decimal(10) ** scale

    def pack(column: Sequence[Decimal]) -> bytes:
        with localcontext(EXACT):
            units = [int((value * unit).to_integral_value()) for value in column]
        return b"".join([value.to_bytes(16, "little", signed=True) for value in units])

    return Type(f"Decimal({precision}, {scale})", pack)


def nullable(of: Type) -> Type:
    """That type or None."""

    def pack(column: Sequence[Any]) -> bytes:
        unknown = bytes([value is None for value in column])
        if 1 not in unknown:
            return unknown + of.pack(column)
        return unknown + of.pack([0 if value is None else value for value in column])

    return Type(f"Nullable({of.name})", pack)


def map_of(key: Type, value: Type) -> Type:
    """A mapping per row."""

    def pack(column: Sequence[Mapping[Any, Any]]) -> bytes:
        offsets = _numbers("Q", accumulate(map(len, column)))
        keys, values = [*chain.from_iterable(column)], [*chain.from_iterable([row.values() for row in column])]
        return offsets + key.pack(keys) + value.pack(values)

    return Type(f"Map({key.name}, {value.name})", pack, key.prefix + value.prefix)


def array_of(of: Type) -> Type:
    """A list per row."""

    def pack(column: Sequence[Sequence[Any]]) -> bytes:
        return _numbers("Q", accumulate(map(len, column))) + of.pack([*chain.from_iterable(column)])

    return Type(f"Array({of.name})", pack, of.prefix)


DATE: Final = Type("Date", _pack_dates)
UINT8: Final = _unsigned(8, "B")
UINT16: Final = _unsigned(16, "H")
UINT32: Final = _unsigned(32, "I")
UINT64: Final = _unsigned(64, "Q")
TIME: Final = Type("DateTime64(9)", lambda column: _numbers("q", column))
TEXT: Final = Type("String", _pack_strings)
WORD: Final = Type("LowCardinality(String)", _pack_words, _SHARED_DICTIONARIES)
MONEY: Final = Type("Decimal(18, 12)", _pack_money)
PICO_USD: Final = Type(MONEY.name, lambda column: _numbers("q", column))
"""The same column from whole numbers of 1e-12 USD."""


def block(columns: Iterable[tuple[str, Type, Sequence[Any]]], rows: int) -> bytes:
    """One block. All columns have `rows` values, one at least."""
    packed = [string(name) + string(type_.name) + type_.prefix + type_.pack(values) for name, type_, values in columns]
    return b"".join([varint(len(packed)), varint(rows), *packed])
