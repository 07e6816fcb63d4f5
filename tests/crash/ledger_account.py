"""What a ledger says after a crash, held against what it must say."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from crash.writing import number_of
from otel_llmcost.exporters.clickhouse.client import Ledger


@dataclass(frozen=True)
class Account:
    """Call numbers with how many lines each has, and the sums of the raw lines and of the rollup."""

    lines: dict[int, int]
    raw_usd: Decimal
    rollup_usd: Decimal

    @classmethod
    def of(cls, url: str, team: str) -> "Account":
        """The account of a team; each run has a team of its own."""
        whose = "WHERE team = {team:String}"
        with Ledger.open(url) as ledger:

            def ask(sql: str) -> list[tuple[Any, ...]]:
                return ledger.query(f"{sql} {whose}", {"team": team}).rows

            rows = ask("SELECT response_id, count() OVER (PARTITION BY response_id) FROM calls")
            ((raw_usd,),) = ask("SELECT sum(cost_usd) FROM calls")
            ((rollup_usd,),) = ask("SELECT sum(cost_usd) FROM calls_daily")
        return cls({number_of(name): lines for name, lines in rows}, Decimal(raw_usd or 0), Decimal(rollup_usd or 0))


def check(account: Account, told: set[int], made: Collection[int], cost_usd: Callable[[int], Decimal]) -> None:
    """0 lost, 0 doubled, nothing invented, and the sums are those of the distinct calls."""
    assert set() == told - account.lines.keys(), "lost"
    assert {} == {number: lines for number, lines in account.lines.items() if lines != 1}, "doubled"
    assert set() == account.lines.keys() - set(made), "invented"
    expected_usd = sum(map(cost_usd, account.lines), Decimal(0))
    assert (expected_usd, expected_usd) == (account.raw_usd, account.rollup_usd)
