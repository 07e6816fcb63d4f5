"""Calls of a file → pipeline → ledger, in batches, with an account of what happened."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice
from typing import Final

from otel_llmcost.call import LLMCall, Status
from otel_llmcost.errors import DeliveryError, InputError
from otel_llmcost.exporters import Sink
from otel_llmcost.importing.files import Rejected
from otel_llmcost.money import ZERO

BATCH_ROWS: Final = 5_000


@dataclass(slots=True)
class Count:
    """Calls and their tokens."""

    calls: int = 0
    tokens: int = 0


MAX_REASONS: Final = 1_000
"""Reasons told apart; they hold model names, which come from the file and must not grow memory without end."""


@dataclass(slots=True)
class Account:
    """What an import did so far. `written` counts rows that the ledger took, new to it or not."""

    read: int = 0
    written: int = 0
    rejected: int = 0
    flagged: int = 0
    cost_usd: Decimal = ZERO
    unpriced: dict[str, Count] = field(default_factory=dict)
    first_ns: int | None = None
    last_ns: int | None = None

    def add(self, calls: list[LLMCall]) -> None:
        """Count priced calls that are in the ledger."""
        self.written += len(calls)
        for call in calls:
            self.flagged += bool(call.usage.flags)
            self.first_ns = min(self.first_ns or call.start_ns, call.start_ns)
            self.last_ns = max(self.last_ns or call.start_ns, call.start_ns)
            if call.cost is None or call.cost.effective is None:
                self._add_unpriced(call)
            else:
                self.cost_usd += call.cost.effective.total_usd

    def _add_unpriced(self, call: LLMCall) -> None:
        reason = call.cost.reason if call.cost else Status.UNPRICED.value
        if reason not in self.unpriced and len(self.unpriced) >= MAX_REASONS:
            reason = "(other reasons)"
        count = self.unpriced.setdefault(reason, Count())
        count.calls += 1
        count.tokens += call.usage.input_tokens + call.usage.output_tokens


@dataclass(slots=True)
class Import:
    """One import: prices every call by `process` and writes it to `sink`, in batches.

    `on_rejected` is told of each row that cannot be read, `on_batch` of the rows read so far. `strict`: the first
    such row ends the import, and what came before it since the last batch is not written.
    """

    process: Callable[[LLMCall], LLMCall]
    sink: Sink
    on_rejected: Callable[[Rejected], None]
    on_batch: Callable[[int], None]
    strict: bool = False
    account: Account = field(default_factory=Account)

    def run(self, calls: Iterable[LLMCall | Rejected]) -> Account:
        """
        Raises:
            InputError: `strict`, and a row was rejected.
            DeliveryError: the ledger did not take a batch. The same import can be run again.
        """
        found = iter(calls)
        while batch := list(islice(found, BATCH_ROWS)):
            priced = []
            for item in batch:
                self.account.read += 1
                if isinstance(item, LLMCall):
                    priced.append(self.process(item))
                else:
                    self._reject(item)
            self._write(priced)
            self.account.add(priced)
            self.on_batch(self.account.read)
        return self.account

    def _reject(self, row: Rejected) -> None:
        self.account.rejected += 1
        if self.strict:
            raise InputError(f"line {row.line}: {row.reason}\nstopped there; {self._in_ledger()}")
        self.on_rejected(row)

    def _write(self, priced: list[LLMCall]) -> None:
        try:
            if priced:
                self.sink.write(priced)
        except DeliveryError as error:
            again = "run the same import again: nothing is counted twice"
            raise type(error)(f"{error}\n{self._in_ledger()}; {again}") from error

    def _in_ledger(self) -> str:
        return f"{self.account.written:,} rows before it are in the ledger"
