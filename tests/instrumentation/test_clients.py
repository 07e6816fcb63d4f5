"""Both HTTP clients, sync and async: the span of a call, and a client that notices nothing."""

import json
import logging

import pytest
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.trace import SpanKind, StatusCode

from otel_llmcost import guard
from otel_llmcost.wire.exchange import Exchange

URL = "https://api.openai.com/v1/chat/completions"
REQUEST = {"model": "gpt-4o", "messages": [{"role": "user", "content": "a secret prompt"}]}
HEADERS = {"authorization": "Bearer sk-secret"}
USAGE = {"prompt_tokens": 100, "completion_tokens": 20, "prompt_tokens_details": {"cached_tokens": 60}}
BODY = {
    "id": "chatcmpl-1",
    "model": "gpt-4o-2024-08-06",
    "choices": [{"finish_reason": "stop", "message": {"content": "a secret answer"}}],
    "usage": USAGE,
}
CHUNKS = [
    b'data: {"id": "chatcmpl-1", "model": "gpt-4o-2024-08-06", "choices": [{"delta": {"content": "a"}}]}\n\n',
    b'data: {"id": "chatcmpl-1", "choices": [{"delta": {"content": "b"}, "finish_reason": "stop"}]}\n\n',
    b'data: {"id": "chatcmpl-1", "choices": [], "usage": ' + json.dumps(USAGE).encode() + b"}\n\ndata: [DO",
    b"NE]\n\n",
]
STREAMING = {**REQUEST, "stream": True, "stream_options": {"include_usage": True}}
EVENT_STREAM = {"content-type": "text/event-stream"}


def answer(harness, body: object = BODY, status: int = 200):
    return lambda _request: harness.http.Response(status, json=body)


def answer_stream(harness, chunks=CHUNKS, headers=EVENT_STREAM):
    return lambda _request: harness.http.Response(200, headers=headers, stream=harness.body(chunks))


def test_a_call_is_one_client_span_with_its_usage(harness) -> None:
    """The attributes of the GenAI conventions, nothing of the content, no credential."""
    harness.instrument()
    response = harness.request(answer(harness), URL, json=REQUEST, headers=HEADERS)
    assert BODY == response.json()
    (span,) = harness.spans
    assert ("chat gpt-4o", SpanKind.CLIENT, StatusCode.UNSET) == (span.name, span.kind, span.status.status_code)
    assert {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.response.model": "gpt-4o-2024-08-06",
        "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 20,
        "gen_ai.usage.cache_read.input_tokens": 60,
        "llmcost.usage.rule": "chat_completions",
        "server.address": "api.openai.com",
        "server.port": 443,
        "http.response.status_code": 200,
    } == dict(span.attributes)
    assert "secret" not in span.to_json()


def test_a_stream_passes_unchanged_and_ends_its_span_with_the_usage(harness) -> None:
    """Chunk for chunk what the provider sent; time to first chunk is measured."""
    harness.instrument()
    found = harness.request(answer_stream(harness), URL, json=STREAMING, stream=True)
    assert CHUNKS == found
    (span,) = harness.spans
    assert (100, 20, True) == tuple(
        span.attributes[key]
        for key in ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "gen_ai.request.stream")
    )
    assert 0 < span.attributes["gen_ai.response.time_to_first_chunk"] < 10
    assert "error.type" not in span.attributes


@pytest.mark.parametrize("read", [0, 1])
def test_a_stream_that_the_client_leaves_is_aborted(harness, read: int) -> None:
    """The span ends with what is known, also where nothing was read at all."""
    harness.instrument()
    harness.request(answer_stream(harness), URL, json=STREAMING, stream=True, read=read)
    (span,) = harness.spans
    assert ("stream_aborted", StatusCode.ERROR) == (span.attributes["error.type"], span.status.status_code)
    assert ("chatcmpl-1" if read else None) == span.attributes.get("gen_ai.response.id")


def test_a_refused_stream_that_is_closed_unread_is_an_error_and_no_abort(harness) -> None:
    """SDKs retry without reading the refusal's body."""
    harness.instrument()
    harness.request(answer(harness, {"error": {}}, 429), URL, json=STREAMING, stream=True, read=0)
    assert "429" == harness.spans[0].attributes["error.type"]


