"""SDKs against a scripted server: what they gave, what came in, and the lines."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from billing import Bill
from driving import Mode, drive
from wire_server import Answer, Received, WireServer, serving


@dataclass(frozen=True)
class Run:
    """A finished run of a mode."""

    results: list[Any]
    received: list[Received]


def run_scripted(
    make_client: Callable[[str], Any], seller: str, mode: Mode, *answers: Answer, bill: Bill | None
) -> Run:
    """Run a mode against the answers. With a bill, instrumented, the server being the seller's."""
    server = WireServer(*answers)
    with serving(server), bill.on({server.origin: seller}) if bill else nullcontext():
        results = drive(lambda: make_client(server.origin), mode)
    return Run(results, server.received)


def check_scripted(make_client: Callable[[str], Any], seller: str, mode: Mode, *answers: Answer, bill: Bill) -> None:
    """The SDK gives and sends the same with and without us, and each request is one line, which the test looks at."""
    bare = run_scripted(make_client, seller, mode, *answers, bill=None)
    seen = run_scripted(make_client, seller, mode, *answers, bill=bill)
    assert bare.results
    assert bare.results == seen.results
    assert [request.body for request in bare.received] == [request.body for request in seen.received]
    assert len(seen.received) == len(bill.lines) == len(bill.spans)
