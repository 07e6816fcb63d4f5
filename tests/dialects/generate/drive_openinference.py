"""OpenInference: OpenAI, Anthropic, Bedrock, LangChain."""

import json
import os

os.environ["OPENINFERENCE_HIDE_INPUTS"] = os.environ["OPENINFERENCE_HIDE_OUTPUTS"] = "true"
os.environ["ANTHROPIC_OPEN_TELEMETRY"] = "false"

import anthropic
import boto3
import openai
from langchain.agents import create_agent
from langchain_anthropic import ChatAnthropic
from langchain_openai import ChatOpenAI
from openinference.instrumentation import using_attributes
from openinference.instrumentation.anthropic import AnthropicInstrumentor
from openinference.instrumentation.bedrock import BedrockInstrumentor
from openinference.instrumentation.langchain import LangChainInstrumentor
from openinference.instrumentation.openai import OpenAIInstrumentor
from provider import ANTHROPIC_MODEL, BEDROCK_MODEL, OPENAI_MODEL, PROMPT
from recording import recording

ASKED = [{"role": "user", "content": PROMPT}]
WHO = {"session": "conversation-7", "user": "user-42"}


def find_parcel() -> str:
    """Finds a parcel."""
    return "found"


with recording() as to:
    instrumented = OpenAIInstrumentor()
    anthropic_instrumentor = AnthropicInstrumentor()
    for instrumentor in (instrumented, anthropic_instrumentor, BedrockInstrumentor()):
        instrumentor.instrument(tracer_provider=to.tracing)
    package = "openinference-instrumentation-"
    client = openai.OpenAI(base_url=f"{to.origin}/v1", api_key="none")
    with to.scenario("openinference-openai", package + "openai", "chat", "ChatCompletion", who=WHO):  # noqa: SIM117
        with using_attributes(session_id="conversation-7", user_id="user-42"):
            client.chat.completions.create(model=OPENAI_MODEL, messages=ASKED)
    with to.scenario("openinference-openai", package + "openai", "stream", "ChatCompletion"):
        options = {"include_usage": True}
        list(client.chat.completions.create(model=OPENAI_MODEL, messages=ASKED, stream=True, stream_options=options))
    with to.scenario("openinference-openai", package + "openai", "responses", "Response"):
        client.responses.create(model=OPENAI_MODEL, input=PROMPT)
    with to.scenario("openinference-openai", package + "openai", "embeddings", "CreateEmbeddings"):
        client.embeddings.create(model="text-embedding-3-small", input=PROMPT)
    claude = anthropic.Anthropic(base_url=to.origin, api_key="none")
    with to.scenario("openinference-anthropic", package + "anthropic", "chat", ".*[Mm]essage.*"):
        claude.messages.create(model=ANTHROPIC_MODEL, messages=ASKED, max_tokens=1000)
    keys = {"aws_access_key_id": "none", "aws_secret_access_key": "none"}
    bedrock = boto3.client("bedrock-runtime", region_name="us-east-1", endpoint_url=to.origin, **keys)
    with to.scenario("openinference-bedrock", package + "bedrock", "converse", ".*"):
        bedrock.converse(modelId=BEDROCK_MODEL, messages=[{"role": "user", "content": [{"text": PROMPT}]}])
    with to.scenario("openinference-bedrock", package + "bedrock", "invoke", ".*"):
        body = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 1000, "messages": ASKED}
        bedrock.invoke_model(modelId=BEDROCK_MODEL, body=json.dumps(body))["body"].read()
    instrumented.uninstrument()
    anthropic_instrumentor.uninstrument()
    LangChainInstrumentor().instrument(tracer_provider=to.tracing)
    model = ChatOpenAI(model=OPENAI_MODEL, base_url=f"{to.origin}/v1", api_key="none")
    with to.scenario("openinference-langchain", package + "langchain", "chat", "ChatOpenAI"):
        model.invoke(PROMPT)
    with to.scenario("openinference-langchain", package + "langchain", "agent", "ChatOpenAI"):
        create_agent(model, tools=[find_parcel], name="courier").invoke({"messages": ASKED})
    chat = ChatAnthropic(model=ANTHROPIC_MODEL, base_url=to.origin, api_key="none", max_tokens=1000)
    with to.scenario("openinference-langchain", package + "langchain", "anthropic", "ChatAnthropic.*"):
        chat.invoke(PROMPT)
    instrumented.instrument(tracer_provider=to.tracing)
    with to.scenario("openinference-langchain", package + "langchain", "and-openai", "ChatCompletion"):
        model.invoke(PROMPT)
