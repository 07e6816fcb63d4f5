"""Several processes on the same ports, and the one in front of them that starts, watches and counts them.

    front: /healthz /readyz /metrics, no OTLP         worker 1 … N: OTLP on shared ports (SO_REUSEPORT), no admin port
           reads reports of all workers  ←── pipe ──  tells every second what it has counted

A worker that dies is started again, and what it had counted stays counted; its connections break, and senders send
again what was not acknowledged. A worker whose front is gone ends.
"""

import asyncio
import logging
import multiprocessing
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from socket import socket
from time import monotonic
from typing import Final

from otel_llmcost.errors import LlmcostError
from otel_llmcost.processors.serving import listen
from otel_llmcost.processors.stage.admin import admin_app
from otel_llmcost.processors.stage.exposition import Family, merged
from otel_llmcost.processors.stage.metrics import StageMetrics
from otel_llmcost.processors.stage.run import (
    Lifecycle,
    Ready,
    spare_collections,
    start,
    start_admin,
    stop_signals,
    urls,
)
from otel_llmcost.settings import Settings

logger = logging.getLogger(__name__)

REPORT_EVERY_S: Final = 1.0
SILENT_S: Final = 30.0
"""A worker that has told nothing for so long hangs."""
RESTART_AFTER_S: Final = 1.0


@dataclass(slots=True)
class _Worker:
    process: BaseProcess
    pipe: Connection
    told_at: float
    ready: bool = False
    failed: str = ""
    numbers: list[Family] = field(default_factory=list)


