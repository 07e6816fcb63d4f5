"""A ledger in the embedded engine, filled by the real sink and read by a connection that may not write."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from otel_llmcost.call import LLMCall
from otel_llmcost.exporters import open_sink
from otel_llmcost.exporters.clickhouse.client import Ledger
from otel_llmcost.exporters.clickhouse.migrations import prepare


@contextmanager
def filled_ledger(path: Path, calls: Sequence[LLMCall]) -> Iterator[Ledger]:
    """A ledger with these calls, read-only. A process runs one engine: close it before the next is opened."""
    url = f"chdb://{path}"
    with Ledger.open(url, read_only=False) as ledger:
        prepare(ledger)
    sink = open_sink(url)
    sink.write(calls)
    sink.close()
    with Ledger.open(url) as ledger:
        yield ledger
