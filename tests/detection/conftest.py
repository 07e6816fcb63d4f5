"""Fixtures of the detection tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from series_ledger import SeriesLedger, opened


@pytest.fixture
def series(tmp_path: Path) -> Iterator[SeriesLedger]:
    """A ledger without series."""
    with opened(tmp_path) as ledger:
        yield ledger
