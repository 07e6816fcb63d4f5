"""Every query of the dashboards, on the real engine, against numbers that plain Python takes from the same calls."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from grafana_ledger import filled_ledger
from grafana_macros import ALL, View, expand
from grafana_sample import DIMENSIONS, NOW, SPEND_OVERVIEW, TEAMS, Question, Row, named, sample_calls

from otel_llmcost.exporters.clickhouse.client import Ledger

GRAFANA = Path(__file__).parents[2] / "grafana"
DASHBOARD = json.loads((GRAFANA / "dashboards/spend-overview.json").read_text("utf-8"))
ASKING = [panel for panel in DASHBOARD["panels"] if "rawSql" in panel["targets"][0]]
VARIABLES = {v["name"]: v for v in DASHBOARD["templating"]["list"] if v["type"] == "query"}
EVERYTHING = {name: [ALL] for name in VARIABLES}

# name → length of the range, interval of the panel, what is chosen
VIEWS: dict[str, tuple[timedelta, int, dict[str, list[str]]]] = {
    "an hour, by the second": (timedelta(hours=1), 1, {}),
    "a day, all": (timedelta(days=1), 600, {}),
    "a day, O'Neil": (timedelta(days=1), 600, {"team": ["O'Neil"]}),
    "a day, hostile names": (timedelta(days=1), 600, {"team": ['double"quote', "back\\slash", "ends in \\"]}),
    "a day, nobody's": (timedelta(days=1), 600, {"team": ["(none)"], "environment": ["(none)", "staging"]}),
    "a day, never priced": (timedelta(days=1), 600, {"model": ["model-i"]}),
    "12 hours, an agent": (timedelta(hours=12), 600, {"agent": ["O'Brien"], "workflow": ["(none)"]}),
    "a week, one seller": (timedelta(days=7), 3600, {"provider": ["azure"], "feature": ["search", "chat"]}),
    "a month, all": (timedelta(days=30), 21600, {}),
    "a month, bars under an hour": (timedelta(days=30), 1800, {"team": ["O'Neil", "cx"]}),
    "a day, a customer": (timedelta(days=1), 600, {"customer": ["customer-7"], "service": ["bot"]}),
    "a month, customers": (timedelta(days=30), 10800, {"customer": ["customer-7", "customer-8"]}),
    "a day without calls": (timedelta(days=1), 600, {"customer": ["nobody"]}),
}

CALLS = sample_calls()


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    seen_twice = [replace(call, emitter="seen again") for call in CALLS[::3]]
    with filled_ledger(tmp_path_factory.mktemp("grafana") / "ledger", [*CALLS, *seen_twice]) as ledger:
        yield ledger


def utc(row: Sequence[Any]) -> Row:
    return tuple(v if not isinstance(v, datetime) or v.tzinfo else v.replace(tzinfo=UTC) for v in row)


def options(ledger: Ledger, name: str, view: View) -> dict[str, str]:
    """The list of a variable, as the plugin reads it: text → value."""
    sql = expand(VARIABLES[name]["query"]["rawSql"], view)
    return {text: value for value, text in ledger.query(sql).rows}


QUESTIONS: dict[str, Question] = {}


def ask(ledger: Ledger, name: str) -> Question:
    """A view whose variables hold what a user would pick from the lists of the dashboard."""
    if name not in QUESTIONS:
        QUESTIONS[name] = _ask(ledger, name)
    return QUESTIONS[name]


def _ask(ledger: Ledger, name: str) -> Question:
    length, interval_s, chosen = VIEWS[name]
    view = View(NOW - length, NOW, interval_s, EVERYTHING)
    month = replace(view, start=NOW - timedelta(days=40))
    picked = {key: [options(ledger, key, month).get(text, text) for text in texts] for key, texts in chosen.items()}
    return Question(replace(view, variables=EVERYTHING | picked), chosen)


def assert_same_rows(expected: Sequence[Row], actual: Sequence[Row]) -> None:
    """Money to the last digit; rates and shares, which are floats, to nine digits."""
    assert len(expected) == len(actual)
    for left, right in zip(expected, actual, strict=True):
        floats = [pytest.approx(value, rel=1e-9) if isinstance(value, float) else value for value in left]
        assert floats == list(right)


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize("panel", ASKING, ids=lambda panel: panel["title"])
def test_panel_shows_what_the_calls_say(ledger: Ledger, panel: dict[str, Any], name: str) -> None:
    """
    Each panel's rows are those that Python computes from the calls, for All, one value, several and hostile names.
    """
    question = ask(ledger, name)
    expected = SPEND_OVERVIEW[panel["title"]](CALLS, question)

    answer = ledger.query(expand(panel["targets"][0]["rawSql"], question.view))

    width = len(expected[0]) if expected else 0  # what follows is for links
    rows = [utc(row)[:width] for row in answer.rows]
    assert_same_rows(expected[:50] if panel["type"] == "table" else expected, rows)


@pytest.mark.parametrize("panel", ASKING, ids=lambda panel: panel["title"])
def test_single_value_variable_works_too(ledger: Ledger, panel: dict[str, Any]) -> None:
    """
    A variable that holds one string instead of a list filters the same.
    """
    question = ask(ledger, "a day, O'Neil")
    single = replace(question.view, variables=EVERYTHING | {"team": "O'Neil"})
    sql = panel["targets"][0]["rawSql"]

    assert ledger.query(expand(sql, question.view)).rows == ledger.query(expand(sql, single)).rows


@pytest.mark.parametrize("panel", ASKING, ids=lambda panel: panel["title"])
def test_overrides_name_columns_of_the_answer(ledger: Ledger, panel: dict[str, Any]) -> None:
    """
    A field override that matches no column of its query would do nothing, in silence.
    """
    answer = ledger.query(expand(panel["targets"][0]["rawSql"], ask(ledger, "a month, all").view))
    overridden = {override["matcher"]["options"] for override in panel["fieldConfig"]["overrides"]}

    assert answer.rows
    assert overridden <= set(answer.columns)


def test_time_series_come_in_order_of_time(ledger: Ledger) -> None:
    """
    Grafana turns a long series wide only where the first column is `time`, ascending.
    """
    for panel in ASKING:
        if panel["type"] == "timeseries":
            answer = ledger.query(expand(panel["targets"][0]["rawSql"], ask(ledger, "a month, all").view))

            assert answer.columns[0] == "time"
            assert [row[0] for row in answer.rows] == sorted(row[0] for row in answer.rows)


@pytest.mark.parametrize("name", VARIABLES)
def test_variable_lists_what_was_in_use(ledger: Ledger, name: str) -> None:
    """
    A variable offers every value of the range, an unset one as "(none)", the most expensive first.
    """
    question = Question(View(NOW - timedelta(days=1), NOW, 600, EVERYTHING), {})
    long = replace(question, view=replace(question.view, start=NOW - timedelta(days=40)))

    within_a_day = {DIMENSIONS[name](c) for c in CALLS if 0 <= (NOW.timestamp() - c.start_ns / 1e9) <= 86400}

    assert within_a_day <= set(options(ledger, name, question.view))
    assert {DIMENSIONS[name](call) for call in CALLS} == set(options(ledger, name, long.view))


def test_variable_puts_the_most_expensive_first(ledger: Ledger) -> None:
    """
    Teams are listed by what they spent, so that the cut at 1,000 options loses the cheapest.
    """
    view = View(NOW - timedelta(days=30), NOW, 600, EVERYTHING)
    by_spend = [row[0] for row in SPEND_OVERVIEW["Spend by team"](CALLS, Question(view, {}))]

    assert by_spend == list(options(ledger, "team", view))
    assert {named(team) for team in TEAMS} == set(by_spend)
