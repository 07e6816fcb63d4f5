"""Requests whose body is a stream."""


def test_a_streamed_request_body_is_not_read_for_us(harness) -> None:
    """The call is still told by its URL; the model comes from the response."""

    def handler(request):
        return harness.http.Response(200, json={"id": "c", "model": "gpt-4o-2024-08-06", "usage": {"prompt_tokens": 1}})

    harness.instrument()
    body = harness.body([b'{"model": ', b'"gpt-4o"}'])
    harness.request(handler, "https://api.openai.com/v1/chat/completions", content=body)
    (span,) = harness.spans
    assert ("chat", "gpt-4o-2024-08-06") == (span.name, span.attributes["gen_ai.response.model"])
