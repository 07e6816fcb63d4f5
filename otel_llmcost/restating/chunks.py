"""Lines of the ledger, chunk by chunk in the order of their days and ids, as Arrow tables."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from otel_llmcost.exporters.clickhouse.client import Ledger
from otel_llmcost.restating.repricing import CALL_COLUMNS, MONEY_COLUMNS, WORD_COLUMNS
from otel_llmcost.restating.scope import Scope

if TYPE_CHECKING:
    import pyarrow as pa

Show = Callable[[int, int], None]
"""Told the lines done and the lines in all."""
CHUNK_LINES: Final = 100_000
"""About 100 MB in memory at a time."""
BEGINNING: Final = b""
_DAY_OFFSET: Final = 1 << 31  # days before 1970 are negative

PRICING_COLUMNS: Final = ("version", *CALL_COLUMNS, *MONEY_COLUMNS, *WORD_COLUMNS)
"""What a price depends on, and what it was."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some lines, and the place of the last among them: where the next chunk begins."""

    lines: "pa.Table"
    place: bytes


def count_lines(ledger: Ledger, scope: Scope) -> int:
    """How many lines a scope has."""
    condition, parameters = scope.condition()
    found = ledger.query(f"SELECT count() FROM current_versions WHERE {condition}", parameters)  # noqa: S608
    return int(found.rows[0][0])


def chunks(
    ledger: Ledger, scope: Scope, *, after: bytes = BEGINNING, whole: bool = False, lines: int = CHUNK_LINES
) -> Iterator[Chunk]:
    """The lines of a scope that come after a place; with all their columns where `whole`.

    Lines are stored by day and id, so each chunk is a read within one day. A place is 4 bytes of the day and the id.
    """
    condition, parameters = scope.condition()
    columns = "* EXCEPT (ingested_at)" if whole else ", ".join(PRICING_COLUMNS)
    days = ledger.query(
        f"SELECT DISTINCT toInt32(toDate32(ts, 'UTC')) AS day FROM current_versions WHERE {condition} ORDER BY day",  # noqa: S608
        parameters,
    ).rows
    for (day,) in days:
        head = (day + _DAY_OFFSET).to_bytes(4, "big")
        if after and head < after[:4]:
            continue
        begin = after[4:] if head == after[:4] else BEGINNING
        within = f"toDate32(ts, 'UTC') = addDays(toDate32('1970-01-01'), {day:d}) AND {condition}"
        select = f"SELECT {columns} FROM current_versions WHERE {within}"  # noqa: S608 - our own text
        for table in _in_order_of_ids(ledger, select, parameters, begin, lines):
            yield Chunk(table, head + table.column("call_id")[-1].as_py())


def _in_order_of_ids(
    ledger: Ledger, select: str, parameters: Mapping[str, Any], after: bytes, lines: int
) -> Iterator["pa.Table"]:
    while True:
        begin = " AND call_id > unhex({after:String})" if after else ""
        table = ledger.arrow(
            f"{select}{begin} ORDER BY call_id LIMIT {lines:d}",
            {**parameters, "after": after.hex()} if after else parameters,
        )
        if not table.num_rows:
            return
        yield table
        after = table.column("call_id")[-1].as_py()
        if table.num_rows < lines:
            return
