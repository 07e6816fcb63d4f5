"""One ledger → another, in columns, chunk by chunk: exact, and continued where it was cut off.

    chunks of the source  →  without those noted  →  touch hours, insert, note  →  compare day by day

Only tables that hold the truth are copied, as they are stored: shadows and repeated records are rows like others.
What comes twice collapses in the target's tables, so a copy that was killed between an insert and its note is exact
after the next run. The note holds a fingerprint of the chunk at the source: lines that came or changed since are copied
again. Totals are not copied: an hour that is written to is live at once, and settled by whoever settles the target.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from time import time_ns
from typing import Any, Final

from otel_llmcost.errors import ConfigError
from otel_llmcost.exporters.clickhouse.client import Ledger, LedgerUrl
from otel_llmcost.exporters.clickhouse.migrations import State, prepare

CHUNK_LINES: Final = 100_000
"""Lines in memory at once: some 50 MB in columns."""
CALLS: Final = "call_versions"
NOTES: Final = "copied_chunks"
COST_COLUMNS: Final = (
    "cost_usd",
    "list_cost_usd",
    "input_cost_usd",
    "output_cost_usd",
    "cache_read_cost_usd",
    "cache_write_cost_usd",
    "other_cost_usd",
    "cache_savings_usd",
    "reported_cost_usd",
)
MEASURES: Final = ("calls", "ids", "duplicates", *COST_COLUMNS)


@dataclass(frozen=True, slots=True)
class Source:
    """How a table is cut: `group` is an SQL text of few values, `ids` a column to cut large groups by, '' for none.

    `state` names what makes a row another one; '*' where rows are few.
    """

    table: str
    group: str
    order: str
    state: str = "*"
    ids: str = ""


TABLES: Final = (
    Source("price_books", "version", "version"),
    Source("prices", "book", "provider, model, bucket, context, valid_from, daily, above_input_tokens"),
    Source(
        "adjustments",
        "toString(restatement)",
        "restatement, call_id",
        "restatement, call_id, old_version, cost_usd",
        "call_id",
    ),
    Source("restatement_chunks", "toString(restatement)", "restatement, place"),
    Source("restatements", "toString(id)", "id"),
    Source("detection_overrides", "''", "tuple()"),
    Source("alert_acknowledgements", "''", "made_at, alert, who"),
    Source("budgets", "budget", "written_at"),
    Source("alert_acknowledgements", "''", "made_at, alert"),
    Source(
        CALLS,
        "toString(toDate32(ts, 'UTC'))",
        "call_id",
        "call_id, version, duplicate_of, ts, shadow, skew_h, rates, cost_rest",
        "call_id",
    ),
)
"""In the order of copying: what lines refer to is there before them. `ledger_options` is the target's own affair."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows of one group, with ids (hex) from `first` to before `end`; '' is open. `lines`: about how many."""

    source: Source
    group: str
    first: str = ""
    end: str = ""
    lines: int = 0

    @property
    def name(self) -> str:
        return f"{self.group}/{self.first}-{self.end}" if self.first or self.end else self.group

    @property
    def condition(self) -> str:
        """SQL over the parameters `group`, `first` and `end`."""
        terms = [f"{self.source.group} = {{group:String}}"]
        if self.source.table == CALLS:  # what the primary key prunes by
            terms = ["ts >= toDateTime64({group:String}, 9, 'UTC')", *terms]
            terms += ["toDate32(ts, 'UTC') = toDate32({group:String})"]
        if self.first:
            terms.append(f"{self.source.ids} >= toFixedString(unhex({{first:String}}), 16)")
        if self.end:
            terms.append(f"{self.source.ids} < toFixedString(unhex({{end:String}}), 16)")
        return " AND ".join(terms)

    @property
    def parameters(self) -> dict[str, str]:
        return {"group": self.group, "first": self.first, "end": self.end}


@dataclass(frozen=True, slots=True)
class Copied:
    """What a run has done: chunks and lines that were copied, and chunks that were there already."""

    chunks: int = 0
    lines: int = 0
    kept: int = 0


@dataclass(frozen=True, slots=True)
class Difference:
    """A day (UTC) on which the two ledgers differ in a measure."""

    day: date
    measure: str
    source: Decimal | int | None
    target: Decimal | int | None


Report = Callable[[float, str], None]


def refuse_pair(source: LedgerUrl, target: LedgerUrl) -> None:
    """
    Raises:
        ConfigError: these two cannot be open in one process, or are one.
    """
    if (source.address, source.database) == (target.address, target.database):
        raise ConfigError("ledger copy: --from and --to are the same ledger")
    if source.path and target.path:
        raise ConfigError(
            "ledger copy: one process can open one embedded ledger; serve one of them:"
            f" `otel-llmcost up --ledger chdb://{target.path} --writable`, and copy --to clickhouse://127.0.0.1:8123"
        )


