"""Langfuse: its wrapper of OpenAI's client and its LangChain handler."""

import os

os.environ["ANTHROPIC_OPEN_TELEMETRY"] = "false"

from langchain.agents import create_agent
from langchain_anthropic import ChatAnthropic
from langchain_openai import ChatOpenAI
from langfuse import Langfuse, propagate_attributes
from langfuse.langchain import CallbackHandler
from langfuse.openai import OpenAI
from provider import ANTHROPIC_MODEL, OPENAI_MODEL, PROMPT
from recording import recording

ASKED = [{"role": "user", "content": PROMPT}]
WHO = {"session": "conversation-7", "user": "user-42"}


def find_parcel() -> str:
    """Finds a parcel."""
    return "found"


with recording() as to:
    langfuse = Langfuse(
        public_key="pk-lf-none",
        secret_key="sk-lf-none",
        base_url=to.origin,
        tracer_provider=to.tracing,
        span_exporter=to.nowhere,
        mask=lambda *, data, **_: "[content]" if data else data,
    )
    client = OpenAI(base_url=f"{to.origin}/v1", api_key="none")
    with to.scenario("langfuse-openai", "langfuse", "chat", "OpenAI-generation", who=WHO):  # noqa: SIM117
        with propagate_attributes(session_id="conversation-7", user_id="user-42"):
            client.chat.completions.create(model=OPENAI_MODEL, messages=ASKED)
    with to.scenario("langfuse-openai", "langfuse", "stream", "OpenAI-generation"):
        options = {"include_usage": True}
        list(client.chat.completions.create(model=OPENAI_MODEL, messages=ASKED, stream=True, stream_options=options))
    with to.scenario("langfuse-openai", "langfuse", "responses", "OpenAI-generation"):
        client.responses.create(model=OPENAI_MODEL, input=PROMPT)
    model = ChatOpenAI(model=OPENAI_MODEL, base_url=f"{to.origin}/v1", api_key="none")
    with to.scenario("langfuse-langchain", "langfuse", "chat", "ChatOpenAI"):
        model.invoke(PROMPT, config={"callbacks": [CallbackHandler()]})
    with to.scenario("langfuse-langchain", "langfuse", "agent", "ChatOpenAI"):
        agent = create_agent(model, tools=[find_parcel], name="courier")
        agent.invoke({"messages": ASKED}, config={"callbacks": [CallbackHandler()]})
    claude = ChatAnthropic(model=ANTHROPIC_MODEL, base_url=to.origin, api_key="none", max_tokens=1000)
    with to.scenario("langfuse-langchain", "langfuse", "anthropic", "ChatAnthropic.*"):
        claude.invoke(PROMPT, config={"callbacks": [CallbackHandler()]})
    to.server.caches_for_an_hour = True
    with to.scenario("langfuse-langchain", "langfuse", "hour", "ChatAnthropic.*"):
        claude.invoke(PROMPT, config={"callbacks": [CallbackHandler()]})
