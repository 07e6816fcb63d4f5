"""What instrumentation costs an application per provider call: ours and its peers, in one run and one table.

    benchmarks/run.sh overhead.py [--calls 50] [--streams 64] [--rounds 101]

The real openai SDK over a mock transport (provider.py). Every variant (variants.py) has a process of its own, for not
every peer can be taken out again. The processes work in turn, never two at once, a few calls a round and many rounds,
so that all of them meet the same moods of the machine. CPU time is that of the whole process: exporters, pipeline and
metrics behind the call are in it. Medians.
"""

import argparse
import asyncio
import gc
import multiprocessing
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Final

from provider import OUTPUT_TOKENS, REQUEST, STREAM_REQUEST, chat_client, stream_client
from variants import VARIANTS, Telemetry, Variant

WARM_UP: Final = 64
CONCURRENCY: Final = 64

Workload = Callable[[int], Callable[[], None]]
"""Number of calls → what makes them; only the latter is measured."""


@dataclass(frozen=True)
class Timing:
    """One round of one variant."""

    cpu_us: float  # per call
    calls_per_s: float


def chats(calls: int) -> Callable[[], None]:
    """Non-streaming chat completions, one after the other."""
    client = chat_client(calls)

    def run() -> None:
        for _ in range(calls):
            client.chat.completions.create(**REQUEST)

    return run


def streams(calls: int) -> Callable[[], None]:
    """Streamed chat completions, 64 at a time, each read to its end."""
    client = stream_client(calls)

    async def read(count: int) -> None:
        for _ in range(count):
            completion_tokens = 0
            async for chunk in await client.chat.completions.create(**STREAM_REQUEST):
                if chunk.usage is not None:
                    completion_tokens = chunk.usage.completion_tokens
            assert completion_tokens == OUTPUT_TOKENS

    async def run() -> None:
        share, rest = divmod(calls, CONCURRENCY)
        await asyncio.gather(*(read(share + (place < rest)) for place in range(CONCURRENCY)))

    return lambda: asyncio.run(run())


def work(variant: Variant, workload: Workload, connection: Connection) -> None:
    """The process of a variant: a number of calls comes in, a `Timing` goes out; 0 ends it."""
    telemetry = Telemetry()
    variant.install(telemetry)
    while calls := connection.recv():
        run = workload(calls)
        gc.collect()
        started_ns, cpu_started_ns = time.perf_counter_ns(), time.process_time_ns()
        run()
        telemetry.settle()
        cpu_ns, wall_ns = time.process_time_ns() - cpu_started_ns, time.perf_counter_ns() - started_ns
        variant.check(telemetry, calls)
        connection.send(Timing(cpu_ns / calls / 1_000, calls / wall_ns * 1e9))
    telemetry.shutdown()


class Worker:
    """A variant's process, seen from outside."""

    def __init__(self, variant: Variant, workload: Workload) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._connection, theirs = spawn.Pipe()
        self._process = spawn.Process(target=work, args=(variant, workload, theirs), daemon=True)
        self._process.start()
        theirs.close()

    def measure(self, calls: int) -> Timing:
        self._connection.send(calls)
        timing: Timing = self._connection.recv()
        return timing

    def end(self) -> None:
        self._connection.send(0)
        self._process.join()


def compare(title: str, variants: Sequence[Variant], workload: Workload, calls: int, rounds: int) -> None:
    workers = {variant.name: Worker(variant, workload) for variant in variants}
    for worker in workers.values():
        worker.measure(WARM_UP)
    found: dict[str, list[Timing]] = {name: [] for name in workers}
    for _ in range(rounds):
        for name, worker in workers.items():
            found[name].append(worker.measure(calls))
    for worker in workers.values():
        worker.end()
    print(f"\n{title}; median of {rounds} rounds of {calls} calls")
    show(variants, found)


def show(variants: Sequence[Variant], found: dict[str, list[Timing]]) -> None:
    """A row a variant: what it adds by the medians, and by the fastest tenth of its rounds.

    On a machine that others use too, noise only ever adds; the fastest tenth is then nearer to the truth.
    """
    median_us = {name: statistics.median(t.cpu_us for t in timings) for name, timings in found.items()}
    fastest_us = {name: statistics.quantiles((t.cpu_us for t in timings), n=10)[0] for name, timings in found.items()}
    print(f"{'':34} {'CPU µs per call: median':^27}   {'fastest tenth':^27}")
    print(
        f"{'variant':34} {'all':>8} {'added':>8} {'/ peer':>9}   {'all':>8} {'added':>8} {'/ peer':>9}   {'calls/s':>7}"
    )
    for name, timings in found.items():
        columns = "   ".join(columns_of(name, us, variants) for us in (median_us, fastest_us))
        print(f"{name:34} {columns}   {statistics.median(t.calls_per_s for t in timings):7.0f}")


def columns_of(name: str, cpu_us: dict[str, float], variants: Sequence[Variant]) -> str:
    """Of one variant: CPU time, what of it is added to the bare client, and that by what the leanest peer adds."""
    bare_us = cpu_us[variants[0].name]
    added_us = cpu_us[name] - bare_us
    leanest_us = min(cpu_us[variant.name] for variant in variants if variant.is_peer) - bare_us
    return f"{cpu_us[name]:8.1f} {added_us:8.1f} {added_us / leanest_us:9.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=50, help="chat completions a round; 0: leave them out")
    parser.add_argument("--streams", type=int, default=64, help="streams a round; 0: leave them out")
    parser.add_argument("--rounds", type=int, default=101)
    options = parser.parse_args()
    if options.calls:
        compare("chat completions", VARIANTS, chats, options.calls, options.rounds)
    if options.streams:
        readers = [variant for variant in VARIANTS if variant.reads_streams]
        compare(f"streams, {CONCURRENCY} at a time", readers, streams, options.streams, options.rounds)


if __name__ == "__main__":
    main()
