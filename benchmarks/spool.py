"""What a durable spool costs an application: CPU time of the whole process per call, with and without it.

    benchmarks/run.sh spool.py [--directory DIR] [--seconds 5]

Spans go the whole way, through pipeline and delivery, into a ledger in memory: as fast as they can, then at fixed
rates. Each case has a process of its own. `synced` survives the machine, `unsynced` the process.
"""

import argparse
import multiprocessing
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from opentelemetry.sdk.trace import TracerProvider

from otel_llmcost import distro
from otel_llmcost.call import LLMCall
from otel_llmcost.settings import DeliverySettings, Settings

WARM_UP = 50
RATES = (0, 200, 10)  # calls a second; 0: as fast as they can
MOST_CALLS = 20_000
CASES = {"no spool": None, "unsynced": False, "synced": True}
ATTRIBUTES = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.response.model": "gpt-4o-2024-08-06",
    "gen_ai.usage.input_tokens": 1_000,
    "gen_ai.usage.output_tokens": 10,
    "server.address": "api.openai.com",
}


class InMemoryLedger:
    """Counts the lines."""

    lines = 0

    def write(self, calls: Sequence[LLMCall]) -> None:
        self.lines += len(calls)

    def close(self) -> None:
        """Nothing to release."""


def work(sync: bool | None, rate: int, seconds: float, directory: str) -> float:
    """CPU µs per call, all threads."""
    ledger = InMemoryLedger()
    distro.open_sink = lambda _url: ledger
    spool = {} if sync is None else {"spool": directory, "spool_sync": sync}
    provider = TracerProvider()
    distro.attach(provider, Settings(ledger="clickhouse://ledger", delivery=DeliverySettings(**spool)))
    tracer = provider.get_tracer("otel_llmcost.httpx2")

    def call(number: int) -> None:
        response_id = f"chatcmpl-{number:012}AbCdEfGhIjKl"
        tracer.start_span("chat", attributes={**ATTRIBUTES, "gen_ai.response.id": response_id}).end()

    for number in range(WARM_UP):
        call(number)
    provider.force_flush()
    calls = int(rate * seconds) or MOST_CALLS
    cpu_ns, started = time.process_time_ns(), time.perf_counter()
    for number in range(calls):
        call(WARM_UP + number)
        if rate:
            time.sleep(max(0, (number + 1) / rate - (time.perf_counter() - started)))
    provider.force_flush()
    cpu_ns = time.process_time_ns() - cpu_ns
    provider.shutdown()
    assert ledger.lines == WARM_UP + calls, f"{ledger.lines} lines of {WARM_UP + calls} calls"
    return cpu_ns / calls / 1_000


def measure(sync: bool | None, rate: int, seconds: float, root: Path) -> float:
    """One case in a process of its own, in a spool of its own."""
    directory = tempfile.mkdtemp(dir=root)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        us: float = pool.apply(work, (sync, rate, seconds, directory))
    shutil.rmtree(directory)
    return us


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--directory", type=Path, default=Path(tempfile.gettempdir()), help="on the disk to measure")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each case at a fixed rate")
    options = parser.parse_args()
    print(f"{'CPU µs per call, all threads':30}" + "".join(f"{name:>12}" for name in CASES))
    for rate in RATES:
        found = [measure(sync, rate, options.seconds, options.directory) for sync in CASES.values()]
        name = f"{rate} calls/s" if rate else "as fast as they can"
        print(f"{name:30}" + "".join(f"{us:12.0f}" for us in found))


if __name__ == "__main__":
    main()
