"""OpenTelemetry entry points: `OTEL_PYTHON_DISTRO=llmcost opentelemetry-instrument python app.py`.

The distro chooses our configurator; the configurator sets up the SDK as OpenTelemetry's own does, with the pipeline
in front of its exporters and the ledger behind its spans.
"""

import atexit
import logging
import os
from collections.abc import Sequence
from typing import Any

from opentelemetry.instrumentation.distro import BaseDistro  # type: ignore[attr-defined]
from opentelemetry.instrumentation.environment_variables import OTEL_PYTHON_CONFIGURATOR
from opentelemetry.sdk._configuration import _OTelSDKConfigurator
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import get_tracer_provider

from otel_llmcost.attribution import baggage_keys
from otel_llmcost.call import Source
from otel_llmcost.exporters import open_sink
from otel_llmcost.exporters.delivery import Delivery
from otel_llmcost.exporters.metrics import CallMetrics
from otel_llmcost.exporters.otlp import OtlpForwarder
from otel_llmcost.pipeline import Pipeline
from otel_llmcost.processors.sampler import RecordGenAiSampler
from otel_llmcost.processors.sdk import EnrichingExporter, LedgerSpanProcessor, from_sdk
from otel_llmcost.settings import Settings, load_settings

_logger = logging.getLogger("otel_llmcost")


class LlmcostDistro(BaseDistro):  # type: ignore[misc]
    """Selects the llmcost configurator, whatever other distributions are installed."""

    def _configure(self, **_kwargs: Any) -> None:
        os.environ.setdefault(OTEL_PYTHON_CONFIGURATOR, "llmcost")


class LlmcostConfigurator(_OTelSDKConfigurator):
    """Sets up the OpenTelemetry SDK from the standard variables, and the ledger from `OTEL_LLMCOST_*`."""

    def _configure(self, **kwargs: Any) -> None:
        settings = load_settings(os.environ)
        if settings.disabled:
            super()._configure(**kwargs)  # type: ignore[no-untyped-call]
            return
        pipeline = Pipeline.from_settings(settings)

        def enriching(exporter: SpanExporter) -> BatchSpanProcessor:
            return BatchSpanProcessor(EnrichingExporter(exporter, pipeline, usage_cost=settings.usage_cost_attribute))

        super()._configure(export_span_processor=enriching, **kwargs)  # type: ignore[no-untyped-call]
        provider = get_tracer_provider()
        if isinstance(provider, TracerProvider):
            attach(provider, settings, pipeline)


def attach(provider: TracerProvider, settings: Settings, pipeline: Pipeline) -> None:
    """Give a tracer provider the ledger: for applications that set up OpenTelemetry themselves.

    Call it before tracers are made, so that they get the sampler too.
    """
    if settings.ledger == "off":
        _logger.info("otel-llmcost: no ledger is configured (OTEL_LLMCOST_LEDGER); costs are on exported spans only")
        return
    provider.sampler = RecordGenAiSampler(provider.sampler)
    processor = _ledger_processor(settings, pipeline)
    provider.add_span_processor(processor)
    # Exit handlers run last in, first out: the ledger is settled while the meter provider still exports, so that
    # what is lost at the end is in llmcost.dropped too.
    atexit.register(processor.shutdown)


def _ledger_processor(settings: Settings, pipeline: Pipeline) -> LedgerSpanProcessor:
    metrics = CallMetrics(settings.attribution.dimensions)
    if settings.ledger.startswith("otlp"):
        forwarder = OtlpForwarder(settings.ledger)
        handle, close = forwarder.write, forwarder.close
    else:
        sink = open_sink(settings.ledger)
        close = sink.close

        def handle(spans: Sequence[ReadableSpan]) -> None:
            calls = [c for span in spans if (c := pipeline.process_span(from_sdk(span), Source.SDK_SPAN))]
            if calls:
                sink.write(calls)
            for call in calls:
                metrics.record(call)

    delivery: Delivery[ReadableSpan] = Delivery(handle, settings.delivery, metrics.dropped)
    return LedgerSpanProcessor(delivery, baggage_keys(settings.attribution), close)
