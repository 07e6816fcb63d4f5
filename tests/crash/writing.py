"""An application that makes calls until it is killed: a process, started from one that has everything loaded.

It tells in a journal which calls are on disk. Those must be in the ledger in the end, whatever happens to it.
"""

import multiprocessing
import os
import random
import time
from decimal import Decimal
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from otel_llmcost.distro import attach
from otel_llmcost.exporters import spooled
from otel_llmcost.pipeline import Pipeline
from otel_llmcost.settings import DeliverySettings, Settings

OUTPUT_TOKENS = 10
DUPLICATES = 0.05
"""Share of calls that are told twice."""

Pipeline.from_settings(Settings())  # loads the price book, once for all applications

_FORKSERVER = multiprocessing.get_context("forkserver")
_FORKSERVER.set_forkserver_preload([__name__])


def response_id(number: int) -> str:
    return f"chatcmpl-{number:09d}AbCdEfGhIjKlMnOp"


def number_of(response_id: str) -> int:
    return int(response_id[9:18])


def cost_usd(number: int) -> Decimal:
    """gpt-4o-2024-08-06 sells input at 2.50 USD and output at 10 USD per million tokens."""
    return (number * Decimal("2.5") + OUTPUT_TOKENS * 10) / 1_000_000


def attributes(number: int) -> dict[str, str | int]:
    """A call that costs what no other one does: a lost and a doubled one cannot make up for each other."""
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o-2024-08-06",
        "gen_ai.response.model": "gpt-4o-2024-08-06",
        "gen_ai.response.id": response_id(number),
        "gen_ai.usage.input_tokens": number,
        "gen_ai.usage.output_tokens": OUTPUT_TOKENS,
    }


def delivery(spool: Path) -> DeliverySettings:
    return DeliverySettings(
        spool=str(spool),
        spool_interval_ms=5,
        flush_interval_ms=20,
        batch_size=40,
        shutdown_timeout_ms=30_000,
        spool_sync=False,  # the process is killed, not the machine
    )


def application(ledger: str, spool: Path, journal: Path, numbers: range, team: str, pause_s: float) -> None:
    """Make the calls; a journal line tells those that are on disk."""
    os.environ["OTEL_EXPORTER_OTLP_TIMEOUT"] = "1"  # the exporter's own attempts; ours follow
    rng = random.Random(numbers.start)
    spooled.FIRST_RETRY_S, spooled.LONGEST_RETRY_S = 0.01, 0.05
    provider = TracerProvider(resource=Resource({"team": team}))
    attach(provider, Settings(ledger=ledger, delivery=delivery(spool)))
    on_disk = provider._active_span_processor._span_processors[-1]._delivery._idle
    tracer = provider.get_tracer("tests.crash")
    told = os.open(journal, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    os.write(told, b"\n")
    waiting: list[int] = []
    for number in numbers:
        for _ in range(1 + (rng.random() < DUPLICATES)):
            tracer.start_span("chat", attributes=attributes(number)).end()
        waiting.append(number)
        if rng.random() < 0.2:
            on_disk.wait()
            os.write(told, (" ".join(map(str, waiting)) + "\n").encode())
            waiting = []
            time.sleep(pause_s)
    assert provider.force_flush(60_000)
    os.write(told, (" ".join(map(str, waiting)) + "\n").encode())
    provider.shutdown()


def start(
    ledger: str, spool: Path, journal: Path, numbers: range, team: str, *, pause_s: float = 0
) -> ForkServerProcess:
    """An application that makes the calls of these numbers, with a pause after every fifth or so."""
    what = (ledger, spool, journal, numbers, team, pause_s)
    process = _FORKSERVER.Process(target=application, args=what, daemon=True)
    process.start()
    return process


def journaled(journal: Path) -> set[int]:
    """The calls that were on disk. The last line may have been cut off."""
    text = journal.read_text() if journal.exists() else ""
    return {int(word) for line in text.split("\n")[:-1] for word in line.split()}
