"""Months that are over, measured: what replaces the expectations of price files (volumes, fixed costs, free tiers)."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from otel_llmcost.call import LLMCall
from otel_llmcost.exporters.clickhouse.client import Ledger
from otel_llmcost.pipeline import cost_of
from otel_llmcost.pricing.book import PriceBook
from otel_llmcost.pricing.overlays.idle import Idle, idle_costs
from otel_llmcost.pricing.overlays.measuring import Measuring, true_up
from otel_llmcost.pricing.overlays.overlays import Overlays
from otel_llmcost.pricing.overlays.periods import month_at, months_between
from otel_llmcost.restating.chunks import Show, chunks, count_lines
from otel_llmcost.restating.repricing import SLICE_LINES, calls_of
from otel_llmcost.restating.scope import Scope, nanoseconds, parse_moment

Sent = Callable[[LLMCall], LLMCall]
"""A call as it would have been made."""

AS_IT_WAS: Final[Sent] = lambda call: call  # noqa: E731


def trued_up(  # noqa: PLR0913, PLR0917 - each is a choice of its own
    book: PriceBook,
    ledger: Ledger,
    scope: Scope,
    now: datetime,
    sent: Sent = AS_IT_WAS,
    show: Show = lambda _done, _all: None,
) -> PriceBook:
    """The book with what the whole months of a scope came to; months that are not over keep their expectation.

    All calls of those months are measured, whatever sellers or models the scope chooses, as `sent` makes them. A credit
    is used up month after month, so with one the months since its begin are measured too. `show` is told the lines read
    and to be read: each as often as one kind of entry rests on another.

    Raises:
        DeliveryError: the ledger does not answer.
    """
    overlays = book.overlay
    if not isinstance(overlays, Overlays) or not overlays.passes:
        return book
    months = _months_of(overlays, scope, now)
    if months.start is not None and months.end is not None and months.start >= months.end:
        return book

    done, total = 0, count_lines(ledger, months) * overlays.passes

    def price_period(measuring: Measuring) -> None:
        nonlocal done
        measured = PriceBook(book.snapshot, book.data_version, measuring)
        for chunk in chunks(ledger, months):
            for begin in range(0, chunk.lines.num_rows, SLICE_LINES):
                for call in calls_of(chunk.lines.slice(begin, SLICE_LINES)):
                    if call is not None:
                        cost_of(sent(call), measured)
            done += chunk.lines.num_rows
            show(done, max(total, done))

    return PriceBook(book.snapshot, book.data_version, true_up(overlays, price_period), book.as_of_s)


def idle_in(book: PriceBook, ledger: Ledger, scope: Scope, now: datetime) -> list[Idle]:
    """Fixed costs of the measured months of a scope that no line carries; `book` is what `trued_up` gave.

    A scope without a begin starts with the first line of the ledger.
    """
    overlays = book.overlay
    if not isinstance(overlays, Overlays) or not overlays.fixed_costs:
        return []
    condition, parameters = Scope(scope.start).condition()
    lines, first_ns = ledger.query(
        f"SELECT count(), toUnixTimestamp64Nano(min(ts)) FROM current_versions WHERE {condition}",  # noqa: S608
        parameters,
    ).rows[0]
    start_ns = nanoseconds(scope.start) if scope.start else first_ns
    end = _months_of(overlays, scope, now).end
    if end is None or not (lines or scope.start):
        return []
    return idle_costs(overlays, months_between(start_ns, month_at(nanoseconds(end))))


def _months_of(overlays: Overlays, scope: Scope, now: datetime) -> Scope:
    start = _month_begin(scope.start) if scope.start else None
    credits_begin = [parse_moment("credits", str(entry["from"])) for entry in _credits(overlays)]
    if start is not None:
        start = min([start, *map(_month_begin, credits_begin)])
    this_month = _month_begin(now)
    end = this_month if scope.end is None else min(_month_end(scope.end), this_month)
    return Scope(start, end)


def _credits(overlays: Overlays) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = overlays.to_document().get("credits", [])
    return found


def _month_begin(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def _month_end(moment: datetime) -> datetime:
    """The end of the month that the last moment before lies in."""
    begin = _month_begin(moment)
    if begin == moment:
        return begin
    return begin.replace(year=begin.year + 1, month=1) if begin.month == 12 else begin.replace(month=begin.month + 1)
