"""SDKs against the replay provider: what they gave, what it served, and what the lines must therefore say."""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from billing import Bill, told
from driving import Mode, drive
from replay_provider import ReplayHandler, ReplayServer, Served
from wire_server import serving

from e2e.served_usage import buckets

SEED = 7


class SameAnswer(ReplayHandler):
    """Draws the answer without regard to `stream_options`: the same whether or not a stream is asked for its usage."""

    def _answer(self, served: Served, raw: bytes, digest: bytes, occurrence: int) -> None:
        request = json.loads(raw)
        request.pop("stream_options", None)
        super()._answer(served, raw, blake2b(json.dumps(request).encode()).digest(), occurrence)


@dataclass(frozen=True)
class Replay:
    """A finished run of a mode."""

    results: list[Any]
    served: list[dict[str, Any]]


def replay(
    make_client: Callable[[str], Any], mode: Mode, bill: Bill | None = None, rate_limit_every: int = 0, **settings: Any
) -> Replay:
    """Run a mode against a provider of its own: the same answers every time. With a bill, instrumented."""
    log = io.StringIO()
    server = ReplayServer(0, log, SEED, rate_limit_every, event_delay_ms=0.0)
    server.RequestHandlerClass = SameAnswer
    origin = f"http://127.0.0.1:{server.server_port}"
    with serving(server):
        if bill is None:
            results = drive(lambda: make_client(origin), mode)
        else:
            hosts = {f"{origin}/{seller}": seller for seller in ("openai", "anthropic", "groq")}
            with bill.on(hosts, **settings):
                results = drive(lambda: make_client(origin), mode)
        server.drain()
    return Replay(results, [json.loads(line) for line in log.getvalue().splitlines()])


def line_of(entry: dict[str, Any], **differing: Any) -> dict[str, Any]:
    """What the line of a served request that was answered says."""
    return {
        "provider": entry["seller"],
        "requested_model": entry["requested_model"],
        "model": entry["model"],
        "response_id": entry["response_id"],
        "streaming": entry["streaming"],
        "outcome": "ok",
        "http_status": entry["http_status"],
        "attempt": entry["attempt"],
        "service_tier": entry["service_tier"],
        "buckets": buckets(entry),
        "status": "exact",
        **differing,
    }


def check(make_client: Callable[[str], Any], mode: Mode, bill: Bill) -> None:
    """The SDK gives the same with and without us, and each request it sent is one exact line."""
    bare = replay(make_client, mode)
    seen = replay(make_client, mode, bill)
    assert bare.results
    assert bare.results == seen.results
    assert [line_of(entry) for entry in seen.served] == [told(line) for line in bill.lines]
    assert all(entry["usage"] == entry["sent_usage"] for entry in seen.served)
