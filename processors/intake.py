"""What becomes of a message, the same for gRPC and HTTP, for `up` and for the stage.

    message → scan → decode → spans → pipeline → Kinship → lines  → ledger    ┐
                 └ nothing of GenAI ─────────────────────── spans → next hop  ┴→ acknowledged

The ledger comes first: it knows a line that comes twice, and the next hop does not know a span. So where the ledger
fails, the next hop has not seen the message yet, and where the next hop fails, coming again changes nothing in the
ledger.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, Protocol

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from otel_llmcost.call import LLMCall, Source
from otel_llmcost.errors import InputError
from otel_llmcost.kinship import Kinship, Seen
from otel_llmcost.processors.enriching import USAGE_COST, Enricher, strip_foreign
from otel_llmcost.processors.gate import Tenant
from otel_llmcost.processors.ledger_writer import LedgerWriter
from otel_llmcost.processors.otlp import OtlpRequest, OtlpSpan, count_spans, decode_protobuf, genai_messages, seen_plain
from otel_llmcost.processors.scanning import may_hold_foreign, may_hold_genai
from otel_llmcost.processors.signals import TRACES, Signal
from otel_llmcost.processors.splitting import split
from otel_llmcost.processors.tree import mark_repeats, seen_genai
from otel_llmcost.settings import IdentitySettings
from otel_llmcost.span import Span

INLINE_BYTES: Final = 32 * 1024
"""Messages up to this size are read on the event loop: handing one to a thread takes longer than reading it."""


class SpanPipeline(Protocol):
    """The step that makes bill lines; `otel_llmcost.pipeline.Pipeline` is one."""

    def process_span(self, span: Span, source: Source) -> LLMCall | None: ...


class NextHop(Protocol):
    """Where messages go on to."""

    @property
    def max_message_bytes(self) -> int: ...

    async def export(self, signal: Signal, body: bytes) -> bytes:
        """The answer to a message, once the next hop has acknowledged it.

        Raises:
            RefusedError: it has not.
        """

    async def close(self) -> None: ...


def kinship_of(settings: IdentitySettings) -> Kinship:
    """The memory of a receiver, which sees the spans of many processes, in any order."""
    return Kinship(settings.remembered_spans, names_unseen=True, counts_agents=bool(settings.closed_frameworks))


class PassIntake:
    """Hands messages of one signal on as they are."""

    def __init__(self, signal: Signal, next_hop: NextHop) -> None:
        self._signal = signal
        self._next_hop = next_hop

    async def take(self, body: bytes, _tenant: Tenant) -> bytes:
        """The next hop's own answer."""
        return await self._next_hop.export(self._signal, body)


@dataclass(slots=True)
class Work:
    """What a message comes to. `parts`: what goes on to the next hop. `spans`: how many there are, by what became of
    them: `line` (of a call), `none`, `unread`, `unreadable`."""

    seen: Sequence[Seen] = ()
    refused: list[str] = field(default_factory=list)
    rows: list[LLMCall] = field(default_factory=list)
    parts: Sequence[bytes] = ()
    spans: dict[str, int] = field(default_factory=dict)


class Watcher(Protocol):
    """Counts."""

    def stored(self, work: Work) -> None:
        """The lines of a message are in the ledger, where there is one."""

    def taken(self, work: Work) -> None:
        """The message is acknowledged now."""