def test_leaving_a_stream_after_its_end_marker_is_no_abort(harness) -> None:
    """SDKs stop reading at [DONE] and close."""
    harness.instrument()
    chunks = [*CHUNKS[:2], CHUNKS[2] + CHUNKS[3], b""]
    harness.request(answer_stream(harness, chunks), URL, json=STREAMING, stream=True, read=3)
    assert "error.type" not in harness.spans[0].attributes


def test_a_stream_that_breaks_is_aborted_and_raises_what_it_raised(harness) -> None:
    """The client gets its own exception; the provider has billed what it sent."""
    harness.instrument()
    chunks = [CHUNKS[0], harness.http.ReadError("connection lost")]
    with pytest.raises(harness.http.ReadError, match="connection lost"):
        harness.request(answer_stream(harness, chunks), URL, json=STREAMING, stream=True)
    assert "stream_aborted" == harness.spans[0].attributes["error.type"]


@pytest.mark.parametrize("count", [1, 2])
def test_a_stream_cut_by_the_provider_is_aborted(harness, count: int) -> None:
    """A clean end of the connection before any finish reason; with one, a missing [DONE] is only bad manners."""
    harness.instrument()
    assert CHUNKS[:count] == harness.request(answer_stream(harness, CHUNKS[:count]), URL, json=STREAMING, stream=True)
    assert (None if count == 2 else "stream_aborted") == harness.spans[0].attributes.get("error.type")


def test_a_response_that_a_hook_closed_is_left_alone(harness) -> None:
    """Reading it would raise where the application did not."""
    harness.instrument()
    if harness.is_async:

        async def close(response):
            await response.aclose()
    else:

        def close(response):
            response.close()

    assert 200 == harness.request(answer_stream(harness), URL, json=STREAMING, stream=True, read=0, hook=close)
    assert "stream_aborted" == harness.spans[0].attributes["error.type"]


def test_a_status_that_a_hook_raised_on_is_told(harness) -> None:
    """A refusal costs nothing, whoever notices it first."""
    harness.instrument()
    if harness.is_async:

        async def check(response):
            response.raise_for_status()
    else:

        def check(response):
            response.raise_for_status()

    with pytest.raises(harness.http.HTTPStatusError):
        harness.request(answer(harness, {}, 429), URL, json=REQUEST, hook=check)
    assert 429 == harness.spans[0].attributes["http.response.status_code"]


def test_a_stream_that_breaks_after_its_end_marker_lost_nothing(harness) -> None:
    """SDKs drain what comes after [DONE], and may be cancelled or cut there."""
    harness.instrument()
    chunks = [*CHUNKS[:2], CHUNKS[2] + CHUNKS[3], harness.http.ReadError("connection lost")]
    with pytest.raises(harness.http.ReadError):
        harness.request(answer_stream(harness, chunks), URL, json=STREAMING, stream=True)
    (span,) = harness.spans
    assert (100, None) == (span.attributes["gen_ai.usage.input_tokens"], span.attributes.get("error.type"))


def test_an_http_error_ends_the_span_with_the_providers_type(harness) -> None:
    """The body's error code and the status; the response reaches the client as it is."""
    harness.instrument()
    error = {"error": {"type": "rate_limit_error", "message": "a secret prompt"}}
    response = harness.request(answer(harness, error, 429), URL, json=REQUEST)
    assert (429, error) == (response.status_code, response.json())
    (span,) = harness.spans
    assert ("rate_limit_error", 429) == tuple(
        span.attributes[key] for key in ("error.type", "http.response.status_code")
    )
    assert "secret" not in span.to_json()


def test_an_exception_of_the_client_ends_the_span(harness) -> None:
    """A request that fails before any answer is a call too."""

    def refuse(_request):
        raise harness.http.ConnectError("no route to sk-secret")

    harness.instrument()
    with pytest.raises(harness.http.ConnectError):
        harness.request(refuse, URL, json=REQUEST)
    (span,) = harness.spans
    assert "ConnectError" == span.attributes["error.type"]
    assert "secret" not in span.to_json()


def test_a_retry_tells_its_attempt(harness) -> None:
    """The SDKs count in a header; each attempt is a call of its own."""
    harness.instrument()
    harness.request(answer(harness), URL, json=REQUEST, headers={"x-stainless-retry-count": "2"})
    assert 2 == harness.spans[0].attributes["http.request.resend_count"]


