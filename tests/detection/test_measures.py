"""Ratios that moved, newcomers, conversations: detectors that know what they look for."""

from datetime import datetime

import pytest
from series_ledger import DAY, HOUR, MINUTE, START, SeriesLedger, Told, opened

NOON = START + 28 * DAY + 12 * HOUR
AFTER = "m >= 40320 + 720"
USUAL = {
    "usd": "(inputs - cached) * 2e-6 + cached * 2e-7 + calls * 1e-3",
    "inputs": "calls * 1000 * noise",
    "cached": "inputs * 0.8",
}


CHANGES = {
    "cost_per_token": {"usd": f"({USUAL['usd']}) * if({AFTER}, 2, 1)"},
    "cache_loss": {"cached": f"inputs * if({AFTER}, 0, 0.8)"},
    "tokens_per_call": {"inputs": f"calls * 1000 * noise * if({AFTER}, 4, 1)"},
    "retry_storm": {"failed": f"if({AFTER}, calls * 0.6, calls * (m % 50 = 0) * 0.1)"},
}
FEW = "m % 20 = 7"


@pytest.fixture(scope="module")
def noon(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """Series of which something moves at noon, judged."""
    with opened(tmp_path_factory.mktemp("noon")) as series:
        for detector, change in CHANGES.items():
            series.fill(detector, "40 * noise", **(USUAL | change))
        series.fill("busier", f"40 * noise * if({AFTER}, 3, 1)", **USUAL)
        # three calls an hour, of one price, and of one that is six times as dear now and then
        price = "(inputs - cached) * 1e-5 + cached * 1e-6 + calls * 1e-3"
        series.fill("few", FEW, **(USUAL | {"usd": f"({price}) * if({AFTER}, 2, 1)"}))
        series.fill("longer", f"{FEW} OR ({AFTER} AND m % 20 = 9)", **(USUAL | {
            "usd": price, "inputs": f"calls * 1000 * noise * if({AFTER}, 3, 1)",
        }))  # fmt: skip
        series.fill(
            "mixed", FEW, **(USUAL | {"usd": f"({price}) * if(cityHash64(m) % 30 = 0 OR m = 40320 + 727, 6, 1)"})
        )
        series.judge(NOON - HOUR, NOON + HOUR)
        return series.told()


@pytest.mark.parametrize("detector", CHANGES)
def test_a_ratio_that_moves_is_named(noon: Told, detector: str) -> None:
    """
    A price that doubles, a lost cache, longer prompts and failing calls are found in their first minute, and told apart
    from a series that is only busier.
    """
    assert NOON == min(at for _, what, at in noon.signals(detector) if what == detector)
    assert {"spend_rise"} == noon.detectors("busier")


def test_one_call_tells_a_price_that_never_moved(noon: Told) -> None:
    """
    The first call at twice the price is told of a series of three calls an hour; longer prompts and a second model that
    is used now and then are no dearer price.
    """
    assert ("few", "cost_per_token", NOON + 7 * MINUTE) == noon.signals("few")[0]
    assert "cost_per_token" not in noon.detectors("longer") | noon.detectors("mixed")


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
