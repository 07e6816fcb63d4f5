"""The price book: (seller, model, time, context) → rates → the cost of a usage."""

from otel_llmcost.pricing.book import PriceBook
from otel_llmcost.pricing.quote import price_call

__all__ = ["PriceBook", "price_call"]
