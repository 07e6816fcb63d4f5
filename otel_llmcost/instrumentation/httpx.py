"""httpx (before 1.0): groq, cohere, together, litellm and the older majors of every SDK."""

from otel_llmcost.instrumentation.instrumentor import HttpClientInstrumentor


class HttpxInstrumentor(HttpClientInstrumentor):
    """Instruments `httpx`."""

    module = "httpx"
    requirement = "httpx >= 0.27, < 1"
