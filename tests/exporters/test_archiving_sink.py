"""A sink archives the price books that its lines were made with."""

from pathlib import Path

import pytest

from factories import make_call
from otel_llmcost.exporters import open_sink
from otel_llmcost.exporters.clickhouse.client import Ledger, LedgerUrl
from otel_llmcost.pricing import PriceBook

FIRST = PriceBook.bundled()
NEXT = PriceBook(FIRST.snapshot, "another")


class Owner:
    """Who prices with a book that is replaced."""

    def __init__(self, book: PriceBook) -> None:
        self.book = book


def test_a_sink_archives_the_books_that_lines_are_priced_with(tmp_path: Path) -> None:
    """
    The book of the first lines and the one that replaces it are there, each once; lines come first.
    """
    owner = Owner(FIRST)
    sink = open_sink(f"chdb://{tmp_path / 'sink'}", owner)
    for number in (1, 2, 3):
        sink.write([make_call(number)])
        owner.book = NEXT
    sink.close()

    with Ledger.open(f"chdb://{tmp_path / 'sink'}") as opened:
        assert [(2, 2)] == opened.query("SELECT count(), uniqExact(version) FROM price_books").rows
        assert [(3,)] == opened.query("SELECT count() FROM calls").rows


def test_a_ledger_that_takes_no_books_takes_the_lines(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """
    Lines are stored all the same, and the log says once that the archive was not.
    """
    url = f"chdb://{tmp_path / 'sink'}"
    sink = open_sink(url, Owner(FIRST))
    open_sink(url).write([make_call(1)])
    with Ledger.connect(LedgerUrl("chdb", path=str(tmp_path / "sink")), read_only=False) as opened:
        opened.execute("DROP TABLE {database}.price_books")
        opened.execute("CREATE VIEW {database}.price_books AS SELECT '' AS version")
        for number in (2, 3):
            sink.write([make_call(number)])
        assert [(3,)] == opened.query("SELECT count() FROM calls").rows
    sink.close()

    assert 1 == caplog.text.count("is not archived")
