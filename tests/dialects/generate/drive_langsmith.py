"""LangSmith over OpenTelemetry: its wrapper of OpenAI's client, and LangChain."""

import os

os.environ["ANTHROPIC_OPEN_TELEMETRY"] = "false"
os.environ |= {"LANGSMITH_TRACING": "true", "LANGSMITH_TRACING_MODE": "otel", "LANGSMITH_API_KEY": "none"}
os.environ["LANGCHAIN_REVISION_ID"] = "1"
os.environ |= {"LANGSMITH_HIDE_INPUTS": "true", "LANGSMITH_HIDE_OUTPUTS": "false"}

import openai
from langchain.agents import create_agent
from langchain_anthropic import ChatAnthropic
from langchain_core.tracers.langchain import LangChainTracer
from langchain_openai import ChatOpenAI
from langsmith import Client
from langsmith.wrappers import wrap_openai
from provider import ANTHROPIC_MODEL, OPENAI_MODEL, PROMPT
from recording import recording

ASKED = [{"role": "user", "content": PROMPT}]


def find_parcel() -> str:
    """Finds a parcel."""
    return "found"


with recording() as to:
    langsmith = Client(api_url=to.origin, api_key="none", tracing_mode="otel", otel_tracer_provider=to.tracing)
    client = wrap_openai(openai.OpenAI(base_url=f"{to.origin}/v1", api_key="none"), tracing_extra={"client": langsmith})
    with to.scenario("langsmith-openai", "langsmith", "chat", "ChatOpenAI"):
        client.chat.completions.create(model=OPENAI_MODEL, messages=ASKED)
        langsmith.flush()
    tracer = LangChainTracer(client=langsmith, project_name="shop")
    model = ChatOpenAI(model=OPENAI_MODEL, base_url=f"{to.origin}/v1", api_key="none")
    thread = {"callbacks": [tracer], "metadata": {"thread_id": "conversation-7", "user_id": "user-42"}}
    who = {"session": "conversation-7", "user": "user-42"}
    with to.scenario("langsmith-langchain", "langsmith", "chat", "ChatOpenAI", who=who):
        model.invoke(PROMPT, config=thread)
        langsmith.flush()
    with to.scenario("langsmith-langchain", "langsmith", "agent", "ChatOpenAI", who=who):
        create_agent(model, tools=[find_parcel], name="courier").invoke({"messages": ASKED}, config=thread)
        langsmith.flush()
    claude = ChatAnthropic(model=ANTHROPIC_MODEL, base_url=to.origin, api_key="none", max_tokens=1000)
    with to.scenario("langsmith-langchain", "langsmith", "anthropic", "ChatAnthropic.*"):
        claude.invoke(PROMPT, config={"callbacks": [tracer]})
        langsmith.flush()
    to.server.caches_for_an_hour = True
    with to.scenario("langsmith-langchain", "langsmith", "hour", "ChatAnthropic.*"):
        claude.invoke(PROMPT, config={"callbacks": [tracer]})
        langsmith.flush()
