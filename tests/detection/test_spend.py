"""What a series costs against what it is expected to: rises, shapes, sparse and new series, silence, shifts, drifts.

Series do not touch each other here, so those that are judged in the same hours share a ledger: `noon` (a Monday, from
two hours before to one after) and `week` (seven days from a Friday on).
"""

import os
from datetime import timedelta
from typing import Any

import pytest
from series_ledger import DAY, HOUR, MINUTE, OFFICE, START, SeriesLedger, Told, opened

from otel_llmcost.detection import run

NOON = START + 28 * DAY + 12 * HOUR  # a Monday
LONG = os.environ.get("LLMCOST_LONG") == "1"


def rising(times: float, begin: str = "40320 + 720", base: str = "60 * noise") -> str:
    """Calls that go up `times` from a minute on; by default from `NOON`."""
    return f"{base} * if(m >= {begin}, {times}, 1)"


@pytest.fixture(scope="module")
def noon(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """Series that do something at noon, judged."""
    with opened(tmp_path_factory.mktemp("noon")) as series:
        for times in (2, 3, 10):
            series.fill(f"times-{times}", rising(times))
        for key, dear in (("summaries", 10), ("reports", 200)):
            size = f"if(m = 40320 + 727, {dear}, 1)"
            price = "(inputs - cached) * 1e-5 + cached * 2.5e-6 + calls * 5e-3"
            series.fill(
                key,
                "m % 20 = 7",
                usd=price,
                dearest="usd",
                inputs=f"calls * 1000 * {size}",
                cached=f"calls * 500 * {size}",
            )
        series.fill("chance", "m % 20 = 7 OR m BETWEEN 40320 + 730 AND 40320 + 731")
        series.fill("loop", "if(m >= 40320 + 720, 3, m % 20 = 7)")
        series.fill("stops", "if(m >= 40320 + 720, 0, 30 * noise)")
        series.fill("office", f"if(h BETWEEN 8 AND 17, {OFFICE}, 0)")
        dear = "if(m % 97 = 13, 0.5, 0) + if(m % 1013 = 200, 3, 0)"
        series.fill("heavy", "20 * noise", usd=f"calls * 0.01 + {dear}", dearest=f"greatest({dear}, 0.02)")
        series.judge(START + 28 * DAY + 10 * HOUR, NOON + HOUR)
        return series.told()


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """Series with a shape, judged for seven days, hours and midnights too."""
    batch = "(m % 1440 BETWEEN 120 AND 140) OR (m BETWEEN 28 * 1440 + 240 AND 28 * 1440 + 260)"
    with opened(tmp_path_factory.mktemp("week")) as series:
        series.fill(
            "shape", f"({OFFICE}) * noise * if(m BETWEEN 27 * 1440 + 600 AND 27 * 1440 + 660, 15, 1)", days=(0, 32)
        )
        series.fill("nightly", f"if({batch}, 200, 5) * noise", days=(0, 32))
        series.fill("grows", "30 * noise * pow(1.05, m / 10080)", days=(0, 32))
        series.fill("shift", rising(3), days=(0, 32))
        series.fill("outage", "30 * noise * if(d IN (26, 27), 0.1, 1)", days=(0, 32))
        series.judge(START + 25 * DAY, START + 32 * DAY, hours=True)
        return series.told()


@pytest.mark.parametrize("times", [2, 3, 10])
def test_a_rise_is_found_in_the_minute_that_shows_it(noon: Told, times: int) -> None:
    """
    A busy series that doubles or more is found in the minute of its first call, and nothing before it is.
    """
    assert (f"times-{times}", "spend_rise", NOON) == noon.signals(f"times-{times}")[0]


def test_one_dear_call_of_a_sparse_series_is_no_rise(noon: Told) -> None:
    """
    A call ten times as large as its neighbours is none; one two hundred times as large is out of scale, and told.
    """
    assert [] == noon.signals("summaries")
    assert {"spend_rise"} <= noon.detectors("reports")


def test_dear_calls_that_come_now_and_then_are_usual(noon: Told) -> None:
    """
    A call of fifty times the others every hour or two, and one of three hundred times each day, are no news.
    """
    assert [] == noon.signals("heavy")


def test_chance_in_a_sparse_series_is_no_rise_but_a_loop_is(noon: Told) -> None:
    """
    Three calls in a row where three an hour are usual say nothing; a loop of three a minute is found in three minutes.
    """
    assert [] == noon.signals("chance")
    assert noon.signals("loop")[0][2] <= NOON + 3 * MINUTE


def test_silence_is_found_where_there_never_is_any(noon: Told) -> None:
    """
    A busy series that stops is found in minutes; one that is silent every night is not.
    """
    assert [("stops", "spend_drop")] == [said[:2] for said in noon.signals("stops")]
    assert NOON < noon.signals("stops")[0][2] <= NOON + 10 * MINUTE
    assert [] == noon.signals("office")


def test_the_shape_of_days_and_weeks_is_usual(week: Told) -> None:
    """
    Mornings, nights and weekends of a series with office hours are no news; its daytime on a Sunday is.
    """
    said = week.signals("shape")
    assert said
    sunday = START + 27 * DAY + 10 * HOUR
    assert sunday <= min(at for _, _, at in said)
    assert max(at for _, _, at in said) < sunday + 14 * HOUR


def test_a_batch_that_runs_every_night_is_usual(week: Told) -> None:
    """
    Twenty minutes of many calls at two in the morning are no news in any of these minutes; at four they are.
    """
    at_four = START + 28 * DAY + 4 * HOUR
    said = [one for one in week.signals("nightly") if one[2] < at_four + 12 * HOUR]
    assert {"spend_rise"} <= {what for _, what, _ in said}
    assert at_four <= said[0][2] <= at_four + 2 * MINUTE


def test_growth_is_usual(week: Told) -> None:
    """
    A series that grows by five percent a week, as it did in the weeks before, is no news.
    """
    assert [] == week.signals("grows")


def test_a_level_shift_is_told_once_and_then_usual(week: Told) -> None:
    """
    A series that triples for good is one anomaly; three days later nothing is said any more.
    """
    (anomaly,) = (one for one in week.anomalies if one["series_key"] == "shift")
    assert NOON.replace(tzinfo=None) == anomaly["started_at"]
    assert anomaly["last_seen_at"] < (NOON + 3 * DAY).replace(tzinfo=None)


def test_the_way_back_to_normal_is_no_rise(week: Told) -> None:
    """
    After two days with next to no calls the usual ones are no news.
    """
    assert [] == [one for one in week.signals("outage") if one[1] != "spend_drop"]


def test_a_slow_drift_is_told_week_over_week(series: SeriesLedger) -> None:
    """
    A series that grows by five percent a day never jumps, and is told within two weeks; its daily steps are not.
    """
    series.fill("search", "30 * noise * pow(1.05, greatest(m / 1440 - 28, 0))", days=(0, 42))

    if LONG:
        series.judge(START + 28 * DAY, START + 42 * DAY, hours=True)
    else:
        series.judge(START + 37 * DAY, START + 39 * DAY, hours=True)

    assert {"spend_drift"} <= series.detectors() <= {"spend_drift", "spend_shift"}
    assert series.signals()[0][2] < START + 40 * DAY


def test_a_new_series_is_not_judged_and_then_judged_with_doubt(series: SeriesLedger) -> None:
    """
    Twelve hours after its first call a series may triple unheard; after three days doubling is still within doubt, and
    twenty times is not; the total, known for weeks, tells of all of it.
    """
    series.fill("young", rising(20, base="5 * noise"), days=(28, 29))
    series.fill("doubled", rising(2, base="5 * noise"), days=(25, 29))
    series.fill("wild", rising(20, base="5 * noise"), days=(25, 29))
    series.fill("", f"({rising(20, base='5')} + {rising(20, base='15')} + 10) * noise", kind="total")

    series.judge(NOON - HOUR, NOON + 10 * MINUTE)

    assert [] == series.signals("young")
    assert [] == series.signals("doubled")
    assert {"spend_rise"} == series.detectors("wild")
    assert {"spend_rise"} == series.detectors("")


def test_late_lines_are_judged_when_they_land(series: SeriesLedger) -> None:
    """
    Minutes that are judged again after more lines came in are judged by all of them, and told once.
    """
    series.fill("search", "30 * noise")
    series.judge(NOON - HOUR, NOON + 5 * MINUTE)
    before = series.signals()
    series.fill("search", "90", days=(28.5, 28.5 + 5 / 1440))

    for _ in range(2):
        series.judge(NOON - 15 * MINUTE, NOON + 5 * MINUTE)

    assert [] == before
    assert {("search", "spend_rise")} == {said[:2] for said in series.signals()}
    assert 1 == len(series.anomalies())


def rounded(series: SeriesLedger) -> list[dict[str, Any]]:
    """Anomalies with numbers of 9 digits: sums of floats depend on their order in the last ones."""
    return [
        {name: float(f"{value:.9g}") if isinstance(value, float) else value for name, value in anomaly.items()}
        for anomaly in series.anomalies()
    ]


def test_judging_again_says_the_same(series: SeriesLedger) -> None:
    """
    Signals and anomalies follow from the data alone, also when time is cut otherwise.
    """
    series.fill("search", rising(3))
    series.judge(NOON - HOUR, NOON + 90 * MINUTE, hours=True)
    first = (series.signals(), rounded(series))

    for begin in range(-60, 90, 30):
        run.judge(series.ledger, NOON + timedelta(minutes=begin), NOON + timedelta(minutes=begin + 30))

    assert first == (series.signals(), rounded(series))


def test_a_threshold_that_is_set_counts(series: SeriesLedger) -> None:
    """
    Every threshold is a row with its meaning; an override takes effect at the next judging, an unknown name has none.
    """
    series.fill("search", rising(3))
    series.ledger.execute(
        "INSERT INTO {database}.detection_overrides (name, value) VALUES ('min_ratio', 5), ('nonsense', 1)"
    )

    series.judge(NOON - HOUR, NOON + 20 * MINUTE)

    rows = series.ledger.query("SELECT name, value, default_value, meaning FROM detection_settings").rows
    assert [("min_ratio", 5.0, 1.3)] == [row[:3] for row in rows if row[1] != row[2]]
    assert all(meaning for *_, meaning in rows)
    assert [] == series.signals()
