"""What the stage counts: `llmcost.*` of all traffic, and how it fares itself.

Instruments are OpenTelemetry's; `families` reads them for `/metrics`, and the same numbers go out as OTLP where that is
configured. A call is counted once, as far as this process knows: messages come again.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from time import monotonic
from typing import Any, Final

from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    InMemoryMetricReader,
    MetricExporter,
    MetricExportResult,
    MetricReader,
    MetricsData,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.resources import Resource

from otel_llmcost import __version__
from otel_llmcost.call import LLMCall
from otel_llmcost.errors import LlmcostError
from otel_llmcost.exporters.metrics import CallMetrics
from otel_llmcost.processors.gate import Gate
from otel_llmcost.processors.intake import NextHop, Work
from otel_llmcost.processors.signals import METRICS
from otel_llmcost.processors.stage.exposition import Family, families

DURATIONS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Seen:
    """Ids that came before, the last `most` of them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._ids: dict[bytes, None] = {}

    def is_new(self, call_id: bytes) -> bool:
        """Whether this id comes for the first time."""
        if call_id in self._ids:
            return False
        self._ids[call_id] = None
        if len(self._ids) > self._most:
            del self._ids[next(iter(self._ids))]
        return True


class StageMetrics:
    """The instruments of one process."""

    def __init__(self, dimensions: Sequence[str], remembered: int) -> None:
        self._reader = InMemoryMetricReader()
        resource = Resource.create({"service.name": "otel-llmcost-stage", "service.version": __version__})
        self._provider = MeterProvider([self._reader], resource, shutdown_on_exit=False)
        self.calls = CallMetrics(dimensions, self._provider)
        self._seen = Seen(remembered)
        meter = self._provider.get_meter("otel_llmcost", __version__)
        self._spans = meter.create_counter("llmcost.stage.spans", "{span}", "Spans of messages that were acknowledged")
        self._requests = meter.create_counter("llmcost.stage.requests", "{request}", "Requests, by what was answered")
        self._bytes = meter.create_counter("llmcost.stage.size", "By", "Messages, decompressed, by what was answered")
        self._durations = meter.create_histogram(
            "llmcost.stage.duration",
            "s",
            "Time from a message that is read to its answer",
            explicit_bucket_boundaries_advisory=DURATIONS_S,
        )
        self._meter = meter

    def stored(self, work: Work) -> None:
        """Count the calls of a message. It may come again: each is counted once."""
        if work.rows:
            self.calls.record_all([call for call in work.rows if self._is_counted(call)])

    def taken(self, work: Work) -> None:
        """Count the spans of a message that is acknowledged now."""
        for result, count in work.spans.items():
            if count:
                self._spans.add(count, {"result": result})

    def answered(self, signal: str, tenant: str, answer: str, size: int, started: float) -> None:
        """Count a request. `answer`: the gRPC code; `started`: `monotonic()` when it was read."""
        told = {"signal": signal, "answer": answer, **({"tenant": tenant} if tenant else {})}
        self._requests.add(1, told)
        if size:
            self._bytes.add(size, told)
            self._durations.record(monotonic() - started, {"signal": signal})

    def watch(self, gate: Gate) -> None:
        """Tell what is under way, whenever metrics are collected."""
        self._gauge("llmcost.stage.in_flight.requests", "{request}", lambda: gate.requests_in_flight)
        self._gauge("llmcost.stage.in_flight.size", "By", lambda: gate.bytes_in_flight)

    def families(self) -> list[Family]:
        """The numbers as they are now."""
        return families(self._reader.get_metrics_data())

    def add_reader(self, reader: MetricReader) -> None:
        """Have somebody else read the same numbers."""
        self._provider.add_metric_reader(reader)

    def close(self) -> None:
        """Send what is to be sent."""
        self._provider.shutdown()

    def _is_counted(self, call: LLMCall) -> bool:
        # Rows that only hide another id are no records of anybody.
        return bool(call.provider or not call.duplicate_of) and self._seen.is_new(call.call_id)

    def _gauge(self, name: str, unit: str, value: Callable[[], int]) -> None:
        def observe(_options: CallbackOptions) -> Iterable[Observation]:
            yield Observation(value())

        self._meter.create_observable_gauge(name, [observe], unit)


class NextHopExporter(MetricExporter):
    """Sends metrics to the next hop, from the reader's own thread."""

    def __init__(self, next_hop: NextHop, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._next_hop = next_hop
        self._loop = loop

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **_: Any) -> MetricExportResult:
        body = encode_metrics(metrics_data).SerializeToString()
        sent = asyncio.run_coroutine_threadsafe(self._next_hop.export(METRICS, body), self._loop)
        try:
            sent.result(timeout_millis / 1000)
        except (LlmcostError, TimeoutError):
            return MetricExportResult.FAILURE  # cumulative: the next message tells it
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 10_000) -> bool:  # noqa: ARG002 - the interface
        return True

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None: ...


def otlp_reader(next_hop: NextHop, interval_s: int) -> MetricReader:
    """A reader that sends to the next hop; called on the event loop that the next hop lives on."""
    exporter = NextHopExporter(next_hop, asyncio.get_running_loop())
    return PeriodicExportingMetricReader(exporter, interval_s * 1000)
