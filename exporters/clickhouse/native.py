"""ClickHouse's Native format: its strings and lengths, and a block of one row for one hand-made answer.

The engine writes Native of revision 0 only, and clickhouse-go decodes every answer with the revision that the
server's first answer tells. That first answer must therefore be in the revision the client asked for and say 0.
"""

import struct
from collections.abc import Sequence
from typing import Final

CUSTOM_SERIALIZATION_REVISION: Final = 54_454
"""From this revision on, a byte after each type says whether the column is serialised in a special way."""

_BLOCK_INFO: Final = b"\x01\x00\x02\xff\xff\xff\xff\x00"  # not overflows, no bucket, end of fields

Column = tuple[str, str, str | int]
"""Name, type (String or UInt32) and value."""


def one_row(columns: Sequence[Column], revision: int) -> bytes:
    """A block of one row, for a client of that revision (above 0)."""
    block = bytearray(_BLOCK_INFO)
    block += varint(len(columns)) + varint(1)
    for name, type_name, value in columns:
        block += string(name) + string(type_name)
        if revision >= CUSTOM_SERIALIZATION_REVISION:
            block += b"\x00"
        block += string(value) if isinstance(value, str) else struct.pack("<I", value)
    return bytes(block)


def string(text: str) -> bytes:
    """A text behind its length."""
    raw = text.encode("utf-8")
    return varint(len(raw)) + raw


def varint(number: int) -> bytes:
    """An unsigned number in groups of 7 bits, the lowest first (LEB128)."""
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
