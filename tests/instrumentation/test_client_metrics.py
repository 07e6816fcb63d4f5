"""The standard metrics, and instrumenting one client."""

import asyncio
import json

from otel_llmcost.settings import Settings

URL = "https://api.openai.com/v1/chat/completions"
REQUEST = {"model": "gpt-4o", "stream": True, "stream_options": {"include_usage": True}}
BODY = {"id": "c", "model": "gpt-4o-2024-08-06", "usage": {"prompt_tokens": 100, "completion_tokens": 20}}
CHUNKS = [
    b'data: {"id": "c", "model": "gpt-4o-2024-08-06", "choices": [{"delta": {"content": "a"}}]}\n\n',
    b'data: {"id": "c", "choices": [{"delta": {}, "finish_reason": "stop"}]}\n\n',
    b'data: {"id": "c", "choices": [], "usage": ' + json.dumps(BODY["usage"]).encode() + b"}\n\ndata: [DONE]\n\n",
]


def points(harness) -> dict[str, list]:
    (resource,) = harness.metrics.get_metrics_data().resource_metrics
    return {metric.name: list(metric.data.data_points) for scope in resource.scope_metrics for metric in scope.metrics}


def test_a_call_is_counted_in_the_standard_metrics(harness) -> None:
    """Tokens by type, the duration; of a body that is no stream there are no chunks to time."""
    harness.instrument()
    harness.request(lambda _request: harness.http.Response(200, json=BODY), URL, json={"model": "gpt-4o"})
    found = points(harness)
    tokens = {point.attributes["gen_ai.token.type"]: point.sum for point in found["gen_ai.client.token.usage"]}
    assert {"input": 100, "output": 20} == tokens
    (duration,) = found["gen_ai.client.operation.duration"]
    assert 0 < duration.sum < 10
    assert {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.response.model": "gpt-4o-2024-08-06",
        "server.address": "api.openai.com",
        "server.port": 443,
    } == dict(duration.attributes)
    assert {"gen_ai.client.token.usage", "gen_ai.client.operation.duration"} == set(found)


def test_the_chunks_of_a_stream_are_timed(harness) -> None:
    """The first one, and the mean time between the others."""
    harness.instrument()

    def handler(_request):
        headers = {"content-type": "text/event-stream"}
        return harness.http.Response(200, headers=headers, stream=harness.body(CHUNKS))

    harness.request(handler, URL, json=REQUEST, stream=True)
    found = points(harness)
    for name in ("time_to_first_chunk", "time_per_output_chunk"):
        (point,) = found[f"gen_ai.client.operation.{name}"]
        assert (1, True) == (point.count, 0 < point.sum < 10)


def test_a_failed_call_tells_its_error(harness) -> None:
    """No tokens; a duration with the error's type."""
    harness.instrument()
    harness.request(lambda _request: harness.http.Response(500, json={}), URL, json={"model": "gpt-4o"})
    found = points(harness)
    assert ["500"] == [point.attributes["error.type"] for point in found["gen_ai.client.operation.duration"]]
    assert "gen_ai.client.token.usage" not in found


def test_one_client_can_be_instrumented_alone(harness) -> None:
    """Another client is not observed; with the module instrumented too, a call is still one span."""
    transport = harness.http.MockTransport(lambda _request: harness.http.Response(200, json=BODY))
    make = harness.http.AsyncClient if harness.is_async else harness.http.Client
    client, other = make(transport=transport), make(transport=transport)

    def post(each) -> int:
        answer = each.post(URL, json={"model": "gpt-4o"})
        if harness.is_async:
            asyncio.run(_wait(answer))
        return len(harness.spans)

    harness.instrumentor.instrument_client(client, settings=Settings(), **harness.providers)
    assert [1, 1] == [post(client), post(other)]
    harness.instrument()
    assert [2, 3] == [post(client), post(other)]
    harness.instrumentor.uninstrument()
    harness.instrumentor.uninstrument_client(client)
    assert 3 == post(client)


async def _wait(answer) -> None:
    await answer
