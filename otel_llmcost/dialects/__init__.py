"""Span attributes → `LLMCall`, whatever instrumentation wrote them.

An emitter is a row of `table.DIALECTS`; `read.read_span` is the one reader that all rows share.
"""

from otel_llmcost.dialects.read import is_genai, is_inference, read_span

__all__ = ["is_genai", "is_inference", "read_span"]
