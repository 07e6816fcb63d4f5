"""A ledger in memory for what stands in front of one: it fails on demand and remembers what it took."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from otel_llmcost.call import LLMCall
from otel_llmcost.errors import PermanentError, RetryableError
from otel_llmcost.exporters.line_codec import LineCodec
from otel_llmcost.exporters.safekeeping import KeepingSink, folder_of, keeping
from otel_llmcost.settings import DeliverySettings

URL = "clickhouse://user:pa55word@ledger.internal:8123/llmcost"


class Ledger:
    """`down`: not reachable. `refuses`: lines that it never takes. Counts what the metrics would."""

    def __init__(self) -> None:
        self.calls: list[LLMCall] = []
        self.down = False
        self.refuses: Callable[[LLMCall], bool] = lambda _call: False
        self.attempts = 0
        self.counts: Counter[str] = Counter()
        self.closed = 0

    def write(self, calls: Sequence[LLMCall]) -> None:
        self.attempts += 1
        if self.down:
            raise RetryableError("nobody there")
        if any(map(self.refuses, calls)):
            raise PermanentError("DECIMAL_OVERFLOW (code 407)")
        self.calls += calls

    def close(self) -> None:
        self.closed += 1

    def dropped(self, count: int, reason: str) -> None:
        self.counts[reason] += count

    def set_aside(self, count: int) -> None:
        self.counts["set aside"] += count

    @property
    def numbers(self) -> list[int]:
        return sorted(int.from_bytes(call.call_id, "big") for call in self.calls)


def delivery(spool: Path | str = "", **more: object) -> DeliverySettings:
    defaults = {"flush_interval_ms": 10, "batch_size": 50, "shutdown_timeout_ms": 2_000, "spool_sync": False}
    return DeliverySettings(**{**defaults, "spool": str(spool), **more})


def kept(ledger: Ledger, settings: DeliverySettings, url: str = URL) -> KeepingSink[LLMCall]:
    return keeping(url, settings, LineCodec(), (ledger.write, ledger.close), ledger)


def files_in(root: Path, pattern: str = "*") -> list[Path]:
    return sorted((root / folder_of(URL)).glob(pattern))


def until(condition: Callable[[], object], seconds: float = 10) -> None:
    """Wait for a thread."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)
