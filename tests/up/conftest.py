"""A ledger with lines and a table of all kinds of columns, and `otel-llmcost up` in front of it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client

from up_process import GENAI, Up, connect, export, ledger_url, running_up

KINDS = """
CREATE TABLE llmcost.kinds (
    i Int64, d Decimal(18, 12), t DateTime64(9, 'UTC'), day Date, m Map(LowCardinality(String), String),
    f FixedString(16), n Nullable(Float64), a Array(String), u UUID, e Enum8('ok' = 1, 'error' = 2), b Bool
) ENGINE = MergeTree ORDER BY i
"""
ROW = """
INSERT INTO llmcost.kinds VALUES (-1, 1234.123456789012, '2026-11-22 10:11:12.123456789', '2026-11-22', {'team': 'cx'},
    unhex('000102030405060708090a0b0c0d0e0f'), NULL, ['x', 'y'], '12345678-1234-5678-1234-567812345678', 'error', true)
"""
_PREPARE = """
import sys, chdb
engine = chdb.connect(sys.argv[1])
for statement in sys.argv[2:]:
    engine.query(statement)
"""


def prepare_ledger(directory: Path) -> str:
    """Make the table in a process of its own, for an engine serves one path per process; the ledger's URL."""
    path = directory / "ledger"
    statements = ["CREATE DATABASE llmcost", KINDS, ROW]
    subprocess.run([sys.executable, "-c", _PREPARE, str(path), *statements], check=True)
    return ledger_url(directory)


@pytest.fixture(scope="session")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """Read-only, no password, with three lines in its ledger."""
    with running_up(prepare_ledger(tmp_path_factory.mktemp("up"))) as found:
        unknown = {"gen_ai.request.model": "no-such-model", "gen_ai.response.model": "no-such-model"}
        export(found, GENAI, GENAI, GENAI | unknown)
        yield found


@pytest.fixture(scope="session")
def writable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """Takes INSERT, behind a password."""
    ledger = prepare_ledger(tmp_path_factory.mktemp("writable"))
    with running_up(ledger, "--writable", CLICKHOUSE_PASSWORD="pa:ss wörd") as found:
        yield found


@pytest.fixture
def client(up: Up) -> Iterator[Client]:
    with connect(up) as found:
        yield found


@pytest.fixture
def writer(writable: Up) -> Iterator[Client]:
    with connect(writable, password="pa:ss wörd") as found:
        yield found
