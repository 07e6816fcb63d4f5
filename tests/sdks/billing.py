"""The bill of what SDKs send through the instrumented HTTP clients."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_llmcost.call import LLMCall, Source
from otel_llmcost.estimate import BACKGROUND
from otel_llmcost.instrumentation.httpx import HttpxInstrumentor
from otel_llmcost.instrumentation.httpx2 import Httpx2Instrumentor
from otel_llmcost.pipeline import Pipeline
from otel_llmcost.processors.sdk import from_sdk
from otel_llmcost.settings import Settings

PIPELINE = Pipeline.from_settings(Settings())

TOLD = (
    "provider",
    "requested_model",
    "model",
    "response_id",
    "streaming",
    "outcome",
    "http_status",
    "attempt",
    "service_tier",
)
"""What a line is compared by, beside its buckets and its status."""


@dataclass
class Bill:
    """Both HTTP clients under instrumentation while `on`, and the lines of what they sent."""

    provider: TracerProvider = field(default_factory=TracerProvider)
    _exporter: InMemorySpanExporter = field(default_factory=InMemorySpanExporter)

    def __post_init__(self) -> None:
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    @contextmanager
    def on(self, hosts: Mapping[str, str], **providers: Any) -> Iterator[None]:
        """`hosts` as in the configuration, but with the scheme left in; `providers` are further settings of it."""
        named = {url.removeprefix("http://"): seller for url, seller in hosts.items()}
        settings = Settings.model_validate({"providers": {"hosts": named, **providers}})
        instrumentors = [HttpxInstrumentor(), Httpx2Instrumentor()]
        for instrumentor in instrumentors:
            instrumentor.instrument(tracer_provider=self.provider, settings=settings)
        try:
            yield
        finally:
            for instrumentor in instrumentors:
                instrumentor.uninstrument()

    @property
    def spans(self) -> list[ReadableSpan]:
        """Every ended span in the order of the ends, those included whose tokens are counted in the background."""
        BACKGROUND.flush()
        return list(self._exporter.get_finished_spans())

    @property
    def lines(self) -> list[LLMCall]:
        """One for each span that is an inference call."""
        found = (PIPELINE.process_span(from_sdk(span), Source.SDK_SPAN) for span in self.spans)
        return [line for line in found if line is not None]


def told(line: LLMCall, *names: str) -> dict[str, Any]:
    """What a line says, its exclusive buckets and its status included; with names, these fields alone."""
    assert line.cost is not None
    buckets = {bucket.value: count for bucket, count in line.usage.buckets.items()}
    found = {**{name: getattr(line, name) for name in TOLD}, "buckets": buckets, "status": line.cost.status.value}
    return {name: found[name] for name in names} if names else found
