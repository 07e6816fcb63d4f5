"""`llmcost.*` metrics: counters with attributes of low cardinality only."""

from collections.abc import Sequence

from opentelemetry.metrics import MeterProvider, get_meter

from otel_llmcost import __version__
from otel_llmcost.call import LLMCall, Status
from otel_llmcost.money import as_attribute


class CallMetrics:
    """Counts calls, tokens and cost as lines are made.

    Attributes: provider, model, operation, status and the `dimensions` named (the configured ones that are of low
    cardinality; never users, sessions or ids).
    """

    def __init__(self, dimensions: Sequence[str], meter_provider: MeterProvider | None = None) -> None:
        meter = get_meter("otel_llmcost", __version__, meter_provider)
        self._dimensions = tuple(dimensions)
        self._cost = meter.create_counter("llmcost.cost", "usd", "Effective cost of provider calls")
        self._calls = meter.create_counter("llmcost.calls", "{call}", "Provider calls")
        self._tokens = meter.create_counter("llmcost.tokens", "{token}", "Tokens by direction")
        self._unpriced = meter.create_counter("llmcost.unpriced.tokens", "{token}", "Tokens without a price")
        self._dropped = meter.create_counter("llmcost.dropped", "{call}", "Calls that did not reach the ledger")

    def record(self, call: LLMCall) -> None:
        """Count one bill line."""
        cost = call.cost
        assert cost is not None
        attributes = {
            "provider": call.provider,
            "model": call.model,
            "operation": call.operation,
            "status": cost.status.value,
            **{name: call.tags[name] for name in self._dimensions if name in call.tags},
        }
        self._calls.add(1, attributes)
        tokens = {"input": call.usage.input_tokens, "output": call.usage.output_tokens}
        for direction, count in tokens.items():
            self._tokens.add(count, {**attributes, "direction": direction})
        if cost.effective is not None:
            self._cost.add(as_attribute(cost.effective.total_usd), attributes)
        if cost.status is Status.UNPRICED:
            self._unpriced.add(sum(tokens.values()), attributes)

    def dropped(self, count: int, reason: str) -> None:
        """Count calls that are lost to the ledger."""
        self._dropped.add(count, {"reason": reason})
