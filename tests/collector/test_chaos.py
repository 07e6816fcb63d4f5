"""The Collector, the stage and the process of the ledger are killed with -9 in turn while an application sends.

    application ─▶ Collector (queue on disk) ─▶ stage ─┬▶ up ─▶ ledger
                                                      └▶ the next hop

Whatever the Collector acknowledged is in the ledger once, and has reached the next hop. Three kills by default;
LLMCOST_LONG=1 makes it 60, in some minutes.
"""

import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from threading import Event, Thread
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub
from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan

from collector.processes import (
    CONFIG_DIRECTORY,
    Sink,
    clean_environment,
    costs,
    free_port,
    running,
    serving,
    stage_command,
)
from polling import wait_until
from up_process import Up, connect, ledger_url, running_up

KILLS = 60 if os.environ.get("LLMCOST_LONG") == "1" else 3
SEED = int(os.environ.get("LLMCOST_CRASH_SEED", "0"))
SPANS = 25
"""In one message."""
PAUSE_S = 0.02
"""Between two messages: about a thousand spans a second."""
BEGAN_NS = 1_795_392_000 * 10**9
TEXTS = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.response.model": "gpt-4o"}


def cost_usd(number: int) -> Decimal:
    """Of a call: input at 2.50 USD per million, and 200 tokens of output at 10 USD."""
    return Decimal("2.5") * (1_000 + number % 1_000) / 1_000_000 + Decimal("0.002")


def call(number: int) -> OtlpSpan:
    span = OtlpSpan(
        name="chat",
        trace_id=number.to_bytes(16, "big"),
        span_id=number.to_bytes(8, "big"),
        start_time_unix_nano=BEGAN_NS + number,
        end_time_unix_nano=BEGAN_NS + number + 10**9,
    )
    for key, text in TEXTS.items():
        span.attributes.add(key=key).value.string_value = text
    span.attributes.add(key="gen_ai.usage.input_tokens").value.int_value = 1_000 + number % 1_000
    span.attributes.add(key="gen_ai.usage.output_tokens").value.int_value = 200
    return span


class Sender:
    """Sends messages until it is told to stop, each again until it is acknowledged."""

    def __init__(self, port: int) -> None:
        self.acknowledged = 0
        self.repeated = 0
        self._port = port
        self._stop = Event()
        self._thread = Thread(target=self._run)

    def __enter__(self) -> "Sender":
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        with grpc.insecure_channel(f"127.0.0.1:{self._port}", [("grpc.max_reconnect_backoff_ms", 200)]) as channel:
            export = TraceServiceStub(channel).Export
            while not self._stop.is_set():
                numbers = range(self.acknowledged + 1, self.acknowledged + 1 + SPANS)
                request = ExportTraceServiceRequest()
                request.resource_spans.add().scope_spans.add(spans=map(call, numbers))
                while not self._is_taken(export, request):
                    self.repeated += 1
                    time.sleep(PAUSE_S)
                self.acknowledged = numbers[-1]
                time.sleep(PAUSE_S)

    def _is_taken(self, export: Callable[..., Any], request: ExportTraceServiceRequest) -> bool:
        with suppress(grpc.RpcError):
            return export(request, timeout=5).partial_success.rejected_spans == 0
        return False


class Mortal:
    """A process that can be killed and started again; `now` is what its context manager gives."""

    def __init__(self, start: Callable[[], AbstractContextManager[Any]], process_of: Callable[[Any], Any]) -> None:
        self._start = start
        self._process_of = process_of
        self._context: AbstractContextManager[Any] | None = None
        self.now: Any = None

    def start(self) -> None:
        self._context = self._start()
        self.now = self._context.__enter__()

    def kill(self) -> None:
        self._process_of(self.now).kill()
        self.end()

    def end(self) -> None:
        if self._context is not None:
            context, self._context = self._context, None
            context.__exit__(None, None, None)


@contextmanager
def chain(
    otelcol: Path, directory: Path, next_port: int, backend_port: int
) -> Iterator[tuple[int, Mortal, Mortal, Mortal]]:
    """The running chain: the Collector's port, and the Collector, the stage and `up`."""
    collector_port, stage_port, up_port = free_port(), free_port(), free_port()
    environ = clean_environment(
        OTLP_GRPC_ENDPOINT=f"127.0.0.1:{collector_port}",
        OTLP_HTTP_ENDPOINT=f"127.0.0.1:{free_port()}",
        LLMCOST_ENDPOINT=f"127.0.0.1:{stage_port}",
        LLMCOST_QUEUE_DIRECTORY=str(directory / "queue"),
        BACKEND_ENDPOINT=f"127.0.0.1:{backend_port}",
    )
    config = CONFIG_DIRECTORY / "genai-to-llmcost" / "config.yaml"
    collector_command = [otelcol, "--config", config]
    hops = ["--next-hop", f"otlp://127.0.0.1:{next_port}", "--ledger", f"otlp://127.0.0.1:{up_port}"]
    up = Mortal(lambda: running_up(ledger_url(directory), "--grpc-port", str(up_port)), lambda now: now.process)
    stage = Mortal(
        lambda: running(stage_command(stage_port, *hops), directory / "stage.log", [stage_port]), lambda now: now
    )
    collector = Mortal(
        lambda: running(collector_command, directory / "otelcol.log", [collector_port], environ), lambda now: now
    )
    with ExitStack() as stack:
        for mortal in (up, stage, collector):
            mortal.start()
            stack.callback(mortal.end)
        yield collector_port, collector, stage, up


def test_each_call_is_a_line_once_whoever_is_killed(otelcol: Path, tmp_path: Path) -> None:
    """0 lost, 0 doubled, to the last digit, and everything reached the next hop."""
    rng = random.Random(SEED)
    sink = Sink()
    with (
        serving(sink) as next_port,
        serving(Sink()) as backend_port,
        chain(otelcol, tmp_path, next_port, backend_port) as (port, *victims),
    ):
        with Sender(port) as sender:
            for number in range(KILLS):
                time.sleep(rng.uniform(0.1, 1.0))
                victim = victims[number % len(victims)]
                victim.kill()
                time.sleep(rng.uniform(0, 0.5))
                victim.start()
            time.sleep(0.5)
        sent = range(1, sender.acknowledged + 1)
        up: Up = victims[2].now
        wait_until(lambda: lines(up)[0] >= len(sent) and len(set(sink.ids)) >= len(sent), 120)
        time.sleep(1)  # what would be doubled comes late
        found = lines(up)

    reached = {int.from_bytes(span.span_id, "big"): costs(span)["llmcost.cost.usd"] for span in sink.spans}
    again = f"{sender.repeated} messages sent again by the sender, {len(sink.spans) - len(reached)} spans by the stage"
    print(f"\n{KILLS} kills, {len(sent)} calls, {again}: {found[0]} lines")
    assert (len(sent), len(sent), sum(map(cost_usd, sent), Decimal(0))) == found
    assert {number: float(cost_usd(number)) for number in sent} == reached


def lines(up: Up) -> tuple[int, int, Decimal]:
    """Lines, distinct calls and what they cost."""
    with connect(up) as client:
        ((count, calls, usd),) = client.query(
            "SELECT count(), uniqExact(span_id), toString(sum(cost_usd)) FROM calls"
        ).result_rows
    return count, calls, Decimal(usd)
