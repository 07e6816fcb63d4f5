"""Schema of a ledger: what it has, what it lacks, and how it gets there.

    ddl.migrations()  →  State.of(ledger): recorded, pending, changed, newer, missing  →  apply

Each migration that was applied is a row of `schema_migrations`, with a checksum of its statements. A ledger of the time
before that table ("version 1") has one line a call in another table; apply moves its lines.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from otel_llmcost import __version__
from otel_llmcost.errors import ConfigError, RetryableError
from otel_llmcost.exporters.clickhouse.client import Ledger
from otel_llmcost.exporters.clickhouse.ddl import ONE_SERVER, Cluster, Migration, Statement, migrations, object_names
from otel_llmcost.exporters.clickhouse.failures import translated
from otel_llmcost.exporters.clickhouse.shadows import complete_shadows

logger = logging.getLogger(__name__)

RECORDS: Final = "schema_migrations"
CALLS: Final = "call_versions"
OLD_CALLS: Final = "call_versions_1"
"""Where the lines of a ledger of version 1 lie while they are moved."""

_CREATE_DATABASE: Final = "CREATE DATABASE IF NOT EXISTS {database}"
_CREATE_RECORDS: Final = Statement(
    f"CREATE TABLE IF NOT EXISTS {{database}}.{RECORDS}\n"
    "(number UInt32, name String, checksum String, applied_by String, applied_at DateTime64(3) DEFAULT now64(3))\n"
    "ENGINE = ReplacingMergeTree(applied_at)\n"
    "ORDER BY number"
)
_RECORD: Final = (
    f"INSERT INTO {{database}}.{RECORDS} (number, name, checksum, applied_by)"  # noqa: S608 - our own words
    " VALUES ({number:UInt32}, {name:String}, {checksum:String}, {by:String})"
)


_ANY_LINE: Final = f"SELECT 1 FROM {CALLS} LIMIT 1"  # noqa: S608 - our own words


@dataclass(frozen=True, slots=True)
class State:
    """What a ledger has. `recorded`: number → (name, checksum) of applied migrations; `objects`: tables and views."""

    recorded: Mapping[int, tuple[str, str]]
    objects: frozenset[str]
    has_old_calls: bool

    @classmethod
    def of(cls, ledger: Ledger) -> "State":
        """
        Raises:
            DeliveryError: the ledger does not answer.
        """
        rows = _rows(ledger, "SELECT name FROM system.tables WHERE database = {database:String}")
        objects = frozenset(name for (name,) in rows)
        recorded = {}
        if RECORDS in objects:
            found = ledger.query(f"SELECT number, name, checksum FROM {RECORDS} FINAL").rows  # noqa: S608
            recorded = {number: (name, checksum) for number, name, checksum in found}
        old = OLD_CALLS in objects or (CALLS in objects and "shadow" not in _columns(ledger, CALLS))
        return cls(recorded, objects, old)

    @property
    def is_empty(self) -> bool:
        """Nothing of ours is there."""
        return not self.recorded and not self.objects & object_names()

    @property
    def is_older(self) -> bool:
        """Something of ours is there, and not all of it."""
        return bool(self.pending or self.has_old_calls) and not self.is_empty

    @property
    def pending(self) -> tuple[Migration, ...]:
        """Migrations that were not applied, in order."""
        return tuple(migration for migration in migrations() if migration.number not in self.recorded)

    @property
    def changed(self) -> tuple[str, ...]:
        """Titles of migrations that were applied with other statements than this version has."""
        known = [m for m in migrations() if m.number in self.recorded]
        return tuple(m.title for m in known if self.recorded[m.number][1] != m.checksum)

    @property
    def newer(self) -> tuple[str, ...]:
        """Titles of migrations that only a later version of otel-llmcost has."""
        unknown = sorted(set(self.recorded) - {migration.number for migration in migrations()})
        return tuple(f"{number:04d}_{self.recorded[number][0]}" for number in unknown)

    @property
    def damaged(self) -> tuple[Migration, ...]:
        """Applied migrations of which a table or view is not there any more."""
        applied = [migration for migration in migrations() if migration.number in self.recorded]
        return tuple(m for m in applied if any(s.creates and s.creates not in self.objects for s in m.statements))

    @property
    def to_apply(self) -> tuple[Migration, ...]:
        """What `apply` runs, in order."""
        numbers = {migration.number for migration in (*self.pending, *self.damaged)}
        return tuple(migration for migration in migrations() if migration.number in numbers)


def prepare(ledger: Ledger, cluster: Cluster = ONE_SERVER) -> None:
    """Make a ledger ready for this version's lines: create or complete it; an embedded one is upgraded too.

    A ledger on a server that another version has set up is not changed by whoever happens to write to it.

    Raises:
        RetryableError: it is of an older version, or lacks columns; the lines can go through once it is upgraded.
        DeliveryError: the ledger did not answer, or refused.
    """
    state = State.of(ledger)
    if state.is_older and not ledger.url.path and _has_lines(ledger, state):
        state = State.of(ledger)  # whoever was setting it up may have finished since
        if state.is_older:
            raise _too_old(ledger, state)
    if state.is_empty or state.is_older or state.damaged:
        apply(ledger, state, cluster)


def _too_old(ledger: Ledger, state: State) -> RetryableError:
    titles = ", ".join(migration.title for migration in state.pending) or "lines of version 1"
    return RetryableError(
        f"{ledger.url.address}: its schema is older than otel-llmcost {__version__} ({titles});"
        " run `otel-llmcost schema apply`"
    )


def _has_lines(ledger: Ledger, state: State) -> bool:
    """Whether somebody writes to it already. If not, its first set-up was cut off or is under way, and to be completed:
    each statement changes nothing where another process was faster."""
    return state.has_old_calls or (CALLS in state.objects and bool(ledger.query(_ANY_LINE).rows))


def require_columns(ledger: Ledger, names: Iterable[str]) -> None:
    """
    Raises:
        RetryableError: `call_versions` of this ledger lacks some of them; the lines can go through once it has them.
    """
    known = set(_columns(ledger, CALLS))
    lacking = [name for name in names if name not in known]
    if lacking:
        raise RetryableError(
            f"{ledger.url.address}: {CALLS} lacks the columns {', '.join(lacking)}; see `otel-llmcost schema status`"
        )


def plan(state: State, cluster: Cluster = ONE_SERVER) -> Iterator[str]:
    """The statements that `apply` runs to create what is missing; lines of version 1 are moved beside them.

    Raises:
        ConfigError: a migration that was applied has been changed since.
    """
    _refuse_changed(state)
    to_apply = state.to_apply
    if to_apply:
        yield from Statement(_CREATE_DATABASE).on(cluster)
        yield from _CREATE_RECORDS.on(cluster)
    for migration in to_apply:
        for statement in migration.statements:
            yield from statement.on(cluster)


def apply(ledger: Ledger, state: State, cluster: Cluster = ONE_SERVER) -> tuple[Migration, ...]:
    """Bring a ledger to this version's schema; what was done. Can be cut off anywhere and run again.

    Raises:
        ConfigError: a migration that was applied has been changed since.
        DeliveryError: the ledger did not answer, or refused.
    """
    _refuse_changed(state)
    _run(ledger, Statement(_CREATE_DATABASE), cluster)
    _run(ledger, _CREATE_RECORDS, cluster)
    if state.has_old_calls:
        _put_old_calls_aside(ledger, cluster)
    for migration in state.to_apply:
        for statement in migration.statements:
            _run(ledger, statement, cluster)
        record = {"number": migration.number, "name": migration.name, "checksum": migration.checksum}
        ledger.execute(_RECORD, {**record, "by": __version__})
    if state.has_old_calls:
        _move_old_calls(ledger)
    return state.to_apply


def _refuse_changed(state: State) -> None:
    if state.changed:
        raise ConfigError(
            f"schema: {', '.join(state.changed)} was applied with other statements than this version has;"
            " a ledger of a development version cannot be upgraded: copy its lines into a new one"
        )


def _run(ledger: Ledger, statement: Statement, cluster: Cluster) -> None:
    for text in statement.on(cluster):
        ledger.execute(text)


def _put_old_calls_aside(ledger: Ledger, cluster: Cluster) -> None:
    """Today's table takes the place of the old one in one step: writers of either version always find a table."""
    if "shadow" in _columns(ledger, CALLS):
        return
    create = next(s for migration in migrations() for s in migration.statements if s.creates == CALLS)
    renamed = Statement(create.text.replace(f"{{database}}.{CALLS}", f"{{database}}.{OLD_CALLS}", 1))
    _run(ledger, renamed, cluster)
    ledger.execute(f"EXCHANGE TABLES {{database}}.{CALLS} AND {{database}}.{OLD_CALLS}")


