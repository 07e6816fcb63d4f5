"""Microsoft's Agent Framework."""

import asyncio

from agent_framework import Agent
from agent_framework.anthropic import AnthropicClient
from agent_framework.observability import enable_instrumentation
from agent_framework.openai import OpenAIChatClient, OpenAIChatCompletionClient
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI
from provider import ANTHROPIC_MODEL, OPENAI_MODEL, PROMPT
from recording import recording


def find_parcel() -> str:
    """Finds a parcel."""
    return "found"


with recording() as to, asyncio.Runner() as loop:
    enable_instrumentation(enable_sensitive_data=False)
    openai = AsyncOpenAI(base_url=f"{to.origin}/v1", api_key="none")
    emitter = ("agent-framework", "agent-framework-core")
    with to.scenario(*emitter, "responses", "chat .*"):
        loop.run(Agent(OpenAIChatClient(model=OPENAI_MODEL, async_client=openai), name="courier").run(PROMPT))
    claude = AsyncAnthropic(base_url=to.origin, api_key="none")
    with to.scenario(*emitter, "anthropic", "chat .*"):
        client = AnthropicClient(model=ANTHROPIC_MODEL, anthropic_client=claude)
        loop.run(Agent(client, name="courier").run(PROMPT))
    chat = OpenAIChatCompletionClient(model=OPENAI_MODEL, async_client=openai)
    with to.scenario(*emitter, "chat", "chat .*"):
        loop.run(Agent(chat, name="courier").run(PROMPT))
    with to.scenario(*emitter, "tools", "chat .*"):
        loop.run(Agent(chat, name="courier", tools=[find_parcel]).run(PROMPT))
