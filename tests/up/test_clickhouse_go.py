"""The ClickHouse port, as Go programs see it: Grafana's plugin and the Collector's exporter use this driver."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from up_process import Up

SOURCE = Path(__file__).parent / "clickhouse_go"
BINARY = Path(__file__).parents[2] / ".cache" / "clickhouse_go" / "clickhouse_go"


@pytest.fixture(scope="module")
def program() -> Path:
    """Built once; Go's own cache makes it quick the next time."""
    if shutil.which("go") is None:
        pytest.skip("Go is not installed: clickhouse-go is not tried")
    BINARY.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["go", "build", "-trimpath", "-o", str(BINARY), "."], cwd=SOURCE, check=True, timeout=600)
    return BINARY


def start(program: Path, up: Up, *arguments: str) -> "subprocess.CompletedProcess[str]":
    address = f"127.0.0.1:{up.ports['ClickHouse']}"
    environ = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    return subprocess.run(
        [program, address, *arguments], capture_output=True, text=True, timeout=60, env=environ, check=False
    )


def run(program: Path, up: Up, *arguments: str) -> dict[str, Any]:
    done = start(program, up, *arguments)
    assert 0 == done.returncode, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_clickhouse_go_reads(program: Path, up: Up) -> None:
    """Its handshake is answered, and every kind of column, an empty result and an error are read right."""
    found = run(program, up, "", "read")

    kinds = {
        "i": -1,
        "d": "1234.123456789012",
        "t": "2026-11-22T10:11:12.123456789Z",
        "day": "2026-11-22T00:00:00Z",
        "m": {"team": "cx"},
        "f": bytes(range(16)).hex(),
        "n": None,
        "a": ["x", "y"],
        "u": "12345678-1234-5678-1234-567812345678",
        "e": "error",
        "b": True,
    }
    assert [kinds] == found["kinds"]
    assert ("support-bot", "0.009") == (found["service"], found["cost"])
    assert (0, 300_000) == (found["empty"], found["many"])
    assert "Code: 60. DB::Exception: " in found["error"]
    assert found["version"].startswith("26.")


def test_clickhouse_go_inserts_where_it_may(program: Path, writable: Up) -> None:
    """A batch of Native blocks arrives whole."""
    found = run(program, writable, "pa:ss wörd", "write")

    assert 1_000 == found["rows"]
    assert ("0.000000000001", "2026-11-22T10:11:12.123456789Z") == (found["last"]["d"], found["last"]["t"])


@pytest.mark.parametrize("compression", ["none", "gzip", "deflate"])
def test_clickhouse_go_may_compress(program: Path, up: Up, writable: Up, compression: str) -> None:
    """By content encodings, gzip as Grafana's plugin asks for it: both ways, errors included."""
    read = run(program, up, "", "read", compression)
    written = run(program, writable, "pa:ss wörd", "write", compression)

    assert (300_000, 0, "0.009") == (read["many"], read["empty"], read["cost"])
    assert "Code: 60. DB::Exception: " in read["error"]
    assert 1_000 <= written["rows"]


def test_brotli_is_refused_in_words(program: Path, writable: Up) -> None:
    """The answer names the encodings that are taken."""
    assert "'br' is not supported: " in start(program, writable, "pa:ss wörd", "write", "br").stderr


@pytest.mark.parametrize("method", ["lz4", "zstd"])
def test_compression_of_blocks_is_refused(program: Path, up: Up, method: str) -> None:
    """Frames with checksums of ClickHouse's own: the program ends with an error, and status 501."""
    done = start(program, up, "", "read", method)

    assert 1 == done.returncode
    assert "501" in done.stderr
