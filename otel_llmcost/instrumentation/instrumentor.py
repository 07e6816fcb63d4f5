"""The OpenTelemetry instrumentor that both HTTP clients share."""

import os
from collections.abc import Collection
from importlib import import_module
from typing import Any, ClassVar

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]
from opentelemetry.instrumentation.utils import unwrap
from opentelemetry.metrics import get_meter
from opentelemetry.trace import get_tracer

from otel_llmcost import __version__
from otel_llmcost import semconv as sc
from otel_llmcost.instrumentation.client import ClientPatch
from otel_llmcost.instrumentation.observer import Observer
from otel_llmcost.settings import Settings, load_settings


class HttpClientInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """Instruments one httpx-like module. Instrumenting twice is harmless; `uninstrument()` restores everything.

    `instrument(settings=…, tracer_provider=…, meter_provider=…)`: all default to the environment's.
    """

    module: ClassVar[str]
    requirement: ClassVar[str]
    _patch: ClientPatch | None = None

    def instrumentation_dependencies(self) -> Collection[str]:
        return (self.requirement,)

    def instrument_client(self, client: Any, **kwargs: Any) -> None:
        """Instrument one client, sync or async, and leave the module alone; options as for `instrument`."""
        patch = self._make_patch(**kwargs)
        if patch is not None:
            patch.apply_to(client)

    def uninstrument_client(self, client: Any) -> None:
        """Restore one client."""
        unwrap(client, "send")

    def _instrument(self, **kwargs: Any) -> None:
        self._patch = self._make_patch(**kwargs)
        if self._patch is not None:
            self._patch.apply()

    def _uninstrument(self, **_kwargs: Any) -> None:
        if self._patch is not None:
            self._patch.remove()
            self._patch = None

    def _make_patch(self, **kwargs: Any) -> ClientPatch | None:
        settings: Settings = kwargs.get("settings") or load_settings(os.environ)
        if settings.disabled:
            return None
        scope = f"{sc.WIRE_SCOPE}.{self.module}"
        tracer = get_tracer(scope, __version__, kwargs.get("tracer_provider"))
        meter = get_meter(scope, __version__, kwargs.get("meter_provider"))
        return ClientPatch(import_module(self.module), Observer(tracer, meter, settings.providers))
