"""The OpenTelemetry instrumentor that both HTTP clients share."""

import os
from collections.abc import Collection
from importlib import import_module
from typing import Any, ClassVar

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]
from opentelemetry.trace import get_tracer

from otel_llmcost import __version__
from otel_llmcost import semconv as sc
from otel_llmcost.instrumentation.client import ClientPatch
from otel_llmcost.instrumentation.observer import Observer
from otel_llmcost.settings import Settings, load_settings


class HttpClientInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Instruments one httpx-like module. Instrumenting twice is harmless; `uninstrument()` restores everything.

    `instrument(settings=…, tracer_provider=…)`: both default to the environment's.
    """

    module: ClassVar[str]
    requirement: ClassVar[str]
    _patch: ClientPatch | None = None

    def instrumentation_dependencies(self) -> Collection[str]:
        return (self.requirement,)

    def _instrument(self, **kwargs: Any) -> None:
        settings: Settings = kwargs.get("settings") or load_settings(os.environ)
        if settings.disabled:
            return
        tracer = get_tracer(f"{sc.WIRE_SCOPE}.{self.module}", __version__, kwargs.get("tracer_provider"))
        observer = Observer(tracer, settings.providers)
        self._patch = ClientPatch(import_module(self.module), observer)
        self._patch.apply()

    def _uninstrument(self, **_kwargs: Any) -> None:
        if self._patch is not None:
            self._patch.remove()
            self._patch = None
