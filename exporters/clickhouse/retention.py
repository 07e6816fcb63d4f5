"""How long a ledger keeps what, as TTLs of its tables. Whole months go: a part is dropped, not written again."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from otel_llmcost.errors import RetryableError
from otel_llmcost.exporters.clickhouse.client import Ledger
from otel_llmcost.exporters.clickhouse.ddl import LOCAL, Cluster, Statement, statements
from otel_llmcost.exporters.clickhouse.settling import TOTALS, settle

MONTH_DAYS: Final = 31
DETAILS: Final[Mapping[str, str]] = {"response_id": "String", "parent_span_id": "FixedString(8)"}
CALLS: Final = ("call_versions",)
ROLLUPS: Final = tuple(f"{name}_totals" for names in TOTALS.values() for name in names)


@dataclass(frozen=True, slots=True)
class Retention:
    """Days that calls, their details and their totals are kept at least; 0 is for ever."""

    calls_days: int = 0
    details_days: int = 35
    rollups_days: int = 0

    @classmethod
    def of(cls, ledger: Ledger) -> "Retention":
        """What a ledger was told last.

        Raises:
            DeliveryError: the ledger does not answer.
        """
        rows = ledger.query("SELECT name, value FROM ledger_options FINAL").rows
        known = {name: value for name, value in rows if name in cls.__dataclass_fields__}
        return cls(**known)

    def options(self) -> dict[str, int]:
        """Name → days, as `ledger_options` has them."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


_LIVE_AND_OLD: Final = """
SELECT count() FROM
(
    SELECT day FROM hour_states WHERE settlement = 0 UNION ALL SELECT day FROM day_states WHERE settlement = 0
)
WHERE toStartOfMonth(day) + toIntervalDay({days:UInt32}) <= today()
"""


def store_totals(ledger: Ledger, old: Retention, new: Retention) -> None:
    """Store the totals of calls that the new retention lets go: they could not be made later.

    Raises:
        RetryableError: some of these hours were written to a moment ago.
        DeliveryError: the ledger did not answer, or refused.
    """
    if not new.calls_days or 0 < old.calls_days <= new.calls_days:
        return
    settle(ledger)
    if ledger.query(_LIVE_AND_OLD, {"days": new.calls_days + MONTH_DAYS}).rows != [(0,)]:
        raise RetryableError(
            f"{ledger.url.address}: calls that storage.calls_days would drop came in the last five minutes, and their"
            " totals are not stored yet; apply it five minutes later"
        )


def changes(old: Retention, new: Retention, cluster: Cluster) -> Iterator[str]:
    """The statements that lead from one to the other."""
    if old.calls_days != new.calls_days:
        yield from _tables(CALLS, "month", new.calls_days, cluster)
    if old.details_days != new.details_days:
        for column, type_ in DETAILS.items():
            ttl = f" TTL {_until('month', new.details_days)}" if new.details_days else " REMOVE TTL"
            change = f"`{column}` {type_} CODEC(ZSTD(1)){ttl}" if new.details_days else f"`{column}`{ttl}"
            yield from _alter("call_versions", f"MODIFY COLUMN {change}", cluster)
    if old.rollups_days != new.rollups_days:
        yield from _tables(ROLLUPS, "toStartOfMonth(day)", new.rollups_days, cluster)
    for name, days in new.options().items():
        if old.options()[name] != days:
            yield f"INSERT INTO {{database}}.ledger_options (name, value) VALUES ('{name}', {days})"  # noqa: S608 - our own names


def _until(month: str, days: int) -> str:
    """When a month may go: `days` after its last day. Dates end in 2149."""
    return f"least({month}, toDate('2100-01-01')) + toIntervalDay({days + MONTH_DAYS})"


def _tables(names: tuple[str, ...], month: str, days: int, cluster: Cluster) -> Iterator[str]:
    for name in names:
        yield from _alter(name, f"MODIFY TTL {_until(month, days)}" if days else "REMOVE TTL", cluster)


def _alter(table: str, change: str, cluster: Cluster) -> tuple[str, ...]:
    """A Distributed table keeps nothing: the change is for the tables of its shards."""
    is_sharded = any(statement.creates == table and statement.sharded_by for statement in statements())
    local = LOCAL if cluster.sharded and is_sharded else ""
    return Statement(f"ALTER TABLE {{database}}.{table}{local} {change}").on(cluster)
