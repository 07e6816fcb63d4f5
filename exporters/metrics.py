"""`llmcost.*` metrics: counters with attributes of low cardinality only."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation, get_meter

from otel_llmcost import __version__
from otel_llmcost.call import LLMCall, Status
from otel_llmcost.money import ZERO, as_attribute, sum_usd


@dataclass(slots=True)
class _Total:
    """What lines with the same attributes add up to."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: Decimal | None = None  # None: no line of them has a price


class CallMetrics:
    """Counts calls, tokens and cost as lines are made.

    Attributes: provider, model, operation, status and the `dimensions` named (the configured ones that are of low
    cardinality; never users, sessions or ids).
    """

    def __init__(self, dimensions: Sequence[str], meter_provider: MeterProvider | None = None) -> None:
        meter = get_meter("otel_llmcost", __version__, meter_provider)
        self._dimensions = tuple(dimensions)
        self._names = ("provider", "model", "operation", "status", *self._dimensions)
        self._cost = meter.create_counter("llmcost.cost", "USD", "Effective cost of provider calls")
        self._calls = meter.create_counter("llmcost.calls", "{call}", "Provider calls")
        self._tokens = meter.create_counter("llmcost.tokens", "{token}", "Tokens by direction")
        self._unpriced = meter.create_counter("llmcost.unpriced.tokens", "{token}", "Tokens without a price")
        self._duplicates = meter.create_counter(
            "llmcost.duplicates", "{record}", "Records that repeat a call which another record tells"
        )
        self._dropped = meter.create_counter("llmcost.dropped", "{call}", "Calls that did not reach the ledger")
        self._dead = meter.create_counter("llmcost.dead_letters", "{call}", "Calls refused by the ledger and set aside")
        self._refreshes = meter.create_counter(
            "llmcost.price_book.refreshes", "{refresh}", "Looks for newer prices, by result"
        )
        self._meter = meter

    def record(self, call: LLMCall) -> None:
        """Count one bill line."""
        self.record_all((call,))

    def record_all(self, calls: Iterable[LLMCall]) -> None:
        """Count bill lines, those with the same attributes together: adding to a counter costs more than a line.

        Records that repeat a call are counted apart, by the instrumentation that made them.
        """
        totals: dict[tuple[str | None, ...], _Total] = {}
        duplicates: Counter[str] = Counter()
        for call in calls:
            if call.is_repeated:
                duplicates[call.emitter] += 1
                continue
            cost = call.cost
            assert cost is not None
            tags = [call.tags.get(name) for name in self._dimensions]
            key = (call.provider, call.model, call.operation, cost.status, *tags)
            total = totals.get(key)
            if total is None:
                total = totals[key] = _Total()
            total.calls += 1
            total.input_tokens += call.usage.input_tokens
            total.output_tokens += call.usage.output_tokens
            if cost.effective is not None:
                total.usd = sum_usd(total.usd or ZERO, cost.effective.total_usd)
        for key, total in totals.items():
            self._add(key, total)
        for emitter, count in duplicates.items():
            self._duplicates.add(count, {"emitter": emitter})

    def _add(self, key: tuple[str | None, ...], total: _Total) -> None:
        attributes = {name: str(value) for name, value in zip(self._names, key, strict=True) if value is not None}
        self._calls.add(total.calls, attributes)
        self._tokens.add(total.input_tokens, {**attributes, "direction": "input"})
        self._tokens.add(total.output_tokens, {**attributes, "direction": "output"})
        if total.usd is not None:
            self._cost.add(as_attribute(total.usd), attributes)
        if attributes["status"] == Status.UNPRICED:
            self._unpriced.add(total.input_tokens + total.output_tokens, attributes)

    def refreshed(self, result: str) -> None:
        """Count a look for newer prices: `new`, `unchanged` or `failed`."""
        self._refreshes.add(1, {"result": result})

    def watch_price_book(self, age_s: Callable[[], float]) -> None:
        """Tell how old the price data is, whenever metrics are collected."""
        self._watch(age_s, "llmcost.price_book.age", "s", "Time since the price data was last known to be right")

    def watch_spool(self, size_bytes: Callable[[], float]) -> None:
        """Tell how much waits on disk, of all processes that share the spool, whenever metrics are collected."""
        self._watch(size_bytes, "llmcost.spool.size", "By", "What the ledger does not have yet, dead letters included")

    def _watch(self, value: Callable[[], float], name: str, unit: str, description: str) -> None:
        def observe(_options: CallbackOptions) -> Iterable[Observation]:
            yield Observation(value())

        self._meter.create_observable_gauge(name, [observe], unit, description)

    def set_aside(self, count: int) -> None:
        """Count calls that the ledger refused and that are kept as dead letters."""
        self._dead.add(count)

    def dropped(self, count: int, reason: str) -> None:
        """Count calls that are lost to the ledger."""
        self._dropped.add(count, {"reason": reason})
