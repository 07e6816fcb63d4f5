"""Budgets: what the ledger says of them is what plain Python adds up, and the command says what is wrong."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from factories import make_call, make_cost
from otel_llmcost.budgets import Budget, current, remove_budgets, write_budgets
from otel_llmcost.call import Amounts, LLMCall
from otel_llmcost.cli import main
from otel_llmcost.exporters import open_sink
from otel_llmcost.exporters.clickhouse.client import Ledger

TODAY = date(2026, 11, 24)  # a Tuesday
STARTS = {"day": TODAY, "week": date(2026, 11, 23), "month": date(2026, 11, 1), "quarter": date(2026, 10, 1)}
ENDS = {"day": date(2026, 11, 25), "week": date(2026, 11, 30), "month": date(2026, 12, 1), "quarter": date(2027, 1, 1)}


def calls() -> list[LLMCall]:
    """A hundred and fifty days of three teams and two customers, and a call of tomorrow."""
    return [spent(number, TODAY - timedelta(days=number // 4)) for number in range(600)] + [
        spent(600, TODAY + timedelta(days=1))
    ]


def spent(number: int, day: date) -> LLMCall:
    start_ns = int(datetime(day.year, day.month, day.day, number % 24, 59, tzinfo=UTC).timestamp()) * 1_000_000_000
    tags = {"team": f"team-{number % 3}", "feature": "chat", "customer": "O'Neil \\ 'x'" if number % 5 else ""}
    cost = make_cost(effective=Amounts(input_usd=Decimal(number + 1) / 1_000_000_000_000 + Decimal("0.1")))
    return make_call(number, start_ns=start_ns, end_ns=start_ns + 1, tags=tags, cost=cost)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = f"chdb://{tmp_path_factory.mktemp('budgets') / 'ledger'}"
    sink = open_sink(url)
    sink.write(calls())
    sink.close()
    return url


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    with Ledger.open(url, read_only=False) as opened:
        opened.execute("TRUNCATE TABLE {database}.budgets")
        yield opened


def budget(name: str = "b", **said: object) -> Budget:
    return Budget.model_validate({"name": name, "amount_usd": "10", "from": "2026-01-01", **said})


def status(ledger: Ledger, day: date = TODAY) -> dict[str, dict]:
    found = current(ledger, day)
    return {row[0]: dict(zip(found.columns, row, strict=True)) for row in found.rows}


SCOPES = st.fixed_dictionaries(
    {},
    optional={
        "team": st.lists(st.sampled_from(["team-0", "team-1", "team-2", "nobody"]), min_size=1, unique=True),
        "customer": st.lists(st.sampled_from(["O'Neil \\ 'x'", ""]), min_size=1, unique=True),
        "provider": st.just(["openai"]),
    },
)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(wanted=st.lists(st.tuples(st.sampled_from(list(STARTS)), SCOPES), min_size=1, max_size=5))
def test_what_is_spent_is_the_sum_of_the_lines(ledger: Ledger, wanted: list[tuple[str, dict[str, list[str]]]]) -> None:
    """
    To the last digit, for budgets of any period and scope beside each other; what comes after the day does not count.
    """
    ledger.execute("TRUNCATE TABLE {database}.budgets")
    write_budgets(
        ledger, [budget(f"{n}", period=period, scope=scope) for n, (period, scope) in enumerate(wanted)], TODAY
    )

    found = status(ledger)

    for number, (period, scope) in enumerate(wanted):
        fits = [
            call
            for call in calls()
            if STARTS[period] <= datetime.fromtimestamp(call.start_ns / 1e9, UTC).date() <= TODAY
            and all({**call.tags, "provider": call.provider}[name] in values for name, values in scope.items())
        ]
        assert sum((call.cost.effective.total_usd for call in fits), Decimal(0)) == found[f"{number}"]["spent_usd"]
        assert (ENDS[period] - TODAY).days - 1 == found[f"{number}"]["days_left"]


def usd_of_today(ledger: Ledger) -> Decimal:
    ((usd,),) = ledger.query("SELECT sum(cost_usd) FROM calls_daily WHERE day = {day:Date32}", {"day": TODAY}).rows
    return usd


def test_a_threshold_is_reached_with_its_share(ledger: Ledger) -> None:
    """
    The highest that is reached counts, 1 at the amount itself; below the first it is 0.
    """
    day_usd = usd_of_today(ledger)
    amounts = {"full": day_usd, "almost": day_usd / Decimal("0.96"), "calm": day_usd * 2}
    write_budgets(ledger, [budget(name, period="day", amount_usd=amount) for name, amount in amounts.items()], TODAY)

    found = status(ledger)

    assert {"full": 1.0, "almost": 0.95, "calm": 0.0} == {name: row["threshold_reached"] for name, row in found.items()}


def test_a_budget_that_is_going_to_be_exceeded_says_when(ledger: Ledger) -> None:
    """
    The last seven full days, 0.4 USD each, go on: 0.4 USD today, six days more in the month.
    """
    write_budgets(ledger, [budget(period="month", amount_usd="10.5"), budget("much", amount_usd="500")], TODAY)

    found = status(ledger)

    spent_usd = float(found["b"]["spent_usd"])
    assert pytest.approx(9.6) == spent_usd
    assert pytest.approx(9.6 + 6 * 0.4) == found["b"]["expected_usd"]
    assert TODAY + timedelta(days=3) == found["b"]["exceeds_on"]
    assert None is found["much"]["exceeds_on"]


def test_budgets_change_from_a_day_on_and_keep_what_they_were(ledger: Ledger) -> None:
    """
    A raise from December on counts in December; a removal ends a budget today and not before.
    """
    write_budgets(ledger, [budget(amount_usd="10")], TODAY)
    write_budgets(ledger, [budget(amount_usd="20", **{"from": "2026-12-01"})], TODAY)

    assert 10 == status(ledger)["b"]["amount_usd"]
    assert 20 == status(ledger, date(2026, 12, 2))["b"]["amount_usd"]
    remove_budgets(ledger, ["b"], TODAY)
    assert {} == status(ledger)
    assert 10 == status(ledger, TODAY - timedelta(days=1))["b"]["amount_usd"]


def test_the_same_budget_again_adds_nothing(ledger: Ledger) -> None:
    """
    A file may be imported by every run of a pipeline.
    """
    wanted = [budget(scope={"team": ["b", "a"]}, thresholds=[1, 0.5]), budget("other", period="week")]

    assert [2, 0, 1] == [
        write_budgets(ledger, wanted, TODAY),
        write_budgets(ledger, [budget(scope={"team": ["a", "b"]}, thresholds=[0.5, 1]), wanted[1]], TODAY),
        write_budgets(ledger, [budget(scope={"team": ["a"]}), wanted[1]], TODAY),
    ]


@pytest.fixture
def run(ledger: Ledger, url: str, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def runs(*argv: str) -> tuple[int, str, str]:
        code = main(["budgets", *argv, "--ledger", url])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return runs


def test_the_command_sets_shows_imports_and_removes(run: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    """
    What a script needs: the same again changes nothing, JSON has exact amounts, `--check` fails where it is too much.
    """
    file = tmp_path / "budgets.yaml"
    file.write_text("budgets:\n  - {name: cx, amount_usd: 5000.10, scope: {team: cx}}\n")

    assert [(0, "all: set\n"), (0, "all: is so already\n")] == [
        run("set", "all", "--amount", "0.000001", "--period", "quarter", "--from", "2026-01-01")[:2] for _ in range(2)
    ]
    code, out, _ = run("status", "--day", "2026-11-24", "--check", "--format", "json")
    assert (1, "0.000001000000") == (code, json.loads(out)[0]["amount_usd"])
    assert "1 set, 0 as they were, 1 removed\n" == run("import", str(file), "--prune")[1]
    assert "5,000.10" in run("status")[1]
    assert (0, "removed cx\n") == run("remove", "cx")[:2]


@pytest.mark.parametrize(
    ("argv", "hint"),
    [
        (["set", "b", "--amount", "-1"], "--amount: Input should be greater than 0"),
        (["set", "b", "--amount", "much"], "--amount: must be a number"),
        (["set", "b", "--amount", "1", "--period", "year"], "--period: Input should be 'day', 'week', 'month'"),
        (["set", "b", "--amount", "1", "--scope", "taem=cx"], "did you mean 'team'?"),
        (["set", "b", "--amount", "1", "--scope", "team"], "must be DIMENSION=VALUE"),
        (["set", "b", "--amount", "1", "--thresholds", "70"], "0.85 is 85 %"),
        (["set", "b", "--amount", "1", "--from", "soon"], "must be a day like 2026-01-31"),
        (["remove", "nothing"], "no budget 'nothing'"),
        (["import", "/no/such.yaml"], "/no/such.yaml: cannot be read"),
    ],
)
def test_a_wrong_budget_is_told(run: Callable[..., tuple[int, str, str]], argv: list[str], hint: str) -> None:
    """
    The text names the option, and nothing is written.
    """
    code, _, err = run(*argv)

    assert (2, True) == (code, hint in err), err
    assert "[]\n" == run("status", "--format", "json")[1]


def test_a_mistake_in_a_file_is_told_with_its_line(run: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    """
    Every mistake at once, each with file and line; a name that stands twice too.
    """
    file = tmp_path / "budgets.yaml"
    file.write_text("budgets:\n  - name: a\n    amount_usd: 0\n  - name: b\n    amount: 3\n")
    code, _, err = run("import", str(file))
    file.write_text("budgets:\n  - {name: a, amount_usd: 1}\n  - {name: a, amount_usd: 1}\n")

    assert (2, [True] * 3) == (code, [f"{file}:{line}: budgets." in err for line in (3, 4, 5)]), err
    assert "is there twice" in run("import", str(file))[2]
