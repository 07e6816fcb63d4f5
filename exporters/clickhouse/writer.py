"""`ClickHouseSink`: priced calls → the table `call_versions`, one insert per batch."""

import os
from collections.abc import Sequence
from hashlib import blake2b
from threading import Lock
from typing import Any, Final
from weakref import WeakMethod

from otel_llmcost.call import LLMCall
from otel_llmcost.errors import DeliveryError, RetryableError
from otel_llmcost.exporters.clickhouse import ddl
from otel_llmcost.exporters.clickhouse.client import Ledger, LedgerUrl, require_packages
from otel_llmcost.exporters.clickhouse.failures import translated
from otel_llmcost.exporters.clickhouse.rows import columns, native_block

TABLE: Final = "call_versions"


class ClickHouseSink:
    """Writes calls to a ledger on a server or embedded (URL forms: client.py).

    It connects at the first write, so that an application starts while its ledger is down, and creates what is missing
    of the database, tables and views. After a failure it connects anew.
    """

    def __init__(self, url: str) -> None:
        self._url = LedgerUrl.parse(url, os.environ)
        require_packages(self._url)
        self._lock = Lock()
        self._table: _Table | None = None
        self._inherited: _Table | None = None
        after_fork = WeakMethod(self._leave_to_parent)
        os.register_at_fork(after_in_child=lambda: (leave := after_fork()) and leave())

    def _leave_to_parent(self) -> None:
        """In a forked child: the connection is the parent's, so it is neither used nor closed here."""
        self._lock = Lock()
        self._inherited, self._table = self._table or self._inherited, None

    def write(self, calls: Sequence[LLMCall]) -> None:
        """Store the calls in one insert; return when the server has stored them. Again changes nothing.

        Raises:
            RetryableError: not now; the same calls may go through later.
            PermanentError: never as they are.
        """
        if not calls:
            return
        if self._inherited is not None and self._url.path:
            raise RetryableError(f"{self._url.path}: the embedded ledger was opened before this process was forked")
        filled = columns(calls)
        with self._lock:
            try:
                if self._table is None:
                    self._table = _Table.open(self._url)
                self._table.insert(filled)
            except DeliveryError:
                self._release()
                raise

    def close(self) -> None:
        """Disconnect. Safe to call twice."""
        with self._lock:
            self._release()

    def _release(self) -> None:
        table, self._table = self._table, None
        if table is not None:
            table.ledger.close()


class _Table:
    """The open table."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    @classmethod
    def open(cls, url: LedgerUrl) -> "_Table":
        ledger = Ledger.connect(url, read_only=False)
        try:
            with translated(url.address):
                create_missing(ledger)
            return cls(ledger)
        except BaseException:
            ledger.close()
            raise

    def insert(self, filled: dict[str, list[Any]]) -> None:
        with translated(self.ledger.url.address):
            block = native_block(filled)
            client = self.ledger.client
            client.raw_insert(
                f"`{self.ledger.url.database}`.{TABLE}",
                list(filled),
                self._compressed(block),
                settings=self._settable(
                    {
                        # Answer when the rows are stored, not when they are buffered.
                        "async_insert": 0,
                        "wait_end_of_query": 1,
                        # The same batch again, after an answer that was lost on the way, is dropped by the server.
                        "insert_deduplicate": 1,
                        "insert_deduplication_token": blake2b(block, digest_size=16).hexdigest(),
                    }
                ),
                fmt="Native",
                compression=client.write_compression,
            )

    def _settable(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Those that the server lets us set. Its defaults store before they answer too, and the table itself collapses
        a batch that comes twice."""
        known = self.ledger.client.server_settings
        return {name: value for name, value in settings.items() if name not in known or not known[name].readonly}

    def _compressed(self, block: bytes) -> bytes:
        from clickhouse_connect.driver.compression import get_compressor

        compressor: Any = get_compressor(self.ledger.client.write_compression)
        return bytes(compressor.compress_block(block)) + bytes(compressor.flush() or b"")


def create_missing(ledger: Ledger) -> None:
    """Create the database, tables and views where one is missing; a ledger that has all of them is left alone.

    A user without the right to create can so write to a ledger that somebody else has set up.
    """
    known = ledger.client.query(
        "SELECT name FROM system.tables WHERE database = {database:String}",
        parameters={"database": ledger.url.database},
    )
    if ddl.object_names() <= {name for (name,) in known.result_rows}:
        return
    ledger.execute("CREATE DATABASE IF NOT EXISTS {database}")
    for statement in ddl.statements():
        ledger.execute(statement)
