"""LiteLLM's own OpenTelemetry callback."""

import os
import time

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm
from litellm.integrations.opentelemetry import OpenTelemetry, OpenTelemetryConfig
from provider import ANTHROPIC_MODEL, OPENAI_MODEL, PROMPT
from recording import recording

ASKED = [{"role": "user", "content": PROMPT}]

with recording() as to:
    litellm.turn_off_message_logging = True
    config = OpenTelemetryConfig(exporter=to.nowhere)
    litellm.callbacks = [OpenTelemetry(config=config, tracer_provider=to.tracing)]

    def told() -> None:
        """LiteLLM tells a call after it, in another thread."""
        deadline = time.monotonic() + 5
        while not any("litellm_request" in span.name for span in to.exporter.get_finished_spans()):
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
        time.sleep(0.3)

    at_openai = {"api_base": f"{to.origin}/v1", "api_key": "none"}
    at_anthropic = {"api_base": to.origin, "api_key": "none"}
    with to.scenario("litellm", "litellm", "openai", "litellm_request|chat .*"):
        litellm.completion(model=f"openai/{OPENAI_MODEL}", messages=ASKED, **at_openai)
        told()
    with to.scenario("litellm", "litellm", "stream", "litellm_request|chat .*"):
        options = {"include_usage": True}
        asked = {"messages": ASKED, "stream": True, "stream_options": options}
        list(litellm.completion(model=f"openai/{OPENAI_MODEL}", **asked, **at_openai))
        told()
    with to.scenario("litellm", "litellm", "anthropic", "litellm_request|chat .*"):
        litellm.completion(model=f"anthropic/{ANTHROPIC_MODEL}", messages=ASKED, **at_anthropic)
        told()

    # Below a span of the application LiteLLM writes on that span, unless it is told to make one of its own.
    asked = {"model": f"openai/{OPENAI_MODEL}", "messages": ASKED, **at_openai}
    request = to.tracing.get_tracer("shop").start_as_current_span
    with to.scenario("litellm", "litellm", "in-a-request", "GET /parcels"), request("GET /parcels"):
        litellm.completion(**asked)
        time.sleep(1)
    os.environ["USE_OTEL_LITELLM_REQUEST_SPAN"] = "true"
    with to.scenario("litellm", "litellm", "own-span", "litellm_request"), request("GET /parcels"):
        litellm.completion(**asked)
        litellm.completion(**asked)
        time.sleep(1)
