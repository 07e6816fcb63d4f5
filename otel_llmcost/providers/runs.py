"""OpenAI Assistants runs: a run object, or events that carry it and its steps.

Source: the API reference of runs. Steps repeat the usage of their run, so only the run counts. A run is created before
it has a usage; a GET of the same run, or the end of the stream, tells it.
"""

import re
from typing import Any, Final

from otel_llmcost.providers.fields import read_identity, read_times, section, text
from otel_llmcost.providers.openai_usage import read_usage
from otel_llmcost.providers.wire_format import WireFormat
from otel_llmcost.wire.reading import Reading


def read(document: dict[str, Any], reading: Reading) -> None:
    """A run, or one event of a stream."""
    if document.get("object") != "thread.run":
        return
    read_identity(document, reading)
    reading.finish_reason = text(document, "status") or reading.finish_reason
    reading.deferred = True
    read_times(document, reading, "created_at", "completed_at")
    usage = section(document, "usage")
    if usage:
        reading.usage = read_usage(usage, reading, "runs")


FORMAT: Final = WireFormat(
    name="runs",
    operation="chat",
    path=re.compile(r"/threads/(?:[^/]+/)?runs(?:/[^/]+/submit_tool_outputs)?/?$"),
    read=read,
    interesting=re.compile(rb'"object"\s*:\s*"thread\.run"|"error"'),
    polled_path=re.compile(r"/threads/[^/]+/runs/run_[^/]+/?$"),
)
