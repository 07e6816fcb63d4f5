"""Group commit in front of a sink."""

from collections.abc import Callable, Sequence
from threading import Event

import pytest

from factories import make_call
from otel_llmcost.call import LLMCall
from otel_llmcost.errors import PermanentError, RetryableError
from otel_llmcost.exporters.salvage import MAX_REFUSED
from otel_llmcost.processors.ledger_writer import MAX_LINES, LedgerWriter


class MemorySink:
    """Keeps what `check` lets through; `go` holds writes back until it is set."""

    def __init__(self, check: Callable[[Sequence[LLMCall]], None] = lambda calls: None) -> None:
        self.check = check
        self.writes: list[list[LLMCall]] = []
        self.go = Event()
        self.go.set()
        self.started = Event()
        self.closed = 0

    def write(self, calls: Sequence[LLMCall]) -> None:
        self.started.set()
        self.go.wait(10)
        self.check(calls)
        self.writes.append(list(calls))

    def close(self) -> None:
        self.closed += 1

    @property
    def stored(self) -> list[LLMCall]:
        return [call for write in self.writes for call in write]


def refuse_model(model: str) -> Callable[[Sequence[LLMCall]], None]:
    def check(calls: Sequence[LLMCall]) -> None:
        if any(call.model == model for call in calls):
            raise PermanentError("one line does not fit")

    return check


def test_requests_that_wait_are_written_together() -> None:
    """While one write is under way the next requests gather, and each is answered for itself."""
    sink = MemorySink()
    sink.go.clear()
    writer = LedgerWriter(sink)
    first = writer.submit([make_call(1)])
    sink.started.wait(10)
    others = [writer.submit([make_call(number)]) for number in (2, 3, 4)]

    assert not first.done()
    sink.go.set()

    assert [[]] * 4 == [future.result(10) for future in (first, *others)]
    assert [[make_call(1)], [make_call(2), make_call(3), make_call(4)]] == sink.writes
    writer.close()


def test_a_write_is_bounded() -> None:
    """Requests that together exceed the bound are written apart."""
    sink = MemorySink()
    sink.go.clear()
    writer = LedgerWriter(sink)
    futures = [writer.submit([make_call(1)])]
    sink.started.wait(10)
    futures += [writer.submit([make_call(2)] * (MAX_LINES // 2 + 1)) for _ in range(2)]
    sink.go.set()

    assert [[]] * 3 == [future.result(10) for future in futures]
    assert [1, MAX_LINES // 2 + 1, MAX_LINES // 2 + 1] == [len(write) for write in sink.writes]
    writer.close()


def test_a_transient_error_reaches_every_waiting_request(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is acknowledged, the thread goes on with the next request, and an outage is logged once."""
    answers = iter([RetryableError("down"), OSError("gone")])

    def check(calls: Sequence[LLMCall]) -> None:
        if error := next(answers, None):
            raise error

    writer = LedgerWriter(MemorySink(check))

    with pytest.raises(RetryableError, match="down"):
        writer.submit([make_call(1)]).result(10)
    with pytest.raises(OSError, match="gone"):
        writer.submit([make_call(1)]).result(10)
    assert [] == writer.submit([make_call(1)]).result(10)
    writer.close()
    assert [
        "the ledger takes no lines, and senders keep theirs: down",
        "the ledger takes lines again",
    ] == caplog.messages


def test_a_line_that_never_fits_does_not_hold_up_its_neighbours() -> None:
    """All other lines are stored; only the request that brought the line hears of it."""
    sink = MemorySink(refuse_model("bad"))
    sink.go.clear()
    writer = LedgerWriter(sink)
    warm_up = writer.submit([make_call(0)])
    sink.started.wait(10)
    good = writer.submit([make_call(1), make_call(2)])
    mixed = writer.submit([make_call(3), make_call(4, model="bad"), make_call(5)])
    sink.go.set()

    assert [[], [], ["one line does not fit"]] == [future.result(10) for future in (warm_up, good, mixed)]
    assert [make_call(n) for n in (0, 1, 2, 3, 5)] == sorted(sink.stored, key=lambda call: call.call_id)
    writer.close()


def test_a_ledger_that_refuses_everything_is_at_fault_itself() -> None:
    """A wrong password refuses every line for good, and must not cost a line: senders are told to come again."""
    attempts = 0

    def check(calls: Sequence[LLMCall]) -> None:
        nonlocal attempts
        attempts += 1
        raise PermanentError("wrong password")

    writer = LedgerWriter(MemorySink(check))

    with pytest.raises(RetryableError, match="wrong password"):
        writer.submit([make_call(1)]).result(10)
    with pytest.raises(RetryableError, match="wrong password"):
        writer.submit([make_call(number) for number in range(5_000)]).result(10)
    assert attempts < 10 * MAX_REFUSED
    writer.close()


def test_close_writes_what_waits_and_takes_no_more() -> None:
    """Requests that came before are stored and answered, later ones are told to come again."""
    sink = MemorySink()
    sink.go.clear()
    writer = LedgerWriter(sink)
    futures = [writer.submit([make_call(number)]) for number in range(3)]
    sink.go.set()

    writer.close()

    assert [[]] * 3 == [future.result(0) for future in futures]
    assert 3 == len(sink.stored)
    assert 1 == sink.closed
    with pytest.raises(RetryableError, match="shutting down"):
        writer.submit([make_call(9)])


def test_lines_that_are_set_aside_durably_are_acknowledged() -> None:
    """Their senders have nothing left to do; where they cannot be kept now, the request comes again."""
    aside: list[tuple[LLMCall, str]] = []
    writer = LedgerWriter(MemorySink(refuse_model("bad")), aside.extend)
    assert [] == writer.submit([make_call(1), make_call(2, model="bad"), make_call(3)]).result(10)
    writer.close()
    assert [(make_call(2, model="bad"), "one line does not fit")] == aside

    def no_room(_refused: Sequence[tuple[LLMCall, str]]) -> None:
        raise RetryableError("no room")

    writer = LedgerWriter(MemorySink(refuse_model("bad")), no_room)
    with pytest.raises(RetryableError, match="no room"):
        writer.submit([make_call(1), make_call(2, model="bad")]).result(10)
    writer.close()
