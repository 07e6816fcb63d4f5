"""OpenTelemetry entry points: `OTEL_PYTHON_DISTRO=llmcost opentelemetry-instrument python app.py`.

The distro chooses our configurator; the configurator sets up the SDK as OpenTelemetry's own does, with the pipeline
in front of its exporters and the ledger behind its spans.
"""

import atexit
import logging
import multiprocessing.util
import os
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from opentelemetry.environment_variables import OTEL_TRACES_EXPORTER
from opentelemetry.instrumentation.distro import BaseDistro  # type: ignore[attr-defined]
from opentelemetry.instrumentation.environment_variables import OTEL_PYTHON_CONFIGURATOR
from opentelemetry.sdk._configuration import _OTelSDKConfigurator
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import get_tracer_provider

from otel_llmcost.attribution import baggage_keys
from otel_llmcost.call import LLMCall
from otel_llmcost.errors import ConfigError, InputError, LlmcostError
from otel_llmcost.exporters import Sink, open_sink
from otel_llmcost.exporters.delivery import Delivery
from otel_llmcost.exporters.line_codec import LineCodec
from otel_llmcost.exporters.metrics import CallMetrics
from otel_llmcost.exporters.otlp import OtlpForwarder
from otel_llmcost.exporters.safekeeping import keeping, spool_of
from otel_llmcost.exporters.spool import used_bytes
from otel_llmcost.kinship import Kinship, Seen
from otel_llmcost.pipeline import Pipeline
from otel_llmcost.pricing.configured import as_of_s, refreshing
from otel_llmcost.processors.lineage import LineageSpanProcessor
from otel_llmcost.processors.sampler import RecordGenAiSampler
from otel_llmcost.processors.sdk import BaggageSpanProcessor, EnrichingExporter, LedgerSpanProcessor, priced
from otel_llmcost.processors.tree import seen_genai
from otel_llmcost.settings import DeliverySettings, Settings, load_settings

_logger = logging.getLogger("otel_llmcost")


def _load_settings() -> Settings | None:
    """The configuration; None, and one line in the log, where it is wrong: the application runs without costs."""
    try:
        return load_settings(os.environ)
    except ConfigError as error:
        _logger.error("otel-llmcost: the configuration is wrong, calls are not priced: %s", error)
        return None


class LlmcostDistro(BaseDistro):  # type: ignore[misc]
    """Selects the llmcost configurator, whatever other distributions are installed."""

    def _configure(self, **_kwargs: Any) -> None:
        os.environ.setdefault(OTEL_PYTHON_CONFIGURATOR, "llmcost")

    def load_instrumentor(self, entry_point: Any, **kwargs: Any) -> None:
        """Load every instrumentation as usual, but ours only with a right configuration."""
        if not entry_point.value.startswith("otel_llmcost.") or LlmcostConfigurator.settings is not None:
            super().load_instrumentor(entry_point, **kwargs)


class LlmcostConfigurator(_OTelSDKConfigurator):
    """Sets up the OpenTelemetry SDK from the standard variables, and the ledger from `OTEL_LLMCOST_*`."""

    settings: Settings | None = None

    def _configure(self, **kwargs: Any) -> None:
        settings = LlmcostConfigurator.settings = _load_settings()
        if settings is None or settings.disabled:
            super()._configure(**kwargs)  # type: ignore[no-untyped-call]
            return
        try:
            pipeline = Pipeline.from_settings(settings)
            ledger = _open_ledger(settings, pipeline)
        except LlmcostError as error:
            _logger.error("otel-llmcost: calls are not priced: %s", error)
            LlmcostConfigurator.settings = None
            super()._configure(**kwargs)  # type: ignore[no-untyped-call]
            return

        def enriching(exporter: SpanExporter) -> BatchSpanProcessor:
            return BatchSpanProcessor(EnrichingExporter(exporter, pipeline, usage_cost=settings.usage_cost_attribute))

        super()._configure(export_span_processor=enriching, **kwargs)  # type: ignore[no-untyped-call]
        provider = get_tracer_provider()
        if isinstance(provider, TracerProvider):
            _attach(provider, settings, pipeline, ledger)


def attach(provider: TracerProvider, settings: Settings) -> None:
    """Give a tracer provider the ledger: for applications that set up OpenTelemetry themselves.

    Call it before tracers are made, so that they get the sampler too.

    Raises:
        ConfigError: the ledger or an attribution rule is wrong.
        MissingExtraError: an optional dependency of the ledger is not installed.
    """
    pipeline = Pipeline.from_settings(settings)
    _attach(provider, settings, pipeline, _open_ledger(settings, pipeline))


@dataclass(frozen=True, slots=True)
class _OpenLedger:
    """Where spans go to become lines, and how that is ended."""

    take: Callable[[list[ReadableSpan]], None]
    close: Callable[[], None]
    flush: Callable[[int], bool]
    metrics: CallMetrics


def _open_ledger(settings: Settings, pipeline: Pipeline) -> _OpenLedger | None:
    """None where the ledger is off. Nothing is connected yet."""
    metrics = CallMetrics(settings.metrics.dimensions)
    _keep_book_new(settings, pipeline, metrics)
    if settings.delivery.spool:
        metrics.watch_spool(lambda: used_bytes(spool_of(settings.ledger, settings.delivery)))
    if settings.ledger == "off":
        return None
    if settings.ledger.startswith("otlp"):
        return _OpenLedger(*_forwarding(settings, metrics), metrics)
    ledger = open_sink(settings.ledger, pipeline)
    sink = keeping(settings.ledger, settings.delivery, LineCodec(), (ledger.write, ledger.close), metrics)
    return _OpenLedger(SpanBilling(pipeline, sink, metrics).take, sink.close, sink.flush, metrics)


