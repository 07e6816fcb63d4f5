"""The provider's numbers → exclusive buckets that sum to its totals.

Providers and instrumentations count in two ways: parts inside the total (OpenAI: cached tokens are part of
`prompt_tokens`) or beside it (Anthropic: `input_tokens` leaves the cache out). Which way is known by whoever read the
numbers; this module does the subtraction and flags what cannot be true.
"""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import Final, NamedTuple

from otel_llmcost.call import UNKNOWN_USAGE, Bucket, Usage

MAX_COUNT: Final = 10**12
"""More than any provider could process in one call: such a number is a fault, not usage."""


MAX_DIGITS: Final = 40
"""Longest text that is still read as a number."""


UNREADABLE: Final = "unreadable "
"""How a flag begins that tells of a number that was there and could not be read: the usage is then incomplete."""


class CountError(ValueError):
    """A number that cannot be a count; the text says why, and never holds the value."""


def parse_count(value: object) -> int:
    """A whole, non-negative number of at most `MAX_COUNT`, given as int, integral float or decimal text.

    Raises:
        CountError: it is none (bool, NaN, negative, fractional, absurd, no number).
    """
    if type(value) is int and 0 <= value <= MAX_COUNT:
        return value
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise CountError(f"a {type(value).__name__} is no count")
    count = value if isinstance(value, int) else _whole(value)
    if not 0 <= count <= MAX_COUNT:
        raise CountError("negative" if count < 0 else f"more than {MAX_COUNT}")
    return count


def _whole(value: float | str | Decimal) -> int:
    if isinstance(value, str) and len(value) > MAX_DIGITS:
        raise CountError("text is no count")
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise CountError("text is no count") from None
    if not number.is_finite() or not -MAX_COUNT <= number <= MAX_COUNT:
        raise CountError(f"not a number up to {MAX_COUNT}")
    if number != number.to_integral_value():
        raise CountError("no whole number")
    return int(number)


class Side(NamedTuple):
    """One direction of a call: a total, the parts told apart, and whether the parts are inside the total."""

    total: int | None = None
    parts: Mapping[Bucket, int] = MappingProxyType({})
    inside: bool = True

    def split(self, rest: Bucket, name: str) -> tuple[dict[Bucket, int], str | None]:
        """Exclusive buckets of this side and a flag where the numbers contradict each other.

        Parts that exceed the total they should be inside are taken as beside it: the dearer reading, so that a
        contradiction never makes a line cheaper.
        """
        buckets = {bucket: count for bucket, count in self.parts.items() if count} if self.parts else {}
        total, inner = self.total or 0, sum(buckets.values())
        flag = None
        if self.inside and inner > total:
            flag = f"{name}: parts {inner} exceed total {total}"
        remainder = total - inner if self.inside and not flag else total
        if remainder:
            buckets[rest] = buckets.get(rest, 0) + remainder
        return buckets, flag


def exclusive_usage(
    input_side: Side,
    output_side: Side,
    *,
    other: Mapping[Bucket, int] | None = None,
    rule: str,
    flags: tuple[str, ...] = (),
) -> Usage:
    """Usage of one call; `UNKNOWN_USAGE` where neither side names a total or a part."""
    if input_side.total is None and output_side.total is None and not (input_side.parts or output_side.parts or other):
        return UNKNOWN_USAGE if not flags else Usage(known=False, rule=rule, flags=flags)
    buckets, input_flag = input_side.split(Bucket.INPUT, "input")
    output, output_flag = output_side.split(Bucket.OUTPUT, "output")
    buckets.update(output)
    if other:
        buckets.update({bucket: count for bucket, count in other.items() if count})
    if flags or input_flag or output_flag:
        flags = tuple(flag for flag in (*flags, input_flag, output_flag) if flag)
    return Usage(buckets=buckets, rule=rule, flags=flags)
