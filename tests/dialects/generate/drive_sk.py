"""Semantic Kernel."""

import asyncio
import os

os.environ["ANTHROPIC_OPEN_TELEMETRY"] = "false"
os.environ["SEMANTICKERNEL_EXPERIMENTAL_GENAI_ENABLE_OTEL_DIAGNOSTICS"] = "true"

from anthropic import AsyncAnthropic
from openai import AsyncOpenAI
from provider import ANTHROPIC_MODEL, OPENAI_MODEL, PROMPT
from recording import recording
from semantic_kernel.agents import ChatCompletionAgent
from semantic_kernel.connectors.ai.anthropic import AnthropicChatCompletion
from semantic_kernel.connectors.ai.open_ai import OpenAIChatCompletion
from semantic_kernel.functions import kernel_function


class Parcels:
    @kernel_function
    def find_parcel(self) -> str:
        """Finds a parcel."""
        return "found"


with recording() as to, asyncio.Runner() as loop:
    client = AsyncOpenAI(base_url=f"{to.origin}/v1", api_key="none")
    service = OpenAIChatCompletion(ai_model_id=OPENAI_MODEL, async_client=client)
    with to.scenario("semantic-kernel", "semantic-kernel", "chat", "chat .*|chat.completions .*"):
        loop.run(ChatCompletionAgent(service=service, name="courier").get_response(messages=PROMPT))
    claude = AsyncAnthropic(base_url=to.origin, api_key="none")
    claude = AnthropicChatCompletion(ai_model_id=ANTHROPIC_MODEL, async_client=claude, api_key="none")
    everything = ("input", "cache_read", "cache_write", "output")
    with to.scenario("semantic-kernel", "semantic-kernel", "anthropic", "chat .*", lost=everything):
        loop.run(ChatCompletionAgent(service=claude, name="courier").get_response(messages=PROMPT))
    with to.scenario("semantic-kernel", "semantic-kernel", "tools", "chat .*|chat.completions .*"):
        agent = ChatCompletionAgent(service=service, name="courier", plugins=[Parcels()])
        loop.run(agent.get_response(messages=PROMPT))
