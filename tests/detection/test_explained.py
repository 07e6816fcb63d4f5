"""What changed: parts that sum to the difference to the last digit, who carries it, and the dearest calls."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from factories import make_call, make_cost
from otel_llmcost.call import Amounts, Bucket, LLMCall, Usage
from otel_llmcost.cli import main
from otel_llmcost.detection import run
from otel_llmcost.exporters import open_sink
from otel_llmcost.exporters.clickhouse.client import Ledger

NOW = datetime(2026, 3, 30, 12, tzinfo=UTC)
WEEK = timedelta(days=7)


@dataclass(frozen=True)
class Hour:
    """What an hour of calls is like."""

    calls: int = 60
    model: str = "small"
    tokens: int = 1_000
    cached: float = 0.5
    price: str = "0.000002"


def lines(begin: datetime, hour: Hour, number: int, user: str = "ada") -> list[LLMCall]:
    """The calls of an hour; their ids begin with `number`."""
    made = []
    cached = int(hour.tokens * hour.cached)
    amounts = Amounts(
        input_usd=Decimal(hour.price) * (hour.tokens - cached),
        output_usd=Decimal(hour.price) * 4 * 100,
        cache_read_usd=Decimal(hour.price) / 10 * cached,
    )
    for n in range(hour.calls):
        start_ns = int((begin + timedelta(seconds=3_600 * n / hour.calls)).timestamp() * 1e9)
        buckets = {Bucket.INPUT: hour.tokens - cached, Bucket.CACHE_READ: cached, Bucket.OUTPUT: 100}
        made.append(
            make_call(
                number * 100_000 + n + 1,
                start_ns=start_ns,
                end_ns=start_ns + 10**9,
                model=hour.model,
                user=user,
                usage=Usage(buckets={bucket: count for bucket, count in buckets.items() if count}),
                cost=make_cost(effective=amounts, list=amounts),
            )
        )
    return made


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"chdb://{tmp_path}/ledger"


def explained(url: str, calls: list[LLMCall]) -> dict[str, Any]:
    """The three tables for the team's hour from NOW on."""
    sink = open_sink(url)
    sink.write(calls)
    sink.close()
    with Ledger.open(url, read_only=False) as ledger:
        run.create(ledger)
        run.remember(ledger, NOW - 5 * WEEK, NOW + timedelta(hours=1))
        return run.explain(ledger, ("team", "cx"), NOW, NOW + timedelta(hours=1), limit=3)


def history(hour: Hour) -> Iterator[LLMCall]:
    """The same hour of the four weeks before."""
    for week in range(1, 5):
        yield from lines(NOW - week * WEEK, hour, week)


@pytest.mark.parametrize(
    ("part", "now"),
    [
        ("volume", Hour(calls=180)),
        ("mix", Hour(model="large", price="0.00001")),
        ("tokens", Hour(tokens=3_000)),
        ("cache", Hour(cached=0.0)),
        ("price", Hour(price="0.000003")),
    ],
)
def test_one_thing_that_changed_is_all_of_the_difference(url: str, part: str, now: Hour) -> None:
    """
    Where only volume, model, tokens, cache or price changed, that part is the difference and the others are 0; longer
    prompts alone leave the output as it was.
    """
    table = explained(url, [*history(Hour()), *lines(NOW, now, 9)])["parts"]

    parts = {row[0]: row[1] for row in table.rows}
    (_, _, now_usd, base_usd, difference_usd, periods) = table.rows[0]
    assert 4 == periods
    assert difference_usd == now_usd - base_usd == sum(parts.values())
    assert difference_usd > 0
    assert pytest.approx(float(difference_usd), abs=1e-9) == float(parts[part])


