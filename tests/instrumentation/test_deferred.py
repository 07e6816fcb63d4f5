"""Calls whose usage a later request tells, and forms whose body is a stream."""

import pytest

from otel_llmcost.call import Source
from otel_llmcost.pipeline import Pipeline
from otel_llmcost.processors.sdk import from_sdk
from otel_llmcost.settings import Settings

PIPELINE = Pipeline.from_settings(Settings())
URL = "https://api.openai.com/v1/responses"
QUEUED = {"id": "resp_1", "object": "response", "background": True, "status": "queued", "model": "gpt-5", "usage": None}
DONE = {
    **QUEUED,
    "status": "completed",
    "created_at": 1_780_000_000,
    "completed_at": 1_780_000_042,
    "usage": {"input_tokens": 100, "output_tokens": 20},
}


def test_a_background_response_is_one_line_however_often_it_is_polled(harness) -> None:
    """The answer to the request has no usage, the poll that finds it done has: one id, the earlier time."""
    harness.instrument()
    for method, url, body in [
        ("POST", URL, QUEUED),
        ("GET", f"{URL}/resp_1", {**QUEUED, "status": "in_progress"}),
        ("GET", f"{URL}/resp_1", DONE),
        ("GET", f"{URL}/resp_1", DONE),
    ]:
        harness.request(lambda _request, body=body: harness.http.Response(200, json=body), url, method=method)
    lines = [PIPELINE.process_span(from_sdk(span), Source.SDK_SPAN) for span in harness.spans]
    assert [(0, False), (120, True), (120, True)] == [
        (line.usage.input_tokens + line.usage.output_tokens, line.usage.known) for line in lines
    ]
    assert 1 == len({line.call_id for line in lines})
    assert {(1_780_000_000_000_000_000, 1_780_000_042_000_000_000)} == {(it.start_ns, it.end_ns) for it in lines[1:]}


@pytest.mark.parametrize(
    ("url", "body"),
    [
        (f"{URL}/resp_1", {**DONE, "background": False}),
        ("http://llm.internal/v1/responses/resp_1", DONE),
        ("https://api.openai.com/v1/models", {"data": []}),
    ],
)
def test_any_other_get_makes_no_line(harness, url: str, body: dict) -> None:
    """Reading a response again, a server whose ids are not unique, a list."""
    harness.instrument()
    harness.request(lambda _request: harness.http.Response(200, json=body), url, method="GET")
    assert [] == harness.spans


def test_a_transcription_is_priced_by_the_model_of_its_form(harness) -> None:
    """The form's body is a stream of a file, which is not read for us."""
    harness.instrument()
    harness.request(
        lambda _request: harness.http.Response(200, json={"text": "x", "usage": {"type": "duration", "seconds": 60}}),
        "https://api.openai.com/v1/audio/transcriptions",
        data={"model": "whisper-1"},
        files={"file": ("a.wav", b"RIFF" * 10)},
    )
    (span,) = harness.spans
    line = PIPELINE.process_span(from_sdk(span), Source.SDK_SPAN)
    assert ("whisper-1", "exact", 0.006) == (line.model, line.cost.status, float(line.cost.effective.total_usd))
