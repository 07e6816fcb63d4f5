"""Rollups equal the calls at all times: whatever arrives twice, late or skewed, and wherever a settler is killed."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from threading import Event, Thread
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rollup_account import HOUR_NS, KilledAfter, KilledError, check, empty, hours_of, hours_shown, write

from factories import START_NS, make_call, make_cost
from otel_llmcost.call import Amounts, Cost, LLMCall, Outcome, Source, Status, Usage
from otel_llmcost.exporters.clickhouse.client import Ledger
from otel_llmcost.exporters.clickhouse.migrations import prepare
from otel_llmcost.exporters.clickhouse.settling import Settled, TouchedHours, rebuild, settle

LONG = "LLMCOST_LONG" in os.environ
MIDNIGHT_NS = START_NS + 12 * HOUR_NS


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"chdb://{tmp_path_factory.mktemp('rollups')}"


@pytest.fixture(scope="module")
def ledger(url: str) -> Iterator[Ledger]:
    with Ledger.open(url, read_only=False) as opened:
        prepare(opened)
        yield opened


@st.composite
def records(draw: st.DrawFn) -> LLMCall:
    """A record of one of few calls around midnight; records of a call differ in all that observers differ in."""
    number = draw(st.integers(1, 6))
    source = draw(st.sampled_from([Source.WIRE, Source.SDK_SPAN, Source.IMPORT]))
    hidden_by = draw(st.sampled_from([b"", b"", b"", b"another call, now"[:16]]))
    apart_h = 12.99 if source is Source.IMPORT else 25 if hidden_by else 0.49  # as far as decision 14 goes
    start_ns = MIDNIGHT_NS + (number - 3) * HOUR_NS // 3 + int(draw(st.floats(-apart_h, apart_h)) * HOUR_NS)
    cost: Cost = draw(
        st.sampled_from([make_cost(), make_cost(effective=Amounts(input_usd=Decimal("0.7"))), Cost(Status.UNPRICED)])
    )
    call = make_call(
        number + (100 if source is Source.IMPORT else 0),
        source=source,
        duplicate_of=hidden_by,
        start_ns=start_ns,
        end_ns=start_ns + draw(st.integers(0, 10**10)),
        outcome=draw(st.sampled_from(list(Outcome))),
        tags={"team": draw(st.sampled_from(["cx", "ml", "(none)"])), "customer": draw(st.sampled_from(["", "acme"]))},
        usage=draw(st.sampled_from([make_call().usage, Usage(), Usage(known=False)])),
        cost=cost,
    )
    return replace(call, revision=draw(st.integers(1, 3))) if source is Source.IMPORT else call


STEPS = st.one_of(
    st.lists(records(), min_size=1, max_size=4),
    st.just("settle"),
    st.just("rebuild"),
    st.just("merge"),
    st.integers(0, 9),  # a settler that is killed before that statement
)


def apply(step: Any, ledger: Ledger, url: str) -> None:
    if isinstance(step, list):
        write(url, step)
    elif step == "settle":
        settle(ledger, grace_s=0)
    elif step == "rebuild":
        rebuild(ledger, grace_s=0)
    elif step == "merge":
        ledger.execute("OPTIMIZE TABLE {database}.call_versions FINAL")
    else:
        killed = KilledAfter(ledger.url, ledger.client)
        killed.left = step
        with suppress(KilledError):
            settle(killed, grace_s=0)


@settings(
    max_examples=150 if LONG else 4,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(steps=st.lists(STEPS, min_size=3, max_size=8))
def test_rollups_are_the_sum_of_the_lines_at_all_times(ledger: Ledger, url: str, steps: list[Any]) -> None:
    """
    Inserts, duplicates and skewed versions on both sides of midnight, settlers, killed ones, merges, in any order.
    """
    empty(ledger)
    written: list[LLMCall] = []
    for number, step in enumerate(steps):
        apply(step, ledger, url)
        # The very same batch again is dropped by its token, and is no later word on an import.
        written += step if isinstance(step, list) and step not in steps[:number] else []
        check(ledger, written)


@given(
    began=st.lists(st.integers(0, 26 * 4), min_size=2, max_size=4, unique=True),
    cuts=st.sets(st.integers(1, 3)),
    month=st.booleans(),
)
@settings(max_examples=100 if LONG else 12)
def test_of_rows_that_one_import_tells_of_a_call_the_later_one_counts(
    ledger: Ledger, url: str, began: list[int], cuts: set[int], month: bool
) -> None:
    """
    Their versions are equal, and their times up to 26 hours apart: in one batch or several, in one month or two.
    """
    empty(ledger)
    first_ns = MIDNIGHT_NS - (26 * HOUR_NS if month else 0)
    calls = [
        make_call(1, source=Source.IMPORT, revision=7, start_ns=first_ns + quarter * HOUR_NS // 4) for quarter in began
    ]
    bounds = [0, *sorted(cut for cut in cuts if cut < len(calls)), len(calls)]
    for start, end in pairwise(bounds):
        write(url, calls[start:end])

    shown = ledger.query("SELECT toUnixTimestamp64Nano(ts) FROM calls").rows
    assert [(calls[-1].start_ns,)] == shown
    assert hours_of(calls[-1:]) == hours_shown(ledger)


def test_hours_are_settled_once_and_again_when_touched(ledger: Ledger, url: str) -> None:
    """
    A settled hour is read from its totals; a later version of one of its lines makes it live, and it is settled anew.
    """
    empty(ledger)
    first = make_call(1, source=Source.SDK_SPAN)
    write(url, [first, make_call(2)])
    live = "SELECT countIf(settlement = 0) FROM hour_states"

    before = ledger.query(live).rows
    settled = [settle(ledger, grace_s=0).hours, settle(ledger, grace_s=0).hours]
    between = ledger.query(live).rows
    write(url, [make_call(1, source=Source.WIRE, cost=make_cost(effective=Amounts(input_usd=Decimal(7))))])
    after = ledger.query(live).rows
    check(ledger, [make_call(1, cost=make_cost(effective=Amounts(input_usd=Decimal(7)))), make_call(2)])
    again = settle(ledger, grace_s=0).hours
    check(ledger, [make_call(1, cost=make_cost(effective=Amounts(input_usd=Decimal(7)))), make_call(2)])

    assert [(3,)] == before == after  # the hour and, as clocks differ, the ones beside it
    assert [3, 0] == settled
    assert [(0,)] == between
    assert again == 3


def test_an_hour_that_is_written_to_is_left_alone(ledger: Ledger, url: str) -> None:
    """
    What was touched within the grace time is not settled.
    """
    empty(ledger)
    write(url, [make_call(1)])

    assert settle(ledger, grace_s=60).hours == 0


def test_a_query_sees_every_line_once_while_hours_are_settled(ledger: Ledger, url: str) -> None:
    """
    Which hours are live and which are settled is decided once a query: a settler at work changes no sum.
    """
    empty(ledger)
    write(url, [make_call(number, start_ns=START_NS + number * HOUR_NS // 4) for number in range(60)])
    expected = ledger.query("SELECT count(), sum(cost_usd) FROM calls").rows
    done = Event()

    def settle_on_and_on() -> None:
        for _ in range(6):
            rebuild(ledger, grace_s=0)
        done.set()

    settler = Thread(target=settle_on_and_on)
    settler.start()
    seen = []
    with Ledger.open(url) as reader:
        while not done.is_set():
            seen += reader.query("SELECT sum(calls), sum(cost_usd) FROM calls_hourly").rows
            seen += reader.query("SELECT sum(calls), sum(cost_usd) FROM calls_daily").rows
    settler.join()

    assert len(seen) > 4
    assert set(expected) == set(seen)


def test_two_settlers_at_once_make_one_sum(ledger: Ledger, url: str) -> None:
    """
    Both find the same hours quiet and store totals; one of them counts.
    """
    empty(ledger)
    calls = [make_call(number) for number in range(1, 9)]
    write(url, calls)
    settlers = [Thread(target=settle, args=(ledger,), kwargs={"grace_s": 0}) for _ in range(2)]
    for settler in settlers:
        settler.start()
    for settler in settlers:
        settler.join()

    check(ledger, calls)


def test_a_foreign_insert_touches_its_hours(ledger: Ledger, url: str) -> None:
    """
    Rows that somebody inserts with SQL show in the rollups, settled hours or not.
    """
    empty(ledger)
    write(url, [make_call(1)])
    settle(ledger, grace_s=0)

    ledger.execute(
        "INSERT INTO {database}.call_versions (call_id, version, ts, team, cost_usd)"
        " VALUES (unhex(repeat('cd', 16)), 1, '2025-12-01 12:30:00', 'sql', 3.5)"
    )

    rows = ledger.query("SELECT calls, cost_usd FROM chargeback WHERE team = 'sql'").rows
    assert [(1, Decimal("3.5"))] == rows


@pytest.mark.parametrize(("versions", "shown"), [((1, 2), 2), ((2, 1), 1), ((1, 1), 2)])
def test_rows_of_plain_sql_are_one_line_after_a_rebuild(ledger: Ledger, versions: tuple[int, int], shown: int) -> None:
    """
    Two versions on both sides of midnight, without shadows: the higher one stays, and the later of two equal ones.
    """
    empty(ledger)
    for version, time in zip(versions, ("2025-12-01 23:59:59", "2025-12-02 00:00:01"), strict=True):
        ledger.execute(
            "INSERT INTO {database}.call_versions (call_id, version, ts, team, cost_usd)"
            f" VALUES (unhex(repeat('cd', 16)), {version}, '{time}', 'sql', 3.5)"
        )
    settle(ledger, grace_s=0)
    before = ledger.query("SELECT count() FROM calls").rows
    for _ in range(2):
        rebuild(ledger, grace_s=0)

        assert [(shown,)] == ledger.query("SELECT toDayOfMonth(ts, 'UTC') FROM calls").rows
        assert [(shown, 1)] == ledger.query("SELECT toDayOfMonth(day), sum(calls) FROM calls_hourly GROUP BY day").rows
    assert [(2,)] == before


def test_a_rebuild_follows_rows_that_were_deleted(ledger: Ledger, url: str) -> None:
    """
    By hand, and all that an hour had: its stored totals go too.
    """
    empty(ledger)
    write(url, [make_call(1), make_call(2, start_ns=START_NS + 5 * HOUR_NS)])
    settle(ledger, grace_s=0)
    ledger.execute("DELETE FROM {database}.call_versions WHERE ts > '2025-12-01 16:00:00'")
    stale = ledger.query("SELECT sum(calls) FROM calls_hourly").rows
    rebuild(ledger, grace_s=0)

    assert [(2,)] == stale
    check(ledger, [make_call(1)])


def test_a_rebuild_leaves_hours_live_that_are_written_to(ledger: Ledger, url: str) -> None:
    """
    A writer that has touched an hour may insert a minute later: its totals are not stored before that.
    """
    empty(ledger)
    written = [make_call(1), make_call(2, start_ns=START_NS + 8 * HOUR_NS)]
    write(url, written[:1])
    ledger.execute("TRUNCATE TABLE {database}.touched_hours")
    ledger.execute(
        "INSERT INTO {database}.touched_hours SELECT '2025-12-01', toDateTime('2025-12-01 11:00:00', 'UTC')"
        " + toIntervalHour(number), now64(3) - toIntervalMinute(10) FROM numbers(3)"
    )
    write(url, written[1:])

    assert rebuild(ledger) == Settled(hours=3, days=0)
    check(ledger, written)
    assert rebuild(ledger, grace_s=0) == Settled(hours=6, days=1)
    check(ledger, written)


def test_a_writer_touches_an_hour_once_a_while(ledger: Ledger) -> None:
    """
    A batch a second costs no touch a second: one is good for a minute.
    """
    empty(ledger)
    hours = TouchedHours(ledger)
    for _ in range(3):
        hours.touch([START_NS, START_NS + 1], [1, 1])
    hours.touch([START_NS + HOUR_NS], [1])

    rows = ledger.query("SELECT hour, count() FROM touched_hours GROUP BY hour ORDER BY hour").rows
    assert [11, 12, 13, 14] == [hour.hour for hour, _ in rows]
    assert {1} == {count for _, count in rows}
