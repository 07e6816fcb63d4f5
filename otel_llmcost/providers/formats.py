"""The table of wire formats."""

from typing import Final

from otel_llmcost.providers import chat_completions, embeddings, messages, responses
from otel_llmcost.providers.wire_format import WireFormat

FORMATS: Final = (chat_completions.FORMAT, responses.FORMAT, messages.FORMAT, embeddings.FORMAT)


def format_of(path: str) -> WireFormat | None:
    """The wire format spoken on a URL path; None where it is no inference endpoint that we know."""
    return next((row for row in FORMATS if row.path.search(path)), None)
