"""Spans of instrumented clients over a mock transport, sync and async, httpx and httpx2."""

import asyncio
import importlib
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_llmcost.estimate import BACKGROUND
from otel_llmcost.instrumentation.httpx import HttpxInstrumentor
from otel_llmcost.instrumentation.httpx2 import Httpx2Instrumentor
from otel_llmcost.settings import load_settings

INSTRUMENTORS = {"httpx": HttpxInstrumentor, "httpx2": Httpx2Instrumentor}


class Harness:
    """One HTTP client module under instrumentation; `request` drives its sync or its async client alike."""

    def __init__(self, module_name: str, *, is_async: bool) -> None:
        self.http = importlib.import_module(module_name)
        self.is_async = is_async
        self.instrumentor = INSTRUMENTORS[module_name]()
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.metrics = InMemoryMetricReader()
        self.providers = {"tracer_provider": self.provider, "meter_provider": MeterProvider([self.metrics])}

    def instrument(self, **environ: str) -> None:
        self.instrumentor.instrument(settings=load_settings(environ), **self.providers)

    @property
    def spans(self) -> list[ReadableSpan]:
        BACKGROUND.flush()
        return list(self._exporter.get_finished_spans())

    def body(self, chunks: list[bytes]) -> object:
        """A response stream of these chunks; an exception among them is raised in its turn."""
        return (_async_stream if self.is_async else _sync_stream)(self.http, chunks)

    def request(
        self,
        handler: Callable,
        url: str,
        *,
        read: int | None = None,
        stream: bool = False,
        hook=None,
        method="POST",
        **kwargs,
    ) -> object:
        """POST over a mock transport; with `hook`, a response hook of the client.

        With `stream`, read that many chunks (all: None) and close; returns the bytes, or with 0 the status.
        """
        options = {"transport": self.http.MockTransport(handler), "event_hooks": {"response": [hook] if hook else []}}
        if self.is_async:
            return asyncio.run(self._request_async(options, method, url, read, stream, kwargs))
        with self.http.Client(**options) as client:
            if not stream:
                return client.request(method, url, **kwargs)
            with client.stream(method, url, **kwargs) as response:
                if read == 0:
                    return response.status_code
                return [chunk for _, chunk in zip(range(read or 10**9), response.iter_raw(), strict=False)]

    async def _request_async(
        self, options: dict, method: str, url: str, read: int | None, stream: bool, kwargs: dict
    ) -> object:
        async with self.http.AsyncClient(**options) as client:
            if not stream:
                return await client.request(method, url, **kwargs)
            found = []
            async with client.stream(method, url, **kwargs) as response:
                if read == 0:
                    return response.status_code
                async for chunk in response.aiter_raw():
                    found.append(chunk)
                    if len(found) == read:
                        break
            return found


def _sync_stream(http, chunks):
    class Chunks(http.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            for chunk in chunks:
                if isinstance(chunk, Exception):
                    raise chunk
                yield chunk

    return Chunks()


def _async_stream(http, chunks):
    class Chunks(http.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            for chunk in chunks:
                if isinstance(chunk, Exception):
                    raise chunk
                yield chunk

    return Chunks()


@pytest.fixture(params=["httpx-sync", "httpx-async", "httpx2-sync", "httpx2-async"])
def harness(request) -> Iterator[Harness]:
    module, mode = request.param.split("-")
    harness = Harness(module, is_async=mode == "async")
    yield harness
    if harness.instrumentor.is_instrumented_by_opentelemetry:
        harness.instrumentor.uninstrument()
