"""Restate: price stored lines with another book and write new versions of those that cost something else.

A chunk takes three steps, in this order: what its lines were (`adjustments`), their new versions (`call_versions`), how
far the run is (`restatement_chunks`). Killed anywhere, the same command goes on behind the last chunk that is noted;
the chunk in hand is done again, and writing a row again changes nothing.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from otel_llmcost.exporters.clickhouse.books import archive_book
from otel_llmcost.exporters.clickhouse.client import Ledger
from otel_llmcost.exporters.clickhouse.migrations import prepare
from otel_llmcost.exporters.clickhouse.settling import TouchedHours
from otel_llmcost.exporters.clickhouse.writer import TABLE
from otel_llmcost.pricing.book import PriceBook
from otel_llmcost.restating import journal
from otel_llmcost.restating.chunks import CHUNK_LINES, Chunk, Show, chunks, count_lines
from otel_llmcost.restating.rewriting import new_versions, restated_after, shadows_of, start_times
from otel_llmcost.restating.scope import Scope
from otel_llmcost.restating.summary import Summary
from otel_llmcost.restating.vectors import BookPrices

if TYPE_CHECKING:
    import pyarrow as pa

_NOBODY: Final[Show] = lambda _done, _all: None  # noqa: E731


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it. `run_id` is 0 where nothing was written; `unreadable` lines keep what they have."""

    run_id: int
    lines: int
    changed: int
    unreadable: int
    resumed: bool
    summary: Summary


def dry_run(ledger: Ledger, scope: Scope, book: PriceBook, show: Show = _NOBODY, lines: int = CHUNK_LINES) -> Outcome:
    """What a restatement would do. Writes nothing.

    Raises:
        DeliveryError: the ledger does not answer.
    """
    summary, prices = Summary(), BookPrices(book)
    total = count_lines(ledger, scope)
    seen = changed = unreadable = 0
    for chunk in chunks(ledger, scope, lines=lines):
        repriced = prices.reprice(chunk.lines)
        which = repriced.changed()
        summary.add(repriced, which)
        seen += chunk.lines.num_rows
        changed += int(which.sum())
        unreadable += int((~repriced.readable).sum())
        show(seen, max(total, seen))
    return Outcome(0, seen, changed, unreadable, False, summary)


class Restatement:
    """One run over a scope, new or continued."""

    def __init__(self, ledger: Ledger, scope: Scope, book: PriceBook, *, who: str, why: str) -> None:
        self._ledger = ledger
        self._scope = scope
        self._prices = BookPrices(book)
        prepare(ledger)
        archive_book(ledger, book)
        self.run = journal.find_run(ledger, book.version, scope, who, why)
        self._hours = TouchedHours(ledger)
        self._written = self.run.resumed
        self._unreadable = 0

    def restate(self, show: Show = _NOBODY, lines: int = CHUNK_LINES) -> Outcome:
        """Do it, `lines` at a time.

        Raises:
            DeliveryError: the ledger broke off; the same again goes on from there.
        """
        total = max(count_lines(self._ledger, self._scope), self.run.lines)
        for chunk in chunks(self._ledger, self._scope, after=self.run.cursor, whole=True, lines=lines):
            self._restate(chunk)
            show(self.run.lines, max(total, self.run.lines))
        return self._finish()

    def _restate(self, chunk: Chunk) -> None:
        repriced = self._prices.reprice(chunk.lines)
        which = repriced.changed() & ~restated_after(repriced.lines, self.run.id)
        done = journal.Done(chunk.place, chunk.lines.num_rows, int(which.sum()), int((~repriced.readable).sum()))
        if done.changed and not self._written:
            journal.write_run(self._ledger, self.run, journal.STARTED)
            self._written = True
        if done.changed:
            journal.write_adjustments(self._ledger, self.run, repriced, which)
            self._write(new_versions(repriced, which, self.run.id))
        if self._written:
            journal.write_chunk(self._ledger, self.run, done)
        self._unreadable += done.unreadable
        self.run = replace(self.run, lines=self.run.lines + done.lines, changed=self.run.changed + done.changed)

    def _write(self, lines: "pa.Table") -> None:
        self._hours.touch(start_times(lines).tolist(), lines.column("skew_h").to_pylist())
        shadows = shadows_of(lines)
        if shadows.num_rows:  # before the lines: those are not written again when they are there
            self._ledger.insert_arrow(TABLE, shadows)
        self._ledger.insert_arrow(TABLE, lines)

    def _finish(self) -> Outcome:
        if not self._written:
            return Outcome(0, self.run.lines, 0, self._unreadable, False, Summary())
        summary = journal.summary_of(self._ledger, self.run.id)
        total = summary.total
        journal.write_run(self._ledger, self.run, journal.FINISHED, total.old_usd, total.new_usd)
        run = self.run
        return Outcome(run.id, run.lines, total.calls, self._unreadable, run.resumed, summary)