class TraceIntake:
    """Turns messages of spans into durable bill lines, into spans with their cost, or both.

    `reads_all`: also messages without a GenAI span are read, for what they tell of the tree. `otlp_ledger`: another
    process keeps the ledger and makes the lines; messages with GenAI spans go there as they came. `watcher`: is told
    how far messages came.
    """

    def __init__(  # noqa: PLR0913 - what a process is put together of
        self,
        pipeline: SpanPipeline,
        writer: LedgerWriter | None = None,
        kinship: Kinship | None = None,
        *,
        next_hop: NextHop | None = None,
        otlp_ledger: NextHop | None = None,
        enricher: Enricher | None = None,
        reads_all: bool = True,
        watcher: Watcher | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._writer = writer
        self._kinship = kinship or kinship_of(IdentitySettings())
        self._next_hop = next_hop
        self._otlp_ledger = otlp_ledger
        self._enricher = enricher
        self._reads_all = reads_all
        self._watcher = watcher
        # One: threads share one interpreter, and messages are remembered in the order in which they came.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="llmcost-intake")

    async def take(self, body: bytes, tenant: Tenant) -> bytes:
        """The answer to a message, once its lines are durable and its spans are with the next hop."""
        if len(body) <= INLINE_BYTES:
            work = self._work(body, tenant)
        else:
            work = await asyncio.get_running_loop().run_in_executor(self._thread, self._work, body, tenant)
        await self._store(work, body)
        if self._watcher is not None:
            self._watcher.stored(work)
        answers = [await self._next_hop.export(TRACES, part) for part in work.parts] if self._next_hop else []
        if self._watcher is not None:
            self._watcher.taken(work)
        return _answer(answers, work.refused, passed_on=self._next_hop is not None)

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown()

    async def _store(self, work: Work, body: bytes) -> None:
        if self._otlp_ledger is not None and work.rows:
            await self._otlp_ledger.export(TRACES, body)
        if self._writer is None or not work.rows:
            return
        try:
            refused = await asyncio.wrap_future(self._writer.submit(work.rows))
        except BaseException:
            self._kinship.forget(work.seen)  # they are not in the ledger, so nothing may rest on them
            raise
        work.refused += refused

    def _work(self, body: bytes, tenant: Tenant) -> Work:
        foreign = may_hold_foreign(body)
        genai = may_hold_genai(body)
        most = self._next_hop.max_message_bytes if self._next_hop else 0
        if not (genai or self._reads_all or (foreign and not tenant.trusted)) and len(body) <= most:
            return Work(parts=(body,), spans={"unread": count_spans(body)})
        request = decode_protobuf(body)
        strips = foreign and not tenant.trusted and self._next_hop is not None
        if strips:
            strip_foreign(request)
        work, priced = self._read(request, trusted=tenant.trusted or not foreign)
        if self._next_hop is None:
            return work
        if priced and self._enricher is not None:
            self._enricher.write(priced, replaces=foreign or USAGE_COST in body)
        elif not strips and len(body) <= most:
            work.parts = (body,)
            return work
        work.parts = split(request, most)
        return work

    def _read(self, request: OtlpRequest, *, trusted: bool) -> tuple[Work, list[tuple[OtlpSpan, LLMCall]]]:
        found = read_messages(request, self._pipeline, trusted=trusted)
        lines, others = len(found.priced), len(found.seen) - len(found.priced)
        spans = {"line": lines, "none": others, "unreadable": len(found.refused)}
        work = Work(found.seen, found.refused, spans=spans)
        work.rows = self._kinship.meet(found.seen)
        if self._next_hop is not None:
            mark_repeats(found.seen)
        return work, found.priced


@dataclass(slots=True)
class Found:
    """What a message tells of calls; `priced` are spans with their lines, `refused` reasons of those that cannot be."""

    seen: list[Seen] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    priced: list[tuple[OtlpSpan, LLMCall]] = field(default_factory=list)


def read_messages(request: OtlpRequest, pipeline: SpanPipeline, *, trusted: bool = False) -> Found:
    """Every span as the tree knows it, GenAI ones with their lines."""
    found = Found()
    add = found.seen.append

    def other(span: OtlpSpan) -> None:
        add(seen_plain(span))

    for message, span in genai_messages(request, found.refused.append, other, trusted=trusted):
        try:
            call = pipeline.process_span(span, Source.OTLP)
        except InputError as error:
            found.refused.append(str(error))
            continue
        add(seen_genai(span, call))
        if call is not None:
            found.priced.append((message, call))
    return found


def read_request(request: OtlpRequest, pipeline: SpanPipeline) -> tuple[list[Seen], list[str]]:
    """What a request tells of calls, and the reasons why some of its spans cannot be lines."""
    found = read_messages(request, pipeline)
    return found.seen, found.refused


def _answer(answers: Sequence[bytes], refused: Sequence[str], *, passed_on: bool) -> bytes:
    """The next hop's answer as it came, where there is one and nothing to add.

    A span that can be no line is rejected, unless the next hop has it: then it is only told.
    """
    if len(answers) == 1 and not refused:
        return answers[0]
    response = ExportTraceServiceResponse()
    told = response.partial_success
    texts = []
    for answer in answers:
        theirs = ExportTraceServiceResponse.FromString(answer).partial_success
        told.rejected_spans += theirs.rejected_spans
        if theirs.error_message:
            texts.append(theirs.error_message)
    if refused:
        told.rejected_spans += 0 if passed_on else len(refused)
        texts.append(f"{len(refused)} spans are no bill lines, the first: {refused[0]}")
    told.error_message = "; ".join(texts)[:1_024]
    if not (told.rejected_spans or told.error_message):
        response.Clear()
    return bytes(response.SerializeToString())
