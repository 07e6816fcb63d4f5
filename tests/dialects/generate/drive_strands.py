"""Strands Agents, with OpenAI's and Anthropic's models and Bedrock."""

import os

os.environ["ANTHROPIC_OPEN_TELEMETRY"] = "false"
os.environ["AWS_ACCESS_KEY_ID"] = os.environ["AWS_SECRET_ACCESS_KEY"] = "none"

from provider import ANTHROPIC_MODEL, OPENAI_MODEL, PROMPT
from recording import recording
from strands import Agent, tool
from strands.models.anthropic import AnthropicModel
from strands.models.openai import OpenAIModel


@tool
def find_parcel() -> str:
    """Finds a parcel."""
    return "found"


with recording() as to:
    emitter = ("strands", "strands-agents")
    at_openai = {"base_url": f"{to.origin}/v1", "api_key": "none"}
    chat = OpenAIModel(client_args=at_openai, model_id=OPENAI_MODEL)
    who = {"session.id": "conversation-7", "user.id": "user-42"}
    with to.scenario(*emitter, "openai", "chat"):
        Agent(model=chat, name="courier", callback_handler=None, trace_attributes=who)(PROMPT)
    with to.scenario(*emitter, "tools", "chat"):
        Agent(model=chat, tools=[find_parcel], name="courier", callback_handler=None)(PROMPT)
    at_anthropic = {"base_url": to.origin, "api_key": "none"}
    claude = AnthropicModel(client_args=at_anthropic, model_id=ANTHROPIC_MODEL, max_tokens=1000)
    with to.scenario(*emitter, "anthropic", "chat"):
        Agent(model=claude, name="courier", callback_handler=None)(PROMPT)