def make_ready(source: Ledger, target: Ledger, *, create: bool) -> None:
    """Hold that both have this version's schema; `create` makes a target that is empty.

    Raises:
        ConfigError: one is of another version, or both have restatements of their own under one number.
        DeliveryError: one did not answer, or refused.
    """
    _refuse_schema(source)
    state = State.of(target)
    if state.is_empty and create:
        prepare(target)
    _refuse_schema(target)
    runs = [dict(side.query("SELECT id, started_at FROM restatements FINAL").rows) for side in (source, target)]
    clashing = sorted(number for number in runs[0].keys() & runs[1].keys() if runs[0][number] != runs[1][number])
    if clashing:
        raise ConfigError(
            f"ledger copy: restatement {clashing[0]} is another one in {target.url.address};"
            " the histories of two ledgers that were both restated cannot be joined"
        )


def _refuse_schema(ledger: Ledger) -> None:
    state = State.of(ledger)
    if state.newer:
        raise ConfigError(
            f"{ledger.url.address}: its schema is newer ({', '.join(state.newer)}); use that version here"
        )
    if state.pending or state.has_old_calls or state.changed:
        where = f"chdb://{ledger.url.path}" if ledger.url.path else f"{ledger.url.scheme}://{ledger.url.address}"
        raise ConfigError(
            f"{ledger.url.address}: its schema is not this version's; run"
            f" `otel-llmcost schema apply --ledger {where}{'' if ledger.url.path else '/' + ledger.url.database}`"
        )


def chunks(source: Ledger, since: date | None = None, lines: int = CHUNK_LINES) -> Iterator[Chunk]:
    """Everything there is to copy, oldest day first; `since` is the first day of calls.

    Raises:
        DeliveryError: the source did not answer.
    """
    there = {name for (name,) in source.query("SELECT name FROM system.tables WHERE database = currentDatabase()").rows}
    for table in TABLES:
        if table.table not in there:
            continue
        sql = f"SELECT {table.group} AS part, count() FROM {table.table} GROUP BY part ORDER BY part"  # noqa: S608
        for group, count in source.query(sql).rows:
            if table.table == CALLS and since and group < since.isoformat():
                continue
            whole = Chunk(table, group, lines=count)
            yield from _cut(source, whole, lines) if table.ids and count > lines else (whole,)