def _forwarding(
    settings: Settings, metrics: CallMetrics
) -> tuple[Callable[[list[ReadableSpan]], None], Callable[[], None], Callable[[int], bool]]:
    """How spans are taken on their way to an OTLP receiver, closed and flushed."""
    forwarder = OtlpForwarder(settings.ledger)
    if not settings.delivery.spool:
        return forwarder.write, forwarder.close, lambda _timeout_ms: True
    from otel_llmcost.exporters.otlp_messages import SpanCodec, message_of

    sink = keeping(settings.ledger, settings.delivery, SpanCodec(), (forwarder.write, forwarder.close), metrics)
    return lambda spans: sink.write([message_of(span) for span in spans]), sink.close, sink.flush


def _keep_book_new(settings: Settings, pipeline: Pipeline, metrics: CallMetrics) -> None:
    metrics.watch_price_book(lambda: time.time() - as_of_s(pipeline.book, time.time()))
    refresher = refreshing(pipeline, settings, metrics.refreshed)
    if refresher is not None:
        refresher.start()
        atexit.register(refresher.stop)


def _attach(provider: TracerProvider, settings: Settings, pipeline: Pipeline, ledger: _OpenLedger | None) -> None:
    keys = baggage_keys(settings.attribution)
    if keys:
        provider.add_span_processor(BaggageSpanProcessor(keys))
    provider.add_span_processor(LineageSpanProcessor(pipeline))
    if ledger is None:
        if not os.environ.get(OTEL_TRACES_EXPORTER):
            _logger.warning(
                "otel-llmcost: neither OTEL_LLMCOST_LEDGER nor OTEL_TRACES_EXPORTER is set: costs go nowhere"
            )
        return
    provider.sampler = RecordGenAiSampler(provider.sampler)
    delivery: Delivery[ReadableSpan] = Delivery(
        ledger.take, _at_the_pace_of_the_spool(settings.delivery), ledger.metrics.dropped, ledger.flush
    )
    processor = LedgerSpanProcessor(delivery, ledger.close)
    provider.add_span_processor(processor)
    _settle_at_exit(processor)


def _at_the_pace_of_the_spool(delivery: DeliverySettings) -> DeliverySettings:
    """With a spool, memory is left soon; the spool goes to the ledger at the pace of `flush_interval_ms`."""
    if not delivery.spool:
        return delivery
    interval_ms = min(delivery.spool_interval_ms, delivery.flush_interval_ms)
    return delivery.model_copy(update={"flush_interval_ms": interval_ms})


def _settle_at_exit(processor: LedgerSpanProcessor) -> None:
    """Have the ledger settled before whatever it needs is gone."""
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


MAX_REMEMBERED: Final = 5_000
"""Spans that an application keeps in mind: kin ends within seconds of one another there."""


class SpanBilling:
    """Spans → bill lines → sink and metrics."""

    def __init__(self, pipeline: Pipeline, sink: Sink, metrics: CallMetrics) -> None:
        self._pipeline = pipeline
        self._sink = sink
        self._metrics = metrics
        identity = pipeline.identity
        self._kinship = Kinship(min(identity.remembered_spans, MAX_REMEMBERED), names_unseen=False)
        self._counted: dict[bytes, bool] = {}  # calls that the metrics have, and whether with their usage
        after_fork = weakref.WeakMethod(self._kinship.reset)
        os.register_at_fork(after_in_child=lambda: (reset := after_fork()) and reset())

    def take(self, spans: Sequence[ReadableSpan]) -> None:
        """Price the spans and write their lines; a span that can never be read is counted and left out.

        Raises:
            DeliveryError: the sink did not take the lines.
        """
        seen = []
        unreadable = 0
        for span in spans:
            try:
                seen.append(seen_genai(*priced(span, self._pipeline)))
            except InputError:
                unreadable += 1
        rows = self._kinship.meet(seen)
        if rows:
            try:
                self._sink.write(rows)
            except BaseException:
                self._kinship.forget(seen)  # they are not in the ledger, so nothing may rest on them
                raise
        self._count(seen, rows)
        if unreadable:
            _logger.error("otel-llmcost: %d spans could not be read; see llmcost.dropped", unreadable)
            self._metrics.dropped(unreadable, "unreadable")

    def _count(self, seen: Sequence[Seen], rows: Sequence[LLMCall]) -> None:
        """Count what these spans tell, once: rows of earlier spans and of ids that are covered were or will be."""
        keys = {span.key for span in seen}
        lines = [row for row in rows if row.span_id and row.trace_id + row.span_id in keys]
        for place, line in enumerate(lines):
            usage_known = line.usage.known
            if self._counted.pop(line.call_id, False) and not line.duplicate_of:
                lines[place] = replace(line, duplicate_of=line.call_id)  # another record of it was counted
            self._counted[line.call_id] = usage_known
        while len(self._counted) > MAX_REMEMBERED:
            del self._counted[next(iter(self._counted))]
        self._metrics.record_all(lines)
