"""Columns as numbers: equal where the values are, so that lines can be grouped and counted by whole columns."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from otel_llmcost.call import Bucket
from otel_llmcost.restating.arrow_columns import words

if TYPE_CHECKING:
    import pyarrow as pa

Array = Any  # numpy is an extra
MAX_COUNT: Final = 1 << 40
"""Counts above are priced line by line, so that no sum leaves 64 bits unseen."""
MAX_CODE: Final = 1 << 62


def coded(column: "pa.ChunkedArray") -> Array:
    """A column, NULL included."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    array = column.combine_chunks()
    if not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode()
    nothing = pa.scalar(len(array.dictionary), array.indices.type)
    return pc.fill_null(array.indices, nothing).to_numpy(zero_copy_only=False).astype(np.int64)


def numbered(values: Sequence[Any]) -> Array:
    """Python values."""
    import numpy as np

    seen: dict[Any, int] = {}
    return np.fromiter((seen.setdefault(value, len(seen)) for value in values), dtype=np.int64, count=len(values))


def combined(columns: Iterable[Array]) -> Array:
    """One number for each combination of several columns of numbers, none of them negative."""
    import numpy as np

    code: Array = None
    top = 0
    for column in columns:
        highest = int(column.max(initial=0))
        if code is None:
            code, top = column, highest
        elif highest:
            if (top + 1) * (highest + 1) >= MAX_CODE:
                _, code = np.unique(code, return_inverse=True)
                top = int(code.max(initial=0))
            code, top = code * (highest + 1) + column, (top + 1) * (highest + 1)
    return np.unique(code, return_inverse=True)[1]


def split(codes: Array, which: Array) -> Iterator[Array]:
    """Places of equal codes, of the lines that are asked for."""
    import numpy as np

    order = np.argsort(codes, kind="stable")
    order = order[which[order]]
    if len(order):
        yield from np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)


def counts_of(table: "pa.Table") -> tuple[dict[Bucket, Array], Array]:
    """Counts by bucket, and which lines have neither a bucket that this version does not know nor a huge count."""
    import numpy as np
    import pyarrow as pa

    array = table.column("buckets").combine_chunks()
    offsets = array.offsets.to_numpy().astype(np.int64)
    rows = np.repeat(np.arange(len(array)), np.diff(offsets))
    begin, end = int(offsets[0]), int(offsets[-1])
    keys = pa.chunked_array([array.keys.slice(begin, end - begin)])
    names, numbers = _named(keys)
    values = array.items.slice(begin, end - begin).to_numpy(zero_copy_only=False)
    plain = np.ones(len(array), dtype=bool)
    plain[rows[values > MAX_COUNT]] = False
    counts = {}
    for number, name in enumerate(names):
        here = numbers == number
        bucket = _BUCKETS.get(name)
        if bucket is None:
            plain[rows[here]] = False
        else:
            counts[bucket] = np.zeros(len(array), dtype=np.int64)
            counts[bucket][rows[here]] = np.minimum(values[here], MAX_COUNT).astype(np.int64)
    return counts, plain


_BUCKETS: Final = {bucket.value: bucket for bucket in Bucket}


def _named(keys: "pa.ChunkedArray") -> tuple[list[str], Array]:
    """The distinct words of a column, and the place of each value among them."""
    import pyarrow as pa

    array = keys.combine_chunks()
    if not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode()
    names = words(pa.chunked_array([array.dictionary]))
    return names, array.indices.to_numpy(zero_copy_only=False)
