"""Prices of your own over the book: negotiated rates, private models, deployments, commitments, credits, mark-ups."""

from otel_llmcost.pricing.overlays.files import from_document, overlays_of
from otel_llmcost.pricing.overlays.measuring import Measuring, true_up
from otel_llmcost.pricing.overlays.overlays import Overlays
from otel_llmcost.pricing.overlays.totals import PeriodTotals, Total

__all__ = ["Measuring", "Overlays", "PeriodTotals", "Total", "from_document", "overlays_of", "true_up"]
