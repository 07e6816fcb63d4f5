"""otel-llmcost: one exact, attributed bill line per LLM call, from OpenTelemetry."""

from importlib.metadata import version

__version__ = version("otel-llmcost")
__all__ = ["__version__"]
