"""Calls for the dashboard tests, and in plain Python what every panel must show of them.

The reference reads the `LLMCall` records and never the ledger, so that a panel is held against the calls themselves.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from grafana_macros import View

from factories import make_call, make_cost
from otel_llmcost.call import Amounts, Bucket, Cost, LLMCall, Outcome, Status, Usage

NOW = datetime(2026, 11, 20, 14, 37, 23, tzinfo=UTC)
TEAMS = ("cx", "O'Neil", 'double"quote', "back\\slash", "ends in \\", "")
MODELS = tuple(f"model-{letter}" for letter in "abcdefghi")
NANOSECONDS = 1_000_000_000
CALL_BY_CALL_S = 6 * 3600  # longer ranges are read from totals
DAY_S = 86400  # where customers are chosen, ranges up to a day are read call by call, longer ones by the day
MINUTES_S = 2 * 86400  # charts of longer ranges are read by the hour

Row = tuple[Any, ...]


def sample_calls() -> list[LLMCall]:
    """1,800 calls over 40 days: most in the last two, some without a price, some failed, one model never priced.

    And calls on the edges: at both ends of a day, and in the hour in which a month begins, but before it does.
    """
    random = Random(20261120)
    ages_s = [random.uniform(1, 40 * 86400 if number % 2 else 2 * 86400) for number in range(1800)]
    edges_s = [0, 86400, *(30 * 86400 + 120 * n for n in range(1, 16))]
    return [_sample_call(number, int(age_s), random) for number, age_s in enumerate(ages_s + edges_s, start=1)]


def _sample_call(number: int, age_s: int, random: Random) -> LLMCall:
    start_ns = int(NOW.timestamp() - age_s) * NANOSECONDS
    model = random.choice(MODELS)
    call = make_call(
        number,
        start_ns=start_ns,
        end_ns=start_ns + NANOSECONDS,
        provider=random.choice(("openai", "azure")),
        model=model,
        environment=random.choice(("production", "staging", "")),
        service=random.choice(("bot", "index")),
        agent=random.choice(("triage", "O'Brien", "")),
        workflow=random.choice(("refund", "")),
        tags={
            "team": random.choice(TEAMS),
            "feature": random.choice(("search", "chat", "")),
            "customer": f"customer-{random.randrange(40)}",
        },
        outcome=random.choices((Outcome.OK, Outcome.ERROR, Outcome.ABORTED), weights=(8, 1, 1))[0],
        usage=Usage(buckets={Bucket.INPUT: random.randrange(1, 9000), Bucket.OUTPUT: random.randrange(1, 900)}),
        cost=make_cost(
            effective=Amounts(input_usd=_usd(random), output_usd=_usd(random)),
            cache_savings_usd=_usd(random) - _usd(random),
        ),
    )
    if model == MODELS[-1] or number % 17 == 0:
        reason = "no price for the model" if model == MODELS[-1] else "usage unknown"
        return replace(call, cost=Cost(Status.UNPRICED, reason=reason))
    return call


def _usd(random: Random) -> Decimal:
    return Decimal(random.randrange(10**12)).scaleb(-12)


def named(value: str) -> str:
    """A dimension's value as the dashboard shows it."""
    return value or "(none)"


def cost_usd(call: LLMCall) -> Decimal | None:
    return None if call.cost is None or call.cost.effective is None else call.cost.effective.total_usd


def tokens(call: LLMCall) -> int:
    return call.usage.input_tokens + call.usage.output_tokens


def time(call: LLMCall) -> datetime:
    """Start of the call, cut to the microsecond."""
    return datetime.fromtimestamp(call.start_ns // NANOSECONDS, UTC) + timedelta(
        microseconds=call.start_ns % NANOSECONDS // 1000
    )


def hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def total(amounts: Iterable[Decimal | None]) -> Decimal | None:
    """SQL's sum: it skips what is unknown, and is unknown where all is."""
    known = [amount for amount in amounts if amount is not None]
    return sum(known, Decimal(0)) if known else None


DIMENSIONS: Mapping[str, Callable[[LLMCall], str]] = {
    "environment": lambda call: named(call.environment),
    "service": lambda call: named(call.service),
    "provider": lambda call: named(call.provider),
    "model": lambda call: named(call.model),
    "team": lambda call: named(call.tags.get("team", "")),
    "feature": lambda call: named(call.tags.get("feature", "")),
    "customer": lambda call: named(call.tags.get("customer", "")),
    "agent": lambda call: named(call.agent),
    "workflow": lambda call: named(call.workflow),
}


