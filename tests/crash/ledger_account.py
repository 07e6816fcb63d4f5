"""What a ledger says after a crash, held against what it must say."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from crash.writing import number_of
from otel_llmcost.exporters.clickhouse.client import Ledger
from otel_llmcost.exporters.clickhouse.settling import settle

ROLLUPS = ("calls_hourly", "calls_by_minute", "calls_daily", "users_daily")


@dataclass(frozen=True)
class Account:
    """Call numbers with how many lines each has, and the sums of the raw lines and of each rollup."""

    lines: dict[int, int]
    raw_usd: Decimal
    rollups: dict[str, tuple[int, Decimal]]

    @classmethod
    def of(cls, url: str, team: str) -> "Account":
        """The account of a team; each run has a team of its own."""
        whose = "WHERE team = {team:String}"
        with Ledger.open(url) as ledger:

            def ask(sql: str) -> list[tuple[Any, ...]]:
                return ledger.query(f"{sql} {whose}", {"team": team}).rows

            rows = ask("SELECT response_id, count() OVER (PARTITION BY response_id) FROM calls")
            ((raw_usd,),) = ask("SELECT sum(cost_usd) FROM calls")
            sums = {view: ask(f"SELECT sum(calls), sum(cost_usd) FROM {view}")[0] for view in ROLLUPS}
        rollups = {view: (calls, Decimal(usd or 0)) for view, (calls, usd) in sums.items()}
        return cls({number_of(name): lines for name, lines in rows}, Decimal(raw_usd or 0), rollups)


def settle_all(url: str) -> None:
    """Store the totals of everything that is there, while nobody writes."""
    with Ledger.open(url, read_only=False) as ledger:
        settle(ledger, grace_s=0)


def check(account: Account, told: set[int], made: Collection[int], cost_usd: Callable[[int], Decimal]) -> None:
    """0 lost, 0 doubled, nothing invented, and the sums are those of the distinct calls."""
    assert set() == told - account.lines.keys(), "lost"
    assert {} == {number: lines for number, lines in account.lines.items() if lines != 1}, "doubled"
    assert set() == account.lines.keys() - set(made), "invented"
    expected_usd = sum(map(cost_usd, account.lines), Decimal(0))
    assert expected_usd == account.raw_usd
    assert dict.fromkeys(ROLLUPS, (len(account.lines), expected_usd)) == account.rollups
