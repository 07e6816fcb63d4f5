"""Span attributes → `LLMCall`, whatever instrumentation wrote them.

what stands where   fields.py    one row per field: the keys of all emitters
what is a call      kinds.py     the attributes that tell a provider call from an agent, a tool, a workflow
how it is counted   table.py     one row per emitter: cached tokens inside or beside, by seller
who sells           selling.py   what emitters write for the provider → the seller
the reader          read.py      all rows share it
"""

from otel_llmcost.dialects.kinds import is_genai, is_inference
from otel_llmcost.dialects.read import read_span

__all__ = ["is_genai", "is_inference", "read_span"]
