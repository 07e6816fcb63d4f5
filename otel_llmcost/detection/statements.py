"""The statements in sql/*.sql.

`{database}` stands for the ledger's database, `{name:Type}` for a parameter of the query, and `{{name}}` for the text
of `sql/name.sql`: an expression or a part of a query that several files share.
"""

import re
from functools import cache
from importlib.resources import files
from typing import Final

SCHEMA_FILES: Final = ("schema_input", "schema_tables", "schema_settings", "schema_anomalies")
"""Tables and views, in the order in which they build on each other."""

_COMMENT: Final = re.compile(r"--.*$", re.MULTILINE)
_INCLUDED: Final = re.compile(r"\{\{(\w+)\}\}")


@cache
def statements(name: str) -> tuple[str, ...]:
    """The statements of `sql/<name>.sql`, without comments, with what they include."""
    parts = (part.strip() for part in _text(name).split(";"))
    return tuple(part for part in parts if part)


def schema() -> tuple[str, ...]:
    """What a ledger needs for detection; each statement may run again and again."""
    return tuple(statement for name in SCHEMA_FILES for statement in statements(name))


def _text(name: str) -> str:
    text = (files("otel_llmcost.detection") / "sql" / f"{name}.sql").read_text("utf-8")
    return _INCLUDED.sub(lambda found: _text(found[1]), _COMMENT.sub("", text)).strip()
