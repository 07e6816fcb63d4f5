"""Applications in two languages that call a provider and send OTLP/HTTP, and a tap that knows what they sent."""

import gzip
import json
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from threading import Thread
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind

CHAT, EMBEDDING = "gpt-4o-2024-08-06", "text-embedding-3-small"


class Tap:
    """Stands between an application and a Collector, and keeps every message on its way."""

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self.received: list[ResourceSpans] = []

    def answer(self, path: str, headers: Message, body: bytes) -> tuple[int, str, bytes]:
        plain = gzip.decompress(body) if headers.get("Content-Encoding") == "gzip" else body
        self.received += ExportTraceServiceRequest.FromString(plain).resource_spans
        kept = {key: headers[key] for key in ("Content-Type", "Content-Encoding") if key in headers}
        request = urllib.request.Request(f"http://127.0.0.1:{self.target_port}{path}", body, kept)
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, response.headers["Content-Type"], response.read()


class Provider:
    """What OpenAI answers, with usage that is never twice the same."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def answer(self, path: str, _headers: Message, body: bytes) -> tuple[int, str, bytes]:
        asked, number = json.loads(body), next(self._numbers)
        usage = {"prompt_tokens": 1_000 + number, "completion_tokens": 200 + number, "total_tokens": 1_200 + 2 * number}
        if path.endswith("/embeddings"):
            entry = {"object": "embedding", "index": 0, "embedding": [0.5]}
            usage = {"prompt_tokens": 50 + number, "total_tokens": 50 + number}
            return _json({"object": "list", "data": [entry], "model": EMBEDDING, "usage": usage})
        head = {"id": f"chatcmpl-{number}", "created": 1, "model": CHAT}
        if asked.get("stream"):
            choice = {"index": 0, "delta": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}
            kind = {"object": "chat.completion.chunk"}
            chunks = [head | kind | {"choices": [choice]}, head | kind | {"choices": [], "usage": usage}]
            events = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks]
            return 200, "text/event-stream", "".join([*events, "data: [DONE]\n\n"]).encode()
        choice = {"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}
        return _json(head | {"object": "chat.completion", "choices": [choice], "usage": usage})


def _json(document: dict[str, Any]) -> tuple[int, str, bytes]:
    return 200, "application/json", json.dumps(document).encode()


@contextmanager
def answering(who: Tap | Provider) -> Iterator[int]:
    """Serve it over HTTP; the port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            status, content_type, answer = who.answer(self.path, self.headers, self._body())
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers["Content-Length"]))
            chunks = iter(lambda: self.rfile.read(int(self.rfile.readline(), 16) + 2)[:-2], b"")
            return b"".join(chunks)

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def send_from_python(port: int, requests: int) -> int:
    """OpenTelemetry's SDK, with the attributes that an instrumentation sets; the number of spans."""
    resource = Resource.create({"service.name": "python", "process.command_args": ["python", "-m", "shop"]})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"http://127.0.0.1:{port}/v1/traces")))
    shop = provider.get_tracer("shop", "1.0")
    genai = provider.get_tracer("opentelemetry.instrumentation.openai_v2", "2.4b0")
    for number in range(requests):
        with shop.start_as_current_span("POST /ask", kind=SpanKind.SERVER) as served:
            served.set_attribute("http.route", "/ask")
            with shop.start_as_current_span("SELECT", kind=SpanKind.CLIENT) as query:
                query.add_event("fetched", {"rows": number})
            with genai.start_as_current_span("chat gpt-4o", kind=SpanKind.CLIENT) as call:
                call.set_attributes(_chat(number))
    provider.shutdown()
    return 3 * requests


def _chat(number: int) -> dict[str, Any]:
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.response.model": CHAT,
        "gen_ai.response.finish_reasons": ["stop", "length"],
        "gen_ai.usage.input_tokens": 2_000 + number,
        "gen_ai.usage.output_tokens": 300 + number,
        "llmcost.cost.usd": 0.0,  # from outside: not to be believed
    }


def send_from_javascript(folder: Path, provider_port: int, port: int, requests: int) -> int:
    """OpenAI's SDK for JavaScript under OpenTelemetry's instrumentation; the number of spans."""
    urls = [f"http://127.0.0.1:{provider_port}/v1", f"http://127.0.0.1:{port}/v1/traces"]
    done = subprocess.run(
        ["node", folder / "sender.js", *urls, str(requests)], capture_output=True, text=True, check=False, timeout=60
    )
    assert (0, "") == (done.returncode, done.stderr)
    return len(done.stdout.splitlines())
