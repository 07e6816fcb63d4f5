"""Arrow columns as the ledger gives them ↔ Python values and whole numbers of 1e-12 USD.

Amounts are `Decimal(18, 12)`, so each fits 64 bits as a count of 1e-12 USD: arrays of those are compared and added up
exactly, and no amount becomes a `Decimal` on the way that is not priced.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

Words = Sequence[str]


def words(column: "pa.ChunkedArray") -> list[str]:
    """Texts, plain or from a dictionary. What is not UTF-8 is replaced."""
    import pyarrow as pa

    array = column.combine_chunks()
    if not pa.types.is_dictionary(array.type):
        return _texts(array)
    known = _texts(array.dictionary)
    return [known[index] for index in array.indices.to_numpy().tolist()]


def _texts(array: "pa.Array") -> list[str]:
    import pyarrow as pa

    # A server that lets nobody set how texts are given calls them UTF-8 without a look.
    raw = array if pa.types.is_binary(array.type) else array.cast(pa.binary())
    return [value.decode("utf-8", "replace") for value in raw.to_pylist()]


def whole_numbers(column: "pa.ChunkedArray") -> list[int]:
    """Counts and times (in their own unit)."""
    import pyarrow as pa

    array = column.combine_chunks()
    if pa.types.is_timestamp(array.type):
        array = array.view(pa.int64())
    numbers: list[int] = array.to_pylist() if array.null_count else array.to_numpy().tolist()
    return numbers


def mappings(column: "pa.ChunkedArray", value_of: Callable[["pa.Array"], list[Any]]) -> list[dict[str, Any]]:
    """Maps with words as keys, each an object of its own; `value_of` reads the values."""
    import pyarrow as pa

    array = column.combine_chunks()
    first, offsets = _bounds(array)
    if not offsets[-1]:
        return [{} for _ in range(len(array))]
    keys = words(pa.chunked_array([array.keys.slice(first, offsets[-1])]))
    values = value_of(pa.chunked_array([array.items.slice(first, offsets[-1])]))
    return [
        dict(zip(keys[begin:end], values[begin:end], strict=True)) if end > begin else {}
        for begin, end in pairwise(offsets)
    ]


def _bounds(array: "pa.Array") -> tuple[int, list[int]]:
    """Where the content of a column of lists or maps begins, and, from there, where that of each line does.

    A slice of a column carries the content of the whole one.
    """
    offsets = array.offsets.to_numpy()
    return int(offsets[0]), (offsets - offsets[0]).tolist()


def text_lists(column: "pa.ChunkedArray") -> list[tuple[str, ...]]:
    """Lists of texts."""
    array = column.combine_chunks()
    first, offsets = _bounds(array)
    if not offsets[-1]:
        return [()] * len(array)
    texts = _texts(array.values.slice(first, offsets[-1]))
    return [tuple(texts[begin:end]) for begin, end in pairwise(offsets)]


def units(column: "pa.ChunkedArray") -> "tuple[np.ndarray, np.ndarray]":
    """Amounts as counts of 1e-12 USD, 0 where they are not known, and which are known."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    array = column.combine_chunks()
    known = pc.is_valid(array).to_numpy(zero_copy_only=False)
    filled = pc.fill_null(array, pa.scalar(0, array.type))
    low = np.frombuffer(filled.buffers()[1], dtype="<i8")[2 * filled.offset :: 2][: len(filled)]
    return low, known


def amounts(low: "np.ndarray", known: "np.ndarray") -> "pa.Array":
    """Counts of 1e-12 USD as nullable amounts."""
    import numpy as np
    import pyarrow as pa

    wide = np.empty((len(low), 2), dtype="<i8")
    wide[:, 0] = low
    wide[:, 1] = low >> 63
    mask = pa.array(known).buffers()[1] if not known.all() else None
    return pa.Array.from_buffers(pa.decimal128(18, 12), len(low), [mask, pa.py_buffer(wide)])


def dictionary(values: Words) -> "pa.DictionaryArray":
    """Words as a dictionary, as the ledger's low-cardinality columns take them."""
    import numpy as np
    import pyarrow as pa

    seen: dict[str, int] = {}
    places = np.fromiter((seen.setdefault(value, len(seen)) for value in values), dtype=np.int32, count=len(values))
    return pa.DictionaryArray.from_arrays(places, pa.array([value.encode() for value in seen], pa.binary()))
