"""Spans of hosts → `kinship.Seen`. Imports no extra: it serves applications too."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from otel_llmcost.call import AGENT_RULE, LLMCall
from otel_llmcost.dialects import is_inference
from otel_llmcost.kinship import MAX_DEPTH, Seen
from otel_llmcost.lineage import WHO_KEYS, who_of
from otel_llmcost.same_call import Facts
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
        boundary=(call is None or call.usage.rule.startswith(AGENT_RULE)) and not is_inference(span.attributes),
    )


def serves_inference(attributes: Mapping[str, object]) -> bool:
    """Whether the route of a server's span is one of a request for inference."""
    for key in ROUTE_KEYS:
        path = attributes.get(key)
        if isinstance(path, str) and path.partition("?")[0].rstrip("/").lower().endswith(ROUTES):
            return True
    return False


def mark_repeats(spans: Sequence[Seen]) -> None:
    """Of two spans of a message that tell one call under one id, see that the outer one carries no cost.

    To the ledger they are one line anyway. What is summed over spans is told once by this, as it is in an application
    (`llmcost.usage.inner`). `spans` have met (`Kinship.meet`) and are given to nobody else yet.
    """
    same = defaultdict(list)
    for seen in spans:
        if seen.call is not None and not seen.call.duplicate_of:
            same[seen.call.call_id].append(seen)
    repeated = [group for group in same.values() if len(group) > 1]
    parents = {seen.key: seen.parent for seen in spans} if repeated else {}
    for group in repeated:
        by_key = {seen.key: seen for seen in group}
        for inner in group:
            for key in _above(inner, parents):
                if key in by_key:
                    _mark_repeat(by_key[key], inner)


def _above(seen: Seen, parents: Mapping[bytes, bytes]) -> Iterator[bytes]:
    key = seen.parent
    for _ in range(MAX_DEPTH):
        if key not in parents:
            return
        yield key
        key = parents[key]


def _mark_repeat(outer: Seen, inner: Seen) -> None:
    call = outer.call
    assert call is not None
    assert inner.call is not None
    if not call.is_repeated and not Facts.of(call).lends_to(Facts.of(inner.call)):
        object.__setattr__(call, "covers", (*call.covers, call.call_id))
