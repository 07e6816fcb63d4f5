"""Rows → calls: usage, identity and outcome of each field."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factories import make_call, make_cost
from otel_llmcost.call import Bucket, LLMCall, Outcome, Source
from otel_llmcost.errors import InputError, RetryableError
from otel_llmcost.identity import call_id
from otel_llmcost.importing import Import, Plan, Rejected, Row, read_calls
from otel_llmcost.importing.run import BATCH_ROWS

NOW_S = 1_795_000_000
START_NS = 1_793_527_200_000_000_000
"""2026-11-01T10:00:00Z."""


def calls_of(
    rows: Sequence[dict[str, Any]], *fields: str, cache_inside: bool = True, constants: Sequence[str] = ()
) -> list[LLMCall | Rejected]:
    """The calls of rows whose columns are named as the fields."""
    maps = [f"{name}={name}" for name in ("ts", *fields)]
    named = [*constants, *(text for text in ("provider=openai", "model=gpt-4o") if text.split("=")[0] not in fields)]
    plan = Plan.from_options(maps, named, cache_inside=cache_inside)
    full = [{"ts": "2026-11-01T10:00:00Z"} | row for row in rows]
    return list(read_calls([Row(line, row) for line, row in enumerate(full, 2)], plan, NOW_S))


def call_of(row: dict[str, Any], **options: Any) -> LLMCall:
    """The call of one row."""
    (call,) = calls_of([row], *row, **options)
    assert isinstance(call, LLMCall)
    return call


def test_every_field_reaches_the_record() -> None:
    """Texts, numbers and tags, each in its place."""
    names = ("host", "operation", "service_tier", "service", "environment")
    names += ("user", "session", "agent", "workflow", "run")
    row = {name: f"the {name}" for name in names} | {"team": "cx", "tag.region": "eu", "requested_model": "gpt-4o"}
    row |= {"duration_ms": "12.5", "http_status": "429", "reported_cost_usd": "0.0012"}
    call = call_of(row)

    assert [f"the {name}" for name in names] == [getattr(call, name) for name in names]
    assert {"team": "cx", "region": "eu"} == call.tags
    assert (START_NS, 12_500_000) == (call.start_ns, call.duration_ns)
    assert (Outcome.ERROR, 429, Decimal("0.0012")) == (call.outcome, call.http_status, call.reported_usd)
    assert (Source.IMPORT, "gpt-4o", "gpt-4o") == (call.source, call.model, call.requested_model)


counts = st.integers(0, 10**6)


@given(counts, counts, counts, counts, counts, counts)
def test_buckets_sum_to_the_totals_of_the_row(
    rest: int, read: int, write: int, write_1h: int, output: int, reasoning: int
) -> None:
    """Inside or beside, the same call has the same exclusive buckets, and no token is lost."""
    parts = {"cache_read_tokens": read, "cache_write_tokens": write, "cache_write_1h_tokens": write_1h}
    parts["reasoning_tokens"] = reasoning
    totals = {"input_tokens": rest + read + write + write_1h, "output_tokens": output + reasoning}
    inside = call_of(parts | totals)
    outside = call_of(parts | totals | {"input_tokens": rest}, cache_inside=False)

    assert inside.usage.buckets == outside.usage.buckets
    assert totals == {"input_tokens": inside.usage.input_tokens, "output_tokens": inside.usage.output_tokens}
    assert (read, write + write_1h) == (inside.usage.cache_read_tokens, inside.usage.cache_write_tokens)
    assert () == inside.usage.flags == outside.usage.flags


@pytest.mark.parametrize(
    ("row", "numbers"),
    [
        ({"input_tokens": "100", "cache_read_tokens": "400"}, ("400", "100")),
        ({"output_tokens": "5", "reasoning_tokens": "9"}, ("9", "5")),
        ({"end_ts": "2026-11-01T09:59:59Z"}, (str(START_NS - 10**9), str(START_NS))),
    ],
)
def test_a_contradiction_is_flagged_with_both_numbers(row: dict[str, str], numbers: tuple[str, str]) -> None:
    """The row goes in; nothing is clamped in silence."""
    (flag,) = call_of(row).usage.flags

    assert all(number in flag for number in numbers)


def test_an_empty_cell_is_not_zero() -> None:
    """No usage at all is unknown; one total without the other is flagged."""
    unknown = call_of({"input_tokens": " ", "output_tokens": None})
    half = call_of({"input_tokens": "7", "output_tokens": ""})

    assert (False, ()) == (unknown.usage.known, unknown.usage.flags)
    assert {Bucket.INPUT: 7} == half.usage.buckets
    assert ["output_tokens" in flag for flag in half.usage.flags] == [True]


def test_a_row_without_a_time_is_refused() -> None:
    """With its line; the rows around it are read."""
    found = calls_of([{"ts": ""}, {}, {"ts": "x"}])

    assert [2, 4] == [row.line for row in found if isinstance(row, Rejected)]
    assert 1 == sum(isinstance(row, LLMCall) for row in found)


def test_the_providers_response_id_is_the_id_that_a_capture_has() -> None:
    """A call that was captured and imported is one line, whatever the provider is called in the file."""
    response_id = "chatcmpl-DuLZEecdAJKA6JI76nZgu64Qgpo1z"
    captured = make_call(provider="azure.ai.openai", host="", response_id=response_id)

    assert call_id(captured) == call_of({"response_id": response_id, "provider": "Azure"}).call_id
    assert call_id(captured) != call_of({"response_id": "chatcmpl-2", "provider": "Azure"}).call_id


def test_another_id_counts_per_provider() -> None:
    """Two sellers may hand out one id."""
    ids = {call_of({"call_id": "17", "provider": provider}).call_id for provider in ("openai", "anthropic", "openai")}

    assert 2 == len(ids)


rows_of_file = st.lists(
    st.fixed_dictionaries({"user": st.sampled_from(["a", "b"]), "input_tokens": st.integers(0, 3)}), max_size=30
)


def ids_of(rows: list[dict[str, Any]], **options: Any) -> list[bytes]:
    """The call ids of rows."""
    return [call.call_id for call in calls_of(rows, "user", "input_tokens", **options) if isinstance(call, LLMCall)]


@given(rows_of_file, rows_of_file)
def test_ids_of_rows_are_distinct_and_survive_appending(rows: list[dict[str, Any]], more: list[dict[str, Any]]) -> None:
    """Equal rows are kept apart, and a file that grew begins with the ids that it had."""
    ids = ids_of(rows)

    assert len(rows) == len(set(ids))
    assert ids == ids_of(rows + more)[: len(rows)]
    reordered = [dict(reversed(row.items())) for row in rows]
    assert ids == ids_of(reordered)


def test_other_constants_make_other_calls() -> None:
    """As the help says: a constant is part of what a row says."""
    row = {"user": "a", "input_tokens": 1}

    assert ids_of([row], constants=["team=cx"]) != ids_of([row], constants=["team=search"])


class Ledger:
    """Keeps batches, and refuses from the given one on."""

    def __init__(self, refuses_from: int = 99) -> None:
        self.batches: list[int] = []
        self._refuses_from = refuses_from

    def write(self, calls: Sequence[LLMCall]) -> None:
        if len(self.batches) >= self._refuses_from:
            raise RetryableError("the ledger is away")
        self.batches.append(len(calls))

    def close(self) -> None:
        pass


def priced(call: LLMCall) -> LLMCall:
    """The call with a price."""
    object.__setattr__(call, "cost", make_cost())
    return call


def importing(ledger: Ledger, rows: int, *, bad: int = -1, strict: bool = False) -> tuple[Import, list[Any]]:
    """An import into that ledger, and its rows; the one of number `bad` cannot be read."""
    items = calls_of([{"user": f"u{number}"} for number in range(rows)], "user")
    if bad >= 0:
        items[bad] = Rejected(bad + 2, "broken")
    return Import(priced, ledger, lambda row: None, lambda read: None, strict), items


def test_a_ledger_that_goes_away_is_told_with_what_is_in() -> None:
    """And that the import can be run again."""
    job, items = importing(Ledger(refuses_from=1), BATCH_ROWS + 1)

    with pytest.raises(RetryableError, match=r"(?s)the ledger is away.5,000 rows .* are in the ledger.*run the same"):
        job.run(items)


def test_strict_writes_nothing_after_the_first_bad_row() -> None:
    """Neither the rest of its batch nor what follows."""
    ledger = Ledger()
    job, items = importing(ledger, 2 * BATCH_ROWS, bad=BATCH_ROWS + 3, strict=True)

    with pytest.raises(InputError, match=f"line {BATCH_ROWS + 5}"):
        job.run(items)
    assert [BATCH_ROWS] == ledger.batches


def test_the_account_adds_up() -> None:
    """Read is written and rejected, and the cost is the sum of the lines."""
    ledger = Ledger()
    job, items = importing(ledger, BATCH_ROWS + 2, bad=0)
    account = job.run(items)

    assert (BATCH_ROWS + 2, BATCH_ROWS + 1, 1) == (account.read, account.written, account.rejected)
    assert Decimal("0.0043") * (BATCH_ROWS + 1) == account.cost_usd
    assert [BATCH_ROWS - 1, 2] == ledger.batches
