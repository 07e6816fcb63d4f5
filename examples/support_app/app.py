"""A sample application: the LLM calls of three teams of a web shop, with the vendors' own SDKs.

It knows nothing of bills. What it does for attribution is what any OpenTelemetry user does: it puts the feature and the
customer it works for into the baggage. Where the providers are and what the keys are comes from the SDKs' standard
environment variables (OPENAI_BASE_URL, OPENAI_API_KEY and so on).

    python app.py --workload support --calls 100

The workloads hold what real traffic holds: cached and reasoning tokens, streams that ask for no usage, streams that the
reader leaves, rate limits, a model that fails, a fine-tuned model that no price list knows.
"""

import argparse
import asyncio
import inspect
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

import anthropic
import groq
import httpx
import openai
from anthropic import Anthropic, AsyncAnthropic
from groq import AsyncGroq
from openai import AsyncOpenAI, OpenAI
from opentelemetry import baggage, context

CONCURRENCY: Final = 8
ANSWERED: Final = "answered"
CUSTOMERS: Final = ("acme", "globex", "initech", "umbrella")
ROUTER_MODEL: Final = "ft:gpt-4.1-mini-2025-04-14:shop:intent-router:Bq1T2xZa"
POLICY: Final = (
    "You answer for the support desk of a web shop. Be brief and friendly. Orders ship within two working days. "
    "A refund reaches the customer within ten days of the return. Promise no date that the carrier did not confirm. "
) * 24
"""The instructions that every support call repeats: long enough that the providers cache it."""

