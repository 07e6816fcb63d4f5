"""Recorded exchanges through real HTTP clients: httpx and httpx2, sync and async, whole and in chunks."""

import asyncio
import base64
import gzip
import importlib
import json
import random
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_llmcost.call import LLMCall, Source
from otel_llmcost.instrumentation.httpx import HttpxInstrumentor
from otel_llmcost.instrumentation.httpx2 import Httpx2Instrumentor
from otel_llmcost.pipeline import Pipeline
from otel_llmcost.processors.sdk import from_sdk
from otel_llmcost.settings import load_settings

INSTRUMENTORS = {"httpx": HttpxInstrumentor, "httpx2": Httpx2Instrumentor}

Row = dict[str, Any]


def body_of(row: Row) -> bytes:
    """The decoded response body."""
    body = row["response_body"]
    return base64.b64decode(body) if row["response_body_encoding"] == "base64" else body.encode()


def wire_body_of(row: Row) -> tuple[bytes, dict[str, str]]:
    """The body as it went over the wire, compressed again where it was, and its headers."""
    headers = dict(row["response_headers"])
    if row["wire_encoding"] == "gzip":
        return gzip.compress(body_of(row), 1, mtime=0), {**headers, "content-encoding": "gzip"}
    return body_of(row), headers


def cut(body: bytes, seed: str) -> list[bytes]:
    """Random chunks: mostly a few large ones, sometimes single bytes; the same for the same seed."""
    choice = random.Random(seed)
    largest = choice.choice((3, 64, 1_500, 16_384)) if len(body) < 3_000 else choice.choice((1_500, 16_384, 65_536))
    chunks, at = [], 0
    while at < len(body):
        size = choice.randint(1, largest)
        chunks.append(body[at : at + size])
        at += size
    return chunks


def request_arguments(row: Row) -> dict[str, Any]:
    """Arguments of `build_request`: a form where the recording was one."""
    document = row["request_body"]
    found: dict[str, Any] = {"method": row["method"], "url": row["url"], "extensions": {"row": row}}
    if isinstance(document, dict) and "_multipart" in document:
        fields = {key: str(value) for key, value in document["_multipart"].items() if key != "file"}
        return {**found, "data": fields, "files": {"file": ("speech.wav", b"RIFF")}}
    if document is None:
        return found
    content = document if isinstance(document, str) else json.dumps(document)
    return {**found, "content": content.encode(), "headers": {"content-type": "application/json"}}


@dataclass(frozen=True)
class Mode:
    """One way through: which client, sync or async, read whole or as a stream of random chunks."""

    module: str
    is_async: bool
    chunked: bool

    def __str__(self) -> str:
        how = "async" if self.is_async else "sync"
        return f"{self.module}-{how}-{'chunks' if self.chunked else 'whole'}"


MODES = [Mode(m, a, c) for m in INSTRUMENTORS for a in (False, True) for c in (False, True)]


class Replay:
    """Sends rows through one instrumented client; `run` gives the lines of each, and what the client received."""

    def __init__(self, mode: Mode) -> None:
        self._mode = mode
        self._http = importlib.import_module(mode.module)
        self._exporter = InMemorySpanExporter()
        self._provider = TracerProvider()
        self._provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self._pipeline = Pipeline.from_settings(load_settings({}))

    def run(self, rows: list[Row], check: Callable[[Row, list[LLMCall], bytes], None]) -> None:
        """`check` gets each row, the bill lines that it made and the bytes that the client received."""
        instrumentor = INSTRUMENTORS[self._mode.module]()
        # What is told is compared, so nothing is estimated.
        settings = load_settings({"OTEL_LLMCOST_PROVIDERS_ESTIMATE": "false"})
        instrumentor.instrument(tracer_provider=self._provider, settings=settings)
        try:
            if self._mode.is_async:
                asyncio.run(self._run_async(rows, check))
            else:
                self._run_sync(rows, check)
        finally:
            instrumentor.uninstrument()

    def _run_sync(self, rows: list[Row], check: Callable[[Row, list[LLMCall], bytes], None]) -> None:
        with self._http.Client(transport=self._http.MockTransport(self._answer)) as client:
            for row in rows:
                request = client.build_request(**request_arguments(row))
                response = client.send(request, stream=self._mode.chunked)
                received = b"".join(response.iter_raw()) if self._mode.chunked else response.content
                response.close()
                check(row, self._lines(), received)

    async def _run_async(self, rows: list[Row], check: Callable[[Row, list[LLMCall], bytes], None]) -> None:
        async with self._http.AsyncClient(transport=self._http.MockTransport(self._answer)) as client:
            for row in rows:
                request = client.build_request(**request_arguments(row))
                response = await client.send(request, stream=self._mode.chunked)
                if self._mode.chunked:
                    received = b"".join([chunk async for chunk in response.aiter_raw()])
                else:
                    received = response.content
                await response.aclose()
                check(row, self._lines(), received)

    def _answer(self, request: Any) -> Any:
        row = request.extensions["row"]
        body, headers = wire_body_of(row)
        chunks = cut(body, row["id"] + str(self._mode)) if self._mode.chunked else [body]
        stream = _async_stream if self._mode.is_async else _sync_stream
        return self._http.Response(row["status"], headers=headers, stream=stream(self._http, chunks))

    def _lines(self) -> list[LLMCall]:
        spans = self._exporter.get_finished_spans()
        self._exporter.clear()
        lines = (self._pipeline.process_span(from_sdk(span), Source.WIRE) for span in spans)
        return [line for line in lines if line is not None]


def _sync_stream(http: Any, chunks: list[bytes]) -> Any:
    class Chunks(http.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            yield from chunks

    return Chunks()


def _async_stream(http: Any, chunks: list[bytes]) -> Any:
    class Chunks(http.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            for chunk in chunks:
                yield chunk

    return Chunks()
