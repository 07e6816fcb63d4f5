"""CPU that a provider call costs an application: bare client, a bare OpenTelemetry span around it, and otel-llmcost.

    python benchmarks/overhead.py [--calls 3000] [--rounds 7]

One process, one httpx2 client over a mock transport, a response of an ordinary size. The variants run in turn, round by
round; process CPU time counts every thread, so the pipeline and the metrics behind the call are in it. Medians.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import httpx2
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind

from otel_llmcost.call import Source
from otel_llmcost.exporters.delivery import Delivery
from otel_llmcost.exporters.metrics import CallMetrics
from otel_llmcost.instrumentation.httpx2 import Httpx2Instrumentor
from otel_llmcost.pipeline import Pipeline
from otel_llmcost.processors.sampler import RecordGenAiSampler
from otel_llmcost.processors.sdk import LedgerSpanProcessor, from_sdk
from otel_llmcost.settings import Settings

URL = "https://api.openai.com/v1/chat/completions"
REQUEST = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Where is order 7013? " * 40}]}
BODY = json.dumps(
    {
        "id": "chatcmpl-1",
        "model": "gpt-4o-2024-08-06",
        "service_tier": "default",
        "choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": "On its way. " * 80}}],
        "usage": {
            "prompt_tokens": 400,
            "completion_tokens": 160,
            "total_tokens": 560,
            "prompt_tokens_details": {"cached_tokens": 128},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
    }
).encode()


def make_client() -> httpx2.Client:
    def answer(_request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "application/json"}, content=BODY)

    return httpx2.Client(transport=httpx2.MockTransport(answer))


def run_bare(client: httpx2.Client, calls: int) -> None:
    for _ in range(calls):
        client.post(URL, json=REQUEST).json()


def run_span(client: httpx2.Client, calls: int) -> None:
    tracer = TracerProvider().get_tracer("bare")
    attributes = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}
    for _ in range(calls):
        with tracer.start_as_current_span("chat gpt-4o", kind=SpanKind.CLIENT, attributes=attributes) as span:
            usage = client.post(URL, json=REQUEST).json()["usage"]
            span.set_attribute("gen_ai.usage.input_tokens", usage["prompt_tokens"])
            span.set_attribute("gen_ai.usage.output_tokens", usage["completion_tokens"])


@contextmanager
def instrumented(settings: Settings, pipeline: Pipeline) -> Iterator[None]:
    """Everything of the application's host but the insert: capture, pipeline and metrics."""
    metrics = CallMetrics(settings.attribution.dimensions)

    def handle(spans: Sequence[ReadableSpan]) -> None:
        for span in spans:
            call = pipeline.process_span(from_sdk(span), Source.SDK_SPAN)
            assert call is not None
            metrics.record(call)

    delivery: Delivery[ReadableSpan] = Delivery(handle, settings.delivery, metrics.dropped)
    provider = TracerProvider(sampler=RecordGenAiSampler(ALWAYS_OFF))
    provider.add_span_processor(LedgerSpanProcessor(delivery, (), lambda: None))
    instrumentor = Httpx2Instrumentor()
    instrumentor.instrument(tracer_provider=provider, settings=settings)
    try:
        yield
        provider.shutdown()
    finally:
        instrumentor.uninstrument()


def cpu_us(run: Callable[[httpx2.Client, int], None], calls: int) -> float:
    with make_client() as client:
        run(client, 50)
        started = time.process_time_ns()
        run(client, calls)
        return (time.process_time_ns() - started) / calls / 1_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=3_000)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    settings = Settings()
    pipeline = Pipeline.from_settings(settings)

    def run_ours(client: httpx2.Client, calls: int) -> None:
        with instrumented(settings, pipeline):
            run_bare(client, calls)

    variants = {"bare client": run_bare, "bare span": run_span, "otel-llmcost": run_ours}
    found: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(options.rounds):
        for name, run in variants.items():
            found[name].append(cpu_us(run, options.calls))
    base = statistics.median(found["bare client"])
    print(f"{'variant':14} {'µs/call':>8} {'added':>8}   median of {options.rounds} rounds of {options.calls} calls")
    for name, values in found.items():
        median = statistics.median(values)
        print(f"{name:14} {median:8.1f} {median - base:8.1f}")


if __name__ == "__main__":
    main()
