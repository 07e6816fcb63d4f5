"""The instrumentations that are compared, each set up as its documentation says, over the same OpenTelemetry SDK.

Every variant has a tracer provider whose spans go through a `BatchSpanProcessor` to an exporter in memory, and a meter
provider with a reader in memory. What ours does more than its peers, pricing, attribution and metrics of every call,
is part of it.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from openinference.instrumentation import TraceConfig
from openinference.instrumentation.openai import OpenAIInstrumentor as OpenInference
from opentelemetry.instrumentation.openai import OpenAIInstrumentor as OpenLLMetry
from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor as OpenAIV2
from opentelemetry.metrics import MeterProvider, NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider as SdkMeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import SpanKind
from provider import INPUT_TOKENS, OUTPUT_TOKENS
from wrapt import wrap_function_wrapper

from otel_llmcost.call import LLMCall, Status
from otel_llmcost.distro import SpanBilling
from otel_llmcost.exporters.delivery import Delivery
from otel_llmcost.exporters.metrics import CallMetrics
from otel_llmcost.instrumentation.httpx2 import Httpx2Instrumentor
from otel_llmcost.pipeline import Pipeline
from otel_llmcost.processors.sampler import RecordGenAiSampler
from otel_llmcost.processors.sdk import EnrichingExporter, LedgerSpanProcessor
from otel_llmcost.settings import Settings

SETTINGS = Settings()
PIPELINE = Pipeline.from_settings(SETTINGS)


@dataclass
class InMemory(SpanExporter):
    """Keeps the spans of one round."""

    spans: list[ReadableSpan] = field(default_factory=list)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.spans.extend(spans)
        return SpanExportResult.SUCCESS


@dataclass
class InMemoryLedger:
    """Keeps the bill lines of one round."""

    lines: list[LLMCall] = field(default_factory=list)

    def write(self, calls: Sequence[LLMCall]) -> None:
        self.lines.extend(calls)

    def close(self) -> None:
        self.lines.clear()


@dataclass
class Telemetry:
    """One SDK, as an application sets it up."""

    exporter: InMemory = field(default_factory=InMemory)
    meters: SdkMeterProvider = field(default_factory=lambda: SdkMeterProvider([InMemoryMetricReader()]))
    tracers: TracerProvider = field(default_factory=TracerProvider)
    ledger: InMemoryLedger = field(default_factory=InMemoryLedger)

    def export_to(self, exporter: SpanExporter) -> None:
        # Room for every span: nobody gains by losing some.
        self.tracers.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=100_000))

    def settle(self) -> None:
        """Wait for the threads behind the calls."""
        self.tracers.force_flush()

    def shutdown(self) -> None:
        self.tracers.shutdown()
        self.meters.shutdown()


@dataclass(frozen=True)
class Variant:
    """One row of the table. `token_keys`: the span attributes that must hold the tokens; none for no span."""

    name: str
    install: Callable[[Telemetry], None]
    token_keys: tuple[str, ...] = ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens")
    is_peer: bool = False
    reads_streams: bool = True
    has_ledger: bool = False

    def check(self, telemetry: Telemetry, calls: int) -> None:
        """Each of the last calls made one span, with the tokens that the provider told; else the comparison is void."""
        spans, telemetry.exporter.spans = telemetry.exporter.spans, []
        assert len(spans) == (calls if self.token_keys else 0), f"{self.name}: {len(spans)} spans of {calls} calls"
        for span in spans:
            tokens = [(span.attributes or {}).get(key) for key in self.token_keys]
            assert tokens == [INPUT_TOKENS, OUTPUT_TOKENS], f"{self.name}: recorded {tokens}"
        lines, telemetry.ledger.lines = telemetry.ledger.lines, []
        assert len(lines) == (calls if self.has_ledger else 0), f"{self.name}: {len(lines)} lines of {calls} calls"
        assert all(line.cost and line.cost.status is Status.EXACT for line in lines)


def nothing(_telemetry: Telemetry) -> None:
    """The SDK alone."""


def bare_span(telemetry: Telemetry) -> None:
    """The least that could be called instrumentation: one span by hand, with the model and the two token counts."""
    telemetry.export_to(telemetry.exporter)
    tracer = telemetry.tracers.get_tracer("bare")

    def create(wrapped: Callable[..., Any], _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        attributes = {"gen_ai.operation.name": "chat", "gen_ai.request.model": kwargs["model"]}
        with tracer.start_as_current_span("chat", kind=SpanKind.CLIENT, attributes=attributes) as span:
            response = wrapped(*args, **kwargs)
            span.set_attribute("gen_ai.usage.input_tokens", response.usage.prompt_tokens)
            span.set_attribute("gen_ai.usage.output_tokens", response.usage.completion_tokens)
        return response

    wrap_function_wrapper("openai.resources.chat.completions", "Completions.create", create)


def openinference(telemetry: Telemetry) -> None:
    _peer(telemetry, OpenInference())


def openinference_without_content(telemetry: Telemetry) -> None:
    _peer(telemetry, OpenInference(), config=TraceConfig(hide_inputs=True, hide_outputs=True))


def openllmetry(telemetry: Telemetry) -> None:
    _peer(telemetry, OpenLLMetry())


def openllmetry_without_content(telemetry: Telemetry) -> None:
    os.environ["TRACELOOP_TRACE_CONTENT"] = "false"
    _peer(telemetry, OpenLLMetry())


def openai_v2(telemetry: Telemetry) -> None:
    _peer(telemetry, OpenAIV2())


def _peer(telemetry: Telemetry, instrumentor: Any, **more: Any) -> None:
    telemetry.export_to(telemetry.exporter)
    instrumentor.instrument(tracer_provider=telemetry.tracers, meter_provider=telemetry.meters, **more)


def ours(telemetry: Telemetry) -> None:
    """An application with a ledger: capture, pipeline and metrics; only the insert is left out."""
    telemetry.export_to(telemetry.exporter)
    _keep_ledger(telemetry)


def ours_without_client_metrics(telemetry: Telemetry) -> None:
    """Without the standard `gen_ai.client.*` histograms, which OpenInference does not have; `llmcost.*` as before."""
    telemetry.export_to(telemetry.exporter)
    _keep_ledger(telemetry, NoOpMeterProvider())


def ours_with_costs_on_spans(telemetry: Telemetry) -> None:
    """The same, and the exported spans carry their cost too."""
    telemetry.export_to(EnrichingExporter(telemetry.exporter, PIPELINE, usage_cost=True))
    _keep_ledger(telemetry)


def _keep_ledger(telemetry: Telemetry, client_meters: MeterProvider | None = None) -> None:
    metrics = CallMetrics(SETTINGS.metrics.dimensions, telemetry.meters)
    billing = SpanBilling(PIPELINE, telemetry.ledger, metrics)
    delivery: Delivery[ReadableSpan] = Delivery(billing.take, SETTINGS.delivery, metrics.dropped)
    telemetry.tracers.sampler = RecordGenAiSampler(telemetry.tracers.sampler)
    telemetry.tracers.add_span_processor(LedgerSpanProcessor(delivery, telemetry.ledger.close))
    Httpx2Instrumentor().instrument(
        tracer_provider=telemetry.tracers, meter_provider=client_meters or telemetry.meters, settings=SETTINGS
    )


_OPENINFERENCE_KEYS = ("llm.token_count.prompt", "llm.token_count.completion")

VARIANTS = (
    Variant("bare client", nothing, token_keys=()),
    Variant("bare span", bare_span, reads_streams=False),
    Variant("otel-llmcost", ours, has_ledger=True),
    Variant("otel-llmcost, no client metrics", ours_without_client_metrics, has_ledger=True),
    Variant("otel-llmcost, costs on spans too", ours_with_costs_on_spans, has_ledger=True),
    Variant("OpenInference", openinference, _OPENINFERENCE_KEYS, is_peer=True),
    Variant("OpenInference without content", openinference_without_content, _OPENINFERENCE_KEYS, is_peer=True),
    Variant("OpenLLMetry", openllmetry, is_peer=True),
    Variant("OpenLLMetry without content", openllmetry_without_content, is_peer=True),
    Variant("openai-v2, content off by default", openai_v2, is_peer=True),
)
