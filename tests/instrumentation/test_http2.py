"""HTTP/2 over TLS, against a real server: the transport makes no difference."""

import asyncio
import importlib
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypercorn.asyncio import serve
from hypercorn.config import Config
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_llmcost.instrumentation.httpx import HttpxInstrumentor
from otel_llmcost.instrumentation.httpx2 import Httpx2Instrumentor
from otel_llmcost.settings import Settings

INSTRUMENTORS = {"httpx": HttpxInstrumentor, "httpx2": Httpx2Instrumentor}
USAGE = {"prompt_tokens": 100, "completion_tokens": 20}
HEAD = {"id": "chatcmpl-1", "model": "gpt-4o-2024-08-06"}
WHOLE = json.dumps({**HEAD, "choices": [{"finish_reason": "stop"}], "usage": USAGE}).encode()
EVENTS = [
    *(f"data: {json.dumps({**HEAD, 'choices': [{'delta': {'content': 'x'}}]})}\n\n".encode() for _ in range(50)),
    f"data: {json.dumps({**HEAD, 'choices': [], 'usage': USAGE})}\n\n".encode(),
    b"data: [DONE]\n\n",
]


async def provider(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answers whole, or as a stream where the request asks for one."""
    if scope["type"] != "http":
        return
    body = b""
    while (message := await receive())["type"] == "http.request":
        body += message["body"]
        if not message["more_body"]:
            break
    assert "2" == scope["http_version"]
    stream = json.loads(body)["stream"]
    content_type = b"text/event-stream" if stream else b"application/json"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", content_type)]})
    for chunk in EVENTS if stream else [WHOLE]:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The server's URL, and the certificate of who vouches for it."""
    folder = tmp_path_factory.mktemp("tls")
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(folder / "ca.pem"))
    issued = ca.issue_cert("127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    config = Config()
    config.bind = [f"fd://{listening.detach()}"]
    config.alpn_protocols = ["h2"]
    config.certfile = config.keyfile = str(folder / "server.pem")
    loop = asyncio.new_event_loop()
    ended = asyncio.Event()
    thread = threading.Thread(
        target=lambda: loop.run_until_complete(serve(provider, config, shutdown_trigger=ended.wait)), daemon=True
    )
    thread.start()
    yield f"https://127.0.0.1:{port}/v1/chat/completions", folder / "ca.pem"
    loop.call_soon_threadsafe(ended.set)
    thread.join(10)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("module", INSTRUMENTORS)
def test_over_http_2_a_call_is_one_span_with_its_usage(authority, module: str, is_async: bool, stream: bool) -> None:
    """Sync and async, whole and streamed; the client gets what was sent."""
    url, ca = authority
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    http = importlib.import_module(module)
    client = (http.AsyncClient if is_async else http.Client)(
        http2=True, http1=False, verify=ssl.create_default_context(cafile=str(ca))
    )
    INSTRUMENTORS[module]().instrument_client(client, tracer_provider=provider, settings=Settings())
    send = _send_async if is_async else _send
    got = send(client, url, stream)
    assert (b"".join(EVENTS) if stream else WHOLE) == got
    (span,) = exporter.get_finished_spans()
    told = {key: span.attributes[f"gen_ai.usage.{key}"] for key in ("input_tokens", "output_tokens")}
    assert {"input_tokens": 100, "output_tokens": 20} == told


def _request(client: Any, url: str, stream: bool) -> Any:
    return client.build_request("POST", url, json={"model": "gpt-4o", "messages": [], "stream": stream})


def _send(client: Any, url: str, stream: bool) -> bytes:
    with client:
        response = client.send(_request(client, url, stream), stream=stream)
        assert "HTTP/2" == response.http_version
        return response.read()


def _send_async(client: Any, url: str, stream: bool) -> bytes:
    async def run() -> bytes:
        async with client:
            response = await client.send(_request(client, url, stream), stream=stream)
            assert "HTTP/2" == response.http_version
            return await response.aread()

    return asyncio.run(run())
