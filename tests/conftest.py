"""Fixtures of every room."""

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# How long an example takes is the machine's business: other work runs beside the tests.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def corpus_folder() -> Path:
    """The corpus of recorded exchanges, beside the repository or where LLMCOST_CORPUS says."""
    folder = Path(os.environ.get("LLMCOST_CORPUS", Path(__file__).parents[2] / "shared" / "corpus"))
    if not folder.is_dir():
        pytest.skip("the corpus of recorded exchanges is not here (LLMCOST_CORPUS)")
    return folder


@pytest.fixture(scope="session")
def corpus_exchanges(corpus_folder: Path) -> list[dict[str, Any]]:
    """Every recorded exchange."""
    with gzip.open(corpus_folder / "exchanges.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