@pytest.mark.parametrize("seed", range(3))
def test_the_parts_sum_to_the_difference_to_the_last_digit(url: str, seed: int) -> None:
    """
    With everything changing at once, in three models, some of them new or gone, the parts are exact.
    """
    before = [Hour(37 + seed, "a", 1_001, 0.3, "0.0000021"), Hour(11, "b", 700 * (seed + 1), 0.0, "0.0000137")]
    after = [Hour(91, "a", 1_777, 0.1 * seed, "0.0000023"), Hour(7, "c", 333, 0.9, "0.00000171")]
    calls = [line for n, hour in enumerate(before) for line in lines(NOW - WEEK, hour, n + 1)]
    calls += [line for n, hour in enumerate(before) for line in lines(NOW - 2 * WEEK, hour, n + 3)]
    calls += [line for n, hour in enumerate(before[:1]) for line in lines(NOW - 3 * WEEK, hour, n + 5)]
    calls += [line for n, hour in enumerate(after) for line in lines(NOW, hour, n + 7)]

    table = explained(url, calls)["parts"]

    exact = sum(call.cost.effective.total_usd for call in calls if call.start_ns >= NOW.timestamp() * 1e9 and call.cost)
    assert exact == table.rows[0][2]
    assert table.rows[0][4] == sum(row[1] for row in table.rows)
    assert 3 == table.rows[0][5]


def test_who_carries_it_and_the_dearest_calls(url: str) -> None:
    """
    The user whose calls are new comes first with what they cost; the dearest calls come with their traces.
    """
    dear = lines(NOW, Hour(calls=20, tokens=9_000), 8, user="eve")

    tables = explained(url, [*history(Hour()), *lines(NOW, Hour(), 9), *dear])

    users = [row[1:5] for row in tables["carriers"].rows if row[0] == "user"]
    cost = sum((call.cost.effective.total_usd for call in dear if call.cost and call.cost.effective), Decimal(0))
    assert ("eve", cost, Decimal(0), cost) == users[0]
    assert {call.trace_id.hex() for call in dear} >= {row[1] for row in tables["calls"].rows}
    assert 3 == len(tables["calls"].rows)


def test_a_young_series_is_compared_with_yesterday_or_with_the_time_before(url: str) -> None:
    """
    Without a week of history the day before counts; without a day, the hour before.
    """
    yesterday = [*lines(NOW - timedelta(days=1), Hour(), 1), *lines(NOW, Hour(calls=120), 2)]

    table = explained(url, yesterday)["parts"]

    assert (1, table.rows[0][2]) == (table.rows[0][5], 2 * table.rows[0][3])


def test_the_command_explains_a_series(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """
    `anomalies explain --series --at` prints the three tables; JSON has exact amounts as text.
    """
    explained(url, [*history(Hour()), *lines(NOW, Hour(calls=180), 9)])
    options = ["anomalies", "explain", "--series", "team=cx", "--at", "2026-03-30T12:00", "--ledger", url]

    assert 0 == main(options)
    printed = capsys.readouterr().out
    assert 0 == main([*options, "--format", "json"])
    tables = json.loads(capsys.readouterr().out)

    assert "team=cx, 2026-03-30 12:00 to 2026-03-30 13:00 UTC" in printed
    assert "What changed" in printed
    assert "The dearest calls" in printed
    total = sum(Decimal(row["change_usd"]) for row in tables["parts"])
    assert Decimal(tables["parts"][0]["difference_usd"]) == total


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        (["list"], 2, "has not been judged yet"),
        (["explain", "abcdef"], 2, "has not been judged yet"),
        (["explain"], 2, "--series and --at"),
        (["explain", "xyz!"], 2, "6 to 32"),
        (["explain", "--series", "total"], 2, "--series and --at"),
        (["judge", "--since", "999d"], 2, "at most 120d"),
    ],
)
def test_mistakes_say_what_to_do(
    url: str, capsys: pytest.CaptureFixture[str], options: list[str], code: int, text: str
) -> None:
    """
    A ledger that was not judged, an id that is none and missing options are one line each.
    """
    sink = open_sink(url)
    sink.write([make_call(1)])
    sink.close()

    assert code == main(["anomalies", *options, "--ledger", url])

    assert text in capsys.readouterr().err


def test_judge_then_list(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """
    `anomalies judge` makes a ledger ready for `anomalies list`, which is empty where nothing stands out.
    """
    sink = open_sink(url)
    sink.write([make_call(1)])
    sink.close()

    assert 0 == main(["anomalies", "judge", "--ledger", url])
    assert 0 == main(["anomalies", "list", "--since", "2w", "--format", "json", "--ledger", url])

    assert [] == json.loads(capsys.readouterr().out)
    assert 3 == main(["anomalies", "explain", "abcdef", "--ledger", url])
