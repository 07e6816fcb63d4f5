"""OpenTelemetry entry points: `OTEL_PYTHON_DISTRO=llmcost opentelemetry-instrument python app.py`.

The distro chooses our configurator; the configurator sets up the SDK as OpenTelemetry's own does, with the pipeline
in front of its exporters and the ledger behind its spans.
"""

import atexit
import logging
import multiprocessing.util
import os
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from opentelemetry.instrumentation.distro import BaseDistro  # type: ignore[attr-defined]
from opentelemetry.instrumentation.environment_variables import OTEL_PYTHON_CONFIGURATOR
from opentelemetry.sdk._configuration import _OTelSDKConfigurator
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import get_tracer_provider

from otel_llmcost.attribution import baggage_keys
from otel_llmcost.call import Source
from otel_llmcost.errors import InputError
from otel_llmcost.exporters import Sink, open_sink
from otel_llmcost.exporters.delivery import Delivery
from otel_llmcost.exporters.metrics import CallMetrics
from otel_llmcost.exporters.otlp import OtlpForwarder
from otel_llmcost.pipeline import Pipeline
from otel_llmcost.processors.sampler import RecordGenAiSampler
from otel_llmcost.processors.sdk import BaggageSpanProcessor, EnrichingExporter, LedgerSpanProcessor, from_sdk
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
    keys = baggage_keys(settings.attribution)
    if keys:
        provider.add_span_processor(BaggageSpanProcessor(keys))
    if settings.ledger == "off":
        _logger.info("otel-llmcost: no ledger is configured (OTEL_LLMCOST_LEDGER); costs are on exported spans only")
        return
    provider.sampler = RecordGenAiSampler(provider.sampler)
    processor = _ledger_processor(settings, pipeline)
    provider.add_span_processor(processor)
    # The embedded engine is closed by weakref's exit handler, which registers itself when it is first needed: have it
    # done before ours, whenever that engine is opened.
    weakref.finalize(processor, int).detach()
    # Exit handlers run last in, first out: the ledger is settled while the meter provider still exports, so that
    # what is lost at the end is in llmcost.dropped too.
    atexit.register(processor.shutdown)
    # A forked child of multiprocessing ends without exit handlers; its finalizers are made anew after the fork.
    multiprocessing.util.register_after_fork(
        processor, lambda it: multiprocessing.util.Finalize(it, it.shutdown, exitpriority=0)
    )


def _ledger_processor(settings: Settings, pipeline: Pipeline) -> LedgerSpanProcessor:
    metrics = CallMetrics(settings.metrics.dimensions)
    handle: Callable[[list[ReadableSpan]], None]
    if settings.ledger.startswith("otlp"):
        forwarder = OtlpForwarder(settings.ledger)
        handle, close = forwarder.write, forwarder.close
    else:
        sink = open_sink(settings.ledger)
        handle, close = SpanBilling(pipeline, sink, metrics).take, sink.close
    return LedgerSpanProcessor(Delivery(handle, settings.delivery, metrics.dropped), close)


class SpanBilling:
    """Spans → bill lines → sink and metrics."""

    def __init__(self, pipeline: Pipeline, sink: Sink, metrics: CallMetrics) -> None:
        self._pipeline = pipeline
        self._sink = sink
        self._metrics = metrics

    def take(self, spans: Sequence[ReadableSpan]) -> None:
        """Price the spans and write their lines; a span that can never be read is counted and left out.

        Raises:
            DeliveryError: the sink did not take the lines.
        """
        lines = []
        unreadable = 0
        for span in spans:
            try:
                call = self._pipeline.process_span(from_sdk(span), Source.SDK_SPAN)
            except InputError:
                unreadable += 1
                continue
            if call is not None:
                lines.append(call)
        if lines:
            self._sink.write(lines)
        self._metrics.record_all(lines)
        if unreadable:
            _logger.error("otel-llmcost: %d spans could not be read; see llmcost.dropped", unreadable)
            self._metrics.dropped(unreadable, "unreadable")
