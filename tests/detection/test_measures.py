"""Ratios that moved, newcomers, conversations: detectors that know what they look for."""

from datetime import datetime

import pytest
from series_ledger import DAY, HOUR, MINUTE, START, SeriesLedger

NOON = START + 28 * DAY + 12 * HOUR
AFTER = "m >= 40320 + 720"
USUAL = {
    "usd": "(inputs - cached) * 2e-6 + cached * 2e-7 + calls * 1e-3",
    "inputs": "calls * 1000 * noise",
    "cached": "inputs * 0.8",
}


@pytest.mark.parametrize(
    ("detector", "change"),
    [
        ("cost_per_token", {"usd": f"({USUAL['usd']}) * if({AFTER}, 2, 1)"}),
        ("cache_loss", {"cached": f"inputs * if({AFTER}, 0, 0.8)"}),
        ("tokens_per_call", {"inputs": f"calls * 1000 * noise * if({AFTER}, 4, 1)"}),
        ("retry_storm", {"failed": f"if({AFTER}, calls * 0.6, calls * (m % 50 = 0) * 0.1)"}),
    ],
)
def test_a_ratio_that_moves_is_named(series: SeriesLedger, detector: str, change: dict[str, str]) -> None:
    """
    A price that doubles, a lost cache, longer prompts and failing calls are found in minutes, and told apart from a
    series that is only busier.
    """
    series.fill("moved", "40 * noise", **(USUAL | change))
    series.fill("busier", f"40 * noise * if({AFTER}, 3, 1)", **USUAL)

    series.judge(NOON - HOUR, NOON + 20 * MINUTE)

    first = min(at for _, what, at in series.signals("moved") if what == detector)
    assert NOON <= first <= NOON + 2 * MINUTE
    assert {"spend_rise"} == series.detectors("busier")


def test_a_mix_that_follows_the_clock_is_usual(series: SeriesLedger) -> None:
    """
    A series that uses a dearer model for an hour each night is no news at that hour.
    """
    series.fill("mixed", "20 * noise", **(USUAL | {"usd": f"({USUAL['usd']}) * if(h = 2, 3, 1)"}))

    series.judge(START + 28 * DAY, START + 28 * DAY + 6 * HOUR)

    assert [] == series.signals()


def test_somebody_new_who_spends_at_once_is_found(series: SeriesLedger) -> None:
    """
    A user nobody knew who spends at night more than newcomers may is told as a key that may have leaked; a newcomer of
    a few calls is not, nor is one of many who are known.
    """
    series.fill("", "if(h BETWEEN 8 AND 17, 60, 5) * noise", kind="total")
    for number in range(3):
        series.fill(f"known-{number}", "if(h BETWEEN 8 AND 17, 20, 2) * noise", kind="user")
    at_three = (28 + 3 / 24, 28 + 3.5 / 24)
    series.fill("stranger", "20", kind="user", days=at_three)
    series.fill("trainee", "m % 10 = 0", kind="user", days=at_three)

    begin = START + 28 * DAY + 3 * HOUR
    series.judge(begin, begin + 30 * MINUTE)

    assert [("stranger", "leaked_key")] == [said[:2] for said in series.signals()]
    assert series.signals()[0][2] <= begin + 10 * MINUTE


def test_in_the_first_week_nobody_is_a_stranger(series: SeriesLedger) -> None:
    """
    A ledger that has just begun knows nobody, and accuses nobody.
    """
    series.fill("", "20 * noise", kind="total", days=(0, 5))
    series.fill("stranger", "60", kind="user", days=(4, 5))

    series.judge(START + 4 * DAY, START + 4 * DAY + 6 * HOUR)

    assert set() == series.detectors("stranger")


def talk(
    series: SeriesLedger, name: str, begin: datetime, turns: int, tokens: str, output: str = "100 + number"
) -> None:
    """Calls of one conversation, a minute apart."""
    series.ledger.execute(
        "INSERT INTO {database}.calls SELECT {begin:DateTime64(9, 'UTC')} + toIntervalMinute(number), 'helper', '',"
        f" 'bot', {{name:String}}, '', '', 'gpt-4o', toUInt64({tokens}), toUInt64({output}), 0.02, 1"
        " FROM numbers({turns:UInt64})",
        {"begin": begin, "name": name, "turns": turns},
    )


def test_a_history_that_is_never_trimmed_is_found(series: SeriesLedger) -> None:
    """
    A conversation that grows beyond what those of its agent ever reach is told; one that grows as they do is not.
    """
    for number in range(30):
        talk(series, f"usual-{number}", NOON - 3 * DAY + number * HOUR, 10, "500 + 300 * number")
    series.judge(NOON - HOUR, NOON - 30 * MINUTE)
    talk(series, "as-usual", NOON, 10, "500 + 300 * number")
    series.judge(NOON, NOON + 20 * MINUTE)
    before = series.signals()
    talk(series, "endless", NOON + HOUR, 30, "500 + 2000 * number")

    series.judge(NOON + HOUR, NOON + 2 * HOUR)

    assert [] == before
    assert [("helper", "token_growth")] == [said[:2] for said in series.signals()]


def test_the_same_call_again_and_again_is_found(series: SeriesLedger) -> None:
    """
    Forty equal calls of one conversation are told as repeats.
    """
    for number in range(30):
        talk(series, f"usual-{number}", NOON - 3 * DAY + number * HOUR, 10, "500 + 300 * number")
    talk(series, "stuck", NOON, 40, "800", "0")

    series.judge(NOON, NOON + HOUR)

    assert [("helper", "repeated_call")] == [said[:2] for said in series.signals()]
