"""Decimal rules: the only place that rounds money.

Every amount is USD, a `Decimal` with at most 12 digits after the point, rounded half-even once per usage
bucket. Between the rate and the edge an amount is an integer of pico-USD (1e-12 USD), which is the same number and
what the ledger stores. A float never holds money except as an OpenTelemetry attribute (`as_attribute`): OpenTelemetry
has no decimal type, and a double is exact to 1e-12 below 9,000 USD.
"""

from decimal import ROUND_HALF_EVEN, Context, Decimal

QUANTUM = Decimal("1e-12")
PICO_DIGITS = 12
PICO = 10**PICO_DIGITS
"""Pico-USD in one USD."""
ZERO = Decimal(0).quantize(QUANTUM)
MAX_USD = Decimal(1_000_000)
"""First amount that `Decimal(18, 12)`, the ledger's column type, cannot hold."""
MAX_PICO_USD = int(MAX_USD) * PICO

EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)
"""The context of all arithmetic on money: the application's own decides nothing."""


def round_usd(amount: Decimal) -> Decimal:
    """Round half-even to 1e-12 USD.

    Raises:
        decimal.InvalidOperation: the amount is NaN or infinite.
    """
    return amount.quantize(QUANTUM, context=EXACT)


def round_ratio(numerator: int, denominator: int) -> int:
    """The nearest integer to a ratio that is not negative; the even one of two that are as near."""
    whole, rest = divmod(numerator, denominator)
    twice = 2 * rest
    return whole + 1 if twice > denominator or (twice == denominator and whole & 1) else whole


def usd_of(pico_usd: int) -> Decimal:
    """Pico-USD as USD, with 12 digits after the point."""
    return EXACT.multiply(pico_usd, QUANTUM)  # exact, and keeps all 12 digits


def pico_of(usd: Decimal) -> int:
    """USD as pico-USD, rounded half-even.

    Raises:
        decimal.InvalidOperation: the amount is NaN or infinite.
    """
    return int(EXACT.scaleb(round_usd(usd), PICO_DIGITS))


def sum_usd(*amounts: Decimal) -> Decimal:
    """The exact sum."""
    total = ZERO
    for amount in amounts:
        total = EXACT.add(total, amount)
    return total


def pico_as_attribute(pico_usd: int) -> float:
    """The nearest double in USD, as `as_attribute` has it: a quotient of integers is rounded once."""
    usd: float = pico_usd / PICO
    return usd


def as_attribute(amount: Decimal) -> float:
    """The nearest double, for a span attribute or a metric."""
    return float(amount)
