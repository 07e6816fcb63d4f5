"""OpenAI Responses: a body, or events that carry the response object.

Source: the API reference of responses. `input_tokens` includes cached tokens, `output_tokens` includes reasoning. A
web search is billed by the call, of its actions `search` alone; a file search by the call. In background mode the
answer comes before there is a usage, and a GET of the same response tells it.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from otel_llmcost.call import Bucket, Usage
from otel_llmcost.providers.fields import Counts, objects, read_identity, read_times, section, text
from otel_llmcost.providers.openai_usage import read_usage
from otel_llmcost.providers.reported_cost import read_reported_cost
from otel_llmcost.providers.wire_format import WireFormat
from otel_llmcost.wire.reading import Reading

_LAST_EVENTS: Final = frozenset({"response.completed", "response.incomplete", "response.failed"})


def read(document: dict[str, Any], reading: Reading) -> None:
    """A response body, or one event of a stream."""
    response = section(document, "response") or document
    read_identity(response, reading)
    reading.finish_reason = text(response, "status") or reading.finish_reason
    reading.finished = reading.finished or text(document, "type") in _LAST_EVENTS
    reading.deferred = reading.deferred or response.get("background") is True
    read_times(response, reading, "created_at", "completed_at")
    usage = section(response, "usage")
    if usage:
        read_reported_cost(usage, reading)
        reading.usage = _with_searches(read_usage(usage, reading, "responses"), response)


def _with_searches(usage: Usage, response: Mapping[str, Any]) -> Usage:
    """The searches of built-in tools, which the usage object leaves out."""
    counts = Counts()
    items = objects(response, "output")
    web = counts.get(section(section(response, "tool_usage"), "web_search"), "num_requests")
    if web is None:
        web = sum(1 for item in items if item.get("type") == "web_search_call" and _is_search(item))
    files = sum(1 for item in items if item.get("type") == "file_search_call")
    found = {Bucket.WEB_SEARCHES: web, Bucket.STORAGE_SEARCHES: files}
    searches = {bucket: count for bucket, count in found.items() if count}
    if not usage.known or not searches:
        return usage
    return replace(usage, buckets={**usage.buckets, **searches}, flags=(*usage.flags, *counts.flags))


def _is_search(item: Mapping[str, Any]) -> bool:
    """Opening and searching in a found page is not billed."""
    return text(section(item, "action"), "type") in ("", "search")


FORMAT: Final = WireFormat(
    name="responses",
    operation="chat",
    path=re.compile(r"/responses(?:/compact)?/?$"),
    read=read,
    interesting=re.compile(rb'"usage"\s*:\s*\{|"type"\s*:\s*"(?:response\.(?:completed|incomplete|failed)|error)"'),
    polled_path=re.compile(r"/responses/[^/]+/?$"),
)
