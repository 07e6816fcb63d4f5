"""Rollups held against what plain Python adds up, and settlers that die."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from otel_llmcost.call import LLMCall
from otel_llmcost.exporters import open_sink
from otel_llmcost.exporters.clickhouse.client import Ledger
from otel_llmcost.restating.versions import first_version

HOUR_NS = 3_600_000_000_000
VIEWS = {"calls_hourly": "hourly_live", "calls_by_minute": "minute_live", "calls_daily": "daily_live"}
VIEWS |= {"users_daily": "user_live", "conversations_daily": "conversation_live"}
TABLES = ("call_versions", "touched_hours", "settled_units")
TABLES += ("hourly_totals", "minute_totals", "daily_totals", "user_totals", "conversation_totals")


def empty(ledger: Ledger) -> None:
    for table in TABLES:
        ledger.execute(f"TRUNCATE TABLE {{database}}.{table}")


class KilledError(Exception):
    """What ends a settler in the middle."""


class KilledAfter(Ledger):
    """A connection whose owner dies before the statement with that number."""

    left = 0

    def execute(self, statement: str, parameters: Mapping[str, Any] | None = None) -> None:
        self.left -= 1
        if self.left < 0:
            raise KilledError
        super().execute(statement, parameters)


def write(url: str, calls: list[LLMCall]) -> None:
    sink = open_sink(url)
    sink.write(calls)
    sink.close()


def lines_of(written: list[LLMCall]) -> list[LLMCall]:
    """The newest record of each call, of an import's the later row; but those that repeat another one."""
    newest: dict[bytes, LLMCall] = {}
    for call in written:
        known = newest.get(call.call_id)
        if known is None or first_version(call) >= first_version(known):
            newest[call.call_id] = call
    return [call for call in newest.values() if not call.duplicate_of]


def hours_of(lines: list[LLMCall]) -> dict[tuple[datetime, str], tuple[int, int, Decimal | None]]:
    """(hour, team) → calls, tokens and cost, as plain Python adds them up."""
    groups: dict[tuple[datetime, str], list[LLMCall]] = defaultdict(list)
    for call in lines:
        hour = datetime.fromtimestamp(call.start_ns // HOUR_NS * 3600, UTC)
        groups[hour, call.tags["team"]].append(call)
    found = {}
    for key, calls in groups.items():
        costs = [call.cost.effective.total_usd for call in calls if call.cost and call.cost.effective]
        tokens = sum(call.usage.input_tokens + call.usage.output_tokens for call in calls)
        found[key] = (len(calls), tokens, sum(costs, Decimal(0)) if costs else None)
    return found


def hours_shown(ledger: Ledger) -> dict[tuple[datetime, str], tuple[int, int, Decimal | None]]:
    """The same of the ledger's rollup."""
    rows = ledger.query(
        "SELECT hour, team, sum(calls), sum(input_tokens + output_tokens), sum(cost_usd) FROM calls_hourly"
        " GROUP BY hour, team"
    ).rows
    return {(hour.replace(tzinfo=UTC), team): tuple(sums) for hour, team, *sums in rows}


def check(ledger: Ledger, written: list[LLMCall]) -> None:
    assert hours_of(lines_of(written)) == hours_shown(ledger)
    for view, live in VIEWS.items():
        for one, other in ((view, live), (live, view)):
            assert [] == ledger.query(f"SELECT * FROM {one} EXCEPT ALL SELECT * FROM {other}").rows, (one, other)
