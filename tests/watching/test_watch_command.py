"""`otel-llmcost watch` on real ledgers, with real channels on loopback."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from factories import make_call, make_cost
from otel_llmcost.call import Amounts
from otel_llmcost.cli import main
from otel_llmcost.detection.run import create
from otel_llmcost.exporters import open_sink
from otel_llmcost.exporters.clickhouse.client import Ledger
from otel_llmcost.exporters.clickhouse.migrations import prepare
from otel_llmcost.watching import stores
from otel_llmcost.watching.stores import LedgerStore
from polling import wait_until
from up_process import environment, running_up

BUDGET = (
    "INSERT INTO {database}.budgets (budget, valid_from, period, scope, amount_usd)"
    " VALUES ('cx', '2026-01-01', 'day', {'team': ['cx']}, 10)"
)
ALERTMANAGER_TEMPLATES = Path("/usr/share/prometheus/alertmanager")  # Debian's looks for them there only
SPENT = "Budget cx: 90 % of 10 USD spent, 70 % reached"


class Hook(ThreadingHTTPServer):
    """A webhook that takes what comes, or answers `status`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = 200
        self.requests: list[tuple[str, dict[str, Any]]] = []
        Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook?secret=s3cr3t"


class _Handler(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.server.status == 200:
            self.server.requests.append((self.headers.get("Authorization", ""), body))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture
def hook() -> Iterator[Hook]:
    server = Hook()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger in which a budget of a day is at 90 %."""
    path = tmp_path_factory.mktemp("filled") / "ledger"
    with Ledger.open(f"chdb://{path}", read_only=False) as ledger:
        prepare(ledger)
        create(ledger)
        ledger.execute(BUDGET)
    now_ns = int(datetime.now(UTC).replace(hour=0, minute=0, second=1).timestamp()) * 1_000_000_000
    sink = open_sink(f"chdb://{path}")
    cost = make_cost(effective=Amounts(input_usd=Decimal(9)))
    sink.write([make_call(1, start_ns=now_ns, end_ns=now_ns + 1, tags={"team": "cx"}, cost=cost)])
    sink.close()
    return path


@pytest.fixture
def ledger_url(filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A copy of it."""
    monkeypatch.setattr(stores, "CLAIM_S", 0)
    shutil.copytree(filled, tmp_path / "ledger", symlinks=True)
    return f"chdb://{tmp_path / 'ledger'}"


def watch(url: str, *options: str) -> int:
    """One round, of the rule of budgets unless others are named."""
    only = () if "--only" in options or "--dry-run" in options else ("--only", "llmcost-budget")
    return main(["watch", "--once", "--no-detect", "--ledger", url, *only, *options])


def test_an_alert_is_told_once_across_restarts_and_resolved_when_over(
    ledger_url: str, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The exit codes for cron, the exact text, the bearer; then the budget is raised.
    """
    monkeypatch.setenv("HOOK", hook.url)
    monkeypatch.setenv("HOOK_TOKEN", "b34r3r")

    assert [6, 6] == [watch(ledger_url, "--webhook", "HOOK"), watch(ledger_url, "--webhook", "HOOK")]
    with Ledger.open(ledger_url, read_only=False) as ledger:
        ledger.execute(BUDGET.replace(", 10)", ", 100)"))
    assert [0, 0] == [watch(ledger_url, "--webhook", "HOOK"), watch(ledger_url, "--webhook", "HOOK")]

    (bearer, first), (_, second) = hook.requests
    assert "Bearer b34r3r" == bearer
    assert ("firing", "resolved") == (first["status"], second["status"])
    assert [SPENT, SPENT.replace("70", "85")] == [alert["summary"] for alert in first["alerts"]]
    assert "FIRING: LLM budget is being used up" == first["title"]
    assert 2 == len(second["alerts"])


def test_a_failing_channel_is_told_later_and_its_address_stays_secret(
    ledger_url: str, hook: Hook, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    The other channel has the message at once, and only once.
    """
    other = Hook()
    monkeypatch.setenv("BAD", hook.url)
    monkeypatch.setenv("GOOD", other.url)
    monkeypatch.setattr("otel_llmcost.watching.state.FIRST_RETRY_S", 0)
    both = ("--webhook", "BAD", "--webhook", "GOOD")

    hook.status = 503
    assert 7 == watch(ledger_url, *both)
    hook.status = 200
    assert 6 == watch(ledger_url, *both)
    said = capsys.readouterr()

    assert (1, 1) == (len(hook.requests), len(other.requests))
    assert "channel BAD: HTTP status 503" in said.err
    assert "s3cr3t" not in said.err + said.out
    other.server_close()


def test_an_acknowledged_alert_is_told_to_nobody(
    ledger_url: str, hook: Hook, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    For the alert with that label, in its window; the reason is in the ledger.
    """
    monkeypatch.setenv("HOOK", hook.url)
    ack = ["watch", "ack", "llmcost-budget", "--label", "budget=cx", "--for", "4h", "--why", "planned"]

    assert 0 == main([*ack, "--ledger", ledger_url])
    assert 0 == watch(ledger_url, "--webhook", "HOOK")

    assert [] == hook.requests
    assert "llmcost-budget: nobody is told until" in capsys.readouterr().out
    with Ledger.open(ledger_url) as ledger:
        found = ledger.query("SELECT alert, labels, why FROM alert_acknowledgements").rows
    assert [("llmcost-budget", {"budget": "cx"}, "planned")] == found


def test_dry_run_prints_and_remembers_nothing(ledger_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """
    Without any channel, again and again.
    """
    assert [6, 6] == [watch(ledger_url, "--dry-run"), watch(ledger_url, "--dry-run", "--only", "llmcost-budget")]
    assert 2 == capsys.readouterr().out.count(SPENT)


def test_only_one_of_two_watchers_tells(ledger_url: str) -> None:
    """
    The first one leads until it leaves or is silent for too long.
    """
    with Ledger.open(ledger_url, read_only=False) as ledger:
        first, second = LedgerStore(ledger, lease_s=60), LedgerStore(ledger, lease_s=60)
        assert [True, False, True, False] == [store.lead() for store in (first, second, first, second)]
        first.leave()
        assert [True, False] == [store.lead() for store in (second, first)]
        impatient = LedgerStore(ledger, lease_s=0)
        time.sleep(0.01)
        assert impatient.lead() in (True, False)


def test_a_read_only_ledger_is_watched_with_a_state_file(
    ledger_url: str, hook: Hook, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    The SQL port of `up`: without a file the text says what to do; with one, each alert is told once.
    """
    monkeypatch.setenv("HOOK", hook.url)
    with running_up(ledger_url) as up:
        url = f"clickhouse://127.0.0.1:{up.ports['ClickHouse']}"
        state = ("--state", str(tmp_path / "watch.json"), "--webhook", "HOOK")
        assert 4 == watch(url, "--webhook", "HOOK")
        assert "--state FILE" in capsys.readouterr().err
        assert [6, 6] == [watch(url, *state), watch(url, *state)]
        main(["watch", "ack", "llmcost-budget", "--for", "1h", "--why", "x", "--state", state[1], "--ledger", url])
        assert 0 == watch(url, *state)

    assert ["firing"] == [body["status"] for _, body in hook.requests]


def test_the_writable_port_of_up_keeps_the_state(ledger_url: str, hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Told once, and known from then on.
    """
    monkeypatch.setenv("HOOK", hook.url)
    with running_up(ledger_url, "--writable") as up:
        url = f"clickhouse://127.0.0.1:{up.ports['ClickHouse']}"
        assert [6, 6] == [watch(url, "--webhook", "HOOK"), watch(url, "--webhook", "HOOK")]
        assert 0 == main(["watch", "ack", "llmcost-budget", "--for", "1h", "--why", "x", "--ledger", url])
        assert 0 == watch(url, "--webhook", "HOOK")

    assert ["firing"] == [body["status"] for _, body in hook.requests]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ((), "nobody to tell"),
        (("--webhook", "NOT_SET"), "the variable NOT_SET is not set"),
        (("--alertmanager", "ftp://host"), "starts with http://"),
        (("--only", "llmcost-spend-rat", "--dry-run"), "did you mean 'llmcost-spend-rate'?"),
    ],
)
def test_a_mistake_is_told(
    ledger_url: str, options: tuple[str, ...], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    With what to do, and exit code 2.
    """
    assert 2 == watch(ledger_url, *options)
    assert text in capsys.readouterr().err


def test_apprise_takes_a_message(ledger_url: str, hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    By one of its services, which posts JSON.
    """
    pytest.importorskip("apprise")
    monkeypatch.setenv("SERVICE", f"json://127.0.0.1:{hook.server_port}/hook")

    assert 6 == watch(ledger_url, "--notify", "SERVICE")

    ((_, body),) = hook.requests
    assert "FIRING: LLM budget is being used up" == body["title"]
    assert SPENT in body["message"]


@contextmanager
def alertmanager(folder: Path) -> Iterator[str]:
    """The real one, on a free port of loopback."""
    path = os.pathsep.join([os.environ.get("LLMCOST_PROMETHEUS_BIN", ""), os.environ["PATH"]])
    binary = shutil.which("prometheus-alertmanager", path=path)
    if binary is None:
        pytest.skip("prometheus-alertmanager is not installed (Debian: prometheus-alertmanager)")
    if not ALERTMANAGER_TEMPLATES.is_dir():
        pytest.skip(f"prometheus-alertmanager is unpacked, not installed: it needs {ALERTMANAGER_TEMPLATES}")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "am.yaml").write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
    command = [binary, f"--config.file={folder}/am.yaml", f"--storage.path={folder}/am", "--cluster.listen-address="]
    process = subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{port}"], stderr=subprocess.DEVNULL)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def test_alertmanager_has_what_fires_until_it_is_over(ledger_url: str, tmp_path: Path) -> None:
    """
    With the labels and texts of Prometheus' rules; asked again it is the same alert.
    """
    with alertmanager(tmp_path) as url:
        wait_until(lambda: _answers(f"{url}/-/ready"))
        assert [6, 6] == [watch(ledger_url, "--alertmanager", url) for _ in range(2)]
        found = json.load(urllib.request.urlopen(f"{url}/api/v2/alerts"))
        assert ["70", "85"] == sorted(alert["labels"]["threshold"] for alert in found)
        assert {"LlmcostBudget"} == {alert["labels"]["alertname"] for alert in found}
        assert SPENT in {alert["annotations"]["summary"] for alert in found}
        with Ledger.open(ledger_url, read_only=False) as ledger:
            ledger.execute(BUDGET.replace(", 10)", ", 100)"))
        assert 0 == watch(ledger_url, "--alertmanager", url)
        wait_until(lambda: json.load(urllib.request.urlopen(f"{url}/api/v2/alerts")) == [])


def _answers(url: str) -> bool:
    try:
        return bool(urllib.request.urlopen(url).status == 200)
    except OSError:
        return False


def test_it_watches_until_it_is_told_to_end(ledger_url: str, hook: Hook) -> None:
    """
    Round after round, one message; SIGTERM ends it with 0.
    """
    options = [
        "--webhook",
        "HOOK",
        "--interval",
        "1",
        "--no-detect",
        "--only",
        "llmcost-budget",
        "--ledger",
        ledger_url,
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "otel_llmcost.cli", "watch", *options],
        env=environment(HOOK=hook.url),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        wait_until(lambda: bool(hook.requests))
        time.sleep(2)
    finally:
        process.terminate()
        said, _ = process.communicate(timeout=30)

    assert (0, 1) == (process.returncode, len(hook.requests))
    assert "1 rules every 1 s" in said
    assert SPENT in said