@dataclass(frozen=True)
class Question:
    """A view of the dashboard, with what was chosen of each dimension by its name; what is not in it is All."""

    view: View
    chosen: Mapping[str, Sequence[str]]

    @property
    def length_s(self) -> float:
        return (self.view.end - self.view.start).total_seconds()

    def filtered(self, calls: Iterable[LLMCall]) -> list[LLMCall]:
        """The calls that the variables let through, of all time."""
        return [call for call in calls if all(DIMENSIONS[name](call) in values for name, values in self.chosen.items())]

    def lines(self, calls: Iterable[LLMCall], grain_s: int | None = None) -> list[LLMCall]:
        """The calls of the time range, by whole pieces of time where it is long; as totals have them, if not said."""
        start, end = self.view.start, self.view.end
        grain_s = grain_s or self.totals_grain_s
        if grain_s == 1:
            return [call for call in self.filtered(calls) if start <= time(call) <= end]
        first = began(start, grain_s)
        return [c for c in self.filtered(calls) if first <= began(time(c), grain_s) <= end]

    @property
    def totals_grain_s(self) -> int:
        """How long the pieces of time are that stats and tables are read in."""
        if "customer" in self.chosen:
            return 1 if self.length_s <= DAY_S else DAY_S
        return 1 if self.length_s <= CALL_BY_CALL_S else 3600

    @property
    def chart_grain_s(self) -> int:
        """The same for charts of money."""
        by_minute = not {"customer", "service", "agent", "workflow"} & self.chosen.keys()
        return 60 if by_minute and CALL_BY_CALL_S < self.length_s <= MINUTES_S else self.totals_grain_s

    @property
    def bar_s(self) -> int:
        return max(self.view.interval_s, self.chart_grain_s)

    def bar(self, call: LLMCall) -> int:
        """The second at which the call's bar begins."""
        return int(time(call).timestamp()) // self.bar_s * self.bar_s

    def covered_s(self, bar: int) -> int:
        """How much of a bar the range covers, half a bar at least."""
        start = began(self.view.start, self.chart_grain_s)
        covered = min(bar + self.bar_s, int(self.view.end.timestamp())) - max(bar, int(start.timestamp()))
        return max((self.bar_s + 1) // 2, covered)


def began(moment: datetime, grain_s: int) -> datetime:
    """Where the piece of time begins that a moment lies in."""
    return datetime.fromtimestamp(int(moment.timestamp()) // grain_s * grain_s, UTC)


Reference = Callable[[Sequence[LLMCall], Question], list[Row]]


def _month_start(moment: datetime) -> datetime:
    return hour(moment).replace(day=1, hour=0)


def _spend(calls: Iterable[LLMCall]) -> float | None:
    usd = total(map(cost_usd, calls))
    return None if usd is None else float(usd)


def now(calls: Sequence[LLMCall], question: Question) -> list[Row]:
    end, filtered = question.view.end, question.filtered(calls)
    midnight = end.replace(hour=0, minute=0, second=0, microsecond=0)
    by_hour = [call for call in filtered if hour(time(call)) <= end]
    month = [call for call in by_hour if _month_start(end) <= hour(time(call))]
    return [
        (
            _spend(call for call in filtered if end - timedelta(hours=1) < time(call) <= end),
            _spend(call for call in filtered if midnight <= time(call) <= end),
            _spend(month),
            _projected(by_hour, end),
        )
    ]


def _projected(by_hour: Sequence[LLMCall], end: datetime) -> float | None:
    month, recent = _month_start(end), hour(end - timedelta(days=7))
    known = [c for c in by_hour if min(month, recent) <= hour(time(c))]
    if total(map(cost_usd, known)) is None:
        return None
    so_far = total(cost_usd(call) for call in known if hour(time(call)) >= month) or Decimal(0)
    lately = total(cost_usd(call) for call in known if hour(time(call)) >= recent) or Decimal(0)
    first = max(recent, min(hour(time(call)) for call in known))
    next_month = (month + timedelta(days=32)).replace(day=1)
    rate = float(lately) / max(3600.0, (end - first).total_seconds())
    return float(so_far) + rate * (next_month - end).total_seconds()


def in_range(calls: Sequence[LLMCall], question: Question) -> list[Row]:
    lines = question.lines(calls)
    if not lines:
        return [(None,) * 5]
    priced = [call for call in lines if cost_usd(call) is not None]
    spend = _spend(priced)
    saved = total(call.cost.cache_savings_usd for call in priced if call.cost)
    owned = _spend(call for call in priced if DIMENSIONS["team"](call) != "(none)")
    return [
        (
            spend,
            len(priced) / len(lines),
            sum(map(tokens, priced)) / sum(map(tokens, lines)),
            (owned or 0) / spend if spend else None,
            None if saved is None else float(saved),
        )
    ]


def spend_rate(calls: Sequence[LLMCall], question: Question) -> list[Row]:
    charted = question.lines(calls, question.chart_grain_s)
    lines = [call for call in charted if cost_usd(call) is not None]
    spend: dict[str, Decimal] = defaultdict(Decimal)
    for call in lines:
        spend[call.model] += cost_usd(call) or 0
    named_models = sorted(spend, key=lambda model: (-spend[model], model))[:7]
    bars: dict[tuple[int, str], Decimal] = defaultdict(Decimal)
    for call in lines:
        series = call.model if call.model in named_models else "(other)"
        bars[question.bar(call), series] += cost_usd(call) or 0
    return [
        (datetime.fromtimestamp(bar, UTC), series, float(usd) * 3600 / question.covered_s(bar))
        for (bar, series), usd in sorted(bars.items())
    ]


def _by(keys: Sequence[str], lines: Iterable[LLMCall]) -> list[tuple[Row, list[LLMCall]]]:
    """Lines by dimensions: most expensive first, the unpriced last."""
    groups: dict[Row, list[LLMCall]] = defaultdict(list)
    for call in lines:
        groups[tuple(DIMENSIONS[key](call) for key in keys)].append(call)

    def order(item: tuple[Row, list[LLMCall]]) -> tuple[Any, ...]:
        usd = total(map(cost_usd, item[1]))
        return (usd is None, -(usd or 0), -len(item[1]), item[0])

    return sorted(groups.items(), key=order)


def spend_by_model(calls: Sequence[LLMCall], question: Question) -> list[Row]:
    groups = _by(("model", "provider"), question.lines(calls))
    return [(*key, _spend(group), len(group), sum(map(tokens, group))) for key, group in groups]


def spend_by(dimension: str) -> Reference:
    """Spend, share of all and calls by one dimension."""

    def rows(calls: Sequence[LLMCall], question: Question) -> list[Row]:
        grain_s = None
        if dimension == "customer":
            longest = DAY_S if {"agent", "workflow"} & question.chosen.keys() else CALL_BY_CALL_S
            grain_s = 1 if question.length_s <= longest else DAY_S
        lines = question.lines(calls, grain_s)
        everybody = _spend(lines) or 0.0
        found = [(*key, _spend(group), len(group)) for key, group in _by((dimension,), lines)]
        return [(key, usd, None if usd is None else usd / everybody, count) for key, usd, count in found]

    return rows


def calls_by_outcome(calls: Sequence[LLMCall], question: Question) -> list[Row]:
    bars: dict[int, Counter[bool]] = defaultdict(Counter)
    for call in question.lines(calls, question.chart_grain_s):
        bars[question.bar(call)][call.outcome is Outcome.ERROR] += 1
    return [(datetime.fromtimestamp(bar, UTC), count[False], count[True]) for bar, count in sorted(bars.items())]


def unpriced(calls: Sequence[LLMCall], question: Question) -> list[Row]:
    groups: dict[Row, list[LLMCall]] = defaultdict(list)
    for call in question.lines(calls):
        if cost_usd(call) is None and call.cost:
            reason = "(not kept by the day)" if question.totals_grain_s == DAY_S else call.cost.reason
            groups[named(call.model), named(call.provider), reason].append(call)
    rows = [(*key, len(group), sum(map(tokens, group))) for key, group in groups.items()]
    return sorted(rows, key=lambda row: (-row[3], *row[:3]))


SPEND_OVERVIEW: Mapping[str, Reference] = {
    "Spend rate": now,
    "Spend in range": in_range,
    "Spend rate by model": spend_rate,
    "Calls and errors": calls_by_outcome,
    "Spend by model": spend_by_model,
    "Spend by team": spend_by("team"),
    "Spend by feature": spend_by("feature"),
    "Spend by customer": spend_by("customer"),
    "Without a price": unpriced,
}
"""Panel of the dashboard → what its query must answer."""
