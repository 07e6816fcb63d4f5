"""What the ledger remembers of restatements: who, why, how far, and what each line cost before."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from otel_llmcost.errors import ConfigError
from otel_llmcost.exporters.clickhouse.client import Ledger
from otel_llmcost.restating.arrow_columns import amounts, dictionary
from otel_llmcost.restating.repricing import MONEY_COLUMNS, WORD_COLUMNS, Repriced
from otel_llmcost.restating.scope import Scope
from otel_llmcost.restating.summary import DIMENSIONS, Summary
from otel_llmcost.restating.versions import MAX_GENERATION

if TYPE_CHECKING:
    import numpy as np

STARTED: Final = "started"
FINISHED: Final = "finished"
_DIMENSION_COLUMNS: Final = ("environment", "provider", "model", "team", "feature", "customer")
_DAY_NS: Final = 86_400_000_000_000
_LAST_DAY: Final = 65_535


@dataclass(frozen=True, slots=True)
class Run:
    """A restatement. `cursor` is the id up to which its lines are done."""

    id: int
    arguments: str
    book: str
    who: str
    why: str
    started_at: datetime
    cursor: bytes = b""
    lines: int = 0
    changed: int = 0
    resumed: bool = False


def arguments_of(book: str, scope: Scope) -> str:
    """What a run is told apart by: the same again continues one that was cut off."""
    return json.dumps({"book": book, **json.loads(scope.to_text())}, sort_keys=True)


def find_run(ledger: Ledger, book: str, scope: Scope, who: str, why: str) -> Run:
    """The run of these arguments that was cut off, or a new one, which is not written yet."""
    arguments = arguments_of(book, scope)
    cut_off = ledger.query(
        "SELECT id, who, why, started_at FROM restatements FINAL"
        " WHERE state = 'started' AND arguments = {arguments:String} ORDER BY id DESC LIMIT 1",
        {"arguments": arguments},
    ).rows
    if cut_off:
        number, first_who, first_why, started_at = cut_off[0]
        run = Run(number, arguments, book, first_who, first_why, _utc(started_at), resumed=True)
        return _with_progress(ledger, run)
    number = int(ledger.query("SELECT max(id) FROM restatements").rows[0][0]) + 1
    if number > MAX_GENERATION:
        raise ConfigError(f"the ledger has {MAX_GENERATION:,} restatements; versions of lines have no room for more")
    return Run(number, arguments, book, who, why, datetime.now(UTC))


def _with_progress(ledger: Ledger, run: Run) -> Run:
    sql = (
        "SELECT max(place), sum(lines), sum(changed) FROM restatement_chunks FINAL WHERE restatement = {id:UInt32}"
        " HAVING count() > 0"
    )
    rows = ledger.query(sql, {"id": run.id}).rows
    if not rows:
        return run
    cursor, lines, changed = rows[0]
    return replace(run, cursor=bytes(cursor), lines=lines, changed=changed)


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def write_run(
    ledger: Ledger, run: Run, state: str, old_usd: Decimal | None = None, new_usd: Decimal | None = None
) -> None:
    """The state of a run; the newest one holds."""
    _insert_row(
        ledger,
        "restatements",
        {
            "id": ("uint32", run.id),
            "state": ("binary", state.encode()),
            "arguments": ("binary", run.arguments.encode()),
            "book": ("binary", run.book.encode()),
            "who": ("binary", run.who.encode("utf-8", "replace")),
            "why": ("binary", run.why.encode("utf-8", "replace")),
            "started_at": ("timestamp", run.started_at),
            "finished_at": ("timestamp", datetime.now(UTC) if state == FINISHED else None),
            "lines": ("uint64", run.lines),
            "changed": ("uint64", run.changed),
            "old_cost_usd": ("money", old_usd),
            "new_cost_usd": ("money", new_usd),
            "written_at": ("uint64", time.time_ns()),
        },
    )


@dataclass(frozen=True, slots=True)
class Done:
    """A chunk that is done: every line up to `place` (chunks.py)."""

    place: bytes
    lines: int
    changed: int
    unreadable: int


def write_chunk(ledger: Ledger, run: Run, done: Done) -> None:
    """Note how far a run is."""
    _insert_row(
        ledger,
        "restatement_chunks",
        {
            "restatement": ("uint32", run.id),
            "place": ("place", done.place),
            "lines": ("uint64", done.lines),
            "changed": ("uint64", done.changed),
            "unreadable": ("uint64", done.unreadable),
        },
    )


def _insert_row(ledger: Ledger, table: str, row: Mapping[str, tuple[str, Any]]) -> None:
    import pyarrow as pa

    types = {
        "uint32": pa.uint32(),
        "uint64": pa.uint64(),
        "binary": pa.binary(),
        "place": pa.binary(20),
        "timestamp": pa.timestamp("ms", "UTC"),
        "money": pa.decimal128(38, 12),
    }
    ledger.insert_arrow(table, pa.table({name: pa.array([value], types[kind]) for name, (kind, value) in row.items()}))


def write_adjustments(ledger: Ledger, run: Run, repriced: Repriced, which: "np.ndarray") -> None:
    """What those lines were, before their new versions are written."""
    import numpy as np
    import pyarrow as pa

    mask, places = pa.array(which), np.flatnonzero(which).tolist()
    lines = repriced.lines.filter(mask)
    start_ns = lines.column("ts").combine_chunks().view(pa.int64()).to_numpy()
    columns = {
        "restatement": pa.array(np.full(len(places), run.id, dtype=np.uint32)),
        "call_id": lines.column("call_id"),
        "day": pa.array(np.clip(start_ns // _DAY_NS, 0, _LAST_DAY).astype(np.uint16)),
        **{name: lines.column(name) for name in _DIMENSION_COLUMNS},
        "old_version": lines.column("version"),
        **{f"old_{name}": lines.column(name) for name in (*MONEY_COLUMNS, *WORD_COLUMNS)},
        "cost_usd": amounts(repriced.new["cost_usd"].units[which], repriced.new["cost_usd"].known[which]),
        "status": dictionary([repriced.new_words["status"][place] for place in places]),
    }
    ledger.insert_arrow("adjustments", pa.table(columns))


def summary_of(ledger: Ledger, run_id: int) -> Summary:
    """What a restatement changed, out of the ledger: also what it did before it was cut off."""
    names = ", ".join(DIMENSIONS)
    found = ledger.query(
        f"SELECT {names}, count(), countIf(a.old_cost_usd IS NULL), countIf(a.cost_usd IS NULL),"  # noqa: S608
        " sum(a.old_cost_usd), sum(a.cost_usd) FROM adjustments AS a FINAL"
        f" WHERE restatement = {{id:UInt32}} GROUP BY {names}",
        {"id": run_id},
    )
    summary = Summary()
    for row in found.rows:
        summary.add_row(tuple(row[: len(DIMENSIONS)]), *row[len(DIMENSIONS) :])
    return summary