def _move_old_calls(ledger: Ledger) -> None:
    """Again changes nothing: a line that was moved already is the same version of the same call."""
    logger.warning("%s: moving its lines to the tables of this version", ledger.url.address)
    taken = _columns(ledger, CALLS)
    columns = ", ".join(f"`{name}`" for name in _columns(ledger, OLD_CALLS) if name in taken)
    ledger.execute(
        f"INSERT INTO {{database}}.{CALLS} ({columns}) SELECT {columns} FROM {{database}}.{OLD_CALLS} FINAL"  # noqa: S608
        " SETTINGS max_partitions_per_insert_block = 0"
    )
    complete_shadows(ledger)
    ledger.execute(f"DROP TABLE {{database}}.{OLD_CALLS} SYNC")


def _columns(ledger: Ledger, table: str) -> Sequence[str]:
    """Columns that an insert may name."""
    sql = (
        "SELECT name FROM system.columns WHERE database = {database:String} AND table = {table:String}"
        " AND default_kind NOT IN ('MATERIALIZED', 'ALIAS') ORDER BY position"
    )
    return [name for (name,) in _rows(ledger, sql, table=table)]


def _rows(ledger: Ledger, sql: str, **parameters: Any) -> Sequence[Sequence[Any]]:
    """Rows about a database that may not be there yet."""
    with translated(ledger.url.address, with_text=True):
        found = ledger.client.query(sql, parameters={"database": ledger.url.database, **parameters})
    return list(found.result_rows)
