"""The statements in sql/*.sql: `{database}` stands for the ledger's database, `{name:Type}` for a parameter."""

import re
from functools import cache
from importlib.resources import files
from typing import Final

SCHEMA_FILES: Final = ("schema_input", "schema_tables", "schema_settings", "schema_anomalies")
"""Tables and views, in the order in which they build on each other."""

_COMMENT: Final = re.compile(r"--.*$", re.MULTILINE)


@cache
def statements(name: str) -> tuple[str, ...]:
    """The statements of `sql/<name>.sql`, without comments."""
    text = (files("otel_llmcost.detection") / "sql" / f"{name}.sql").read_text("utf-8")
    parts = (part.strip() for part in _COMMENT.sub("", text).split(";"))
    return tuple(part for part in parts if part)


def schema() -> tuple[str, ...]:
    """What a ledger needs for detection; each statement may run again and again."""
    return tuple(statement for name in SCHEMA_FILES for statement in statements(name))
