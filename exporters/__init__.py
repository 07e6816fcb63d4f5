"""Sinks: where priced calls go.

A sink is anything with `write` and `close` (the protocol `Sink`). `delivery.Delivery` puts a bounded queue, retries and
a count of what was lost in front of one; `open_sink` finds the sink for a ledger URL.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Protocol

from otel_llmcost.call import LLMCall
from otel_llmcost.errors import ConfigError

if TYPE_CHECKING:
    from otel_llmcost.pricing.configured import HasBook


class Sink(Protocol):
    """Takes priced calls. Every sink passes the contract in tests/contract/."""

    def write(self, calls: Sequence[LLMCall]) -> None:
        """Store the calls; return only when they are durable. Writing a call again changes nothing.

        Raises:
            RetryableError: not now; the same calls may go through later.
            PermanentError: never as they are.
        """

    def close(self) -> None:
        """Release what the sink holds. Safe to call twice."""


def open_sink(ledger_url: str, prices: "HasBook | None" = None) -> Sink:
    """The sink for a ledger URL. Nothing is connected before the first write.

    `prices` is who prices the lines: a ledger that keeps price books gets each one that it prices with.

    Raises:
        ConfigError: the URL is wrong or `off`; the text does not repeat it, for it may hold a password.
        MissingExtraError: an optional dependency of this kind of ledger is not installed.
    """
    if ledger_url == "off":
        raise ConfigError("ledger: is off; OTEL_LLMCOST_LEDGER or `ledger:` in llmcost.yaml says where lines go")
    factory = SINKS.get(ledger_url.partition("://")[0])
    if factory is None:
        raise ConfigError(f"ledger: must start with {', '.join(f'{scheme}://' for scheme in SINKS)} or be off")
    return factory(ledger_url, prices)


def _clickhouse(ledger_url: str, prices: "HasBook | None") -> Sink:
    from otel_llmcost.exporters.clickhouse.writer import ClickHouseSink

    return ClickHouseSink(ledger_url, prices)


def _otlp(_ledger_url: str, _prices: "HasBook | None") -> Sink:
    raise ConfigError(
        "ledger: an otlp:// ledger carries an application's spans to the process that keeps the ledger; name that"
        " process's own ledger here: clickhouse://…, clickhouses://… or chdb:///…"
    )


SINKS: Final[Mapping[str, Callable[[str, "HasBook | None"], Sink]]] = {
    "clickhouse": _clickhouse,
    "clickhouses": _clickhouse,
    "chdb": _clickhouse,
    "otlp": _otlp,
    "otlps": _otlp,
}
