"""Pydantic AI and Logfire, both without content."""

import os

os.environ["ANTHROPIC_OPEN_TELEMETRY"] = "false"

import anthropic
import logfire
import openai
from provider import ANTHROPIC_MODEL, OPENAI_MODEL, PROMPT
from pydantic_ai import Agent, InstrumentationSettings
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider
from recording import recording

ASKED = [{"role": "user", "content": PROMPT}]


def find_parcel() -> str:
    """Finds a parcel."""
    return "found"


with recording() as to:
    seen = InstrumentationSettings(tracer_provider=to.tracing, include_content=False)
    emitter = ("pydantic-ai", "pydantic-ai-slim")
    at_openai = OpenAIProvider(base_url=f"{to.origin}/v1", api_key="none")
    at_anthropic = AnthropicProvider(base_url=to.origin, api_key="none")
    chat = OpenAIChatModel(OPENAI_MODEL, provider=at_openai)

    def agent(model, **options):
        found = Agent(model, name="courier", **options)
        found.instrument = seen
        return found

    with to.scenario(*emitter, "openai", "chat .*"):
        agent(chat).run_sync(PROMPT)
    with to.scenario(*emitter, "tools", "chat .*"):
        agent(chat, tools=[find_parcel]).run_sync(PROMPT)
    with to.scenario(*emitter, "responses", "chat .*"):
        agent(OpenAIResponsesModel(OPENAI_MODEL, provider=at_openai)).run_sync(PROMPT)
    with to.scenario(*emitter, "anthropic", "chat .*"):
        agent(AnthropicModel(ANTHROPIC_MODEL, provider=at_anthropic)).run_sync(PROMPT)

    # The SDK tells the call as well.
    del os.environ["ANTHROPIC_OPEN_TELEMETRY"]
    at_anthropic = AnthropicProvider(base_url=to.origin, api_key="none")
    with to.scenario(*emitter, "and-anthropic-sdk", "chat .*"):
        agent(AnthropicModel(ANTHROPIC_MODEL, provider=at_anthropic)).run_sync(PROMPT)
    os.environ["ANTHROPIC_OPEN_TELEMETRY"] = "false"

    logfire.configure(send_to_logfire=False, console=False, additional_span_processors=[to.processor])
    client = openai.OpenAI(base_url=f"{to.origin}/v1", api_key="none")
    logfire.instrument_openai(client)
    with to.scenario("logfire-openai", "logfire", "chat", lambda span: "Chat Completion" in span["name"]):
        client.chat.completions.create(model=OPENAI_MODEL, messages=ASKED)
    with to.scenario("logfire-openai", "logfire", "responses", lambda span: "Responses" in span["name"]):
        client.responses.create(model=OPENAI_MODEL, input=PROMPT)
    with to.scenario("logfire-openai", "logfire", "stream", lambda span: "streaming response" in span["name"]):
        options = {"include_usage": True}
        list(client.chat.completions.create(model=OPENAI_MODEL, messages=ASKED, stream=True, stream_options=options))
    claude = anthropic.Anthropic(base_url=to.origin, api_key="none")
    logfire.instrument_anthropic(claude)
    with to.scenario("logfire-anthropic", "logfire", "chat", lambda span: "Message" in span["name"]):
        claude.messages.create(model=ANTHROPIC_MODEL, messages=ASKED, max_tokens=1000)
    to.server.caches_for_an_hour = True
    with to.scenario("logfire-anthropic", "logfire", "hour", lambda span: "Message" in span["name"]):
        claude.messages.create(model=ANTHROPIC_MODEL, messages=ASKED, max_tokens=1000)
