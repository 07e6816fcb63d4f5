"""The SQL of queries/, with the parts that queries share put in and a note of what was used.

`{{name}}` in a query stands for an argument of that name, which the panel gives (`fill`), or else for the text of
queries/shared/name.sql, which may name others. `{{detection_name}}` is a statement of otel_llmcost/detection/sql, for a
panel must explain an anomaly as the command line does.
"""

import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Final

from source_rows import SourceError

MAX_OPTIONS: Final = 1000  # of a variable: a list box, not a report
MAX_DEPTH: Final = 8
DETECTION: Final = "detection_"
_MARK: Final = re.compile(r"\{\{(\w+)\}\}")


class Queries:
    """Reads statements and remembers which files were read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._used: set[Path] = set()

    def read(self, name: str, fill: Mapping[str, str] | None = None) -> str:
        """The statement of queries/<name>.sql, without its comments, with everything put in.

        Raises:
            SourceError: there is no such file, or a mark that nothing stands for.
        """
        text = self._statement(name)
        for _ in range(MAX_DEPTH):
            if not _MARK.search(text):
                return text
            text = _MARK.sub(lambda found: self._meaning(found[1], name, fill or {}), text)
        raise SourceError(f"queries/{name}.sql: marks within marks, more than {MAX_DEPTH} deep")

    def variable(self, name: str) -> str:
        """The statement that lists the values of a dimension; every dimension's is the same."""
        rollup = "calls_daily" if name == "customer" else "calls_hourly"  # the latter knows no customers
        return self.read("variables/dimension", {"dimension": name, "rollup": rollup, "limit": str(MAX_OPTIONS)})

    def unused(self) -> list[Path]:
        return sorted(set(self._folder.rglob("*.sql")) - self._used)

    def _meaning(self, mark: str, name: str, fill: Mapping[str, str]) -> str:
        if mark in fill:
            return str(fill[mark])
        if mark.startswith(DETECTION):
            statement = files("otel_llmcost.detection") / "sql" / f"{mark.removeprefix(DETECTION)}.sql"
            return _without_comments(statement.read_text(encoding="utf-8")).rstrip(";")
        if not (self._folder / f"shared/{mark}.sql").is_file():
            raise SourceError(f"queries/{name}.sql: nothing stands for {{{{{mark}}}}}")
        return self._statement(f"shared/{mark}")

    def _statement(self, name: str) -> str:
        path = self._folder / f"{name}.sql"
        if not path.is_file():
            raise SourceError(f"queries/{name}.sql: no such file")
        self._used.add(path)
        return _without_comments(path.read_text(encoding="utf-8"))


def _without_comments(sql: str) -> str:
    """Drop comment lines: the plugin's browser half expands macros inside comments too."""
    return "\n".join(line for line in sql.splitlines() if not line.lstrip().startswith("--")).strip()
