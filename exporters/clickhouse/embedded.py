"""SQL on the embedded engine for others than the ledger's own writer: bounded, and reading only unless told otherwise.

Every query has a connection handle of its own (opening one takes a quarter of a millisecond). Settings, `readonly`
among them, stay with the handle they were made on and end with it.
"""

import json
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from otel_llmcost.errors import MissingExtraError
from otel_llmcost.exporters.clickhouse.client import DEFAULT_DATABASE
from otel_llmcost.exporters.clickhouse.native import one_row
from otel_llmcost.exporters.clickhouse.statement import (
    ACCESS_DENIED,
    READONLY,
    SAFE_TABLE_FUNCTIONS,
    Change,
    Forbidden,
    Insert,
    Read,
    SqlError,
    parse,
)

LIMITS: Final[Mapping[str, int]] = {
    "max_execution_time": 60,  # s
    "max_memory_usage": 2 * 1024**3,
    "max_result_bytes": 512 * 1024**2,
}
"""Settings that a query may lower and not raise; they hold where it says nothing."""

_SETTINGS_ALLOWED: Final = re.compile(
    r"(max|min|output_format|join|group_by|distinct|optimize|query_plan|aggregate_functions|cast|date_time)_[a-z0-9_]+"
    r"|(enable|allow_experimental)_analyzer|final|limit|offset|extremes|log_comment|session_timezone|priority|totals_mode"
    r"|transform_null_in|(result|timeout|read|sort|set)_overflow_mode|prefer_column_name_to_alias|union_default_mode"
    r"|count_distinct_implementation|use_query_cache|async_insert|wait_for_async_insert|async_insert_[a-z0-9_]+"
    r"|insert_[a-z0-9_]+|input_format_(?!values_)[a-z0-9_]+|cancel_http_readonly_queries_on_client_close"
)
"""Settings that steer a query's limits, plan and formats. Others can open files and connections or change the
language (`format_schema`, `format_avro_schema_registry_url`, `dialect`)."""

_FIXED: Final[Mapping[str, str]] = {
    "result_overflow_mode": "throw",
    "timeout_overflow_mode": "throw",
    "enable_http_compression": "1",  # clients ask whether they may accept compressed answers
    # VALUES takes literals: an expression could call functions.
    "input_format_values_interpret_expressions": "0",
    "input_format_values_deduce_templates_of_expressions": "0",
}

_HELLO: Final = "select displayname ( ) , version ( ) , revision ( ) , timezone ( )"
"""The tokens of clickhouse-go's first query."""

_WHAT_MAY_BE_SET: Final = "select name , value , readonly from system . settings limit 10000 format native"
"""The tokens of clickhouse-connect's first query: it sends no setting that the answer calls read-only. Where a handle
reads only, the engine calls all of them so, but settings come with the request here and are checked by name."""

_FORBIDDEN_FUNCTIONS: Final = """
SELECT lower(name) FROM system.functions WHERE categories = 'AI' OR name IN ('file', 'logTrace')
UNION DISTINCT
SELECT lower(name) FROM system.functions
WHERE alias_to IN (SELECT name FROM system.functions WHERE categories = 'AI' OR name IN ('file', 'logTrace'))
"""


@dataclass(frozen=True, slots=True)
class Request:
    """One query as a client sent it. `parameters` are values of `{name:Type}`, escaped as in TabSeparated."""

    payload: bytes
    database: str = ""
    default_format: str = "TabSeparated"
    parameters: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    client_revision: int = 0
    may_write: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    """What a query gave. `statistics` are ClickHouse's X-ClickHouse-Summary."""

    body: bytes
    format: str
    statistics: Mapping[str, str]