def _cut(source: Ledger, whole: Chunk, lines: int) -> Iterator[Chunk]:
    ids = whole.source.ids
    sql = (
        f"SELECT lower(hex({ids})) FROM (SELECT {ids}, row_number() OVER (ORDER BY {ids}) AS n FROM"  # noqa: S608
        f" (SELECT DISTINCT {ids} FROM {whole.source.table} WHERE {whole.condition}))"
        f" WHERE n % {int(lines)} = 0 ORDER BY {ids}"
    )
    inner = [row[0] for row in source.query(sql, whole.parameters).rows]
    for first, end in zip(["", *inner], [*inner, ""], strict=True):
        yield replace(whole, first=first, end=end, lines=whole.lines // (len(inner) + 1))


def copy(source: Ledger, target: Ledger, todo: Sequence[Chunk], report: Report, *, again: bool = False) -> Copied:
    """Copy the chunks that are not noted, or all of them `again`.

    Raises:
        DeliveryError: one of the two did not answer, or refused; what was noted stays.
    """
    noted = {} if again else _noted(source, target)
    total, seen = max(1, sum(chunk.lines for chunk in todo)), 0
    done = Copied()
    columns = {table: _shared_columns(source, target, table) for table in {c.source.table for c in todo}}
    for chunk in todo:
        mark = _fingerprint(source, chunk)
        if noted.get((chunk.source.table, chunk.name)) == mark:
            done = replace(done, kept=done.kept + 1)
        else:
            lines = _copy_chunk(source, target, chunk, columns[chunk.source.table], str(time_ns()) if again else "")
            _note(source, target, chunk, mark, lines)
            done = replace(done, chunks=done.chunks + 1, lines=done.lines + lines)
        seen += chunk.lines
        report(seen / total, f"{chunk.source.table} {chunk.group[:40]}")
    return done


def _noted(source: Ledger, target: Ledger) -> Mapping[tuple[str, str], str]:
    sql = f"SELECT name, chunk, fingerprint FROM {NOTES} FINAL WHERE source = {{source:String}}"  # noqa: S608
    return {(name, chunk): mark for name, chunk, mark in target.query(sql, {"source": _address(source)}).rows}


def _address(ledger: Ledger) -> str:
    return f"{ledger.url.address}/{ledger.url.database}"


def _shared_columns(source: Ledger, target: Ledger, table: str) -> str:
    """Stored columns. They are the same on both sides, for the schema is.

    Raises:
        ConfigError: the target lacks the table, or some.
    """
    sql = (
        "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = {table:String}"
        " AND default_kind NOT IN ('MATERIALIZED', 'ALIAS', 'EPHEMERAL') ORDER BY position"
    )
    names, there = ([name for (name,) in side.query(sql, {"table": table}).rows] for side in (source, target))
    lacking = [name for name in names if name not in there]
    if lacking:
        raise ConfigError(f"{target.url.address}: {table} lacks {', '.join(lacking)}; see `otel-llmcost schema status`")
    return ", ".join(f"`{name}`" for name in names)


def _fingerprint(source: Ledger, chunk: Chunk) -> str:
    """Taken before the rows are read: what comes in between is copied now and once more, never left out."""
    sql = (
        f"SELECT toString(count()) || ':' || toString(sum(sipHash64({chunk.source.state})))"  # noqa: S608
        f" FROM {chunk.source.table} FINAL WHERE {chunk.condition}"
    )
    return str(source.query(sql, chunk.parameters).rows[0][0])


def _copy_chunk(source: Ledger, target: Ledger, chunk: Chunk, columns: str, run: str) -> int:
    """Ordered, so that the same rows are the same bytes, and the same token of the insert; with `run`, another one:
    the server then takes rows again that it has had, and lost."""
    rows = source.arrow(
        f"SELECT {columns} FROM {chunk.source.table} FINAL WHERE {chunk.condition} ORDER BY {chunk.source.order}",  # noqa: S608
        chunk.parameters,
    )
    if not rows.num_rows:
        return 0
    if chunk.source.table == CALLS:
        _touch(source, target, chunk)
    target.insert_arrow(chunk.source.table, rows.replace_schema_metadata({"run": run} if run else None))
    return int(rows.num_rows)


def _touch(source: Ledger, target: Ledger, chunk: Chunk) -> None:
    """The target's totals of these hours count no more, from before the rows are there."""
    hours = source.arrow(
        "SELECT DISTINCT toDate32(reached, 'UTC') AS day, toStartOfHour(reached, 'UTC') AS hour, now64(9) AS at FROM"  # noqa: S608
        " (SELECT arrayJoin(arrayMap(h -> began + toIntervalHour(h), range(-toInt16(skew_h), toInt16(skew_h) + 1)))"
        " AS reached FROM (SELECT DISTINCT toStartOfHour(ts, 'UTC') AS began, skew_h"
        f" FROM {chunk.source.table} WHERE {chunk.condition} AND shadow = 0))",
        chunk.parameters,
    )
    # `at` makes each block another one for the server, which drops a block that it knows; the target's clock counts.
    if hours.num_rows:
        token = hours.column("at")[0].as_py()
        target.insert_arrow("touched_hours", hours.drop_columns(["at"]).replace_schema_metadata({"at": str(token)}))


def _note(source: Ledger, target: Ledger, chunk: Chunk, mark: str, lines: int) -> None:
    import pyarrow as pa

    row: dict[str, Any] = {
        "source": [_address(source)],
        "name": [chunk.source.table],
        "chunk": [chunk.name],
        "fingerprint": [mark],
        "lines": pa.array([lines], pa.uint64()),
    }
    target.insert_arrow(NOTES, pa.table(row))


def differences(source: Ledger, target: Ledger, report: Report, since: date | None = None) -> Iterator[Difference]:
    """Where the two ledgers do not show the same: calls, distinct ids, repeated records, sums of every amount.

    Raises:
        DeliveryError: one of the two did not answer.
    """
    days = sorted({day for side in (source, target) for day in _days(side, since)})
    for number, day in enumerate(days, 1):
        ours, theirs = (_measures(side, day) for side in (source, target))
        for measure, left, right in zip(MEASURES, ours, theirs, strict=True):
            if left != right:
                yield Difference(day, measure, left, right)
        report(number / len(days), day.isoformat())


def _days(ledger: Ledger, since: date | None) -> list[date]:
    sql = f"SELECT DISTINCT toDate32(ts, 'UTC') FROM {CALLS} WHERE shadow = 0"  # noqa: S608
    return [day for (day,) in ledger.query(sql).rows if since is None or day >= since]


def _measures(ledger: Ledger, day: date) -> tuple[Any, ...]:
    # Each amount under a name of its own: an alias like the column would be taken for it in the other terms.
    sums = ", ".join(f"sumIf(v.{name}, is_line) AS sum_{name}" for name in COST_COLUMNS)
    sql = (
        "WITH v.duplicate_of = toFixedString('', 16) AS is_line"  # noqa: S608
        f" SELECT countIf(is_line), uniqExactIf(v.call_id, is_line), countIf(NOT is_line), {sums}"
        " FROM current_versions AS v WHERE toDate32(v.ts, 'UTC') = toDate32({day:String})"
    )
    return ledger.query(sql, {"day": day.isoformat()}).rows[0]
