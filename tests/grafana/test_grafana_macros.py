"""The model of Grafana's macros and quoting that the query tests stand on."""

from datetime import UTC, datetime

import pytest
from grafana_macros import ALL, MacroError, Value, View, expand, expand_in_backend

START, END = 1_795_185_000, 1_795_188_600  # 2026-11-20T14:30:00Z and an hour later
DAY = "toDate('2026-11-20')"


def view(interval_s: int = 60, **variables: Value) -> View:
    return View(datetime.fromtimestamp(START, UTC), datetime.fromtimestamp(END, UTC), interval_s, variables)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("$__timeFilter(ts)", f"ts >= toDateTime({START}) AND ts <= toDateTime({END})"),
        (
            "$__timeFilter_ms(ts)",
            f"ts >= fromUnixTimestamp64Milli({START}000) AND ts <= fromUnixTimestamp64Milli({END}000)",
        ),
        (
            "$__dateTimeFilter(d, ts)",
            f"(d >= {DAY} AND d <= {DAY}) AND (ts >= toDateTime({START}) AND ts <= toDateTime({END}))",
        ),
        ("$__timeInterval(ts)", "toStartOfInterval(toDateTime(ts), INTERVAL 60 second)"),
        (
            "$__timeInterval(toDateTime(ts, 'UTC'))",
            "toStartOfInterval(toDateTime(toDateTime(ts, 'UTC')), INTERVAL 60 second)",
        ),
        ("x / $__interval_s", "x / 60"),
        ("$__fromTime - $__toTime", f"toDateTime({START}) - toDateTime({END})"),
        ("a -- b\n  -- $__nothing\nc", "a -- b\n\nc"),
    ],
)
def test_backend_macro(sql: str, expected: str) -> None:
    """
    A time macro becomes what the plugin's backend makes of it; comment lines go.
    """
    assert expected == expand_in_backend(sql, view())


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([ALL], "1=1"),
        (ALL, "1=1"),
        ([], "1=1"),
        ("", "1=1"),
        ("cx", "team IN ('cx')"),
        (["cx"], "team IN ('cx')"),
        (["cx", "ml"], "team IN ('cx','ml')"),
        (["O'Neil"], "team IN ('O''Neil')"),
        (['double"quote'], "team IN ('double\\\"quote')"),
        (["(a, b)"], "team IN ('(a, b)')"),
    ],
)
def test_filter_on_a_variable(value: Value, expected: str) -> None:
    """
    All and nothing filter nothing; any other choice is quoted, one by one.
    """
    assert expected == expand("$__conditionalAll(team IN (${team:sqlstring}), $team)", view(team=value))


@pytest.mark.parametrize(
    "sql",
    [
        "team IN (${team})",
        "team IN (${team:singlequote})",
        "$__conditionalAll(team IN (${team:sqlstring}), ${team:sqlstring})",
        "$__rateColumns(team)",
        "$__timeFilter(ts",
    ],
)
def test_what_grafana_would_not_make_safe_is_refused(sql: str) -> None:
    """
    A value that would go in unquoted, a macro nobody knows and an open bracket are errors, not SQL.
    """
    with pytest.raises(MacroError):
        expand(sql, view(team=["cx"]))


def test_alert_query_knows_no_variables() -> None:
    """
    The backend, which runs alerts, expands neither variables nor the browser's macros.
    """
    for sql in ("team = ${team:sqlstring}", "$__conditionalAll(1, $team)"):
        with pytest.raises(MacroError):
            expand_in_backend(sql, view(team=["cx"]))
