"""The views: exact whatever arrived twice, late or in pieces."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from secrets import token_bytes

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from factories import START_NS, make_call, make_cost
from otel_llmcost.call import UNKNOWN_USAGE, Amounts, Bucket, Cost, LLMCall, Outcome, Source, Status, Usage
from otel_llmcost.exporters import Sink, open_sink
from otel_llmcost.exporters.clickhouse.client import Ledger
from otel_llmcost.settings import AttributionSettings

HOUR_NS = 3_600_000_000_000
UNPRICED = Cost(Status.UNPRICED, reason="unknown model")


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"chdb://{tmp_path}/ledger"


@pytest.fixture
def sink(url: str) -> Iterator[Sink]:
    opened = open_sink(url)
    yield opened
    opened.close()


def usd(amount: str) -> Cost:
    only_input = Amounts(input_usd=Decimal(amount))
    return make_cost(effective=only_input, list=only_input, cache_savings_usd=Decimal("0.5"))


def calls_of_two_days() -> list[LLMCall]:
    """Three teams, two models, one hour apart each; every fourth has no price, every fifth failed."""
    return [
        make_call(
            number,
            start_ns=START_NS + number * HOUR_NS,
            end_ns=START_NS + number * HOUR_NS + 1,
            model=f"model-{number % 2}",
            tags={"team": f"team-{number % 3}", "feature": "f", "customer": "c"},
            cost=UNPRICED if number % 4 == 0 else usd(f"0.{number:02d}0000000001"),
            outcome=Outcome.ERROR if number % 5 == 0 else Outcome.OK,
        )
        for number in range(1, 25)
    ]


def test_a_line_counts_in_the_day_of_its_newest_version_only(sink: Sink, url: str) -> None:
    """
    Versions of a call on both sides of midnight are one line of one day, before and after parts are merged.
    """
    midnight_ns = START_NS + 12 * HOUR_NS
    span = make_call(1, start_ns=midnight_ns - 1, end_ns=midnight_ns, source=Source.SDK_SPAN)
    wire = make_call(1, start_ns=midnight_ns + 1, end_ns=midnight_ns + 2)
    sink.write([wire])
    sink.write([span])
    early = "SELECT count() FROM calls WHERE ts < '2025-12-02 00:00:00'"
    queries = [early, f"{early} SETTINGS do_not_merge_across_partitions_select_final = 1"]
    queries += ["SELECT toString(day), calls FROM chargeback"]

    with Ledger.open(url, read_only=False) as ledger:
        rows = ledger.query("SELECT countIf(shadow = 0), countIf(shadow = 1) FROM call_versions").rows
        before = [ledger.query(query).rows for query in queries]
        ledger.execute("OPTIMIZE TABLE {database}.call_versions FINAL")
        after = [ledger.query(query).rows for query in queries]

    assert [(2, 2)] == rows
    assert [[(0,)], [(0,)], [("2025-12-02", 1)]] == before
    assert before == after


def test_chargeback_is_the_sum_of_the_lines(sink: Sink, url: str) -> None:
    """
    Calls, tokens and money by day, team and model are what adding up the calls gives, however often they arrived.
    """
    calls = calls_of_two_days()
    for batch in (calls, calls[3:9], calls[::-1], [make_call(1, source=Source.IMPORT, usage=UNKNOWN_USAGE)]):
        sink.write(batch)

    expected: dict[tuple[date, str, str], list[LLMCall]] = defaultdict(list)
    for call in calls:
        day = date(2025, 12, 1) if call.start_ns < START_NS + 12 * HOUR_NS else date(2025, 12, 2)
        expected[day, call.tags["team"], call.model].append(call)
    with Ledger.open(url) as ledger:
        rows = ledger.query(
            "SELECT day, team, model, calls, tokens, cost_usd, unpriced_calls, cache_savings_usd FROM chargeback"
        ).rows

    assert len(expected) == len(rows)
    for day, team, model, count, tokens, cost_usd, unpriced_calls, savings_usd in rows:
        group = expected[day, team, model]
        priced = [call.cost.effective.total_usd for call in group if call.cost and call.cost.effective]
        assert (len(group), 1_200 * len(group), len(group) - len(priced)) == (count, tokens, unpriced_calls)
        assert (sum(priced) if priced else None) == cost_usd
        assert (len(priced) * Decimal("0.5") if priced else None) == savings_usd


@pytest.mark.parametrize("view", ["calls_hourly", "calls_daily"])
def test_rollups_sum_to_the_lines(sink: Sink, url: str, view: str) -> None:
    """
    Every sum over a rollup equals the same sum over `calls`, to the last digit.
    """
    sink.write(calls_of_two_days())
    sink.write(calls_of_two_days()[5:12])
    counted = "sum(input_tokens), sum(cache_read_tokens), sum(cache_write_tokens), sum(output_tokens),"
    counted += " sum(reasoning_tokens), sum(cost_usd), sum(list_cost_usd), sum(input_cost_usd), sum(output_cost_usd),"
    counted += " sum(cache_read_cost_usd), sum(cache_write_cost_usd), sum(other_cost_usd), sum(cache_savings_usd)"

    with Ledger.open(url) as ledger:
        raw = ledger.query(
            f"SELECT count(), countIf(outcome = 'error'), countIf(cost_usd IS NULL), {counted} FROM calls"
        )
        rolled = ledger.query(f"SELECT sum(calls), sum(errors), sum(unpriced_calls), {counted} FROM {view}")
        grain = ledger.query(f"SELECT uniqExact({'hour' if view == 'calls_hourly' else 'day'}) FROM {view}")

    assert raw.rows == rolled.rows
    assert (24, 4, 6) == raw.rows[0][:3]
    assert [(24 if view == "calls_hourly" else 2,)] == grain.rows


def test_an_unpriced_group_has_no_cost(sink: Sink, url: str) -> None:
    """
    Where no line of a group has a price its cost is NULL, and the lines are counted.
    """
    sink.write([make_call(1, cost=UNPRICED), make_call(2, cost=UNPRICED)])

    with Ledger.open(url) as ledger:
        assert [(2, None, 2)] == ledger.query("SELECT calls, cost_usd, unpriced_calls FROM chargeback").rows
        assert [(2, None, None)] == ledger.query("SELECT calls, cost_usd, usd_per_hour FROM spend_rate").rows


def test_spend_rate_is_money_per_minute_and_hour(sink: Sink, url: str) -> None:
    """
    Calls of one minute sum up; sixty times the minute is the hourly rate.
    """
    sink.write([make_call(number, cost=usd("0.25")) for number in (1, 2, 59, 60)])

    with Ledger.open(url) as ledger:
        rows = ledger.query("SELECT minute, calls, cost_usd, usd_per_hour FROM spend_rate ORDER BY minute").rows

    assert [
        (datetime(2025, 12, 1, 12, 0), 3, Decimal("0.75"), Decimal(45)),  # noqa: DTZ001
        (datetime(2025, 12, 1, 12, 1), 1, Decimal("0.25"), Decimal(15)),  # noqa: DTZ001
    ] == rows


def test_coverage_counts_what_has_a_price_and_an_owner(sink: Sink, url: str) -> None:
    """
    Lines without a price, without known usage or without a team are told apart, by status and reason.
    """
    nobody = AttributionSettings().unattributed
    sink.write(
        [
            make_call(1),
            make_call(2, tags={"team": nobody}),
            make_call(3, tags={}, cost=UNPRICED, usage=Usage(buckets={Bucket.INPUT: 7})),
            make_call(4, cost=Cost(Status.UNPRICED, reason="usage unknown"), usage=UNKNOWN_USAGE),
        ]
    )

    with Ledger.open(url) as ledger:
        rows = ledger.query(
            "SELECT calls, priced_calls, tokens, priced_tokens, attributed_calls, unknown_usage_calls,"
            " calls_by_status, calls_by_reason FROM coverage"
        ).rows

    by_reason = {"unknown model": 1, "usage unknown": 1}
    assert [(4, 2, 2_407, 2_400, 2, 1, {"exact": 2, "unpriced": 2}, by_reason)] == rows


def test_a_batch_of_all_years_is_stored(sink: Sink, url: str) -> None:
    """
    Clocks that are years off, times out of order: every line is there, once, and found by its time.
    """
    times_ns = [number * 240 * 24 * HOUR_NS for number in range(1, 250)]
    calls = [make_call(number, start_ns=at, end_ns=at) for number, at in enumerate(times_ns)]
    sink.write(calls[::-1])

    with Ledger.open(url) as ledger:
        assert [(249, 249)] == ledger.query("SELECT count(), uniqExact(call_id) FROM calls").rows
        assert [(249,)] == ledger.query("SELECT sum(calls) FROM calls_daily").rows
        late = ledger.query("SELECT count() FROM calls WHERE ts >= '2100-01-01 00:00:00'").rows
        early = ledger.query("SELECT count() FROM calls WHERE ts < '1980-01-01 00:00:00'").rows

    assert [(sum(call.start_ns >= 4_102_444_800 * 10**9 for call in calls),)] == late
    assert [(sum(call.start_ns < 315_532_800 * 10**9 for call in calls),)] == early


WORDS = st.text(st.sampled_from(["\\", "\t", "t", "b", "\n", "'", '"', "ü", "x"]), max_size=6)
SHARING = ("provider", "model", "requested_model", "host", "operation", "service_tier", "emitter")


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(*[WORDS] * (len(SHARING) + 1)), min_size=1, max_size=12))
def test_words_that_share_a_column_come_back_as_they_were(sink: Sink, url: str, rows: list[tuple[str, ...]]) -> None:
    """
    Tabs, backslashes and quotes in any of them are themselves again.
    """
    calls = [
        make_call(
            call_id=token_bytes(16),
            **dict(zip(SHARING, row, strict=False)),
            price_context={"speed": row[-1]},
            cost=make_cost(price_id=row[-1], price_book=row[0]),
        )
        for row in rows
    ]
    sink.write(calls)

    ids = [call.call_id.hex() for call in calls]
    names = ", ".join((*SHARING, "price_id", "price_book", "price_context['speed']"))
    with Ledger.open(url) as ledger:
        found = ledger.query(
            f"SELECT call_id, {names} FROM calls WHERE has({{ids:Array(String)}}, call_id)", {"ids": ids}
        )
    expected = {call_id: (*row[:-1], row[-1], row[0], row[-1]) for call_id, row in zip(ids, rows, strict=True)}
    assert expected == {call_id: tuple(words) for call_id, *words in found.rows}


def test_retries_waste_and_tiers_are_told_apart_by_the_hour(sink: Sink, url: str) -> None:
    """
    An hour tells its retries, what calls cost that failed or were given up, and what was billed as a batch.
    """
    batch = {"service_tier": "", "price_context": {"processing": "batch"}}
    sink.write(
        [
            make_call(1, outcome=Outcome.ERROR, cost=usd("0.25")),
            make_call(2, attempt=2, cost=usd("1")),
            make_call(3, outcome=Outcome.ABORTED, cost=usd("0.5"), ttft_ns=None),
            make_call(4, cost=usd("3"), **batch),
        ]
    )

    with Ledger.open(url) as ledger:
        rows = ledger.query(
            "SELECT service_tier, sum(calls), sum(errors), sum(aborted_calls), sum(retries), sum(wasted_cost_usd),"
            " sumMap(ttft_histogram) FROM calls_hourly GROUP BY service_tier ORDER BY service_tier"
        ).rows

    ttft_310_ms = 66  # 2^(66/8) is 304 ms, 2^(67/8) 332 ms
    assert [
        ("batch", 1, 0, 0, 0, None, {ttft_310_ms: 1}),
        ("default", 3, 1, 1, 1, Decimal("0.75"), {ttft_310_ms: 2}),
    ] == rows


def test_a_conversation_is_the_calls_of_one_session_and_day(sink: Sink, url: str) -> None:
    """
    Conversations are counted once a day, with their calls, tokens and cost; calls without a session are in none.
    """
    sink.write(
        [
            *(make_call(number, session="a", cost=usd("0.5")) for number in (1, 2, 3)),
            make_call(4, session="b", cost=UNPRICED),
            make_call(5, session="a", start_ns=START_NS + 13 * HOUR_NS, end_ns=START_NS + 13 * HOUR_NS + 1),
            make_call(6, session=""),
        ]
    )

    with Ledger.open(url) as ledger:
        rows = ledger.query(
            "SELECT day, conversations, calls, input_tokens + output_tokens, cost_usd, calls_histogram"
            " FROM conversations_daily ORDER BY day"
        ).rows

    assert [
        (date(2025, 12, 1), 2, 4, 4_800, Decimal("1.5"), {0: 1, 12: 1}),
        (date(2025, 12, 2), 1, 1, 1_200, Decimal("0.0043"), {0: 1}),
    ] == rows
