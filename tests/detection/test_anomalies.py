"""One anomaly per cause: which series names it, what is folded into it, and that its id stays."""

from typing import Any

import pytest
from series_ledger import DAY, HOUR, MINUTE, START, SeriesLedger

from otel_llmcost.detection import run

NOON = START + 28 * DAY + 12 * HOUR
LOOP = "m >= 40320 + 720"


def organisation(series: SeriesLedger, search: str, other: str = "60 * noise", usd: str = "calls * 0.01") -> None:
    """A team of two features, another team, and the model and the total that all of them share."""
    series.fill("search", search, usd=usd)
    series.fill("chat", "60 * noise", usd=usd)
    series.fill("cx", f"({search}) + 60 * noise", kind="team", usd=usd)
    series.fill("ops", other, kind="team", usd=usd)
    series.fill("gpt", f"({search}) + 60 * noise + ({other})", kind="model", usd=usd)
    series.fill("", f"({search}) + 60 * noise + ({other})", kind="total", usd=f"({usd}) + 2")
    search_usd = "0.01 * (60 + 240 * (number >= 40320 + 720))" if "*" in search else "0.6"
    for above in (("team", "cx"), ("model", "gpt"), ("total", "")):
        series.share(("feature", "search"), above, search_usd)
        if above[0] != "team":
            series.share(("team", "cx"), above, f"{search_usd} + 0.6")
            series.share(("team", "ops"), above, "0.6")
        series.share(("feature", "chat"), above, "0.6")
    series.share(("model", "gpt"), ("total", ""), f"{search_usd} + 1.2")


def names(anomaly: dict[str, Any]) -> tuple[tuple[str, str], set[tuple[str, str]]]:
    """What names an anomaly, and what is folded into it."""
    return (anomaly["series_kind"], anomaly["series_key"]), set(anomaly["folded"])


def test_a_loop_in_one_feature_is_one_anomaly_named_after_it(series: SeriesLedger) -> None:
    """
    Team, model and total rise with the feature, and are folded into it.
    """
    organisation(series, f"60 * noise * if({LOOP}, 5, 1)")

    series.judge(NOON - HOUR, NOON + 30 * MINUTE)

    (anomaly,) = series.anomalies()
    above = {("team", "cx"), ("model", "gpt"), ("total", "")}
    assert (("feature", "search"), above) == names(anomaly)
    assert 3 < anomaly["times_expected"] < 7
    assert anomaly["peak_usd_per_hour"] > anomaly["expected_usd_per_hour"]


def test_a_dearer_model_is_one_anomaly_named_after_it(series: SeriesLedger) -> None:
    """
    A price that triples makes all features and teams of the model dearer: the model is named, they are folded.
    """
    organisation(series, "60 * noise", usd=f"calls * 0.01 * if({LOOP}, 3, 1)")

    series.judge(NOON - HOUR, NOON + 30 * MINUTE)

    assert [("model", "gpt")] == [names(anomaly)[0] for anomaly in series.anomalies()]


def test_unrelated_causes_are_told_apart(series: SeriesLedger) -> None:
    """
    Two features that have nothing in common and rise in the same minute are two anomalies.
    """
    for key in ("search", "billing"):
        series.fill(key, f"60 * noise * if({LOOP}, 4, 1)")

    series.judge(NOON - HOUR, NOON + 30 * MINUTE)

    assert {(("feature", "search"), ()), (("feature", "billing"), ())} == {
        (name, tuple(folded)) for name, folded in map(names, series.anomalies())
    }


def test_an_outage_is_one_anomaly(series: SeriesLedger) -> None:
    """
    A feature that falls silent together with its team is one anomaly of silence.
    """
    silent = f"if({LOOP}, 0, 60 * noise)"
    series.fill("search", silent)
    series.fill("cx", silent, kind="team")
    series.share(("feature", "search"), ("team", "cx"), "0.6", days=(27, 28.5))

    series.judge(NOON - HOUR, NOON + 30 * MINUTE)

    assert ["drop"] == [anomaly["direction"] for anomaly in series.anomalies()]


def test_the_id_stays_while_an_anomaly_goes_on(series: SeriesLedger) -> None:
    """
    Judged minute by minute, one anomaly keeps its id from its first minute to the hour after.
    """
    organisation(series, f"60 * noise * if({LOOP}, 5, 1)")
    series.judge(NOON - HOUR, NOON)
    ids = []

    for minute in (3, 10, 75):
        run.judge(series.ledger, NOON, NOON + minute * MINUTE)
        ids.append([anomaly["id"] for anomaly in series.anomalies()])

    assert ids[0] == ids[1] == ids[2]
    assert 1 == len(ids[0])


@pytest.mark.parametrize("hours", [2, 9])
def test_signals_far_apart_are_two_anomalies(series: SeriesLedger, hours: int) -> None:
    """
    A series that rises again within six hours goes on with its anomaly; later it begins another.
    """
    again = f"m BETWEEN 40320 + 360 + {hours * 60} AND 40320 + 380 + {hours * 60}"
    series.fill("search", f"60 * noise * if(m BETWEEN 40320 + 360 AND 40320 + 380 OR {again}, 5, 1)")

    series.judge(START + 28 * DAY, START + 28 * DAY + 18 * HOUR)

    assert (1 if hours == 2 else 2) == len(series.anomalies())
