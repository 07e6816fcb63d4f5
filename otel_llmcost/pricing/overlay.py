"""What the book asks of prices of one's own, where there are any. `overlays/` is what answers."""

from collections.abc import Mapping
from typing import Protocol

from otel_llmcost.call import LLMCall
from otel_llmcost.pricing.compiled import Price
from otel_llmcost.pricing.rates import NoPrice, Rates


class OwnPrice(Protocol):
    """What a call is charged by instead of its list price."""

    @property
    def price(self) -> Price: ...
    @property
    def reason(self) -> str: ...
    @property
    def estimated(self) -> bool:
        """Whether it rests on what a month is expected to come to."""


class PriceOverlay(Protocol):
    """Prices of one's own over those of the book. Its answers depend on its arguments alone.

    `version` names its content exactly and becomes part of the book's.
    """

    @property
    def version(self) -> str: ...

    @property
    def names_models(self) -> bool:
        """Whether there is a name that `redirect` or `own_rates` knows; nothing is asked of them otherwise."""

    def names(self, provider: str, model: str, host: str) -> bool:
        """Whether one of them can know that name, at any time; of a call that has no such name nothing is asked."""

    def redirect(self, provider: str, model: str, host: str, at_ns: int) -> tuple[str, str, str] | None:
        """Seller, model and reason of a name of one's own (a deployment, an inference profile); None for any other."""

    def own_rates(self, provider: str, model: str, at_ns: int, context: Mapping[str, str]) -> Rates | NoPrice | None:
        """Rates of a model of one's own, asked before the book; None where the book's hold."""

    def own_price(self, call: LLMCall, listed: Price) -> OwnPrice | None:
        """What the call is charged by instead of its list price; None where that holds.

        Asked once for each call that has a list price, and for no other.
        """
