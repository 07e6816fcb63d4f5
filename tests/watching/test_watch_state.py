"""What a watcher makes of findings: each alert once, resolved once, folded, acknowledged, retried."""

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from otel_llmcost.watching.channels import text_of, title_of
from otel_llmcost.watching.rules import Finding, rules
from otel_llmcost.watching.state import Acknowledged, Message, Seen, State, active, advance, due, failed, put, sent

RULES = rules()
T0 = 1_800_000_000
MINUTE = 60


def spend_rate(series: str = "team=cx", value: float = 3.0) -> Finding:
    scope, _, team = series.partition("=")
    return Finding({"scope": scope, "team": team, "series": series}, value)


def budget(name: str, threshold: str, value: float) -> Finding:
    labels = {"budget": name, "period": "month", "since": "2026-11-01", "amount_usd": "500", "threshold": threshold}
    return Finding(labels, value)


def anomaly(name: str = "a1", series: str = "feature=search") -> Finding:
    return Finding({"anomaly": name, "series": series, "direction": "rise"}, 4.0)


def told(
    state: State,
    minute: int,
    found: Mapping[str, Sequence[Finding]],
    folded: Mapping[str, frozenset[str]] | None = None,
    known: Sequence[Acknowledged] = (),
) -> list[Message]:
    everything = {uid: found.get(uid, ()) for uid in RULES}
    return advance(state, RULES, Seen(everything, folded or {}, known), T0 + minute * MINUTE)


def test_an_alert_is_told_once_after_its_wait_and_once_when_it_is_over() -> None:
    """
    5 minutes of waiting, 10 minutes of keeping on, and the exact words.
    """
    state, found = State(), {"llmcost-spend-rate": [spend_rate()]}

    messages = [told(state, minute, found if minute < 20 else {}) for minute in range(40)]

    (begun,), (over,) = messages[5], messages[29]
    assert 2 == sum(map(len, messages))
    assert "FIRING: LLM spend rate is unusual" == title_of(begun, RULES)
    assert text_of(begun, RULES) == (
        "team=cx spent 3.0 times the usual on LLM calls in the last 60 minutes\n"
        "Usual is what the same 60 minutes cost on the days before, taken as 1 USD at least. The rule fires above 1.5"
        " times for 5 minutes.\n"
        "Runbook: docs/runbooks/spend-rate.md"
    )
    assert "RESOLVED: LLM spend rate is unusual" == title_of(over, RULES)
    assert "team=cx spent 3.0 times the usual on LLM calls in the last 60 minutes" == text_of(over, RULES)
    assert {} == state.alerts


def test_a_short_rise_is_told_to_nobody() -> None:
    """
    Neither its beginning nor its end.
    """
    state, found = State(), {"llmcost-spend-rate": [spend_rate()]}

    assert [] == [m for minute in range(30) for m in told(state, minute, found if minute < 4 else {})]


def test_what_an_anomaly_accounts_for_is_told_with_it() -> None:
    """
    The rise of the team and of the total is part of the feature's anomaly; another team's is told on its own.
    """
    state = State()
    found = {
        "llmcost-anomaly": [anomaly()],
        "llmcost-spend-rate": [spend_rate("team=cx"), spend_rate("total"), spend_rate("team=ml")],
    }
    folded = {"a1": frozenset({"feature=search", "team=cx", "total"})}

    first = told(state, 0, found, folded)
    later = [m for minute in range(1, 9) for m in told(state, minute, found, folded)]

    assert ["feature=search: LLM spend, rise, 4.0 times the expected"] == [
        text_of(m, RULES).split("\n")[0] for m in first
    ]
    assert ["team=ml"] == [m.alerts[0].labels["series"] for m in later]
    over = [m for minute in range(9, 60) for m in told(state, minute, {}, folded)]
    assert {"llmcost-anomaly", "llmcost-spend-rate"} == {m.alerts[0].uid for m in over}
    assert 2 == len(over)


def test_what_goes_on_after_its_anomaly_is_told() -> None:
    """
    It is folded while its cause lasts, and is an alert of its own from then on.
    """
    state = State()
    rate = {"llmcost-spend-rate": [spend_rate()]}
    folded = {"a1": frozenset({"team=cx"})}
    for minute in range(10):
        told(state, minute, rate | {"llmcost-anomaly": [anomaly()]}, folded)

    messages = [m for minute in range(10, 40) for m in told(state, minute, rate, folded)]

    assert [("resolved", "llmcost-anomaly"), ("firing", "llmcost-spend-rate")] == sorted(
        ((m.status, m.alerts[0].uid) for m in messages), reverse=True
    )


