"""`otel-llmcost stage` as a process: ports, workers, health, metrics, the end."""

import asyncio
import re
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from otel_llmcost.cli import main
from polling import wait_until
from stage.running_stage import Sink, Stage, request
from up_process import environment


class Command:
    """The running command in front of a sink."""

    def __init__(self, process: "subprocess.Popen[str]", banner: str, sink: Sink) -> None:
        self.process = process
        self.banner = banner
        found = dict(re.findall(r"(OTLP/gRPC|OTLP/HTTP|health) +http://[^ ]*?:(\d+)", banner))
        self.admin = int(found["health"])
        self.stage = Stage(sink, int(found["OTLP/gRPC"]), int(found["OTLP/HTTP"]))

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def sample(self, name: str) -> float:
        """The sum of a sample over its labels."""
        values = re.findall(rf"^{name}(?:\{{.*\}})? ([0-9.e+-]+)$", self.get("/metrics")[1], re.MULTILINE)
        return sum(map(float, values))


@contextmanager
def command(*options: str, **extra: str) -> Iterator[Command]:
    sink = Sink()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(sink.start(), loop).result(20)
    line = [sys.executable, "-m", "otel_llmcost.cli", "stage", "--next-hop", f"otlp://127.0.0.1:{sink.port}", *options]
    line += [part for name in ("grpc", "http", "admin") for part in (f"--{name}-port", "0")]
    process = subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment(**extra)
    )
    assert process.stdout is not None
    try:
        banner = ""
        for text in process.stdout:
            banner += text
            if "otel-llmcost: ready" in text:
                break
        yield Command(process, banner, sink)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()
        asyncio.run_coroutine_threadsafe(server.stop(0), loop).result(20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(20)


def test_the_command_prices_writes_counts_and_drains(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A span goes on with its cost and is a line of the ledger; SIGTERM ends with 0."""
    ledger = f"chdb://{tmp_path / 'ledger'}"
    with command("--ledger", ledger) as found:
        found.stage.send(request())
        assert [(200, "ok\n")] * 2 == [found.get("/healthz"), found.get("/readyz")]
        assert (1.0, 0.0045) == (found.sample("llmcost_calls_total"), found.sample("llmcost_cost_usd_total"))
        assert 1.0 == found.sample("llmcost_stage_requests_total")
        found.process.send_signal(signal.SIGTERM)
        rest, _ = found.process.communicate(timeout=60)
    assert (0, True) == (found.process.returncode, "draining" in rest and "stopped" in rest)
    assert b"llmcost.cost.usd" in found.stage.sink.bodies[0][1]
    assert 0 == main(["query", "SELECT model, cost_usd FROM calls", "--ledger", ledger, "--format", "csv"])
    assert "gpt-4o-2024-08-06,0.0045" in capsys.readouterr().out


def test_workers_share_the_ports_and_one_that_dies_is_started_again() -> None:
    """What they count is added up at one place, also what a dead one had counted."""
    with command("--workers", "2") as found:
        for _ in range(12):  # a connection each: the kernel spreads them
            found.stage.send(request())
        wait_until(lambda: found.sample("llmcost_calls_total") == 12)
        workers = worker_pids(found.process.pid)
        assert 2 == len(workers)
        subprocess.run(["kill", "-9", str(workers[0])], check=True)
        wait_until(lambda: len(set(worker_pids(found.process.pid)) - {workers[0]}) == 2, timeout_s=30)
        wait_until(lambda: found.get("/readyz")[0] == 200)
        assert 12 == found.sample("llmcost_calls_total")
        wait_until(lambda: sent(found.stage))
        found.process.send_signal(signal.SIGTERM)
        rest, _ = found.process.communicate(timeout=60)
    assert (0, True) == (found.process.returncode, "started again" in rest)


def sent(stage: Stage) -> bool:
    try:
        stage.send(request())
    except grpc.RpcError:
        return False
    return True


def worker_pids(parent: int) -> list[int]:
    options = ["--ppid", str(parent), "-ww", "-o", "pid=", "-o", "args="]
    listed = subprocess.run(["ps", *options], capture_output=True, text=True, check=False)
    return [int(line.split()[0]) for line in listed.stdout.splitlines() if "spawn_main" in line]


def test_what_cannot_be_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    """And says what to do."""
    assert 2 == main(["stage", "--ledger", "off"])
    assert "--next-hop otlp://host:4317" in capsys.readouterr().err
    assert 2 == main(["stage", "--next-hop", "ftp://x"])
    assert "--next-hop: must start with otlp://" in capsys.readouterr().err
