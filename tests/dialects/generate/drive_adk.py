"""Google's Agent Development Kit."""

import asyncio
import os

os.environ["ADK_CAPTURE_MESSAGE_CONTENT_IN_SPANS"] = "false"
os.environ["GOOGLE_API_KEY"] = "none"

from google.adk.agents import LlmAgent
from google.adk.models.google_llm import Gemini
from google.adk.runners import InMemoryRunner
from google.genai import types
from provider import GEMINI_MODEL, PROMPT
from recording import recording

WHO = {"session": "conversation-7"}


def find_parcel() -> str:
    """Finds a parcel."""
    return "found"


async def ask(agent: LlmAgent) -> None:
    runner = InMemoryRunner(agent=agent, app_name="shop")
    await runner.session_service.create_session(app_name="shop", user_id="user-42", session_id="conversation-7")
    said = types.Content(role="user", parts=[types.Part(text=PROMPT)])
    async for _ in runner.run_async(user_id="user-42", session_id="conversation-7", new_message=said):
        pass


with recording() as to, asyncio.Runner() as loop:
    model = Gemini(model=GEMINI_MODEL, base_url=to.origin)
    with to.scenario("google-adk", "google-adk", "chat", "call_llm|generate_content .*", who=WHO):
        loop.run(ask(LlmAgent(name="courier", model=model)))
    with to.scenario("google-adk", "google-adk", "tools", "call_llm|generate_content .*", who=WHO):
        loop.run(ask(LlmAgent(name="courier", model=model, tools=[find_parcel])))
