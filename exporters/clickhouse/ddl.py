"""The ledger's SQL: schema/NNNN_*.sql, in order of their numbers, and how it reads on one server and on a cluster.

A migration is a file `NNNN_name.sql`; one that has been released is never edited. Its statements can all be run again
(IF NOT EXISTS, OR REPLACE). They are written for one server, and rewritten for a cluster: `ON CLUSTER`, replicated
engines, and for a table below a comment `-- sharded by …` a table per shard with a Distributed one in front. A name in
braces stands for the expression of that name in schema/expressions.sql.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Final

FOLDER: Final = "schema"
LOCAL: Final = "_local"
"""How the table of one shard is called: the name of the whole table with this behind it."""

EXPRESSIONS: Final = "expressions.sql"

_EXPRESSION: Final = re.compile(r"^-- \{(\w+)\}\n(.+?);$", re.MULTILINE | re.DOTALL)
_NAMED: Final = re.compile(r"\{(\w+)\}")
_FILE: Final = re.compile(r"(\d{4})_(\w+)\.sql")
_COMMENT_LINE: Final = re.compile(r"^\s*--.*$", re.MULTILINE)
_SHARDED: Final = re.compile(r"^-- sharded by (.+)$", re.MULTILINE)
_CREATED: Final = re.compile(
    r"(CREATE (TABLE IF NOT EXISTS|OR REPLACE VIEW|MATERIALIZED VIEW IF NOT EXISTS) \{database\}\.(\w+))"
)
_ALTERED: Final = re.compile(r"(ALTER TABLE \{database\}\.(\w+))")
_ENGINE: Final = re.compile(r"\bENGINE = (\w*MergeTree)\b(?:\(([^)]*)\))?")
_SETTINGS: Final = re.compile(r"\s*\bSETTINGS (.+)$", re.DOTALL)
_NOT_REPLICATED: Final = "non_replicated_"


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where the tables are: `name` of a cluster, '' for one server; `sharded` spreads calls over its shards."""

    name: str = ""
    sharded: bool = False


ONE_SERVER: Final = Cluster()


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a migration, with `{database}` in the place of the database's quoted name."""

    text: str
    sharded_by: str = ""

    @property
    def creates(self) -> str:
        """The name of the table or view; '' where it creates none."""
        found = _CREATED.match(self.text)
        return found[3] if found else ""

    def on(self, cluster: Cluster) -> tuple[str, ...]:
        """The statement as the servers of a cluster take it."""
        if not cluster.name:
            return (self.text,)
        everywhere = f" ON CLUSTER `{cluster.name}`"
        text = _CREATED.sub(rf"\1{everywhere}", self.text, count=1)
        text = _ALTERED.sub(rf"\1{everywhere}", text, count=1)
        shards = cluster.sharded and bool(self.sharded_by)
        path = "'/clickhouse/tables/{uuid}/{shard}', '{replica}'"
        if not shards:  # the same rows on every server of every shard
            path = "'/clickhouse/tables/{uuid}/all', '{shard}-{replica}'"
        text = _ENGINE.sub(lambda found: f"ENGINE = {_replicated(found, path)}", text)
        text = _SETTINGS.sub(_settings_of_replicas, text)
        if not shards or not self.creates:
            return (text,)
        whole, local = f"{{database}}.{self.creates}", f"{{database}}.{self.creates}{LOCAL}"
        distributed = f"Distributed(`{cluster.name}`, {{database}}, {self.creates}{LOCAL}, {self.sharded_by})"
        return (
            text.replace(whole, local, 1),
            f"CREATE TABLE IF NOT EXISTS {whole}{everywhere} AS {local}\nENGINE = {distributed}",
        )


def _settings_of_replicas(found: re.Match[str]) -> str:
    kept = [setting for setting in found[1].split(", ") if not setting.startswith(_NOT_REPLICATED)]
    return f"\nSETTINGS {', '.join(kept)}" if kept else ""


def _replicated(found: re.Match[str], path: str) -> str:
    arguments = f"{path}, {found[2]}" if found[2] else path
    return f"Replicated{found[1]}({arguments})"


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file. `checksum` is over the file's statements; comments do not count."""

    number: int
    name: str
    statements: tuple[Statement, ...]

    @property
    def title(self) -> str:
        return f"{self.number:04d}_{self.name}"

    @property
    def checksum(self) -> str:
        return sha256("\n;\n".join(statement.text for statement in self.statements).encode()).hexdigest()


@cache
def migrations() -> tuple[Migration, ...]:
    """Every migration, in order."""
    folder = files("otel_llmcost.exporters.clickhouse") / FOLDER
    named = [(_FILE.fullmatch(file.name), file.read_text("utf-8")) for file in folder.iterdir()]
    found = [Migration(int(name[1]), name[2], statements_of(_expanded(sql))) for name, sql in named if name]
    return tuple(sorted(found, key=lambda migration: migration.number))


@cache
def _expressions() -> Mapping[str, str]:
    """Name → expression, in which names may stand that come before it."""
    text = (files("otel_llmcost.exporters.clickhouse") / FOLDER / EXPRESSIONS).read_text("utf-8")
    found: dict[str, str] = {}
    for name, expression in _EXPRESSION.findall(text):
        found[name] = _NAMED.sub(lambda used: found[used[1]], expression)
    return found


def _expanded(sql: str) -> str:
    """`sql` with its named expressions in place; `{database}` stays."""
    return _NAMED.sub(lambda used: _expressions().get(used[1], used[0]), sql)


def statements_of(sql: str) -> tuple[Statement, ...]:
    """The statements of a file; each ends with `;` at the end of a line."""
    parsed = []
    for part in re.split(r";\s*$", sql, flags=re.MULTILINE):
        text = "\n".join(line for line in _COMMENT_LINE.sub("", part).splitlines() if line.strip())
        sharded = _SHARDED.search(part)
        if text:
            parsed.append(Statement(text, sharded[1] if sharded else ""))
    return tuple(parsed)


@cache
def statements() -> tuple[Statement, ...]:
    """The statements of every migration, in order."""
    return tuple(statement for migration in migrations() for statement in migration.statements)


@cache
def object_names() -> frozenset[str]:
    """Names of the tables and views that the statements create."""
    return frozenset(statement.creates for statement in statements() if statement.creates)
