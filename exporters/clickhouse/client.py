"""A ledger URL → an open ClickHouse, on a server or embedded.

    clickhouse://[user[:password]@]host[:port]/[database]     HTTP, port 8123
    clickhouses://…                                           HTTPS, port 8443
    chdb:///absolute/path                                     embedded, one process per path

The database is `llmcost` unless the URL names one. User, password and certificates that the URL leaves out come from
the environment (access.py). None ever shows in an exception, a log line or a repr.
"""

import fcntl
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self
from urllib.parse import unquote, urlsplit

from otel_llmcost.errors import ConfigError, MissingExtraError, RetryableError
from otel_llmcost.exporters.clickhouse.access import NOBODY, Access
from otel_llmcost.exporters.clickhouse.failures import translated

if TYPE_CHECKING:
    import pyarrow as pa
    from clickhouse_connect.driver.client import Client

DEFAULT_DATABASE: Final = "llmcost"
DEFAULT_PORTS: Final = {"clickhouse": 8123, "clickhouses": 8443}
CONNECT_TIMEOUT_S: Final = 5
ANSWER_TIMEOUT_S: Final = 60

_ARROW_SETTINGS: Final = {
    "output_format_arrow_low_cardinality_as_dictionary": 1,
    "output_format_arrow_string_as_string": 0,  # a text that somebody else wrote need not be UTF-8
    "output_format_arrow_fixed_string_as_fixed_byte_array": 1,
    "output_format_arrow_compression_method": "none",
}

_DATABASE_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_HOLDER: Final = re.compile(r"^PID: (\d+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class LedgerUrl:
    """A checked ledger URL. `path` is set for an embedded engine, `host` and `port` for a server."""

    scheme: str
    host: str = ""
    port: int = 0
    path: str = ""
    database: str = DEFAULT_DATABASE
    access: Access = NOBODY

    @property
    def address(self) -> str:
        """Where it is, for messages: no credentials."""
        return self.path or f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, url: str, environ: Mapping[str, str]) -> Self:
        """Read a URL, and from `environ` the credentials that it leaves out.

        Raises:
            ConfigError: the URL is none of the three forms, or a file of credentials cannot be read; the text does not
                repeat the URL, for it may hold a password.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ConfigError("ledger: not a URL; write special characters of a password as %XX") from None
        if parts.query or parts.fragment:
            raise ConfigError("ledger: takes no ?options; write ? and # in a password as %3F and %23")
        if parts.scheme == "chdb":
            return cls._embedded(parts.netloc, unquote(parts.path))
        if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
            raise ConfigError("ledger: must be clickhouse://host, clickhouses://host or chdb:///absolute/path")
        return cls(
            scheme=parts.scheme,
            host=parts.hostname,
            port=port or DEFAULT_PORTS[parts.scheme],
            database=_checked_database(unquote(parts.path.strip("/")) or DEFAULT_DATABASE),
            access=Access.of(parts, environ),
        )

    @classmethod
    def _embedded(cls, netloc: str, path: str) -> Self:
        if netloc or not path.strip("/"):
            raise ConfigError("ledger: chdb needs the absolute path of a directory: chdb:///var/lib/llmcost")
        return cls(scheme="chdb", path=path)


def _checked_database(name: str) -> str:
    if not _DATABASE_NAME.fullmatch(name):
        raise ConfigError("ledger: the database's name may have letters, digits, '_', '-' and '.' only")
    return name


def require_packages(url: LedgerUrl) -> None:
    """Say at start-up, before a line is lost, that a package is missing.

    Raises:
        MissingExtraError: with the extra that brings it.
    """
    if url.path and find_spec("chdb") is None:
        raise MissingExtraError("an embedded ledger (chdb://)", "local")
    if find_spec("clickhouse_connect") is None:
        raise MissingExtraError("a ClickHouse ledger", "clickhouse")


class Rows(NamedTuple):
    """What a query answered."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]


