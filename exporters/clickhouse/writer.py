"""`ClickHouseSink`: priced calls → the table `call_versions`, one insert per batch."""

import logging
import os
from collections.abc import Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakMethod

from otel_llmcost.call import LLMCall
from otel_llmcost.errors import DeliveryError, RetryableError
from otel_llmcost.exporters.clickhouse.books import archive_book
from otel_llmcost.exporters.clickhouse.client import Ledger, LedgerUrl, require_packages
from otel_llmcost.exporters.clickhouse.failures import translated
from otel_llmcost.exporters.clickhouse.migrations import prepare, require_columns
from otel_llmcost.exporters.clickhouse.rows import COLUMNS, columns, native_block
from otel_llmcost.exporters.clickhouse.settling import TouchedHours

if TYPE_CHECKING:
    from otel_llmcost.pricing.book import PriceBook
    from otel_llmcost.pricing.configured import HasBook

logger = logging.getLogger(__name__)

TABLE: Final = "call_versions"


class ClickHouseSink:
    """Writes calls to a ledger on a server or embedded (URL forms: client.py).

    It connects at the first write, so that an application starts while its ledger is down, and creates what is missing
    of the database, tables and views. After a failure it connects anew.
    """

    def __init__(self, url: str, prices: "HasBook | None" = None) -> None:
        """`prices` is who prices the calls; its books are archived in the ledger."""
        self._prices = prices
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
            if self._prices is not None:
                self._table.archive(self._prices.book)

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
        self._hours = TouchedHours(ledger)
        self._archived = ""

    @classmethod
    def open(cls, url: LedgerUrl) -> "_Table":
        ledger = Ledger.connect(url, read_only=False)
        try:
            with translated(url.address):
                prepare(ledger)
                require_columns(ledger, COLUMNS)
            return cls(ledger)
        except BaseException:
            ledger.close()
            raise

    def insert(self, filled: dict[str, list[Any]]) -> None:
        with translated(self.ledger.url.address):
            block = native_block(filled)
        self._hours.touch(filled["ts"], filled["skew_h"])
        self.ledger.insert(TABLE, list(filled), block, "Native")

    def archive(self, book: "PriceBook") -> None:
        """Keep the book that lines are priced with; once a book and connection. The lines are stored already, so what
        goes wrong here is told, and costs none."""
        if book.version == self._archived:
            return
        self._archived = book.version
        try:
            archive_book(self.ledger, book)
        except DeliveryError as error:
            logger.warning("otel-llmcost: the price book %s is not archived: %s", book.version, error)
