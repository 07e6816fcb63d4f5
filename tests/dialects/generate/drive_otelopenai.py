"""OpenTelemetry's own instrumentation of OpenAI of the first generation, which still is in most installations."""

import openai
from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor
from provider import OPENAI_MODEL, PROMPT
from recording import recording

ASKED = [{"role": "user", "content": PROMPT}]
EMITTER = ("otel-openai-v2", "opentelemetry-instrumentation-openai-v2")

with recording() as to:
    OpenAIInstrumentor().instrument(tracer_provider=to.tracing)
    client = openai.OpenAI(base_url=f"{to.origin}/v1", api_key="none")
    with to.scenario(*EMITTER, "chat", "chat .*"):
        client.chat.completions.create(model=OPENAI_MODEL, messages=ASKED)
    with to.scenario(*EMITTER, "stream", "chat .*"):
        options = {"include_usage": True}
        list(client.chat.completions.create(model=OPENAI_MODEL, messages=ASKED, stream=True, stream_options=options))
    with to.scenario(*EMITTER, "embeddings", "embeddings .*"):
        client.embeddings.create(model="text-embedding-3-small", input=PROMPT)
