"""The two sides behind the stage: the next hop in both protocols, and the ledger, which comes first."""

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest

from otel_llmcost.call import LLMCall
from otel_llmcost.errors import RetryableError
from otel_llmcost.pipeline import Pipeline
from otel_llmcost.processors.answers import Refusal, RefusedError
from otel_llmcost.processors.enriching import Enricher
from otel_llmcost.processors.gate import ANYBODY
from otel_llmcost.processors.intake import TraceIntake
from otel_llmcost.processors.ledger_writer import LedgerWriter
from otel_llmcost.processors.signals import LOGS, Signal
from otel_llmcost.settings import Settings
from stage.running_stage import Sink, request, running
from stage.test_stage_answers import delay_of, with_delay

Code = grpc.StatusCode


class Ledger:
    """A sink that fails until it is told otherwise."""

    def __init__(self) -> None:
        self.calls: dict[bytes, LLMCall] = {}
        self.writes = 0
        self.down = False

    def write(self, calls: Sequence[LLMCall]) -> None:
        self.writes += 1
        if self.down:
            raise RetryableError("ledger down")
        self.calls |= {call.call_id: call for call in calls}

    def close(self) -> None: ...


class Hop:
    max_message_bytes = 1 << 20

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.refusal: Refusal | None = None

    async def export(self, _signal: Signal, body: bytes) -> bytes:
        if self.refusal is not None:
            raise RefusedError(self.refusal)
        self.got.append(body)
        return b""

    async def close(self) -> None: ...


def test_the_ledger_comes_before_the_next_hop() -> None:
    """While the ledger fails the next hop gets nothing; while the next hop fails, coming again doubles no line."""
    ledger, hop = Ledger(), Hop()
    writer = LedgerWriter(ledger)
    intake = TraceIntake(
        Pipeline.from_settings(Settings()), writer, next_hop=hop, enricher=Enricher(usage_cost=True), reads_all=False
    )
    body = request().SerializeToString()

    async def run() -> None:
        ledger.down = True
        with pytest.raises(RetryableError):
            await intake.take(body, ANYBODY)
        assert [] == hop.got
        ledger.down, hop.refusal = False, Refusal(Code.UNAVAILABLE, 503, "not now", 1.0)
        with pytest.raises(RefusedError):
            await intake.take(body, ANYBODY)
        hop.refusal = None
        assert b"" == await intake.take(body, ANYBODY)
        assert b"" == await intake.take(request({"k": 1}).SerializeToString(), ANYBODY)

    asyncio.run(run())
    writer.close()
    intake.close()
    assert (1, 3, 2) == (len(ledger.calls), ledger.writes, len(hop.got))


def test_a_next_hop_over_http_gets_the_same_and_is_told_the_same(tmp_path: Path) -> None:
    """With gzip and headers from a file; here it is a second stage, whose delay comes all the way."""
    (tmp_path / "headers").write_text("# for the next hop\nAuthorization: Bearer t0ken\n")
    (tmp_path / "token").write_text("t0ken")
    sink = Sink()
    tenant = {"name": "first", "token_file": str(tmp_path / "token"), "trusted": True}
    with running({"tenants": [tenant]}, sink=sink) as second:
        hop = {
            "url": f"http://127.0.0.1:{second.http_port}",
            "headers_file": str(tmp_path / "headers"),
            "compression": "gzip",
        }
        with running({"next_hop": hop}) as first:
            assert b"" == first.send(request())
            assert b"" == first.send(b"logs", LOGS)
            (priced,) = sink.requests()
            keys = [pair.key for pair in priced.resource_spans[0].scope_spans[0].spans[0].attributes]
            sink.refuse = (Code.UNAVAILABLE, "later", with_delay(Code.UNAVAILABLE, 9))
            later = first.refused(request())
            sink.refuse = (Code.INVALID_ARGUMENT, "never", ())
            never = first.refused(request())
        with running({"next_hop": hop | {"headers_file": ""}}) as stranger:
            refused = stranger.refused(request())

    assert len(set(keys)) == len(keys)  # priced twice, told once
    assert "llmcost.cost.usd" in keys
    assert [("logs", b"logs")] == [each for each in sink.bodies if each[0] == "logs"]
    assert (Code.UNAVAILABLE, 9.0) == (later.code(), delay_of(later))
    assert Code.INVALID_ARGUMENT == never.code()
    assert Code.UNAVAILABLE == refused.code()  # our own credentials are wrong: no reason for senders to drop


def test_headers_and_compression_of_grpc() -> None:
    """Headers of the configuration are sent with every message."""
    with running({"next_hop": {"headers": {"X-Tenant": "seven"}, "compression": "gzip"}}) as stage:
        stage.send(request())
        assert "seven" == stage.sink.metadata[0]["x-tenant"]
        assert 1 == len(stage.sink.requests())


def test_a_ledger_that_another_process_keeps_gets_the_spans_as_they_came() -> None:
    """`otlp://`: messages with GenAI spans go to both, others to the next hop only, and both must have them."""
    with running() as ledger, running(ledger=f"otlp://127.0.0.1:{ledger.grpc_port}") as stage:
        message, plain = request(), request({"k": 1})
        stage.send(message)
        stage.send(plain)
        assert 1 == len(ledger.sink.bodies)
        assert 2 == len(stage.sink.bodies)
        ledger.sink.refuse = (Code.UNAVAILABLE, "down", ())
        assert Code.UNAVAILABLE == stage.refused(request()).code()
        assert 2 == len(stage.sink.bodies)


def test_lines_are_durable_in_the_spool_while_the_ledger_is_away(tmp_path: Path) -> None:
    """With `delivery.spool` a message is acknowledged though the ledger does not answer."""
    settings: dict[str, Any] = {"spool": str(tmp_path), "shutdown_timeout_ms": 100}
    with running(ledger="clickhouse://127.0.0.1:1/llmcost", delivery=settings) as stage:
        assert b"" == stage.send(request())
    spooled = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"gpt-4o-2024-08-06" in spooled


def test_many_senders_at_once_all_get_their_answer() -> None:
    """Large and small messages, of all kinds; all that is acknowledged has arrived."""
    sizes = [1, 60, 400] * 6
    with running() as stage:
        failed: list[BaseException] = []

        def send(number: int) -> None:
            try:
                stage.send(request(*[{"k": 1} if number % 2 else {"gen_ai.request.model": "gpt-4o"}] * sizes[number]))
            except BaseException as error:  # noqa: BLE001 - told below
                failed.append(error)

        threads = [threading.Thread(target=send, args=(number,)) for number in range(len(sizes))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        arrived = sum(len(each.resource_spans[0].scope_spans[0].spans) for each in stage.sink.requests())
    assert ([], sum(sizes)) == (failed, arrived)
