"""The ledger's tables and views: schema/*.sql, in order of their numbers."""

import re
from functools import cache
from importlib.resources import files
from typing import Final

_COMMENT_LINE: Final = re.compile(r"^\s*--.*$", re.MULTILINE)
_CREATED: Final = re.compile(r"CREATE (?:TABLE IF NOT EXISTS|OR REPLACE VIEW) \{database\}\.(\w+)")


@cache
def statements() -> tuple[str, ...]:
    """Every statement, with `{database}` in the place of the database's quoted name."""
    folder = files("otel_llmcost.exporters.clickhouse") / "schema"
    scripts = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    parts = [part for script in scripts for part in _COMMENT_LINE.sub("", script.read_text("utf-8")).split(";")]
    return tuple(part.strip() for part in parts if part.strip())


@cache
def object_names() -> frozenset[str]:
    """Names of the tables and views that the statements create."""
    return frozenset(name for statement in statements() for name in _CREATED.findall(statement))