FAILURES: Final = (openai.APIError, anthropic.APIError, groq.APIError, httpx.TransportError)
"""What a provider does to us; anything else is a fault of this program and ends it."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """One piece of work: what was asked, and for whom."""

    number: int

    @property
    def customer(self) -> str:
        return CUSTOMERS[self.number % len(CUSTOMERS)]

    @property
    def question(self) -> str:
        return f"Ticket {self.number}: {self.customer} asks where order {7000 + self.number * 13} is."


@dataclass(frozen=True)
class Clients:
    """The SDK clients of one process; each reads its own environment variables."""

    openai: OpenAI = field(default_factory=OpenAI)
    async_openai: AsyncOpenAI = field(default_factory=AsyncOpenAI)
    anthropic: Anthropic = field(default_factory=Anthropic)
    async_anthropic: AsyncAnthropic = field(default_factory=AsyncAnthropic)
    async_groq: AsyncGroq = field(default_factory=AsyncGroq)


# The support desk


def triage(clients: Clients, ticket: Ticket) -> None:
    messages = [{"role": "system", "content": POLICY}, {"role": "user", "content": ticket.question}]
    clients.openai.chat.completions.create(model="gpt-4o-mini", messages=messages, max_tokens=40)


def route(clients: Clients, ticket: Ticket) -> None:
    messages = [{"role": "user", "content": ticket.question}]
    clients.openai.chat.completions.create(model=ROUTER_MODEL, messages=messages, max_tokens=16)


def answer(clients: Clients, ticket: Ticket) -> None:
    clients.anthropic.messages.create(
        model="claude-sonnet-4-6",
        max_tokens=300,
        system=[{"type": "text", "text": POLICY, "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        messages=[{"role": "user", "content": ticket.question}],
    )


def chat(clients: Clients, ticket: Ticket) -> None:
    with clients.anthropic.messages.stream(
        model="claude-sonnet-4-6",
        max_tokens=200,
        system=[{"type": "text", "text": POLICY, "cache_control": {"type": "ephemeral"}}],
        messages=[{"role": "user", "content": ticket.question}],
    ) as stream:
        text = "".join(stream.text_stream)
    if not text:
        raise RuntimeError("the chat stream held no text")


def chat_left_early(clients: Clients, ticket: Ticket) -> None:
    """The customer closes the window while the answer is still being written."""
    with clients.anthropic.messages.stream(
        model="claude-sonnet-4-6",
        max_tokens=4096,
        messages=[{"role": "user", "content": f"{ticket.question} Answer at length."}],
    ) as stream:
        for _ in islice(stream.text_stream, 3):
            pass


def draft(clients: Clients, ticket: Ticket) -> None:
    """A stream that does not ask for its usage; its reader expects a choice in every chunk."""
    stream = clients.openai.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": ticket.question}], max_tokens=160, stream=True
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    if not text:
        raise RuntimeError("the draft held no text")


# The search team


async def embed(clients: Clients, ticket: Ticket) -> None:
    texts = [ticket.question, f"order {ticket.number}"]
    await clients.async_openai.embeddings.create(model="text-embedding-3-small", input=texts)


async def rewrite(clients: Clients, ticket: Ticket) -> None:
    messages = [{"role": "user", "content": f"Rewrite as a search query: {ticket.question}"}]
    await clients.async_groq.chat.completions.create(model="llama-3.3-70b-versatile", messages=messages, max_tokens=60)


async def rank(clients: Clients, ticket: Ticket) -> None:
    messages = [{"role": "system", "content": POLICY}, {"role": "user", "content": f"Rank: {ticket.question}"}]
    stream = await clients.async_groq.chat.completions.create(
        model="openai/gpt-oss-120b", messages=messages, max_tokens=120, stream=True
    )
    async for _ in stream:
        pass


async def rank_cut_off(clients: Clients, ticket: Ticket) -> None:
    """A small model on a line that breaks in the middle of the answer."""
    messages = [{"role": "user", "content": f"Rank in short: {ticket.question}"}]
    stream = await clients.async_groq.chat.completions.create(
        model="openai/gpt-oss-20b", messages=messages, max_tokens=120, stream=True
    )
    async for _ in stream:
        pass


async def summarise(clients: Clients, ticket: Ticket) -> None:
    stream = await clients.async_openai.responses.create(
        model="gpt-4.1", instructions=POLICY, input=ticket.question, max_output_tokens=200, stream=True
    )
    async for _ in stream:
        pass


# The data team


async def classify(clients: Clients, ticket: Ticket) -> None:
    await clients.async_openai.chat.completions.create(
        model="gpt-5-mini",
        messages=[{"role": "developer", "content": POLICY}, {"role": "user", "content": ticket.question}],
        max_completion_tokens=240,
        service_tier="flex",
    )


async def extract(clients: Clients, ticket: Ticket) -> None:
    await clients.async_anthropic.messages.create(
        model="claude-haiku-4-5",
        max_tokens=120,
        messages=[{"role": "user", "content": f"Extract the order number: {ticket.question}"}],
    )


async def label(clients: Clients, ticket: Ticket) -> None:
    stream = await clients.async_openai.chat.completions.create(
        model="gpt-4o-mini",
        messages=[{"role": "user", "content": f"Label: {ticket.question}"}],
        max_tokens=60,
        stream=True,
        stream_options={"include_usage": True},
    )
    usages = [chunk.usage async for chunk in stream if chunk.usage]
    if len(usages) != 1:
        raise RuntimeError(f"asked for the usage once, got it {len(usages)} times")


def report(clients: Clients, ticket: Ticket) -> None:
    clients.openai.responses.create(model="gpt-5-mini", input=f"Report on: {ticket.question}", max_output_tokens=300)


async def review(clients: Clients, ticket: Ticket) -> None:
    """A preview model that fails; one more try is all that this is worth."""
    client = clients.async_openai.with_options(max_retries=1)
    messages = [{"role": "user", "content": f"Review: {ticket.question}"}]
    await client.chat.completions.create(model="gpt-4.5-preview", messages=messages, max_tokens=60)


# Running them

Job = Callable[[Clients, Ticket], None] | Callable[[Clients, Ticket], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Task:
    """A job, the feature it is done for, and how often it comes among 40 tickets."""

    feature: str
    job: Job
    weight: int


WORKLOADS: Final[Mapping[str, Sequence[Task]]] = {
    "support": (
        Task("triage", triage, 12),
        Task("triage", route, 4),
        Task("answers", answer, 8),
        Task("live-chat", chat, 8),
        Task("live-chat", chat_left_early, 1),
        Task("drafts", draft, 7),
    ),
    "search": (
        Task("index", embed, 16),
        Task("query", rewrite, 10),
        Task("ranking", rank, 7),
        Task("ranking", rank_cut_off, 1),
        Task("summaries", summarise, 6),
    ),
    "batch": (
        Task("classification", classify, 14),
        Task("extraction", extract, 12),
        Task("labelling", label, 8),
        Task("reports", report, 5),
        Task("reports", review, 1),
    ),
}


def schedule(tasks: Sequence[Task], calls: int) -> Iterator[tuple[Task, Ticket]]:
    """Tickets in turn; every 40 of them hold each task as often as its weight says, in mixed order."""
    cycle = [task for task in tasks for _ in range(task.weight)]
    return ((cycle[number * 7 % len(cycle)], Ticket(number)) for number in range(calls))


@contextmanager
def working_for(task: Task, ticket: Ticket) -> Iterator[None]:
    """The baggage of the work at hand, as a request's middleware would set it."""
    bag = baggage.set_baggage("customer", ticket.customer, baggage.set_baggage("feature", task.feature))
    token = context.attach(bag)
    try:
        yield
    finally:
        context.detach(token)


async def perform(clients: Clients, task: Task, ticket: Ticket, slots: asyncio.Semaphore) -> str:
    """Do one job and say how it went: `ANSWERED`, or the name of the provider's error."""
    async with slots:
        with working_for(task, ticket):
            try:
                if inspect.iscoroutinefunction(task.job):
                    await task.job(clients, ticket)
                else:
                    await asyncio.to_thread(task.job, clients, ticket)
            except FAILURES as error:
                return type(error).__name__
    return ANSWERED


async def run(workload: str, calls: int) -> Counter[str]:
    clients, slots = Clients(), asyncio.Semaphore(CONCURRENCY)
    work = (perform(clients, task, ticket, slots) for task, ticket in schedule(WORKLOADS[workload], calls))
    return Counter(await asyncio.gather(*work))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Make the LLM calls of one team of a web shop.")
    parser.add_argument("--workload", choices=sorted(WORKLOADS), default="support")
    parser.add_argument("--calls", type=int, default=40, help="how many tickets to work on (default: %(default)s)")
    options = parser.parse_args(arguments)
    results = asyncio.run(run(options.workload, options.calls))
    print(f"{options.workload}: " + ", ".join(f"{count} {name}" for name, count in results.most_common()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
