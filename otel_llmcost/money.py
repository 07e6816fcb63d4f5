"""Decimal rules: the only place that rounds money.

Every amount is USD, a `Decimal` with at most 12 digits after the point, rounded half-even once per usage
bucket. A float never holds money except as an OpenTelemetry attribute (`as_attribute`): OpenTelemetry has no
decimal type, and a double is exact to 1e-12 below 9,000 USD.
"""

from decimal import ROUND_HALF_EVEN, Context, Decimal

QUANTUM = Decimal("1e-12")
ZERO = Decimal(0).quantize(QUANTUM)
MAX_USD = Decimal(1_000_000)
"""First amount that `Decimal(18, 12)`, the ledger's column type, cannot hold."""

EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)
"""The context of all arithmetic on money: the application's own decides nothing."""


def round_usd(amount: Decimal) -> Decimal:
    """Round half-even to 1e-12 USD.

    Raises:
        decimal.InvalidOperation: the amount is NaN or infinite.
    """
    return EXACT.quantize(amount, QUANTUM)


def sum_usd(*amounts: Decimal) -> Decimal:
    """The exact sum."""
    add = EXACT.add
    total = ZERO
    for amount in amounts:
        if amount:
            total = add(total, amount)
    return total


def as_attribute(amount: Decimal) -> float:
    """The nearest double, for a span attribute or a metric."""
    return float(amount)
