"""What the commands show: no passwords, nothing that a terminal obeys, and progress."""

import io
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from otel_llmcost.cli.masking import mask_passwords
from otel_llmcost.cli.progress import progress
from otel_llmcost.cli.table import print_table, printable


@pytest.mark.parametrize("password", ["hunter2", "p@ss", "a/b?c#d", "it's", 'say "x"', "two words", "x:y", "***"])
def test_a_password_in_a_url_is_never_shown(password: str) -> None:
    """Whatever characters it has, also those that should have been escaped."""
    shown = mask_passwords(f"error: clickhouse://me:{password}@host:8123/db is away")

    assert "error: clickhouse://me:***@host:8123/db is away" == shown


def test_a_secret_in_a_query_is_never_shown() -> None:
    """And a URL without one stays as it is."""
    assert "https://h/?user=me&password=***&x=1" == mask_passwords("https://h/?user=me&password=hunter2&x=1")
    for url in ("clickhouse://me@host:8123/db", "chdb:///var/lib/llmcost", "off"):
        assert url == mask_passwords(url)


def test_cells_cannot_steer_the_terminal() -> None:
    """Escapes, direction marks and lone surrogates are spelled out; other scripts stay."""
    assert r"\x1b[31mred\u202e\udce9 café 日本" == printable("\x1b[31mred\u202e\udce9 café 日本")
    out = io.StringIO()
    print_table(["a\x1b", "b"], [["1\n2", "x"], ["3", ""]], out)
    assert ["a\\x1b  b", "-----  -", "1\\n2   x", "3"] == out.getvalue().splitlines()


def test_progress_without_a_terminal_is_a_line_per_tenth() -> None:
    """At most ten lines, whatever the number of batches."""
    out = io.StringIO()
    with progress("importing", out) as show:
        for number in range(1_001):
            show(number / 1_000, f"{number} rows")

    lines = out.getvalue().splitlines()
    assert 10 == len(lines)
    assert "importing: 10 %, 100 rows" == lines[0]
    assert "importing: 100 %, 1000 rows" == lines[-1]


def command(*argv: str) -> list[str]:
    """The command line of a real process."""
    return [sys.executable, "-m", "otel_llmcost.cli", *argv]


def test_on_a_terminal_a_hostile_file_name_and_model_are_only_text(tmp_path: Path) -> None:
    """Markup of the library that draws bars and tables, and escapes of the terminal, have no effect."""
    file = tmp_path / "[red]x[bold].jsonl"
    file.write_text('{"ts": "2026-11-01", "model": "[/]\\u001b[31mevil", "n": 5}\n')
    options = ["--map", "ts=ts,model=model,input_tokens=n", "--set", "provider=openai"]
    ours, theirs = pty.openpty()
    argv = command("import", str(file), *options, "--ledger", f"chdb://{tmp_path / 'ledger'}")
    process = subprocess.Popen(argv, stdout=theirs, stderr=theirs, env=os.environ | {"COLUMNS": "120"})
    os.close(theirs)
    shown = _read_all(ours)

    assert 0 == process.wait(60)
    assert "importing [red]x[bold].jsonl" in shown
    assert "unknown_model:[/]\\x1b[31mevil" in shown
    assert "\x1b[31mevil" not in shown


def _read_all(terminal: int) -> str:
    chunks = []
    while True:
        try:
            chunk = os.read(terminal, 65_536)
        except OSError:  # Linux's way to say that the other side is closed
            chunk = b""
        if not chunk:
            os.close(terminal)
            return b"".join(chunks).decode()
        chunks.append(chunk)


def test_an_interrupt_ends_with_130_and_no_traceback(tmp_path: Path) -> None:
    """A long import is stopped; what is in the ledger stays, and the next run completes it."""
    file = tmp_path / "usage.csv"
    file.write_text("ts,n\n" + "".join(f"{1_700_000_000 + number},5\n" for number in range(400_000)))
    options = ["--map", "ts=ts,input_tokens=n", "--set", "provider=openai", "--set", "model=gpt-4o"]
    ledger = tmp_path / "ledger"
    argv = command("import", str(file), *options, "--ledger", f"chdb://{ledger}")
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not ledger.exists() and time.monotonic() < deadline:
        time.sleep(0.05)  # the first batch is being written
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)

    assert 130 == process.returncode
    assert "otel-llmcost: interrupted" == err.splitlines()[-1]
    assert "Traceback" not in err + out