class Front:
    """The process in front of the workers."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._workers: list[_Worker] = []
        self._ended: list[Family] = []  # what workers counted that are gone
        self._changed = asyncio.Event()
        self.lifecycle = Lifecycle()

    def unhealthy(self) -> str:
        """Why the whole must be started again."""
        silent = [w for w in self._workers if w.ready and monotonic() - w.told_at > SILENT_S]
        return f"{len(silent)} workers do not answer" if silent else ""

    def unready(self) -> str:
        """As long as one worker takes requests, so does the port."""
        if not any(worker.ready for worker in self._workers):
            return "no worker is ready"
        return self.lifecycle.unready()

    def families(self) -> list[Family]:
        """The numbers of all workers together."""
        return merged([self._ended, *(worker.numbers for worker in self._workers)])

    async def serve(self, ready: Ready) -> None:
        """Serve until SIGTERM or SIGINT, then have all workers finish what is under way."""
        stage = self._settings.stage
        stopped = stop_signals()
        async with AsyncExitStack() as stack:
            admin_url = await start_admin(stage, admin_app(self, self.families), stack)
            held = [listen(stage.host, port, option, share=True) for port, option in self._ports()]
            for each in held:  # bound and not listening: they keep the ports, and get no connections
                stack.callback(each.close)
            settings = _with_ports(self._settings, held)
            stack.push_async_callback(self._stop)
            for _ in range(stage.workers):
                self._start(settings)
            await self._until_ready()
            self.lifecycle.phase = "ready"
            ready([*urls(settings.stage, settings.stage.grpc_port, settings.stage.http_port), ("health", admin_url)])
            watching = asyncio.create_task(self._watch(settings))
            await stopped.wait()
            watching.cancel()
            self.lifecycle.phase = "draining"
            print("otel-llmcost: draining", flush=True)

    def _ports(self) -> list[tuple[int, str]]:
        stage = self._settings.stage
        return [(stage.grpc_port, "--grpc-port"), (stage.http_port, "--http-port")]

    def _start(self, settings: Settings) -> None:
        context = multiprocessing.get_context("spawn")  # gRPC does not survive a fork
        ours, theirs = context.Pipe()
        process = context.Process(target=run_worker, args=(settings, theirs), daemon=False)
        process.start()
        theirs.close()
        worker = _Worker(process, ours, monotonic())
        self._workers.append(worker)
        asyncio.get_running_loop().add_reader(ours.fileno(), self._hear, worker)

    def _hear(self, worker: _Worker) -> None:
        try:
            kind, told = worker.pipe.recv()
        except (EOFError, OSError):
            self._bury(worker)
            return
        worker.told_at = monotonic()
        if kind == "ready":
            worker.ready = True
        elif kind == "failed":
            worker.failed = told
        else:
            worker.numbers = told
        self._changed.set()

    def _bury(self, worker: _Worker) -> None:
        asyncio.get_running_loop().remove_reader(worker.pipe.fileno())
        worker.pipe.close()
        worker.ready = False
        if worker in self._workers:
            self._workers.remove(worker)
            counted = [family for family in worker.numbers if family.kind != "gauge"]
            self._ended = merged([self._ended, counted])
        if worker.failed and self.lifecycle.phase == "starting":
            self.lifecycle.phase = worker.failed
        self._changed.set()

    async def _until_ready(self) -> None:
        """
        Raises:
            LlmcostError: a worker could not start.
        """
        while not all(worker.ready for worker in self._workers) or len(self._workers) < self._settings.stage.workers:
            if len(self._workers) < self._settings.stage.workers:
                problem = self.lifecycle.phase
                raise LlmcostError(problem if problem != "starting" else "a worker ended as it started")
            self._changed.clear()
            await self._changed.wait()

    async def _watch(self, settings: Settings) -> None:
        """Start again what dies."""
        while True:
            self._changed.clear()
            await self._changed.wait()
            missing = settings.stage.workers - len(self._workers)
            if missing > 0:
                logger.error("%s workers of the stage died and are started again", missing)
                await asyncio.sleep(RESTART_AFTER_S)
                for _ in range(settings.stage.workers - len(self._workers)):
                    self._start(settings)

    async def _stop(self) -> None:
        processes = [worker.process for worker in self._workers]
        for process in processes:
            process.terminate()
        # Servers and what is under way each have `drain_s`, and the ledger its own time.
        deadline = monotonic() + 3 * self._settings.stage.drain_s + 30
        for process in processes:
            await asyncio.to_thread(process.join, max(deadline - monotonic(), 0.1))
            if process.is_alive():
                logger.error("a worker of the stage did not end in time and was killed")
                process.kill()


def _with_ports(settings: Settings, held: list[socket]) -> Settings:
    grpc_port, http_port = (each.getsockname()[1] for each in held)
    stage = settings.stage.model_copy(update={"grpc_port": grpc_port, "http_port": http_port})
    return settings.model_copy(update={"stage": stage})


def run_worker(settings: Settings, pipe: Connection) -> None:
    """One worker; ends when it is told to, or its front is gone."""
    with suppress(KeyboardInterrupt):
        try:
            asyncio.run(_work(settings, pipe))
        except LlmcostError as error:
            with suppress(OSError):
                pipe.send(("failed", str(error)))


async def _work(settings: Settings, pipe: Connection) -> None:
    stopped = stop_signals()
    loop = asyncio.get_running_loop()
    loop.add_reader(pipe.fileno(), stopped.set)  # nothing is ever sent to a worker: readable is closed
    metrics = StageMetrics(settings.metrics.dimensions, settings.identity.remembered_spans)
    async with AsyncExitStack() as stack:
        await start(settings, metrics, stack)
        spare_collections()
        pipe.send(("ready", None))
        while not stopped.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(stopped.wait(), REPORT_EVERY_S)
            _report(metrics, pipe, stopped)
        loop.remove_reader(pipe.fileno())
    _report(metrics, pipe, stopped)


def _report(metrics: StageMetrics, pipe: Connection, stopped: asyncio.Event) -> None:
    try:
        pipe.send(("numbers", metrics.families()))
    except OSError:
        stopped.set()


def serve_with_workers(settings: Settings, ready: Ready) -> None:
    """Run the front until it is told to stop."""

    async def run() -> None:
        await Front(settings).serve(ready)

    asyncio.run(run())
