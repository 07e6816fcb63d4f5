"""`otel-llmcost schema`: what a ledger consists of, and how it gets to this version."""

import argparse
import os
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from otel_llmcost.cli.ledger import add_ledger_options, settings_with_ledger
from otel_llmcost.cli.table import print_table
from otel_llmcost.errors import ConfigError
from otel_llmcost.settings import Settings

if TYPE_CHECKING:
    from otel_llmcost.exporters.clickhouse.client import Ledger
    from otel_llmcost.exporters.clickhouse.ddl import Cluster
    from otel_llmcost.exporters.clickhouse.migrations import State
    from otel_llmcost.exporters.clickhouse.retention import Retention

NAME: Final = "schema"
HELP: Final = "tables and views of the ledger: show, plan and apply changes"

NOT_CURRENT: Final = 1
"""Exit code of `status` and `plan` where something is to be done."""

_EPILOG: Final = """\
An empty ledger is set up by whoever writes to it first, and an embedded one is brought to a new version by itself. One
on a server is changed here: a writer of a newer version keeps its lines until then. On a cluster, apply comes before
the first writer (`storage.cluster`, `storage.sharded`). How long what is kept, `storage.*_days` say.

exit codes of status and plan:
  0    the ledger is as this version and the configuration want it
  1    there is something to apply

examples:
  otel-llmcost schema status
  otel-llmcost schema plan --ledger clickhouse://admin@ch.internal:8123/llmcost > plan.sql
  otel-llmcost schema apply --ledger clickhouse://admin@ch.internal:8123/llmcost
  otel-llmcost schema roles --role llmcost_cx --team cx
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the actions."""
    parser.epilog = _EPILOG
    actions = parser.add_subparsers(dest="action", metavar="ACTION", title="actions", required=True)
    for name, act, text in (
        ("status", _status, "show which changes the ledger has, and which it lacks"),
        ("plan", _plan, "print the SQL that apply would run"),
        ("apply", _apply, "bring the ledger to this version and configuration"),
    ):
        action = actions.add_parser(name, help=text, description=text)
        add_ledger_options(action)
        action.set_defaults(act=act)
    text = "print SQL that makes a read-only role, for all lines or for those of some teams or customers"
    roles = actions.add_parser("roles", help=text, description=text)
    roles.add_argument("--role", metavar="NAME", default="llmcost_reader", help="default llmcost_reader")
    for column in ("team", "customer"):
        roles.add_argument(f"--{column}", metavar="VALUE", action="append", help="only its lines; may be repeated")
    add_ledger_options(roles)
    roles.set_defaults(act=_roles)


def run(args: argparse.Namespace) -> int:
    """Do the action."""
    code: int = args.act(args)
    return code


def _status(args: argparse.Namespace) -> int:
    settings = settings_with_ledger(args)
    with _open(settings, read_only=True) as ledger:
        state, old, new = _state(ledger, settings)
    print_table(["change", "state"], list(_rows(state)), sys.stdout)
    for name, days in new.options().items():
        if old.options()[name] != days:
            print(f"storage.{name}: {days} is configured, the ledger has {old.options()[name]}")
    return NOT_CURRENT if _is_behind(state) or old != new else 0


def _rows(state: "State") -> Iterator[list[str]]:
    from otel_llmcost.exporters.clickhouse.ddl import migrations

    pending, changed = state.pending, state.changed
    damaged = {migration.title for migration in state.damaged}
    if state.has_old_calls:
        yield ["lines of version 1", "to be moved"]
    for migration in migrations():
        title = migration.title
        what = "pending" if migration in pending else "applied with other statements" if title in changed else ""
        yield [title, what or ("tables are missing" if title in damaged else "applied")]
    for title in state.newer:
        yield [title, "of a newer version of otel-llmcost"]


def _plan(args: argparse.Namespace) -> int:
    from otel_llmcost.exporters.clickhouse import migrations

    settings = settings_with_ledger(args)
    with _open(settings, read_only=True) as ledger:
        state, old, new = _state(ledger, settings)
        database = f"`{ledger.url.database}`"
    statements = [*migrations.plan(state, _cluster(settings)), *_retention(old, new, settings)]
    for statement in statements:
        print(statement.replace("{database}", database).strip() + ";\n")
    return NOT_CURRENT if statements else 0


def _apply(args: argparse.Namespace) -> int:
    from otel_llmcost.exporters.clickhouse.migrations import apply
    from otel_llmcost.exporters.clickhouse.retention import store_totals

    settings = settings_with_ledger(args)
    with _open(settings, read_only=False) as ledger:
        state, old, new = _state(ledger, settings)
        if state.newer:
            raise ConfigError(
                f"the ledger is of a newer version of otel-llmcost ({', '.join(state.newer)}): apply with that one"
            )
        done = [migration.title for migration in apply(ledger, state, _cluster(settings))] if _is_behind(state) else []
        store_totals(ledger, old, new)
        for statement in _retention(old, new, settings):
            ledger.execute(statement)
    for what in (*done, *(["lines of version 1 moved"] if state.has_old_calls else [])):
        print(f"applied {what}")
    if old != new:
        print("applied the retention of the configuration")
    if not done and old == new and not state.has_old_calls:
        print("nothing to apply")
    return 0


def _roles(args: argparse.Namespace) -> int:
    from otel_llmcost.exporters.clickhouse.client import LedgerUrl
    from otel_llmcost.exporters.clickhouse.roles import statements

    settings = settings_with_ledger(args)
    url = LedgerUrl.parse(settings.ledger, os.environ)
    if url.path:
        raise ConfigError(
            "an embedded ledger has no users: `otel-llmcost up` lets SQL clients read, and asks for a password where"
            " CLICKHOUSE_PASSWORD is set"
        )
    only: Mapping[str, list[str]] = {name: getattr(args, name) for name in ("team", "customer") if getattr(args, name)}
    for statement in statements(url.database, args.role, only, _cluster(settings)):
        print(f"{statement};")
    return 0


def _open(settings: Settings, *, read_only: bool) -> "Ledger":
    from otel_llmcost.exporters.clickhouse.client import Ledger

    return Ledger.open(settings.ledger, read_only=read_only)


def _state(ledger: "Ledger", settings: Settings) -> "tuple[State, Retention, Retention]":
    """What the ledger has, what it keeps how long, and how long it should."""
    from otel_llmcost.exporters.clickhouse.migrations import State
    from otel_llmcost.exporters.clickhouse.retention import Retention

    state = State.of(ledger)
    old = Retention.of(ledger) if "ledger_options" in state.objects else Retention()
    new = Retention(settings.storage.calls_days, settings.storage.details_days, settings.storage.rollups_days)
    return state, old, new


def _is_behind(state: "State") -> bool:
    return bool(state.to_apply or state.has_old_calls or state.changed)


def _cluster(settings: Settings) -> "Cluster":
    from otel_llmcost.exporters.clickhouse.ddl import Cluster

    return Cluster(settings.storage.cluster, settings.storage.sharded)


def _retention(old: "Retention", new: "Retention", settings: Settings) -> Iterator[str]:
    from otel_llmcost.exporters.clickhouse.retention import changes

    return changes(old, new, _cluster(settings))
