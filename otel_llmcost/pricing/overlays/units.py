"""Units of the buckets in price files, and which rate stands for a bucket that is not named."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import cache
from typing import Final

from genai_prices.data_units import unit_data

from otel_llmcost.call import BUCKETS, Bucket

STANDS_FOR: Final[Mapping[Bucket, Bucket]] = {
    Bucket.INPUT_TOOL: Bucket.INPUT,
    Bucket.REASONING: Bucket.OUTPUT,
    Bucket.OUTPUT_CITATION: Bucket.OUTPUT,
}
"""Buckets that negotiated rates rarely name, and what sellers bill them as."""


@cache
def per_unit(bucket: Bucket) -> Decimal:
    """How many units a rate is for: a million tokens, a thousand pages, the seconds of an hour."""
    return Decimal(unit_data[BUCKETS[bucket].unit]["per"])


@cache
def covering(bucket: Bucket) -> Sequence[Bucket]:
    """The bucket and the wider ones whose rate holds where it has none, the nearest first.

    Source: genai_prices.decompose, the most specific priced unit that covers another.
    """
    dimensions = {other: unit_data[BUCKETS[other].unit]["dimensions"].items() for other in Bucket}
    wider = [other for other in Bucket if dimensions[other] <= dimensions[bucket]]
    order = list(unit_data)
    return sorted(wider, key=lambda other: (-len(dimensions[other]), order.index(BUCKETS[other].unit)))
