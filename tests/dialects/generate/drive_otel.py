"""OpenTelemetry's own instrumentations: OpenAI, Gemini, Bedrock."""

import json

import anthropic
import boto3
import openai
from google import genai
from opentelemetry.instrumentation.botocore import BotocoreInstrumentor
from opentelemetry.instrumentation.genai.anthropic import AnthropicInstrumentor
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
from opentelemetry.instrumentation.google_genai import GoogleGenAiSdkInstrumentor
from provider import ANTHROPIC_MODEL, BEDROCK_MODEL, GEMINI_MODEL, OPENAI_MODEL, PROMPT
from recording import recording

CLAUDE = ("otel-genai-anthropic", "opentelemetry-instrumentation-genai-anthropic")
GEMINI = ("otel-google-genai", "opentelemetry-instrumentation-google-genai")
ASKED = [{"role": "user", "content": PROMPT}]

with recording() as to:
    claude = anthropic.Anthropic(base_url=to.origin, api_key="none")
    with to.scenario("anthropic-sdk", "anthropic", "chat", "anthropic.messages.create"):
        claude.messages.create(model=ANTHROPIC_MODEL, messages=ASKED, max_tokens=1000)
    to.server.caches_for_an_hour = True
    with to.scenario("anthropic-sdk", "anthropic", "hour", "anthropic.messages.create"):
        claude.messages.create(model=ANTHROPIC_MODEL, messages=ASKED, max_tokens=1000)
    to.server.caches_for_an_hour = False
    for instrumentor in (
        OpenAIInstrumentor(),
        AnthropicInstrumentor(),
        GoogleGenAiSdkInstrumentor(),
        BotocoreInstrumentor(),
    ):
        instrumentor.instrument(tracer_provider=to.tracing)
    client = openai.OpenAI(base_url=f"{to.origin}/v1", api_key="none")
    official = ("otel-genai-openai", "opentelemetry-instrumentation-genai-openai")
    with to.scenario(*official, "chat", "chat .*"):
        client.chat.completions.create(model=OPENAI_MODEL, messages=ASKED)
    with to.scenario(*official, "stream", "chat .*"):
        options = {"include_usage": True}
        list(client.chat.completions.create(model=OPENAI_MODEL, messages=ASKED, stream=True, stream_options=options))
    with to.scenario(*official, "embeddings", "embeddings .*"):
        client.embeddings.create(model="text-embedding-3-small", input=PROMPT)
    with to.scenario(*official, "responses", "chat .*"):
        client.responses.create(model=OPENAI_MODEL, input=PROMPT)
    # The SDK itself tells its calls where a tracer provider is set, beside whoever instruments it.
    claude = anthropic.Anthropic(base_url=to.origin, api_key="none")
    with to.scenario(*CLAUDE, "chat", "chat .*"):
        claude.messages.create(model=ANTHROPIC_MODEL, messages=ASKED, max_tokens=1000)
    with to.scenario(*CLAUDE, "stream", "chat .*"):  # noqa: SIM117
        with claude.messages.stream(model=ANTHROPIC_MODEL, messages=ASKED, max_tokens=1000) as stream:
            stream.get_final_message()
    gemini = genai.Client(api_key="none", http_options={"base_url": to.origin})
    with to.scenario(*GEMINI, "chat", "generate_content .*"):
        gemini.models.generate_content(model=GEMINI_MODEL, contents=PROMPT)
    with to.scenario(
        "otel-google-genai", "opentelemetry-instrumentation-google-genai", "stream", "generate_content .*"
    ):
        list(gemini.models.generate_content_stream(model=GEMINI_MODEL, contents=PROMPT))
    keys = {"aws_access_key_id": "none", "aws_secret_access_key": "none"}
    bedrock = boto3.client("bedrock-runtime", region_name="us-east-1", endpoint_url=to.origin, **keys)
    with to.scenario("otel-botocore", "opentelemetry-instrumentation-botocore", "converse", "chat .*"):
        bedrock.converse(modelId=BEDROCK_MODEL, messages=[{"role": "user", "content": [{"text": PROMPT}]}])
    cache = ("cache_read", "cache_write")  # told for Converse alone
    with to.scenario("otel-botocore", "opentelemetry-instrumentation-botocore", "invoke", "chat .*", lost=cache):
        body = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 1000, "messages": ASKED}
        bedrock.invoke_model(modelId=BEDROCK_MODEL, body=json.dumps(body))["body"].read()
