"""A month of one made-up company's calls, for pictures of the dashboards and for their tests.

The same calls in every run: sizes, times and prices follow from a seed and from the bundled price book. Office hours,
weekends, conversations, caching, retries, batches, a model without a price, records that repeat a call; and in the last
days a prompt cache that is lost for some hours, and an agent that runs in circles.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import blake2b
from random import Random
from typing import Final

from otel_llmcost.call import Amounts, Bucket, Cost, LLMCall, Outcome, Source, Usage
from otel_llmcost.pricing import PriceBook, price_call

NOW: Final = datetime(2026, 11, 20, 14, 37, 23, tzinfo=UTC)
DAYS: Final = 35
CACHE_LOST: Final = (NOW - timedelta(days=2, hours=6), NOW - timedelta(days=2, hours=1))
RUNAWAY: Final = (NOW - timedelta(hours=3, minutes=10), NOW - timedelta(minutes=40))
DISCOUNTED: Final = Decimal("0.94")
PICO_USD: Final = Decimal("1e-12")
PARTS: Final = ("input_usd", "output_usd", "cache_read_usd", "cache_write_usd", "other_usd")


@dataclass(frozen=True, slots=True)
class App:
    """One use of a model. Tokens are of the average call, `cached` is the share of input read from the cache."""

    service: str
    team: str
    feature: str
    provider: str
    model: str
    calls_per_day: int
    input_tokens: int
    output_tokens: int
    cached: float = 0.0
    agent: str = ""
    workflow: str = ""
    customers: int = 0
    turns: int = 1  # calls of a conversation
    batch: bool = False
    failing: float = 0.01
    priced: bool = True


@dataclass(frozen=True, slots=True)
class Turn:
    """What an app asks for once; `faulty`: running in circles."""

    app: App
    number: int
    at: datetime
    faulty: bool


APPS: Final = (
    App("support-bot", "cx", "live-chat", "openai", "gpt-4o-2024-08-06", 320, 3800, 260, 0.55, "triage",
        "answer-ticket", customers=14, turns=6),
    App("support-bot", "cx", "summaries", "openai", "gpt-4o-mini-2024-07-18", 200, 2400, 180, 0.2,
        workflow="answer-ticket", customers=14),
    App("contracts", "legal-tech", "contract-review", "anthropic", "claude-sonnet-4-5", 70, 14_000, 900, 0.6,
        "reviewer", "review", customers=6, turns=9),
    App("code-assist", "platform", "completion", "anthropic", "claude-haiku-4-5", 260, 5200, 220, 0.7, turns=4),
    App("code-assist", "platform", "refactor", "anthropic", "claude-sonnet-4-5", 60, 11_000, 1400, 0.65, "coder",
        "refactor", turns=12, failing=0.03),
    App("search", "discovery", "indexing", "openai", "text-embedding-3-small", 240, 900, 0),
    App("search", "discovery", "answers", "google", "gemini-2.5-flash", 240, 2600, 240, 0.1, customers=20),
    App("reports", "finance", "nightly-report", "openai", "gpt-4o-2024-08-06", 60, 9000, 1200, batch=True),
    App("labs", "", "prompt-tests", "anthropic", "claude-haiku-4-5", 30, 3000, 400),
    App("labs", "", "playground", "self-hosted", "acme-13b-chat", 12, 1500, 300, priced=False),
)  # fmt: skip


def demo_calls(seed: int = 20261120, days: int = DAYS) -> list[LLMCall]:
    """The lines of the `days` before `NOW`, and some records that repeat one of them."""
    random, book = Random(seed), PriceBook.bundled()  # noqa: S311 - no secrets here
    calls: list[LLMCall] = []
    for app in APPS:
        for number, (at, faulty) in enumerate(_moments(app, random, days)):
            calls += _attempts(Turn(app, number, at, faulty), random, book)
    repeats = [replace(call, source=Source.SDK_SPAN, emitter="openinference.instrumentation.openai",
                       call_id=_digest(call.call_id, "seen again"), duplicate_of=call.call_id)
               for call in calls[::9] if call.provider == "openai"]  # fmt: skip
    return calls + repeats


def _moments(app: App, random: Random, days: int) -> Iterator[tuple[datetime, bool]]:
    """When the app calls, and whether it runs in circles then."""
    first = NOW - timedelta(days=days)
    for hour in range(days * 24 + 1):
        start = first.replace(minute=0, second=0) + timedelta(hours=hour)
        rate = app.calls_per_day / 24 * _shape(app, start) * (1 + 0.006 * hour / 24)
        for _ in range(_poisson(rate, random)):
            moment = start + timedelta(seconds=random.uniform(0, 3600))
            if moment <= NOW:
                yield moment, False
    if app.feature == "contract-review":
        minutes = (RUNAWAY[1] - RUNAWAY[0]).total_seconds() / 60
        for _ in range(int(minutes * 1.4)):
            yield RUNAWAY[0] + timedelta(minutes=random.uniform(0, minutes)), True


def _shape(app: App, start: datetime) -> float:
    """How busy an hour is; 1 on the average."""
    if app.batch:
        return 12.0 if start.hour in (2, 3) else 0.0
    day = 0.35 + 1.3 * math.exp(-(((start.hour - 13.5) / 4.5) ** 2))
    return day * (0.45 if start.weekday() >= 5 else 1.2)


def _poisson(rate: float, random: Random) -> int:
    count, left = 0, math.exp(-rate) if rate < 700 else 0.0
    product = random.random()
    while product > left:
        count, product = count + 1, product * random.random()
    return count


def _attempts(turn: Turn, random: Random, book: PriceBook) -> Iterator[LLMCall]:
    """The call, after the attempts that failed."""
    attempt = 1
    while random.random() < turn.app.failing and attempt < 4:
        failed = _call(turn, attempt, random)
        failed = replace(failed, outcome=Outcome.ERROR, http_status=429, error_type="rate_limit", usage=Usage())
        yield replace(failed, cost=_priced(failed, book))
        attempt += 1
    call = _call(turn, attempt, random)
    if call.streaming and random.random() < 0.015:
        call = replace(call, outcome=Outcome.ABORTED, finish_reason="")
    yield replace(call, cost=_priced(call, book))


def _priced(call: LLMCall, book: PriceBook) -> Cost:
    """At the book's prices; the company pays 6 % less to one of its sellers."""
    cost = price_call(call, book)
    if call.provider != "anthropic" or cost.effective is None:
        return cost
    amounts = {name: (getattr(cost.effective, name) * DISCOUNTED).quantize(PICO_USD) for name in PARTS}
    return replace(cost, effective=Amounts(**amounts))


