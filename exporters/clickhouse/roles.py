"""SQL for who may read a ledger: a read-only role, for all of it or for some teams or customers."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from otel_llmcost.exporters.clickhouse.ddl import Cluster

TABLES: Final[Mapping[str, Sequence[str]]] = {
    "call_versions": ("team", "customer"),
    "hourly_totals": ("team",),
    "minute_totals": ("team",),
    "daily_totals": ("team", "customer"),
    "user_totals": ("team", "customer"),
    "conversation_totals": ("team",),
    "adjustments": ("team", "customer"),
    "budgets": (),
    "watch_states": (),
}
"""Tables with bill lines or sums of them → their columns that a role can be bound to."""

SETTINGS: Final = "readonly = 1, max_execution_time = 30 CHANGEABLE_IN_READONLY, apply_row_policy_after_final = 1 CONST"
"""A policy applies to lines, not to versions: before FINAL it would hide the newest version of a line that moved to
another team and show the one before."""


def statements(database: str, role: str, only: Mapping[str, Sequence[str]], cluster: Cluster) -> Iterator[str]:
    """What an administrator runs. `only` is column ("team" or "customer") → values; empty for everything.

    Whoever has no such role reads everything, as before. Sums by hour, by minute and of conversations know no
    customers: a role that is bound to customers may not read them.
    """
    everywhere = f" ON CLUSTER `{cluster.name}`" if cluster.name else ""
    yield f"CREATE ROLE IF NOT EXISTS {_name(role)}{everywhere} SETTINGS {SETTINGS}"
    yield f"GRANT{everywhere} SELECT ON {_name(database)}.* TO {_name(role)}"
    if not only:
        return
    condition = " AND ".join(f"{column} IN ({', '.join(map(_text, values))})" for column, values in only.items())
    for table, columns in TABLES.items():
        place = f"{_name(database)}.{table}"
        if not set(only) <= set(columns):
            yield f"REVOKE{everywhere} SELECT ON {place} FROM {_name(role)}"  # noqa: S608 - quoted
            continue
        policy = f"CREATE ROW POLICY IF NOT EXISTS {_name(f'{role}_lines')}{everywhere} ON {place}"
        yield f"{policy} FOR SELECT USING {condition} TO {_name(role)}"
        others = f"CREATE ROW POLICY IF NOT EXISTS {_name(f'{role}_others')}{everywhere} ON {place}"
        yield f"{others} FOR SELECT USING 1 TO ALL EXCEPT {_name(role)}"


def _name(text: str) -> str:
    return "`" + text.replace("\\", "\\\\").replace("`", "\\`") + "`"


def _text(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
