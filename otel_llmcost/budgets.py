"""Budgets: what may be spent in a period, by whom. Read from a file or the command line, kept in the ledger.

The table `budgets` only grows: a budget that is changed or removed gets another row, which counts from its first day
on. How far each is says the view `budget_status_on` (exporters/clickhouse/schema/0006_budgets.sql).
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError

from otel_llmcost.config_types import LAST_DAY, Day, PositiveAmount, Section, plain_amount
from otel_llmcost.errors import ConfigError, nearest
from otel_llmcost.yaml_file import YamlFile, explain_mistake

if TYPE_CHECKING:
    from otel_llmcost.exporters.clickhouse.client import Ledger, Rows

SCOPE: Final = ("environment", "service", "provider", "model", "team", "feature", "customer")
"""The dimensions that the ledger's totals by the day tell apart."""
THRESHOLDS: Final = (0.7, 0.85, 0.95, 1.0)
MAX_NAME: Final = 200


def _as_values(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _check_scope(scope: dict[str, list[str]]) -> dict[str, list[str]]:
    for name, values in scope.items():
        if name not in SCOPE:
            raise ValueError(f"{name!r} is no dimension of a budget{nearest(name, SCOPE)}; known: {', '.join(SCOPE)}")
        if not values:
            raise ValueError(f"{name} names nobody")
    return scope


def _check_thresholds(thresholds: list[float]) -> list[float]:
    if any(not 0 < share <= 10 for share in thresholds):
        raise ValueError("are shares of the amount, above 0 and at most 10: 0.85 is 85 %")
    return sorted(set(thresholds))


class Budget(Section):
    """One budget, as a file or the command line says it."""

    name: Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
    """What it is called; the same name again changes it."""
    period: Literal["day", "week", "month", "quarter"] = "month"
    """Days, weeks (from Monday), months and quarters are UTC."""
    amount_usd: PositiveAmount
    """What may be spent in each period."""
    scope: Annotated[dict[str, Annotated[list[str], BeforeValidator(_as_values)]], AfterValidator(_check_scope)] = (
        Field(default_factory=dict)
    )
    """Dimension → a value or several; empty: everything. Calls count that fit every dimension."""
    thresholds: Annotated[list[Annotated[float, Field(strict=False)]], AfterValidator(_check_thresholds)] = Field(
        default_factory=lambda: list(THRESHOLDS)
    )
    """Shares of the amount at which to tell."""
    valid_from: Day | None = Field(default=None, alias="from")
    """First day; today where nothing is said."""
    valid_to: Day = Field(default=LAST_DAY, alias="to")
    """Last day."""
    note: Annotated[str, Field(max_length=2_000)] = ""
    """For people."""


class BudgetFile(Section):
    """A file of budgets."""

    budgets: list[Budget]
    """Each by its name."""


def read_budgets(path: Path) -> list[Budget]:
    """The budgets of a YAML file.

    Raises:
        ConfigError: every mistake, one a line, each with file and line.
    """
    document = YamlFile.read(path)
    try:
        found = BudgetFile.model_validate(document.data).budgets
    except ValidationError as error:
        mistakes = [explain_mistake(detail, BudgetFile) for detail in error.errors(include_url=False)]
        raise ConfigError("\n".join(f"{document.place(location)}{text}" for location, text in mistakes)) from None
    names = [budget.name for budget in found]
    for place, name in enumerate(names):
        if name in names[:place]:
            raise ConfigError(f"{document.place(('budgets', place, 'name'))}{name!r}: is there twice")
    return found


def write_budgets(ledger: "Ledger", budgets: Iterable[Budget], today: date) -> int:
    """Add those that differ from what holds on their first day; how many.

    Raises:
        DeliveryError: the ledger did not take them.
    """
    rows = [row for budget in budgets if (row := _row(budget, today)) not in _held(ledger, row)]
    _insert(ledger, rows)
    return len(rows)


def remove_budgets(ledger: "Ledger", names: Sequence[str], today: date) -> None:
    """End budgets with yesterday; today and later they hold no more.

    Raises:
        ConfigError: there is none of that name today.
        DeliveryError: the ledger did not take it.
    """
    known = {row[0] for row in current(ledger, today).rows}
    for name in names:
        if name not in known:
            raise ConfigError(f"no budget {name!r}{nearest(name, sorted(known))}")
    _insert(ledger, [{"budget": name, "valid_from": f"{today}", "is_removed": 1} for name in names])


def current(ledger: "Ledger", today: date) -> "Rows":
    """How far each budget of a day is, the one that is used up most first.

    Raises:
        DeliveryError: the ledger did not answer.
    """
    return ledger.query(
        "SELECT budget, period, scope, amount_usd, spent_usd, share, threshold_reached, days_left, expected_usd,"
        " expected_share, exceeds_on FROM budget_status_on(day = {day:Date32})"
        " ORDER BY greatest(share, expected_share) DESC, budget",
        {"day": today},
    )


def _row(budget: Budget, today: date) -> dict[str, Any]:
    """As JSON lines have it; amounts as text, which the ledger reads exactly."""
    return {
        "budget": budget.name,
        "valid_from": f"{budget.valid_from or today}",
        "valid_to": f"{budget.valid_to}",
        "period": budget.period,
        "scope": {name: sorted(values) for name, values in sorted(budget.scope.items())},
        "amount_usd": plain_amount(budget.amount_usd),
        "thresholds": budget.thresholds,
        "note": budget.note,
    }


def _held(ledger: "Ledger", row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The newest row of that name that holds on that day, where it is none of a removal."""
    found = ledger.query(
        "SELECT * FROM budgets WHERE budget = {name:String} AND valid_from <= {day:Date32} AND valid_to >= {day:Date32}"
        " ORDER BY written_at DESC LIMIT 1",
        {"name": row["budget"], "day": row["valid_from"]},
    )
    held = [dict(zip(found.columns, values, strict=True)) for values in found.rows]
    return [
        {
            **{name: one[name] for name in ("budget", "period", "note")},
            "valid_from": row["valid_from"],
            "valid_to": f"{one['valid_to']}",
            "scope": {name: list(values) for name, values in sorted(one["scope"].items())},
            "amount_usd": plain_amount(one["amount_usd"]),
            "thresholds": list(one["thresholds"]),
        }
        for one in held
        if not one["is_removed"]
    ]


def _insert(ledger: "Ledger", rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        return
    names = sorted({name for row in rows for name in row})
    block = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    ledger.insert("budgets", names, block.encode("utf-8", "replace"), "JSONEachRow", once=False)
