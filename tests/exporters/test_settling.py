"""Settling beside writers: what is touched when, and what comes or dies in the middle."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from rollup_account import HOUR_NS, KilledAfter, KilledError, check, empty, write

from factories import START_NS, make_call, make_cost
from otel_llmcost.call import Amounts, LLMCall, Source
from otel_llmcost.errors import RetryableError
from otel_llmcost.exporters import open_sink
from otel_llmcost.exporters.clickhouse import settling
from otel_llmcost.exporters.clickhouse.client import ANSWER_TIMEOUT_S, Ledger
from otel_llmcost.exporters.clickhouse.migrations import prepare
from otel_llmcost.exporters.clickhouse.settling import GRACE_S, TOUCH_AGAIN_S, TouchedHours, settle

LONG = "LLMCOST_LONG" in os.environ
FIRST = make_call(1, source=Source.SDK_SPAN, start_ns=START_NS + HOUR_NS // 2)
FULLER = make_call(1, cost=make_cost(effective=Amounts(input_usd=Decimal(7))), start_ns=FIRST.start_ns + HOUR_NS)
PLACES = range(12) if LONG else (1, 3, 8)
"""Statements of a run: 4 settle the hours, 5 the days, the others drop what was replaced."""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"chdb://{tmp_path_factory.mktemp('settling')}"


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    with Ledger.open(url, read_only=False) as opened:
        prepare(opened)
        empty(opened)
        yield opened


@pytest.fixture
def inserted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bytes]]:
    """Table and block of every insert; the first of lines that follows `fail` in the list is refused."""
    seen: list[tuple[str, bytes]] = []
    insert = Ledger.insert

    def noted(self: Ledger, table: str, columns: Sequence[str], block: bytes, *more: Any, **options: Any) -> None:
        fails = table == "call_versions" and ("fail", b"") in seen
        seen.append((table, block))
        if fails:
            seen.remove(("fail", b""))
            raise RetryableError("not now")
        insert(self, table, columns, block, *more, **options)

    monkeypatch.setattr(Ledger, "insert", noted)
    return seen


def test_a_writer_touches_the_hours_within_reach_before_it_inserts(
    ledger: Ledger, url: str, inserted: list[tuple[str, bytes]]
) -> None:
    """
    An insert that is under way in a settled hour would change what its stored totals should say.
    """
    write(url, [make_call(1)])

    assert ["touched_hours", "call_versions"] == [table for table, _ in inserted]
    assert ["11", "12", "13"] == [row.split(b" ")[1][:2].decode() for row in inserted[0][1].splitlines()]


def test_a_writer_touches_again_after_a_failure(ledger: Ledger, url: str, inserted: list[tuple[str, bytes]]) -> None:
    """
    Whoever tries again later has a new connection, and its old touch may be older than the grace time.
    """
    sink = open_sink(url)
    inserted.append(("fail", b""))
    with suppress(RetryableError):
        sink.write([make_call(1)])
    sink.write([make_call(1)])
    sink.write([make_call(2)])
    sink.close()

    assert ["touched_hours", "call_versions"] * 2 + ["call_versions"] == [table for table, _ in inserted]


def test_a_touch_is_good_for_a_while_only(ledger: Ledger, inserted: list[tuple[str, bytes]]) -> None:
    """
    It is made again before the hour could be settled under an insert that began within that while.
    """
    for hours in (TouchedHours(ledger), TouchedHours(ledger, again_s=0)):
        for _ in range(3):
            hours.touch([START_NS], [0])

    assert 1 + 3 == len(inserted)
    assert TOUCH_AGAIN_S + 2 * ANSWER_TIMEOUT_S < GRACE_S


class WritesBetween(Ledger):
    """A connection of a settler; before its statement with that number somebody else writes."""

    left = 0
    url_of_writer = ""
    calls: Sequence[LLMCall] = ()

    def execute(self, statement: str, parameters: Mapping[str, Any] | None = None) -> None:
        if self.left == 0:
            write(self.url_of_writer, list(self.calls))
        self.left -= 1
        super().execute(statement, parameters)


@pytest.mark.parametrize("number", PLACES)
def test_what_is_written_while_an_hour_is_settled_counts(ledger: Ledger, url: str, number: int) -> None:
    """
    A fuller version with a time in the next hour, and a new call, before each statement of a settler.
    """
    write(url, [FIRST])
    settler = WritesBetween(ledger.url, ledger.client)
    settler.left, settler.url_of_writer, settler.calls = number, url, [FULLER, make_call(2)]
    settle(settler, grace_s=0)
    written = [FIRST, FULLER, make_call(2)] if settler.left < 0 else [FIRST]
    check(ledger, written)
    settle(ledger, grace_s=0)

    check(ledger, written)


@pytest.mark.parametrize("number", PLACES)
def test_a_settler_killed_anywhere_changes_no_sum_and_leaves_nothing(
    ledger: Ledger, url: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Totals are exact before and after the next run, which drops what nobody reads once that is old.
    """
    monkeypatch.setattr(settling, "KEEP_REPLACED_S", 0)
    write(url, [FIRST])
    settle(ledger, grace_s=0)
    write(url, [FULLER])
    killed = KilledAfter(ledger.url, ledger.client)
    killed.left = number
    with suppress(KilledError):
        settle(killed, grace_s=0)
    check(ledger, [FIRST, FULLER])
    for _ in range(2):
        settle(ledger, grace_s=0)
        check(ledger, [FIRST, FULLER])

    for table, states in (("hourly_totals", "hour_states"), ("daily_totals", "day_states")):
        kept = ledger.query(
            f"SELECT count(), countIf(settlement NOT IN (SELECT settlement FROM {states})) FROM {table}"
        )
        assert [(1, 0)] == kept.rows, table


def test_rows_of_plain_sql_make_the_hours_beside_theirs_live(ledger: Ledger) -> None:
    """
    A version that somebody inserts with SQL may replace one in a settled hour next to its own.
    """
    for version, time in ((1, "11:59:59"), (2, "12:00:01")):
        ledger.execute(
            "INSERT INTO {database}.call_versions (call_id, version, ts, team, cost_usd)"
            f" VALUES (unhex(repeat('cd', 16)), {version}, '2025-12-01 {time}', 'sql', 3.5)"
        )
        if version == 1:
            settle(ledger, grace_s=0)

    assert [(12, 1)] == ledger.query("SELECT toHour(hour), sum(calls) FROM calls_hourly GROUP BY hour").rows