def test_thresholds_of_a_budget_are_one_incident() -> None:
    """
    A jump beyond two thresholds is one message; the next threshold is told on its own, of the same incident.
    """
    state = State()
    two = [budget("cx", "70", 88.0), budget("cx", "85", 88.0)]

    (first,) = told(state, 0, {"llmcost-budget": two})
    (second,) = told(state, 1, {"llmcost-budget": two, "llmcost-budget-exceeded": [budget("cx", "100", 101.0)]})

    assert 2 == len(first.alerts)
    assert "Budget cx: 88 % of 500 USD spent, 70 % reached" == text_of(first, RULES).split("\n")[0]
    assert ("budget=cx since=2026-11-01",) * 2 == (first.incident, second.incident)
    assert "FIRING: LLM budget is exceeded" == title_of(second, RULES)


def test_a_value_that_moves_is_no_other_alert() -> None:
    """
    Labels that say more about it neither, where the rule names what makes it.
    """
    state = State()
    told(state, 0, {"llmcost-anomaly": [anomaly(series="feature=search")]})

    assert [] == told(state, 1, {"llmcost-anomaly": [anomaly(series="team=cx")]})
    assert "team=cx" == next(iter(state.alerts.values())).labels["series"]


def test_a_known_alert_is_told_when_its_window_is_over() -> None:
    """
    Only alerts with the labels of the window are known; one that ends within it was never told.
    """
    state = State()
    found = {"llmcost-spend-rate": [spend_rate("team=cx"), spend_rate("team=ml")]}
    known = [Acknowledged("llmcost-spend-rate", {"series": "team=cx"}, T0, T0 + 20 * MINUTE)]

    messages = {minute: told(state, minute, found, known=known) for minute in range(25)}

    assert {5: ["team=ml"], 20: ["team=cx"]} == {
        minute: [m.alerts[0].labels["series"] for m in ms] for minute, ms in messages.items() if ms
    }
    assert 2 == len(active(state, (), T0))


def test_a_rule_that_cannot_be_asked_changes_nothing() -> None:
    """
    An outage of the ledger resolves no alert.
    """
    state = State()
    for minute in range(7):
        told(state, minute, {"llmcost-spend-rate": [spend_rate()]})

    assert [] == advance(state, RULES, Seen({}), T0 + 90 * MINUTE)
    assert 1 == len(state.alerts)


def test_a_failing_channel_is_retried_later_and_later_and_holds_up_nobody() -> None:
    """
    Its messages keep their order; those of the other channel are gone at once.
    """
    state = State()
    found = {"llmcost-budget": [budget(name, "70", 71.0) for name in ("cx", "ml")]}
    put(state, told(state, 0, found), ("bad", "good"))
    attempts = []
    for second in range(0, 20_000, 10):
        for waiting in due(state, T0 + second):
            if waiting.channel == "good":
                sent(state, waiting)
            elif second not in attempts:
                attempts.append(second)
                failed(state, waiting, T0 + second)

    assert ["budget=cx since=2026-11-01", "budget=ml since=2026-11-01"] == [w.message.incident for w in state.outbox]
    pauses = [later - before for before, later in pairwise(attempts)]
    assert [30, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600] == pauses[:10]
    assert {"bad"} == set(state.failures)
    while ready := due(state, T0 + 100_000):
        sent(state, ready[0])
    assert [] == state.outbox


MINUTES = st.lists(st.sets(st.sampled_from(["team=cx", "team=ml", "total"])), max_size=80)


@given(MINUTES)
def test_whatever_comes_every_told_alert_is_resolved_once(minutes: list[set[str]]) -> None:
    """
    Firing and resolved alternate for each alert, and a restart at any minute changes nothing.
    """
    state, again = State(), State()
    events: dict[str, list[str]] = {}
    for minute, series in enumerate([*minutes, *[set()] * 30]):
        found = {"llmcost-spend-rate": [spend_rate(name) for name in sorted(series)]}
        messages = told(state, minute, found)
        again = State.from_json(json.loads(json.dumps(again.as_json())))
        assert messages == told(again, minute, found)
        for message in messages:
            for alert in message.alerts:
                events.setdefault(alert.key, []).append(message.status)
    for statuses in events.values():
        assert statuses == ["firing", "resolved"] * (len(statuses) // 2)
    assert {} == state.alerts
