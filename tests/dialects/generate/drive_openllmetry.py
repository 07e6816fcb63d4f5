"""OpenLLMetry: OpenAI, Anthropic, Bedrock, LangChain."""

import json
import os

os.environ["TRACELOOP_TRACE_CONTENT"] = "false"
os.environ["ANTHROPIC_OPEN_TELEMETRY"] = "false"

import anthropic
import boto3
import openai
from langchain.agents import create_agent
from langchain_anthropic import ChatAnthropic
from langchain_openai import ChatOpenAI
from opentelemetry.instrumentation.anthropic import AnthropicInstrumentor
from opentelemetry.instrumentation.bedrock import BedrockInstrumentor
from opentelemetry.instrumentation.langchain import LangchainInstrumentor
from opentelemetry.instrumentation.openai import OpenAIInstrumentor
from provider import ANTHROPIC_MODEL, BEDROCK_MODEL, OPENAI_MODEL, PROMPT
from recording import recording

ASKED = [{"role": "user", "content": PROMPT}]


def find_parcel() -> str:
    """Finds a parcel."""
    return "found"


with recording() as to:
    instrumented = OpenAIInstrumentor()
    anthropic_instrumentor = AnthropicInstrumentor()
    for instrumentor in (instrumented, anthropic_instrumentor, BedrockInstrumentor()):
        instrumentor.instrument(tracer_provider=to.tracing)
    package = "opentelemetry-instrumentation-"
    client = openai.OpenAI(base_url=f"{to.origin}/v1", api_key="none")
    with to.scenario("openllmetry-openai", package + "openai", "chat", "openai.chat"):
        client.chat.completions.create(model=OPENAI_MODEL, messages=ASKED)
    with to.scenario("openllmetry-openai", package + "openai", "stream", "openai.chat"):
        options = {"include_usage": True}
        list(client.chat.completions.create(model=OPENAI_MODEL, messages=ASKED, stream=True, stream_options=options))
    with to.scenario("openllmetry-openai", package + "openai", "responses", "openai.response"):
        client.responses.create(model=OPENAI_MODEL, input=PROMPT)
    with to.scenario("openllmetry-openai", package + "openai", "embeddings", "openai.embeddings"):
        client.embeddings.create(model="text-embedding-3-small", input=PROMPT)
    claude = anthropic.Anthropic(base_url=to.origin, api_key="none")
    with to.scenario("openllmetry-anthropic", package + "anthropic", "chat", "anthropic.chat"):
        claude.messages.create(model=ANTHROPIC_MODEL, messages=ASKED, max_tokens=1000)
    wrong = {"output": 301}  # it adds the count that a stream begins with to the final one
    with to.scenario("openllmetry-anthropic", package + "anthropic", "stream", "anthropic.chat", told_wrong=wrong):
        list(claude.messages.create(model=ANTHROPIC_MODEL, messages=ASKED, max_tokens=1000, stream=True))
    keys = {"aws_access_key_id": "none", "aws_secret_access_key": "none"}
    bedrock = boto3.client("bedrock-runtime", region_name="us-east-1", endpoint_url=to.origin, **keys)
    with to.scenario("openllmetry-bedrock", package + "bedrock", "converse", ".*"):
        bedrock.converse(modelId=BEDROCK_MODEL, messages=[{"role": "user", "content": [{"text": PROMPT}]}])
    with to.scenario("openllmetry-bedrock", package + "bedrock", "invoke", ".*"):
        body = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 1000, "messages": ASKED}
        bedrock.invoke_model(modelId=BEDROCK_MODEL, body=json.dumps(body))["body"].read()
    instrumented.uninstrument()
    anthropic_instrumentor.uninstrument()
    LangchainInstrumentor().instrument(tracer_provider=to.tracing)
    model = ChatOpenAI(model=OPENAI_MODEL, base_url=f"{to.origin}/v1", api_key="none")
    with to.scenario("openllmetry-langchain", package + "langchain", "chat", "ChatOpenAI.*"):
        model.invoke(PROMPT)
    with to.scenario("openllmetry-langchain", package + "langchain", "agent", "ChatOpenAI.*"):
        create_agent(model, tools=[find_parcel], name="courier").invoke({"messages": ASKED})
    chat = ChatAnthropic(model=ANTHROPIC_MODEL, base_url=to.origin, api_key="none", max_tokens=1000)
    with to.scenario("openllmetry-langchain", package + "langchain", "anthropic", "ChatAnthropic.*"):
        chat.invoke(PROMPT)
    # Both instrumentations on one call: the inner one is silenced.
    instrumented.instrument(tracer_provider=to.tracing)
    with to.scenario("openllmetry-langchain", package + "langchain", "and-openai", "ChatOpenAI.*"):
        model.invoke(PROMPT)