class EmbeddedSql:
    """Runs statements on the engine at `path`. Safe to use from several threads."""

    def __init__(self, path: Path, *, writable: bool = False) -> None:
        """
        Raises:
            MissingExtraError: chdb is not installed.
        """
        try:
            self._chdb: Any = import_module("chdb")
        except ImportError:
            raise MissingExtraError("an embedded ledger (chdb://)", "local") from None
        self._path = str(path.resolve())  # the engine compares paths as text
        self._writable = writable
        self._keeper = self._chdb.connect(self._path)  # the engine stays open between queries
        self._forbidden = Forbidden(
            functions=frozenset(self._column(_FORBIDDEN_FUNCTIONS)),
            table_functions=frozenset(self._column("SELECT lower(name) FROM system.table_functions"))
            - SAFE_TABLE_FUNCTIONS,
        )
        self.version, self.timezone = (self._column(f"SELECT {name}()")[0] for name in ("version", "timezone"))

    def close(self) -> None:
        self._keeper.close()

    def run(self, request: Request) -> Answer:
        """
        Raises:
            SqlError: the statement is refused.
            RuntimeError: the engine's own error; its text begins with `Code: N. DB::Exception:`.
        """
        with self._handle() as handle:
            statement = parse(
                request.payload, lambda text: _tokenize(handle, text), self._forbidden, request.parameters
            )
            if isinstance(statement, Read):
                return self._read(handle, statement, request)
            if not (self._writable and request.may_write):
                raise SqlError(READONLY, "Cannot execute query in readonly mode: writing is refused")
            if isinstance(statement, Change):
                return self._change(handle, statement, request)
            return self._insert(handle, statement, request)

    def _read(self, handle: Any, statement: Read, request: Request) -> Answer:
        answer_format = statement.format or request.default_format
        if request.client_revision and answer_format == "Native" and statement.tokens == _HELLO:
            return Answer(self._hello(request.client_revision), answer_format, {})
        _prepare(handle, request, readonly="2" if statement.tokens == _WHAT_MAY_BE_SET else "1")
        result = handle.query(statement.text, answer_format, params=dict(request.parameters))
        statistics = {
            "read_rows": result.storage_rows_read(),
            "read_bytes": result.storage_bytes_read(),
            "result_rows": result.rows_read(),
            "result_bytes": result.bytes_read(),
        }
        return Answer(result.bytes(), answer_format, _summary(statistics, result.elapsed()))

    def _insert(self, handle: Any, statement: Insert, request: Request) -> Answer:
        _prepare(handle, request)
        self._check_target(handle, statement.table)
        inserter = handle.send_insert(statement.target, statement.format)
        try:
            inserter.append(statement.data)
            result = inserter.finish()
        finally:
            inserter.close()
        statistics = {"written_rows": result.rows_written, "written_bytes": result.bytes_written}
        return Answer(b"", "", _summary(statistics, result.elapsed))

    def _change(self, handle: Any, statement: Change, request: Request) -> Answer:
        refused = [name for name in statement.settings if not _SETTINGS_ALLOWED.fullmatch(name)]
        if refused:
            raise SqlError(ACCESS_DENIED, f"Setting {refused[0][:64]!r} cannot be set here")
        _prepare(handle, request)
        self._check_target(handle, statement.table)
        result = handle.query(statement.text, "Null", params=dict(request.parameters))
        return Answer(b"", "", _summary({"read_rows": result.storage_rows_read()}, result.elapsed()))

    def _check_target(self, handle: Any, table: tuple[str, str]) -> None:
        """The engine takes a path in place of a table's name and would write to that file."""
        query = (
            "SELECT count() FROM system.tables WHERE name = {name:String}"
            " AND database = if({database:String} = '', currentDatabase(), {database:String})"
        )
        names = {"database": escape(table[0]), "name": escape(table[1])}
        if handle.query(query, "TabSeparated", params=names).bytes().strip() == b"0":
            raise SqlError((60, "UNKNOWN_TABLE"), f"Table {'.'.join(filter(None, table))[:256]} does not exist")

    def _hello(self, revision: int) -> bytes:
        """Revision 0 is told, whatever the engine is: its Native answers are of revision 0."""
        columns = (
            ("displayName()", "String", socket.gethostname()),
            ("version()", "String", self.version),
            ("revision()", "UInt32", 0),
            ("timezone()", "String", self.timezone),
        )
        return one_row(columns, revision)

    @contextmanager
    def _handle(self) -> Iterator[Any]:
        handle = self._chdb.connect(self._path)
        try:
            yield handle
        finally:
            handle.close()

    def _column(self, query: str) -> list[str]:
        return [json.loads(line)[0] for line in self._keeper.query(query, "JSONCompactEachRow").bytes().splitlines()]


def escape(text: str) -> str:
    """A value as query parameters are written: as in TabSeparated."""
    for plain, escaped in (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r"), ("\0", "\\0")):
        text = text.replace(plain, escaped)
    return text


def _tokenize(handle: Any, text: str) -> list[tuple[int, int, str]]:
    result = handle.query("SELECT tokenizeQuery({text:String}) AS tokens", "JSONEachRow", params={"text": escape(text)})
    tokens = json.loads(result.bytes())["tokens"]
    return [(token["begin"], token["end"], token["type"]) for token in tokens]


def _prepare(handle: Any, request: Request, **more: str) -> None:
    """Bind the handle to the request's database and settings."""
    settings = {**_FIXED, **LIMITS}
    for name, value in request.settings.items():
        if not _SETTINGS_ALLOWED.fullmatch(name):
            raise SqlError(ACCESS_DENIED, f"Setting {name[:64]!r} cannot be set here")
        settings[name] = _lowered(name, value)
    assignments = ", ".join(f"{name} = {_quote(str(value))}" for name, value in {**settings, **more}.items())
    handle.query(f"USE {_quote(request.database or DEFAULT_DATABASE, '`')}", "Null")
    handle.query(f"SET {assignments}", "Null")


def _lowered(name: str, value: str) -> str:
    """The value, or the limit where it is above or stands for no limit at all."""
    limit = LIMITS.get(name)
    if limit is None:
        return value
    try:
        wanted = float(value)
    except ValueError:
        raise SqlError((36, "BAD_ARGUMENTS"), f"Setting {name} must be a number") from None
    return value if 0 < wanted <= limit else str(limit)


def _quote(text: str, mark: str = "'") -> str:
    return mark + text.replace("\\", "\\\\").replace(mark, "\\" + mark) + mark


def _summary(statistics: Mapping[str, int], elapsed_s: float) -> dict[str, str]:
    return {name: str(value) for name, value in statistics.items()} | {"elapsed_ns": str(int(elapsed_s * 1e9))}
