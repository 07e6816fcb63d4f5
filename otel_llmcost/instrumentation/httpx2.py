"""httpx2: openai 3, anthropic 2, google-genai 3, mistralai 3."""

from otel_llmcost.instrumentation.instrumentor import HttpClientInstrumentor


class Httpx2Instrumentor(HttpClientInstrumentor):
    """Instruments `httpx2`."""

    module = "httpx2"
    requirement = "httpx2 >= 2, < 3"
