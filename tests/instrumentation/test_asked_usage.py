"""Chat streams that do not ask for their usage: it is asked for at the wire, and the client sees nothing of it."""

import json

import pytest

AZURE = "https://acme.openai.azure.com/openai/deployments/chat/chat/completions?api-version=2024-10-21"
OPENAI = "https://api.openai.com/v1/chat/completions"
REQUEST = {"model": "gpt-4o", "messages": [{"role": "user", "content": "grün"}], "stream": True}
TEXT = b'data: {"id":"chatcmpl-1","model":"gpt-4o-2024-08-06","choices":[{"delta":{"content":"a"}}]%s}\n\n'
LAST = b'data: {"id":"chatcmpl-1","choices":[{"delta":{},"finish_reason":"stop"}]%s}\n\n'
USAGE = b'data: {"id":"chatcmpl-1","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3}}\n\n'
DONE = b"data: [DONE]\n\n"
EVENT_STREAM = {"content-type": "text/event-stream"}


class Provider:
    """Answers as OpenAI does: with usage only where it is asked for."""

    def __init__(self, harness, headers: dict[str, str] | None = None) -> None:
        self.requests = []
        self._harness = harness
        self._headers = {**EVENT_STREAM, **(headers or {})}

    def __call__(self, request):
        self.requests.append(request)
        asked = json.loads(request.content).get("stream_options", {}).get("include_usage")
        null = b',"usage":null' if asked else b""
        chunks = [TEXT % null, LAST % null, *([USAGE] if asked else []), DONE]
        return self._harness.http.Response(200, headers=self._headers, stream=self._harness.body(chunks))

    @property
    def asked(self) -> list[bool]:
        return ["stream_options" in json.loads(request.content) for request in self.requests]


@pytest.mark.parametrize("url", [OPENAI, AZURE])
def test_the_usage_is_known_and_the_client_gets_the_chunks_it_would_have_got(harness, url: str) -> None:
    """Chunk for chunk; the request reaches the provider with a right length and asks for plain bytes."""
    provider = Provider(harness)
    without = harness.request(provider, url, json=REQUEST, stream=True)
    harness.instrument()
    assert without == harness.request(provider, url, json=REQUEST, stream=True)
    sent = provider.requests[1]
    assert [False, True] == provider.asked
    assert (str(len(sent.content)), "identity") == (sent.headers["content-length"], sent.headers["accept-encoding"])
    assert {**REQUEST, "stream_options": {"include_usage": True}} == json.loads(sent.content)
    (span,) = harness.spans
    assert (7, 3) == (span.attributes["gen_ai.usage.input_tokens"], span.attributes["gen_ai.usage.output_tokens"])
    assert "error.type" not in span.attributes


def test_the_response_names_the_applications_own_request(harness) -> None:
    """Hooks and logs of the application see what it sent."""
    seen = []
    if harness.is_async:

        async def hook(response):
            await response.aread()
            seen.append(response)
    else:

        def hook(response):
            response.read()
            seen.append(response)

    harness.instrument()
    harness.request(Provider(harness), OPENAI, json=REQUEST, stream=True, read=0, hook=hook)
    assert REQUEST == json.loads(seen[0].request.content)


def test_an_exception_names_the_applications_own_request(harness) -> None:
    """As without us."""

    def refuse(request):
        raise harness.http.ConnectError("no route", request=request)

    harness.instrument()
    with pytest.raises(harness.http.ConnectError) as error:
        harness.request(refuse, OPENAI, json=REQUEST, stream=True)
    assert REQUEST == json.loads(error.value.request.content)


@pytest.mark.parametrize(
    ("environ", "url", "asked"),
    [
        ({"OTEL_LLMCOST_PROVIDERS_STREAM_USAGE": "false"}, OPENAI, False),
        ({"OTEL_LLMCOST_PROVIDERS_STREAM_USAGE_HOSTS": "{api.openai.com: false}"}, OPENAI, False),
        ({}, "http://vllm.internal:8000/v1/chat/completions", False),
        (
            {"OTEL_LLMCOST_PROVIDERS_STREAM_USAGE_HOSTS": '{"vllm.internal:8000": true}'},
            "http://vllm.internal:8000/v1/chat/completions",
            True,
        ),
        ({}, "https://api.groq.com/openai/v1/chat/completions", False),
    ],
)
def test_who_is_asked_can_be_switched_for_all_and_for_each_host(harness, environ: dict, url: str, asked: bool) -> None:
    """By default those who are known to understand and to need the question."""
    provider = Provider(harness)
    harness.instrument(**environ)
    harness.request(provider, url, json=REQUEST, stream=True)
    assert [asked] == provider.asked


def test_a_stream_that_is_read_whole_is_not_asked(harness) -> None:
    """Nothing could be taken out of it again."""
    provider = Provider(harness)
    harness.instrument()
    response = harness.request(provider, OPENAI, json=REQUEST)
    assert ([False], True) == (provider.asked, response.content.endswith(DONE))


def test_a_stream_that_the_application_asked_itself_is_passed_as_it_is(harness) -> None:
    """The usage chunk included."""
    harness.instrument()
    request = {**REQUEST, "stream_options": {"include_usage": True}}
    assert USAGE in harness.request(Provider(harness), OPENAI, json=request, stream=True)
