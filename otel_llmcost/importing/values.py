"""One cell of someone else's file → a value of the record, strictly: what is not plainly right is refused.

Nothing here goes through a float: text and JSON numbers become `int` or `Decimal` as they are written, and a double
of a Parquet file is taken as its shortest decimal form.
"""

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Context, Decimal
from typing import Final

from otel_llmcost.dialects.read import MAX_TEXT
from otel_llmcost.money import MAX_USD, round_usd
from otel_llmcost.usage import MAX_COUNT, CountError
from otel_llmcost.usage import parse_count as _parse_count

EARLIEST: Final = datetime(2015, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2100, 1, 1, tzinfo=UTC)
"""Nobody sold LLM calls outside these years: such a time is a misread column, not a call."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND: Final = timedelta(seconds=1)
_SECOND_NS: Final = 10**9
_EARLIEST_NS: Final = (EARLIEST - _EPOCH) // _SECOND * _SECOND_NS
_LATEST_NS: Final = (LATEST - _EPOCH) // _SECOND * _SECOND_NS

EPOCH_UNITS: Final = (("s", 10**9, 10**11), ("ms", 10**6, 10**14), ("us", 10**3, 10**17), ("ns", 1, 10**20))
"""Unit, its nanoseconds, and the first number that is too big for it: 1e8 … 1e11 are seconds, 1e11 … 1e14
milliseconds, and so on; each range is the years 1973 to 5138."""
_SMALLEST_EPOCH: Final = 10**8

MAX_NUMBER_CHARS: Final = 40
_NUMBER: Final = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,4})?", re.ASCII)
_TIME: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)"
    r"(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9})0*)?)?"
    r"(?: ?([Zz]|UTC|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?))?)?",
    re.ASCII,
)
_SHOWABLE: Final = re.compile(r"[+-]?[\d.][\w.:+\-/, ]{0,31}|[A-Za-z]{1,12}", re.ASCII)
_EXACT: Final = Context(prec=100)


class UnreadableError(ValueError):
    """A cell that cannot be read; the text says why and repeats no more of it than a number or a word."""


def shown(value: object) -> str:
    """A value for a message: numbers, times and single words as they are, anything longer by its size only.

    A wrongly mapped column may hold a prompt or a key, and messages hold neither.
    """
    if isinstance(value, bool | int | float | Decimal):
        text = str(value) if not isinstance(value, int) or abs(value) < 10**MAX_NUMBER_CHARS else "a huge number"
        return text[:MAX_NUMBER_CHARS]
    if not isinstance(value, str):
        return f"a {type(value).__name__}"
    return repr(value) if _SHOWABLE.fullmatch(value) else f"a text of {len(value):,} characters"


def parse_count(value: object) -> int:
    """A token count: whole, 0 to 10^12; `12.0` and `1e3` are whole too.

    Raises:
        UnreadableError: it is none.
    """
    number = _number(value) if isinstance(value, str) else value
    try:
        return _parse_count(number)
    except CountError:
        raise UnreadableError(f"{shown(value)} is no whole number from 0 to {MAX_COUNT:,}") from None


def parse_decimal(value: object) -> Decimal:
    """A number from 0 to 10^12, exactly as written.

    Raises:
        UnreadableError: it is none.
    """
    number = _number(value)
    if not number.is_finite() or not 0 <= number <= MAX_COUNT:
        raise UnreadableError(f"{shown(value)} is not between 0 and {MAX_COUNT:,}")
    return number


def parse_usd(value: object) -> Decimal:
    """An amount in USD, 0 to below 1,000,000, rounded to 1e-12.

    Raises:
        UnreadableError: it is none.
    """
    amount = parse_decimal(value)
    if amount >= MAX_USD:
        raise UnreadableError(f"{shown(value)} is no price of one call: it must be below {MAX_USD:,} USD")
    return round_usd(amount)


def parse_duration_ms(value: object) -> int:
    """Milliseconds, fractions allowed, → nanoseconds."""
    return int(_EXACT.multiply(parse_decimal(value), Decimal(10**6)).to_integral_value())


def parse_http_status(value: object) -> int:
    """An HTTP status, 100 to 599.

    Raises:
        UnreadableError: it is none.
    """
    status = parse_count(value)
    if not 100 <= status <= 599:
        raise UnreadableError(f"{shown(value)} is no HTTP status")
    return status


def parse_text(value: object) -> str:
    """A name or an id, without the spaces around it, at most 1,024 characters.

    Raises:
        UnreadableError: a list, raw bytes, too long, or not valid Unicode.
    """
    if not isinstance(value, str | int | float | Decimal):
        raise UnreadableError(f"{shown(value)} is no text")
    text = str(value).strip()
    if len(text) > MAX_TEXT:
        raise UnreadableError(f"{len(text):,} characters are too long for a name, at most {MAX_TEXT:,}")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise UnreadableError("is not UTF-8") from None
    return text


def parse_timestamp(value: object, zone: tzinfo = UTC) -> int:
    """A point in time → UTC nanoseconds, exactly.

    ISO 8601 (`2023-11-16 18:17:03.9799600`, `2026-01-02T03:04:05+01:00`, `2026-01-02`), wall-clock time of `zone`
    where it names no zone; an hour that the clocks went through twice is the first one. Or a number since 1970, in
    seconds, milliseconds, microseconds or nanoseconds by its size (`EPOCH_UNITS`).

    Raises:
        UnreadableError: neither, finer than a nanosecond, a wall-clock time that never was, or outside 2015 to 2100.
    """
    match = _TIME.fullmatch(value.strip()) if isinstance(value, str) else None
    time_ns = _calendar_ns(match, zone, value) if match else _epoch_ns(value)
    if not _EARLIEST_NS <= time_ns < _LATEST_NS:
        raise UnreadableError(f"{shown(value)} is outside the years {EARLIEST.year} to {LATEST.year - 1}")
    return time_ns


def _number(value: object) -> Decimal:
    if isinstance(value, str):
        text = value.strip()
        if len(text) > MAX_NUMBER_CHARS or not _NUMBER.fullmatch(text):
            raise UnreadableError(f"{shown(value)} is no number")
        return Decimal(text)
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise UnreadableError(f"{shown(value)} is no number")
    return Decimal(repr(value)) if isinstance(value, float) else Decimal(value)


def _calendar_ns(match: re.Match[str], zone: tzinfo, value: object) -> int:
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    try:
        wall = datetime(  # noqa: DTZ001 - its zone is found below
            int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0)
        )
        moment = wall.replace(tzinfo=_offset(offset) if offset else zone).astimezone(UTC)
    except (ValueError, OverflowError):
        raise UnreadableError(f"{shown(value)} is no time of the calendar") from None
    if not offset and zone is not UTC and moment.astimezone(zone).replace(tzinfo=None) != wall:
        raise UnreadableError(f"{shown(value)} never was in {zone}: the clocks went forward over it")
    return (moment - _EPOCH) // _SECOND * _SECOND_NS + int((fraction or "").ljust(9, "0"))


def _offset(text: str) -> tzinfo:
    if text[0] not in "+-":
        return UTC
    digits = text[1:].replace(":", "").ljust(4, "0")
    minutes = int(digits[:2]) * 60 + int(digits[2:])
    return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes))


def _epoch_ns(value: object) -> int:
    try:
        number = _number(value)
    except UnreadableError:
        raise UnreadableError(f"{shown(value)} is no time: ISO 8601 or a number since 1970 is read") from None
    if not number.is_finite() or number < _SMALLEST_EPOCH:
        raise UnreadableError(f"{shown(value)} is no time since 1970 in s, ms, us or ns")
    factor = next((factor for _, factor, limit in EPOCH_UNITS if number < limit), None)
    if factor is None:
        raise UnreadableError(f"{shown(value)} is no time since 1970 in s, ms, us or ns")
    exact = _EXACT.multiply(number, Decimal(factor))
    if exact != exact.to_integral_value():
        raise UnreadableError(f"{shown(value)} is finer than a nanosecond")
    return int(exact)
