"""The core alone, on one core: spans read and priced a second, and what a quote takes beside genai-prices.

    benchmarks/run.sh pipeline.py [--seconds 0.05] [--rounds 51]

No network, no SDK, no threads: spans are attribute dicts as our wire instrumentation writes them. The functions run in
turn, round by round; medians. Before anything is timed, the quote is compared with that of genai-prices.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

from genai_prices import Usage, calc_price

from otel_llmcost import semconv as sc
from otel_llmcost.call import Bucket, LLMCall, Source
from otel_llmcost.kinship import Kinship
from otel_llmcost.pipeline import Pipeline
from otel_llmcost.pricing import PriceBook, price_call
from otel_llmcost.processors.tree import seen_genai
from otel_llmcost.settings import Settings
from otel_llmcost.span import Span

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
INPUT, CACHED, OUTPUT, REASONING = 4_000, 3_072, 600, 256
USAGE = Usage(input_tokens=INPUT, cache_read_tokens=CACHED, output_tokens=OUTPUT, output_reasoning_tokens=REASONING)
THEIRS = "genai_prices.calc_price"
MODELS = ("gpt-4o-2024-08-06", "gpt-4o-mini-2024-07-18", "gpt-4.1-2025-04-14", "o3-2025-04-16")


def make_span(number: int) -> Span:
    """A span with ids of its own."""
    start_ns = int(AT.timestamp()) * 10**9 + number
    return Span(
        name="chat",
        trace_id=(number + 1).to_bytes(16, "big"),
        span_id=(number + 1).to_bytes(8, "big"),
        parent_span_id=b"",
        start_ns=start_ns,
        end_ns=start_ns + 800_000_000,
        attributes={
            sc.OPERATION_NAME: "chat",
            sc.PROVIDER_NAME: "openai",
            sc.REQUEST_MODEL: "gpt-4o",
            sc.SERVER_ADDRESS: "api.openai.com",
            sc.SERVER_PORT: 443,
            sc.RESPONSE_ID: f"chatcmpl-{number:012}",
            sc.RESPONSE_MODEL: MODELS[number % len(MODELS)],
            sc.OPENAI_SERVICE_TIER: "default",
            sc.RESPONSE_FINISH_REASONS: ("stop",),
            sc.USAGE_INPUT: INPUT,
            sc.USAGE_OUTPUT: OUTPUT,
            sc.USAGE_CACHE_READ: CACHED,
            sc.USAGE_REASONING: REASONING,
            sc.USAGE_RULE: "chat_completions",
            sc.HTTP_STATUS: 200,
        },
        resource={sc.SERVICE_NAME: "support-bot", "telemetry.sdk.name": "opentelemetry"},
        scope=f"{sc.WIRE_SCOPE}.httpx2",
    )


def check(calls: list[LLMCall], book: PriceBook) -> None:
    """Both quote the same, else there is nothing to compare."""
    for call in calls:
        assert {Bucket.INPUT, Bucket.CACHE_READ, Bucket.OUTPUT, Bucket.REASONING} == set(call.usage.buckets)
        cost = price_call(call, book)
        assert cost.effective is not None
        theirs = calc_price(USAGE, call.model, provider_id="openai", genai_request_timestamp=AT).total_price
        assert abs(cost.effective.total_usd - theirs) <= Decimal("1e-12"), (call.model, cost, theirs)


def us_per_item(run: Callable[[], int], seconds: float) -> float:
    """CPU time of one item; `run` handles some and says how many."""
    items = 0
    started_ns = time.process_time_ns()
    deadline_ns = started_ns + int(seconds * 1e9)
    while (now_ns := time.process_time_ns()) < deadline_ns:
        items += run()
    return (now_ns - started_ns) / items / 1_000


def functions(pipeline: Pipeline, spans: list[Span], calls: list[LLMCall]) -> dict[str, Callable[[], int]]:
    """What is timed, by name; each handles some items and returns how many."""
    context = {"service_tier": "default"}

    def read() -> int:
        return sum(pipeline.identified(span, Source.OTLP) is not None for span in spans)

    def settle() -> int:
        kinship = Kinship(50_000, names_unseen=True)
        kinship.meet([seen_genai(span, call) for span, call in zip(spans, calls, strict=True)])
        return len(calls)

    def process() -> int:
        return sum(pipeline.process_span(span, Source.OTLP) is not None for span in spans)

    def look_up() -> int:
        for call in calls:
            pipeline.book.rates(call.provider, call.model, call.start_ns, context)
        return len(calls)

    def quote() -> int:
        for call in calls:
            price_call(call, pipeline.book)
        return len(calls)

    def genai_prices() -> int:
        for call in calls[:100]:
            calc_price(USAGE, call.model, provider_id="openai", genai_request_timestamp=AT)
        return 100

    return {
        "span read and identified": read,
        "span read, priced, attributed": process,
        "call settled with its kin": settle,
        "rates looked up": look_up,
        "call quoted (price_call)": quote,
        THEIRS: genai_prices,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=0.05, help="of one function in one round")
    parser.add_argument("--rounds", type=int, default=51)
    options = parser.parse_args()
    pipeline = Pipeline.from_settings(Settings())
    spans = [make_span(number) for number in range(200)]
    calls = [call for span in spans if (call := pipeline.identified(span, Source.OTLP))]
    assert len(spans) == len(calls)
    check(calls[: len(MODELS)], pipeline.book)
    timed = functions(pipeline, spans, calls)
    found: dict[str, list[float]] = {name: [] for name in timed}
    for _ in range(options.rounds):
        for name, run in timed.items():
            found[name].append(us_per_item(run, options.seconds))
    theirs_us = statistics.median(found[THEIRS])
    print(f"{'':30} {'µs':>7} {'per s and core':>14} {'/ genai-prices':>14}   median of {options.rounds} rounds")
    for name, values in found.items():
        us = statistics.median(values)
        print(f"{name:30} {us:7.2f} {1e6 / us:14,.0f} {us / theirs_us:14.3f}")


if __name__ == "__main__":
    main()
