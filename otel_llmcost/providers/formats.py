"""The table of wire formats; of several rows that claim a path the first one is spoken there."""

import re
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import unquote

from otel_llmcost.providers import (
    bedrock,
    chat_completions,
    cohere,
    conversations,
    embeddings,
    gemini_embeddings,
    generate_content,
    interactions,
    media,
    messages,
    ollama,
    others,
    rerank,
    responses,
    runs,
)
from otel_llmcost.providers.wire_format import WireFormat

FORMATS: Final = (
    chat_completions.FORMAT,
    responses.FORMAT,
    messages.FORMAT,
    generate_content.FORMAT,
    ollama.EMBED,  # before OpenAI's, whose path it may end with
    others.WATSONX_EMBEDDINGS,
    embeddings.FORMAT,
    gemini_embeddings.FORMAT,
    interactions.FORMAT,
    bedrock.CONVERSE,
    bedrock.INVOKE,
    cohere.CHAT,
    cohere.CHAT_V1,
    cohere.GENERATE,
    cohere.EMBED,
    rerank.FORMAT,
    ollama.CHAT,
    ollama.GENERATE,
    media.IMAGES,
    media.TRANSCRIPTIONS,
    media.OCR,
    runs.FORMAT,
    messages.LEGACY,
    chat_completions.VERTEX_PARTNERS,
    chat_completions.WRITER,
    chat_completions.PROMPTS,
    chat_completions.COMPLETIONS,
    conversations.FORMAT,
    others.TGI,
    others.WATSONX,
    others.REPLICATE,
    others.ALEPH_ALPHA,
)

MAX_CACHED_PATHS: Final = 4_096
"""Every request of the application is looked up, most of them to none of these endpoints."""


class Match(NamedTuple):
    """The format spoken on a path, with what the path says: the model, and whether a stream is asked for."""

    wire_format: WireFormat
    model: str
    stream: bool


@lru_cache(MAX_CACHED_PATHS)
def match_path(path: str, seller: str, *, polled: bool = False) -> Match | None:
    """The row for a URL path of a seller (by name); None where it is no inference endpoint that we know.

    `polled`: the row whose deferred usage a GET of that path tells.
    """
    for row in FORMATS:
        pattern = row.polled_path if polled else row.path
        found = pattern.search(path) if pattern and (not row.sellers or seller in row.sellers) else None
        if found:
            groups = found.groupdict()
            return Match(row, unquote(_model(groups)), bool(groups.get("stream")))
    return None


def _model(groups: dict[str, str | None]) -> str:
    return groups.get("model") or groups.get("predicted") or ""


def format_of(path: str, seller: str = "") -> WireFormat | None:
    """The wire format spoken on a URL path of a seller; None where it is no inference endpoint that we know."""
    found = match_path(path, seller)
    return found.wire_format if found else None


_MULTIPART_MODEL: Final = re.compile(rb'name="model"\r\n(?:[^\r\n]+\r\n)*\r\n([^\r\n]{1,200})\r\n')

MAX_FORM_BYTES: Final = 64 * 1024
"""How far into a form its model is looked for; clients write the plain fields before the file."""


def model_of_form(body: bytes) -> str:
    """The `model` field of a multipart form, as audio transcription is asked for; empty where there is none."""
    found = _MULTIPART_MODEL.search(body, 0, MAX_FORM_BYTES)
    return found[1].decode("utf-8", "replace") if found else ""
