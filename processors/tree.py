"""Spans of hosts → `kinship.Seen`. Imports no extra: it serves applications too."""

from collections.abc import Mapping
from typing import Final

from otel_llmcost.call import LLMCall
from otel_llmcost.dialects import is_inference
from otel_llmcost.kinship import Seen
from otel_llmcost.lineage import WHO_KEYS, who_of
from otel_llmcost.span import Span

ROUTE_KEYS: Final = ("http.route", "url.path", "http.target")
ROUTES: Final = (
    "/chat/completions",
    "/completions",
    "/responses",
    "/embeddings",
    "/messages",
    "/rerank",
    ":generatecontent",
    ":streamgeneratecontent",
)
"""Ends of the paths that a gateway answers requests for inference at."""

TREE_KEYS: Final = frozenset(ROUTE_KEYS).union(*WHO_KEYS.values())
"""All that matters of a span that is no GenAI span."""


def seen_genai(span: Span, call: LLMCall | None) -> Seen:
    """A GenAI span, with its record where it has one."""
    return Seen(
        key=span.trace_id + span.span_id,
        parent=span.trace_id + span.parent_span_id if span.parent_span_id else b"",
        call=call,
        who=who_of(span.attributes),
        genai=True,
        boundary=not is_inference(span.attributes),
    )


def serves_inference(attributes: Mapping[str, object]) -> bool:
    """Whether the route of a server's span is one of a request for inference."""
    for key in ROUTE_KEYS:
        path = attributes.get(key)
        if isinstance(path, str) and path.partition("?")[0].rstrip("/").lower().endswith(ROUTES):
            return True
    return False
