"""OpenLIT: OpenAI and Anthropic."""

import anthropic
import openai
import openlit
from provider import ANTHROPIC_MODEL, OPENAI_MODEL, PROMPT
from recording import recording

ASKED = [{"role": "user", "content": PROMPT}]
HTTP = ["httpx", "requests", "urllib", "urllib3", "aiohttp-client"]

with recording() as to:
    openlit.init(
        capture_message_content=False,
        disable_metrics=True,
        disable_events=True,
        disabled_instrumentors=HTTP,
        pricing_json="{}",
    )
    client = openai.OpenAI(base_url=f"{to.origin}/v1", api_key="none")
    with to.scenario("openlit-openai", "openlit", "chat", "chat .*"):
        client.chat.completions.create(model=OPENAI_MODEL, messages=ASKED)
    with to.scenario("openlit-openai", "openlit", "stream", "chat .*"):
        options = {"include_usage": True}
        list(client.chat.completions.create(model=OPENAI_MODEL, messages=ASKED, stream=True, stream_options=options))
    with to.scenario("openlit-openai", "openlit", "responses", "chat .*"):
        client.responses.create(model=OPENAI_MODEL, input=PROMPT)
    with to.scenario("openlit-openai", "openlit", "embeddings", "embeddings .*"):
        client.embeddings.create(model="text-embedding-3-small", input=PROMPT)
    claude = anthropic.Anthropic(base_url=to.origin, api_key="none")
    with to.scenario("openlit-anthropic", "openlit", "chat", "chat .*"):
        claude.messages.create(model=ANTHROPIC_MODEL, messages=ASKED, max_tokens=1000)
