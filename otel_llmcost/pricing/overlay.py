"""What the book asks of prices of one's own, where there are any. `overlays/` is what answers."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Protocol

from otel_llmcost.call import Bucket, LLMCall
from otel_llmcost.pricing.rates import NoPrice, Rates


class Charges(Protocol):
    """What a call is charged instead of its list price, in USD rounded to 1e-12 per bucket and per request."""

    @property
    def by_bucket(self) -> Mapping[Bucket, Decimal]: ...
    @property
    def request_usd(self) -> Decimal: ...
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

    def touches(self, price_id: str) -> bool:
        """Whether `effective` may change the price of some call that is priced by that row."""

    def redirect(self, provider: str, model: str, host: str, at_ns: int) -> tuple[str, str, str] | None:
        """Seller, model and reason of a name of one's own (a deployment, an inference profile); None for any other."""

    def own_rates(self, provider: str, model: str, at_ns: int, context: Mapping[str, str]) -> Rates | NoPrice | None:
        """Rates of a model of one's own, asked before the book; None where the book's hold."""

    def effective(
        self, call: LLMCall, rates: Rates, list_by_bucket: Mapping[Bucket, Decimal], request_usd: Decimal
    ) -> Charges | None:
        """What the call costs instead of its list price; None where that is the list price."""
