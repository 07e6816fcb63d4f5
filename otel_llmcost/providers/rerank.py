"""Rerank: Cohere bills by the search, Voyage and others by the token.

Source: the API references of Cohere's and Voyage's rerank. A search unit is one query over up to 100 documents.
"""

import re
from typing import Any, Final

from otel_llmcost.call import Bucket
from otel_llmcost.providers.fields import Counts, read_identity, section
from otel_llmcost.providers.openai_usage import read_total
from otel_llmcost.providers.reported_cost import read_reported_cost
from otel_llmcost.providers.wire_format import WireFormat
from otel_llmcost.usage import Side, exclusive_usage
from otel_llmcost.wire.reading import Reading


def read(document: dict[str, Any], reading: Reading) -> None:
    """A response body."""
    read_identity(document, reading)
    counts = Counts()
    searches = counts.number(section(section(document, "meta"), "billed_units"), "search_units")
    if searches or counts.flags:
        other = {Bucket.RERANK_SEARCHES: searches} if searches else {}
        reading.usage = exclusive_usage(Side(), Side(), other=other, rule="rerank", flags=tuple(counts.flags))
    usage = section(document, "usage")
    if usage:
        read_reported_cost(usage, reading)
        reading.usage = read_total(usage, "rerank")


FORMAT: Final = WireFormat(
    name="rerank",
    operation="rerank",
    path=re.compile(r"/rerank/?$"),
    read=read,
    interesting=re.compile(rb'"usage"\s*:\s*\{|"billed_units"'),
)
