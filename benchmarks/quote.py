"""One quote and one resolution, beside genai-prices, litellm and tokencost, on one core.

    benchmarks/run.sh quote.py [--seconds 0.02] [--rounds 101]

Models that all of them know, in turn, with cached input and reasoning; the functions run in turn, round by round;
medians. Before anything is timed the costs are compared: ours is that of genai-prices to the last digit. litellm
computes with binary fractions, tokencost knows one price per kind of token.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # its bundled prices; it would fetch newer ones at import

from genai_prices import Usage as GenaiUsage
from genai_prices import calc_price
from genai_prices.data_snapshot import get_snapshot
from litellm import cost_per_token, get_model_info
from tokencost import calculate_cost_by_tokens

from otel_llmcost.call import Bucket, LLMCall, Source, Usage
from otel_llmcost.pricing import PriceBook, price_call
from otel_llmcost.pricing.overlays.files import compile_entries, entries_of
from otel_llmcost.pricing.overlays.fx import Fx
from otel_llmcost.yaml_file import YamlFile

CONTRACT = """
discounts: [{id: contract, from: 2026-01-01, when: {provider: openai, customer: acme}, percent_off: 12.5}]
markups: [{id: resale, from: 2026-01-01, when: {team: cx}, percent: 20}]
deployments: [{id: prod, from: 2026-01-01, provider: azure, model: prod-chat, base_model: gpt-4o}]
models: [{id: house, from: 2026-01-01, provider: llm.internal, model: llama, rates: {input: 0.2, output: 0.6}}]
"""
AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
AT_NS = int(AT.timestamp()) * 10**9
BUCKETS = {Bucket.INPUT: 928, Bucket.CACHE_READ: 3_072, Bucket.OUTPUT: 344, Bucket.REASONING: 256}
INPUT, CACHED, OUTPUT, REASONING = 4_000, 3_072, 600, 256
GENAI_USAGE = GenaiUsage(
    input_tokens=INPUT, cache_read_tokens=CACHED, output_tokens=OUTPUT, output_reasoning_tokens=REASONING
)
MODELS = (
    ("openai", "gpt-4o-2024-08-06"),
    ("openai", "gpt-4o-mini-2024-07-18"),
    ("openai", "gpt-4.1-2025-04-14"),
    ("openai", "o3-2025-04-16"),
)
THEIRS = "genai_prices.calc_price"
TIMED_PER_RUN = 50

Run = Callable[[], object]


@dataclass(frozen=True)
class Timed:
    """A function that handles each model once, and how much it prices of what is billed."""

    name: str
    run: Run
    usd: Callable[[str, str], Decimal] | None = None


def call_of(provider: str, model: str) -> LLMCall:
    return LLMCall(
        call_id=bytes(16),
        source=Source.WIRE,
        start_ns=AT_NS,
        end_ns=AT_NS + 10**9,
        provider=provider,
        model=model,
        requested_model=model,
        service_tier="default",
        usage=Usage(buckets=BUCKETS, rule="benchmark"),
        tags={"customer": "acme", "team": "cx"},
    )


def genai_usd(provider: str, model: str) -> Decimal:
    return calc_price(GENAI_USAGE, model, provider_id=provider, genai_request_timestamp=AT).total_price


def litellm_usd(provider: str, model: str) -> Decimal:
    parts = cost_per_token(
        model=model,
        custom_llm_provider=provider,
        prompt_tokens=INPUT,
        completion_tokens=OUTPUT,
        cache_read_input_tokens=CACHED,
    )
    return Decimal(repr(sum(parts)))


def tokencost_usd(_provider: str, model: str) -> Decimal:
    kinds = (("input", INPUT - CACHED), ("cached", CACHED), ("output", OUTPUT))
    return sum((calculate_cost_by_tokens(tokens, model, kind) for kind, tokens in kinds), Decimal(0))


def each(price: Callable[[str, str], object]) -> Run:
    """A function that handles every model."""

    def run() -> None:
        for provider, model in MODELS:
            price(provider, model)

    return run


def timed_functions(book: PriceBook, calls: list[LLMCall]) -> list[Timed]:
    names = count()
    snapshot = get_snapshot()

    negotiated = PriceBook.bundled(compile_entries(entries_of(YamlFile.parse(CONTRACT, "contract.yaml")), Fx({})))

    def quote() -> None:
        for call in calls:
            price_call(call, book)

    def quote_negotiated() -> None:
        for call in calls:
            price_call(call, negotiated)

    def resolve() -> None:
        for call in calls:
            book.price_of(call)

    def resolve_new() -> None:
        for provider, model in MODELS:
            book.rates(provider, f"{model}-{next(names)}-new", AT_NS, {})

    def ours(provider: str, model: str) -> Decimal:
        cost = price_call(call_of(provider, model), book)
        assert cost.effective is not None
        return cost.effective.total_usd

    return [
        Timed("otel-llmcost: quote", quote, ours),
        Timed("otel-llmcost: under a price file", quote_negotiated),
        Timed(THEIRS, each(genai_usd), genai_usd),
        Timed("litellm.cost_per_token", each(litellm_usd), litellm_usd),
        Timed("tokencost, three kinds", each(tokencost_usd), tokencost_usd),
        Timed("otel-llmcost: resolve", resolve),
        Timed("genai-prices: find_provider_model", each(lambda p, m: snapshot.find_provider_model(m, None, p, None))),
        Timed("litellm.get_model_info", each(lambda p, m: get_model_info(m, custom_llm_provider=p))),
        Timed("otel-llmcost: a name never seen", resolve_new),
    ]


def check(functions: list[Timed]) -> dict[str, str]:
    """How far each is from genai-prices, over all models; ours not at all, else there is nothing to compare."""
    found = {}
    for function in functions:
        if function.usd is None:
            continue
        shares = [abs(function.usd(p, m) - genai_usd(p, m)) / genai_usd(p, m) for p, m in MODELS]
        found[function.name] = "equal" if not any(shares) else f"off by up to {float(max(shares)):.1e}"
    assert found["otel-llmcost: quote"] == "equal"
    return found


def us_per_item(run: Run, seconds: float) -> float:
    """CPU time of one model."""
    runs = 0
    started_ns = time.process_time_ns()
    deadline_ns = started_ns + int(seconds * 1e9)
    while (now_ns := time.process_time_ns()) < deadline_ns:
        for _ in range(TIMED_PER_RUN):
            run()
        runs += TIMED_PER_RUN
    return (now_ns - started_ns) / (runs * len(MODELS)) / 1_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=0.02, help="of one function in one round")
    parser.add_argument("--rounds", type=int, default=101)
    options = parser.parse_args()
    book = PriceBook.bundled()
    functions = timed_functions(book, [call_of(provider, model) for provider, model in MODELS])
    checked = check(functions)
    found: dict[str, list[float]] = {function.name: [] for function in functions}
    for _ in range(options.rounds):
        for function in functions:
            found[function.name].append(us_per_item(function.run, options.seconds))
    theirs_us = statistics.median(found[THEIRS])
    print(f"{'':36} {'µs':>8} {'/ genai-prices':>14}  cost   (median of {options.rounds} rounds)")
    for name, values in found.items():
        us = statistics.median(values)
        print(f"{name:36} {us:8.2f} {us / theirs_us:14.4f}  {checked.get(name, '')}")


if __name__ == "__main__":
    main()