class Ledger:
    """An open ledger: statements in, rows out. Close it, or use it as a context manager."""

    def __init__(self, url: LedgerUrl, client: "Client") -> None:
        self.url = url
        self.client = client

    @classmethod
    def open(cls, url: str, *, read_only: bool = True, environ: Mapping[str, str] = os.environ) -> Self:
        """Connect. A read-only ledger refuses every statement that would write.

        Raises:
            ConfigError: the URL is wrong.
            MissingExtraError: a package is missing.
            DeliveryError: the ledger cannot be reached, or refused.
        """
        return cls.connect(LedgerUrl.parse(url, environ), read_only=read_only)

    @classmethod
    def connect(cls, url: LedgerUrl, *, read_only: bool) -> Self:
        """Like `open`, for a URL that is parsed already."""
        require_packages(url)
        with translated(url.address):
            ledger = cls(url, _embedded_client(url) if url.path else _server_client(url))
            if read_only:
                ledger._refuse_writes()
        return ledger

    def _refuse_writes(self) -> None:
        # 2: reading, and settings of one's own, which the client library sends along. A user whom the server holds
        # read-only already may not set it.
        setting = self.client.server_settings.get("readonly")
        if setting is None or setting.value == "0":
            self.client.set_client_setting("readonly", "2")

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Rows:
        """Rows of a query; `{name:Type}` in it stands for the value of that parameter.

        Tables without a database are those of the ledger.

        Raises:
            DeliveryError: with the server's own words.
        """
        with translated(self.url.address, with_text=True):
            self.client.database = self.url.database
            result = self.client.query(sql, parameters=dict(parameters or {}))
            return Rows(tuple(result.column_names), [tuple(row) for row in result.result_rows])

    def execute(self, statement: str, parameters: Mapping[str, Any] | None = None) -> None:
        """Run a statement without rows; `{database}` in it stands for the ledger's database, `{name:Type}` for the
        value of that parameter.

        Raises:
            DeliveryError: with the server's own words.
        """
        text = statement.replace("{database}", f"`{self.url.database}`")
        with translated(self.url.address, with_text=True):
            self.client.command(text, parameters=dict(parameters or {}), use_database=False)

    def arrow(self, sql: str, parameters: Mapping[str, Any] | None = None) -> "pa.Table":
        """Rows of a query as columns: dictionaries of words, texts as bytes, amounts as decimals.

        Raises:
            MissingExtraError: pyarrow is not installed.
            DeliveryError: with the server's own words.
        """
        arrow = _pyarrow()
        with translated(self.url.address, with_text=True):
            self.client.database = self.url.database
            raw = self.client.raw_query(
                sql, dict(parameters or {}), settings=self._settable(_ARROW_SETTINGS), fmt="ArrowStream"
            )
            return arrow.ipc.open_stream(raw).read_all()

    def insert_arrow(self, table: str, columns: "pa.Table") -> None:
        """Store columns in a table of the ledger; return when the server has stored them.

        Raises:
            DeliveryError: they were not stored.
        """
        sink = _pyarrow().BufferOutputStream()
        with _pyarrow().ipc.new_stream(sink, columns.schema) as stream:
            stream.write_table(columns)
        self.insert(table, columns.column_names, sink.getvalue().to_pybytes(), "ArrowStream")

    def insert(self, table: str, columns: Sequence[str], block: bytes, block_format: str, *, once: bool = True) -> None:
        """Store a block of rows; return when the server has stored it. The same block again changes nothing, unless
        `once` is False.

        Raises:
            DeliveryError: it was not stored; the text holds no value of it.
        """
        settings: dict[str, Any] = {
            # Answer when the rows are stored, not when they are buffered.
            "async_insert": 0,
            "wait_end_of_query": 1,
            # The same batch again, after an answer that was lost on the way, is dropped by the server.
            "insert_deduplicate": int(once),
            # Reading (FINAL) and merging collapse versions; collapsing each block too takes half the time of an insert.
            "optimize_on_insert": 0,
            # Clocks that are years off make a part a month.
            "max_partitions_per_insert_block": 0,
            # No insert goes on long after its sender gave it up: settling counts on that.
            "max_execution_time": ANSWER_TIMEOUT_S,
        }
        if once:
            settings["insert_deduplication_token"] = blake2b(block, digest_size=16).hexdigest()
        with translated(self.url.address):
            self.client.raw_insert(
                f"`{self.url.database}`.{table}",
                list(columns),
                self._compressed(block),
                settings=self._settable(settings),
                fmt=block_format,
                compression=self.client.write_compression,
            )

    def _settable(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Those that the server lets us set. Its defaults store before they answer too, and the table itself collapses
        a batch that comes twice."""
        known = self.client.server_settings
        return {name: value for name, value in settings.items() if name not in known or not known[name].readonly}

    def _compressed(self, block: bytes) -> bytes:
        from clickhouse_connect.driver.compression import get_compressor

        compressor: Any = get_compressor(self.client.write_compression)
        return bytes(compressor.compress_block(block)) + bytes(compressor.flush() or b"")

    def close(self) -> None:
        """Release the connection. Safe to call twice."""
        self.client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _pyarrow() -> Any:
    try:
        import pyarrow.ipc
    except ImportError:
        raise MissingExtraError("reading the ledger in columns (pyarrow)", "local") from None
    return pyarrow


def _server_client(url: LedgerUrl) -> "Client":
    from clickhouse_connect import get_client

    return get_client(
        host=url.host,
        port=url.port,
        interface="https" if url.scheme == "clickhouses" else "http",
        **url.access.options(),
        connect_timeout=CONNECT_TIMEOUT_S,
        send_receive_timeout=ANSWER_TIMEOUT_S,
        autogenerate_session_id=False,  # a session would lock out a second statement at the same time
        dedicated_pool=True,
        client_name="otel-llmcost",
    )


def _embedded_client(url: LedgerUrl) -> "Client":
    from clickhouse_connect import get_client
    from clickhouse_connect.driver.exceptions import ProgrammingError

    try:
        return get_client(interface="chdb", path=url.path)
    except ProgrammingError as error:
        raise RetryableError(_why_not_embedded(url.path, str(error))) from None


def _why_not_embedded(path: str, text: str) -> str:
    """The engine says only that it could not start; the lock on its status file tells who has it."""
    if "already initialized with path" in text:
        return f"{path}: this process has an embedded ledger open at another path; close that one first"
    holder = _lock_holder(Path(path) / "status")
    if holder:
        return (
            f"{path}: in use by process {holder}, and an embedded ledger serves one process at a time; "
            "if it is `otel-llmcost up`, ask it at clickhouse://127.0.0.1:8123 and send to otlp://127.0.0.1:4317; "
            "else end it, or share a ledger on a ClickHouse server (clickhouse://host)"
        )
    return f"{path}: the embedded ledger cannot start; is the directory writable, and is there space on the disk?"


def _lock_holder(status_file: Path) -> str:
    """The id of the process that holds an engine's status file, '?' where it does not say, '' where nobody does."""
    try:
        with status_file.open(encoding="utf-8", errors="replace") as status:
            try:
                fcntl.flock(status, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                found = _HOLDER.search(status.read(4096))
                return found[1] if found else "?"
    except OSError:
        return ""
    return ""