def test_the_same_request_after_a_failure_is_the_next_attempt(harness) -> None:
    """Where no header counts: until it goes through, and only of the same body; a refused one is not tried again."""
    statuses = iter([503, 429, 200, 200, 400, 200])

    def serve(_request):
        return harness.http.Response(next(statuses), json=BODY)

    harness.instrument()
    for model in ("gpt-4o", "gpt-4o", "gpt-4o", "gpt-4o", "gpt-5", "gpt-5"):
        harness.request(serve, URL, json=REQUEST | {"model": model})
    assert [None, 1, 2, None, None, None] == [s.attributes.get("http.request.resend_count") for s in harness.spans]


@pytest.mark.parametrize(
    "url",
    [
        "https://api.openai.com/v1/models",
        "https://api.openai.com/v1/moderations",
        "https://api.anthropic.com/v1/messages/count_tokens",
        "https://api.anthropic.com/v1/messages/batches",
        "https://api.openai.com/v1/responses/resp_1/cancel",
        "https://example.com/checkout",
    ],
)
def test_requests_that_are_no_inference_make_no_span(harness, url: str) -> None:
    """Token counting, polling, moderation and everything else of the web."""
    harness.instrument()
    harness.request(answer(harness), url, json=REQUEST)
    assert [] == harness.spans


def test_an_unknown_host_is_its_own_seller(harness) -> None:
    """A server of your own has no list price until one is configured; it is never OpenAI."""
    harness.instrument()
    harness.request(answer(harness), "http://llm.internal:8000/v1/chat/completions", json=REQUEST)
    for host in ("survey.internal", "x1.execute-api.eu-west-1.amazonaws.com", "acme.azure-api.net"):
        harness.request(answer(harness), f"http://{host}/responses", json={"answers": [1, 2]})
    assert ["llm.internal:8000"] == [span.attributes["gen_ai.provider.name"] for span in harness.spans]


def test_a_configured_host_sells_for_whom_it_is_said_to(harness) -> None:
    """The longest prefix of host, port and path wins."""
    harness.instrument(OTEL_LLMCOST_PROVIDERS_HOSTS='{"gw.internal": openai, "gw.internal:8443/groq": groq}')
    for url in ("http://gw.internal/v1/embeddings", "https://gw.internal:8443/groq/openai/v1/chat/completions"):
        harness.request(answer(harness), url, json=REQUEST)
    assert ["openai", "groq"] == [span.attributes["gen_ai.provider.name"] for span in harness.spans]


def test_instrumenting_twice_makes_one_span_and_uninstrumenting_restores_the_client(harness) -> None:
    """The module is as it was."""
    before = harness.http.Client.send, harness.http.AsyncClient.send
    harness.instrument()
    harness.instrument()
    harness.request(answer(harness), URL, json=REQUEST)
    assert 1 == len(harness.spans)
    harness.instrumentor.uninstrument()
    assert before == (harness.http.Client.send, harness.http.AsyncClient.send)


def test_suppressed_instrumentation_is_respected(harness) -> None:
    """Another instrumentation that covers the call says so in the context."""
    harness.instrument()
    with suppress_instrumentation():
        harness.request(answer(harness), URL, json=REQUEST)
    assert [] == harness.spans


def test_disabled_means_untouched(harness) -> None:
    """OTEL_LLMCOST_DISABLED leaves the client alone."""
    before = harness.http.Client.send
    harness.instrument(OTEL_LLMCOST_DISABLED="true")
    assert before == harness.http.Client.send


def test_an_error_of_ours_never_reaches_the_application(harness, monkeypatch, caplog) -> None:
    """It is counted, logged once with no content, and the call goes on."""

    def broken(*_args, **_kwargs):
        raise RuntimeError("a secret prompt")

    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    monkeypatch.setattr(Exchange, "feed", broken)
    monkeypatch.setattr(guard, "INTERNAL_ERRORS", type(guard.INTERNAL_ERRORS)())
    harness.instrument()
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            assert BODY == harness.request(answer(harness), URL, json=REQUEST).json()
    assert (3, 3) == (len(harness.spans), guard.INTERNAL_ERRORS["feed"])
    assert 1 == len(caplog.records)
    assert "secret" not in caplog.text


def test_the_clients_own_spans_lie_below_the_call(harness) -> None:
    """The call's span is current while the request is sent."""
    tracer = harness.provider.get_tracer("test")

    def handler(_request):
        with tracer.start_as_current_span("inner"):
            return harness.http.Response(200, json=BODY)

    harness.instrument()
    harness.request(handler, URL, json=REQUEST)
    inner, outer = harness.spans
    assert outer.get_span_context().span_id == inner.parent.span_id
