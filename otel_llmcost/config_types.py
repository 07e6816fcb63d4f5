"""What configuration files are validated with: sections, exact amounts, days and currencies."""

import re
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

from otel_llmcost.money import EXACT

MAX_AMOUNT: Final = Decimal(10) ** 15
MAX_DIGITS: Final = 30
FIRST_DAY: Final = date(2015, 1, 1)
LAST_DAY: Final = date(2099, 12, 31)
CURRENCY: Final = re.compile(r"[A-Z]{3}")


class Section(BaseModel):
    """A mapping of a configuration file; unknown keys are mistakes."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)


def _as_amount(value: Any) -> Decimal:
    """An exact, plain number; a float stands for the digits that it prints as."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise ValueError("must be a number")
    try:
        amount = Decimal(str(value))
    except ArithmeticError:
        raise ValueError("must be a number") from None
    if not amount.is_finite():
        raise ValueError("must be a finite number")
    exponent = amount.as_tuple().exponent
    if len(amount.as_tuple().digits) > MAX_DIGITS or not isinstance(exponent, int) or abs(exponent) > MAX_DIGITS:
        raise ValueError(f"must have at most {MAX_DIGITS} digits")
    return amount


def _as_day(value: Any) -> date:
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value)
        except ValueError:
            raise ValueError("must be a day like 2026-01-31") from None
    if not isinstance(value, date) or isinstance(value, datetime):
        raise ValueError("must be a day like 2026-01-31, without a time: days begin at 00:00 UTC")
    if not FIRST_DAY <= value <= LAST_DAY:
        raise ValueError(f"must lie between {FIRST_DAY} and {LAST_DAY}")
    return value


def _as_currency(value: Any) -> str:
    if not isinstance(value, str) or not CURRENCY.fullmatch(value):
        raise ValueError("must be the three capital letters of ISO 4217, such as EUR")
    return value


def plain_amount(amount: Decimal) -> str:
    """The one spelling of an amount in JSON: 1.10 and 1.1 are the same price."""
    return f"{amount.normalize(EXACT):f}"


_NUMBER: Final = WithJsonSchema({"type": ["number", "string"], "minimum": 0})
_PLAIN: Final = PlainSerializer(plain_amount, return_type=str, when_used="json")

Amount = Annotated[Decimal, BeforeValidator(_as_amount), Field(ge=0, le=MAX_AMOUNT), _PLAIN, _NUMBER]
"""An amount of money or a count, exact, not negative."""
PositiveAmount = Annotated[Decimal, BeforeValidator(_as_amount), Field(gt=0, le=MAX_AMOUNT), _PLAIN, _NUMBER]
"""An amount that something is divided by."""
Percent = Annotated[Decimal, BeforeValidator(_as_amount), Field(ge=0, le=100), _PLAIN, _NUMBER]
Day = Annotated[date, BeforeValidator(_as_day), WithJsonSchema({"type": "string", "format": "date"})]
"""A day; it begins at 00:00 UTC."""
Currency = Annotated[
    str, BeforeValidator(_as_currency), WithJsonSchema({"type": "string", "pattern": f"^{CURRENCY.pattern}$"})
]


class FxRate(Section):
    """What one unit of a currency is worth from a day on, until the next rate begins."""

    valid_from: Day = Field(alias="from")
    """First day of the rate."""
    rate: PositiveAmount
    """USD for one unit of the currency."""
