"""Cells → values: exact, strict, and silent about content."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_llmcost.importing.values import (
    EARLIEST,
    LATEST,
    UnreadableError,
    parse_count,
    parse_decimal,
    parse_duration_ms,
    parse_http_status,
    parse_text,
    parse_timestamp,
    parse_usd,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST_NS = (EARLIEST - EPOCH) // timedelta(seconds=1) * 10**9
LAST_NS = (LATEST - EPOCH) // timedelta(seconds=1) * 10**9 - 1
BERLIN = ZoneInfo("Europe/Berlin")

moments = st.integers(FIRST_NS, LAST_NS)


def iso(time_ns: int, digits: int = 9, separator: str = " ") -> str:
    """The UTC wall-clock time of a moment, its fraction cut to `digits`."""
    seconds, fraction = divmod(time_ns, 10**9)
    text = (EPOCH + timedelta(seconds=seconds)).strftime(f"%Y-%m-%d{separator}%H:%M:%S")
    return f"{text}.{fraction:09d}"[: len(text) + 1 + digits]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2023-11-16 18:17:03.9799600", 1_700_158_623_979_960_000),
        ("2023-11-16T18:17:03.97996Z", 1_700_158_623_979_960_000),
        ("2023-11-16T19:17:03.97996+01:00", 1_700_158_623_979_960_000),
        ("2023-11-16T12:47:03,97996-0530", 1_700_158_623_979_960_000),
        ("2023-11-16 18:17:03.979960 UTC", 1_700_158_623_979_960_000),
        ("2023-11-16T18:17:03.979960000000", 1_700_158_623_979_960_000),
        ("  2023-11-16 18:17 ", 1_700_158_620_000_000_000),
        ("2023-11-16", 1_700_092_800_000_000_000),
        ("1700158623", 1_700_158_623_000_000_000),
        ("1700158623.97996", 1_700_158_623_979_960_000),
        (1_700_158_623_979, 1_700_158_623_979_000_000),
        (1_700_158_623_979_960, 1_700_158_623_979_960_000),
        (1_700_158_623_979_960_001, 1_700_158_623_979_960_001),
        (Decimal("1700158623.979960001"), 1_700_158_623_979_960_001),
        (1_700_158_623.5, 1_700_158_623_500_000_000),
    ],
)
def test_a_time_in_any_common_form_is_the_same_moment(text: Any, expected: int) -> None:
    """ISO 8601 in its forms and the epoch in its four units are read to the nanosecond."""
    assert expected == parse_timestamp(text)


@given(moments, st.integers(0, 9), st.sampled_from([" ", "T"]))
def test_iso_times_are_exact_at_every_precision(time_ns: int, digits: int, separator: str) -> None:
    """Every digit that is written counts, and none is invented."""
    unit = 10 ** (9 - digits)
    text = iso(time_ns, digits, separator).rstrip(".")

    assert time_ns // unit * unit == parse_timestamp(text)


@given(moments, st.sampled_from([("s", 10**9), ("ms", 10**6), ("us", 10**3), ("ns", 1)]))
def test_the_unit_of_an_epoch_number_follows_from_its_size(time_ns: int, unit: tuple[str, int]) -> None:
    """A number of seconds, milliseconds, microseconds or nanoseconds of the same moment gives that moment."""
    number = time_ns // unit[1]

    assert number * unit[1] == parse_timestamp(number) == parse_timestamp(str(number))


@given(moments, st.integers(-14 * 60, 14 * 60))
def test_an_offset_is_taken_off(time_ns: int, minutes: int) -> None:
    """A time with an offset is the moment it names, whatever zone is set for times without one."""
    offset = timezone(timedelta(minutes=minutes))
    second_ns = time_ns // 10**9 * 10**9
    text = datetime.fromtimestamp(second_ns // 10**9, offset).isoformat()

    assert second_ns == parse_timestamp(text, zone=BERLIN)


@given(st.text(max_size=40))
def test_any_text_is_a_moment_or_refused(text: str) -> None:
    """No text makes the reader fail in another way than `UnreadableError`, or give a time outside its range."""
    try:
        time_ns = parse_timestamp(text, zone=BERLIN)
    except UnreadableError:
        return
    assert FIRST_NS <= time_ns <= LAST_NS


def test_wall_clock_times_are_read_in_the_zone_given() -> None:
    """Summer and winter time both apply, and the hour that comes twice is its first one."""
    assert parse_timestamp("2026-01-15T11:00:00Z") == parse_timestamp("2026-01-15 12:00:00", BERLIN)
    assert parse_timestamp("2026-07-15T10:00:00Z") == parse_timestamp("2026-07-15 12:00:00", BERLIN)
    assert parse_timestamp("2026-10-25T00:30:00Z") == parse_timestamp("2026-10-25 02:30:00", BERLIN)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "yesterday",
        "11/16/2023 6:17 PM",
        "2023-13-01",
        "2023-02-29 00:00:00",
        "2023-11-16 24:00:00",
        "2023-11-16 18:17:60",
        "2023-11-16 18:17:03+25:00",
        "2023-11-16 18:17:03.1234567891",
        "20231116",
        "0",
        "-1700158623",
        "1e9999",
        "1700158623979960001.5",
        "99999999999999999999999",
        "2014-12-31 23:59:59",
        "2100-01-01",
        "٢٠٢٣-١١-١٦",
        "nan",
        float("nan"),
        float("inf"),
        True,
        None,
        [1],
    ],
)
def test_what_is_no_time_is_refused(value: Any) -> None:
    """Impossible dates, misread columns, other formats and numbers of no plausible unit are no times."""
    with pytest.raises(UnreadableError):
        parse_timestamp(value)


def test_a_time_that_the_clocks_skipped_is_refused() -> None:
    """Half past two never was on the night of the change to summer time: the zone is wrong, and that is said."""
    with pytest.raises(UnreadableError, match="never was in Europe/Berlin"):
        parse_timestamp("2026-03-29 02:30:00", BERLIN)


@given(st.integers(0, 10**12))
def test_counts_are_exact_in_every_spelling(count: int) -> None:
    """A count is itself as int, as text, with a zero fraction, and as a double."""
    spellings: list[Any] = [count, str(count), f" {count}.0 ", f"+{count}", Decimal(count), float(count)]

    assert [count] * 6 == [parse_count(spelling) for spelling in spellings]


@given(st.one_of(st.text(max_size=60), st.integers(), st.floats(), st.decimals(), st.booleans(), st.none()))
def test_any_value_is_a_count_or_refused(value: Any) -> None:
    """Whatever a cell holds, it is a whole number from 0 to 10^12 or `UnreadableError`."""
    try:
        count = parse_count(value)
    except UnreadableError:
        return
    assert type(count) is int
    assert 0 <= count <= 10**12
    assert Decimal(str(value).strip()) == count


@pytest.mark.parametrize(
    "value",
    [
        "-1",
        "1.5",
        "NaN",
        "Infinity",
        "1_000",
        "1,000",
        "٣",
        "0x10",
        "",
        "1e13",
        "1" * 5_000,
        10**13,
        True,
        False,
        "true",
    ],
)
def test_what_is_no_count_is_refused(value: Any) -> None:
    """Signs, fractions, separators, other digits, words, truth values and absurd sizes are no token counts."""
    with pytest.raises(UnreadableError):
        parse_count(value)


def test_money_and_durations_stay_decimal() -> None:
    """An amount keeps its digits to 1e-12; a duration is nanoseconds, whole."""
    assert Decimal("0.000000000123") == parse_usd("0.000000000123")
    assert Decimal("0.1") == parse_usd(0.1)
    assert 1_234_567_891 == parse_duration_ms("1234.567891")
    assert Decimal("1e-30") == parse_decimal("1e-30")


@pytest.mark.parametrize("value", ["-0.01", "1000000", "$5", "NaN", float("inf"), True, "1e12"])
def test_what_is_no_amount_is_refused(value: Any) -> None:
    """Negative, endless and absurd amounts are refused."""
    with pytest.raises(UnreadableError):
        parse_usd(value)


@pytest.mark.parametrize("value", ["99", "600", "ok", "200.5"])
def test_what_is_no_http_status_is_refused(value: str) -> None:
    """A status has three digits and a meaning."""
    with pytest.raises(UnreadableError):
        parse_http_status(value)


def test_names_are_trimmed_and_bounded() -> None:
    """A name is text or a number, without the spaces around it, of a bounded length and valid Unicode."""
    assert "gpt-4o" == parse_text("  gpt-4o ")
    assert "17" == parse_text(17)
    for value in ("x" * 1_025, ["gpt-4o"], {"a": 1}, b"gpt-4o", "caf\udce9"):
        with pytest.raises(UnreadableError):
            parse_text(value)


@pytest.mark.parametrize("parse", [parse_count, parse_timestamp, parse_usd, parse_http_status])
def test_messages_hold_no_content(parse: Any) -> None:
    """A wrongly mapped column of prompts or keys does not end up in a message."""
    for secret in ("My name is Ann and my card is 4111", "sk-abcdefabcdefabcdef", "Bitte kündigen"):
        with pytest.raises(UnreadableError) as caught:
            parse(secret)
        assert secret not in str(caught.value)
        assert f"{len(secret)} characters" in str(caught.value)
