"""Lines of the ledger, chunk by chunk in the order of their ids, as Arrow tables."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from otel_llmcost.exporters.clickhouse.client import Ledger
from otel_llmcost.restating.scope import Scope

if TYPE_CHECKING:
    import pyarrow as pa

CHUNK_LINES: Final = 100_000
"""About 100 MB in memory at a time."""
BEGINNING: Final = b""

PRICING_COLUMNS: Final = (
    "call_id",
    "version",
    "source",
    "ts",
    "duration_ms",
    "provider",
    "host",
    "operation",
    "model",
    "requested_model",
    "service",
    "environment",
    "streaming",
    "outcome",
    "http_status",
    "error_type",
    "service_tier",
    "price_context",
    "team",
    "feature",
    "customer",
    "user",
    "session",
    "agent",
    "workflow",
    "run",
    "tags",
    "usage_known",
    "usage_rule",
    "usage_flags",
    "buckets",
    "reported_cost_usd",
    "cost_usd",
    "list_cost_usd",
    "input_cost_usd",
    "output_cost_usd",
    "cache_read_cost_usd",
    "cache_write_cost_usd",
    "other_cost_usd",
    "cache_savings_usd",
    "status",
    "reason",
    "price_id",
    "price_book",
)
"""What a price depends on, and what it was."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some lines, and the last id among them: where the next chunk begins."""

    lines: "pa.Table"
    last_id: bytes


def count_lines(ledger: Ledger, scope: Scope) -> int:
    """How many lines a scope has."""
    condition, parameters = scope.condition()
    found = ledger.query(f"SELECT count() FROM call_versions FINAL WHERE {condition}", parameters)  # noqa: S608
    return int(found.rows[0][0])


def chunks(
    ledger: Ledger, scope: Scope, *, after: bytes = BEGINNING, whole: bool = False, lines: int = CHUNK_LINES
) -> Iterator[Chunk]:
    """The lines of a scope whose id comes after `after`; with all their columns where `whole`.

    The table is sorted by id, so each chunk is a read of the next part of it, and its end is where to go on from.
    """
    condition, parameters = scope.condition()
    columns = "* EXCEPT (ingested_at)" if whole else ", ".join(PRICING_COLUMNS)
    while True:
        begin = "call_id > unhex({after:String}) AND " if after else ""
        sql = (
            f"SELECT {columns} FROM call_versions FINAL WHERE {begin}{condition}"  # noqa: S608 - our own text
            f" ORDER BY call_id LIMIT {lines:d}"
        )
        table = ledger.arrow(sql, {**parameters, "after": after.hex()} if after else parameters)
        if not table.num_rows:
            return
        after = table.column("call_id")[-1].as_py()
        yield Chunk(table, after)
        if table.num_rows < lines:
            return