def _call(turn: Turn, attempt: int, random: Random) -> LLMCall:
    app, number, faulty = turn.app, turn.number, turn.faulty
    moment = turn.at + timedelta(seconds=2 * attempt)
    session = f"s-{_digest(app.feature.encode(), str(number // app.turns)).hex()[:8]}" if app.turns > 1 else ""
    customer = f"customer-{2 if faulty else int(app.customers * random.random() ** 2):02d}" if app.customers else ""
    longer = 1 + 0.25 * (number % app.turns) if not faulty else 3.5
    buckets = _buckets(app, moment, longer * random.lognormvariate(-0.08, 0.4), random)
    took_ms = 350 + buckets.get(Bucket.OUTPUT, 0) * random.uniform(8, 16)
    start_ns = int(moment.timestamp() * 1000) * 1_000_000
    identity = f"{app.feature} {number} {attempt} {start_ns}"
    streaming = app.turns > 1
    return LLMCall(
        call_id=_digest(identity.encode(), "call"),
        trace_id=_digest(f"{app.feature} {number}".encode(), "trace"),
        span_id=_digest(identity.encode(), "span")[:8],
        source=Source.WIRE,
        emitter="otel_llmcost.httpx",
        service=app.service,
        environment="production" if random.random() < 0.94 else "staging",
        start_ns=start_ns,
        end_ns=start_ns + int(took_ms) * 1_000_000,
        ttft_ns=int(min(took_ms, 180 + buckets.get(Bucket.INPUT, 0) * 0.05 + random.expovariate(1 / 220)) * 1e6)
        if streaming
        else None,
        provider=app.provider,
        host=f"api.{app.provider}.com",
        operation="embeddings" if "embedding" in app.model else "chat",
        requested_model=app.model,
        model=app.model,
        response_id=f"r-{identity}",
        streaming=streaming,
        service_tier="default" if app.provider == "openai" else "",
        price_context={"processing": "batch"} if app.batch else {},
        http_status=200,
        finish_reason="stop",
        attempt=attempt,
        usage=Usage(buckets=buckets, rule=f"{app.provider}.chat"),
        user=f"{app.team or 'labs'}-{3 if faulty else int(40 * random.random() ** 2):02d}" if not app.batch else "",
        session="s-runaway" if faulty else session,
        agent=app.agent,
        workflow=app.workflow,
        tags={k: v for k, v in (("team", app.team), ("feature", app.feature), ("customer", customer)) if v},
    )


def _buckets(app: App, moment: datetime, size: float, random: Random) -> dict[Bucket, int]:
    total = max(20, int(app.input_tokens * size))
    lost = app.feature == "live-chat" and CACHE_LOST[0] <= moment <= CACHE_LOST[1]
    read = 0 if lost else int(total * app.cached * random.uniform(0.7, 1.2)) // 128 * 128
    read = min(read, total)
    written = (total - read) // 3 if app.provider == "anthropic" and random.random() < 0.15 else 0
    out = int(app.output_tokens * random.lognormvariate(-0.12, 0.5))
    buckets = {Bucket.INPUT: total - read - written, Bucket.CACHE_READ: read, Bucket.OUTPUT: out}
    if written:
        buckets[Bucket.CACHE_WRITE] = written
    return {bucket: count for bucket, count in buckets.items() if count}


def _digest(data: bytes, purpose: str) -> bytes:
    return blake2b(data, digest_size=16, person=purpose.encode()[:16]).digest()
