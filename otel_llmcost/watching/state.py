"""What fires, what was told, and what is to be told now: no I/O, no clock. Times are seconds since 1970."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Literal

from otel_llmcost.errors import InputError
from otel_llmcost.watching.rules import Finding, Rule

FORMAT: Final = 1
FIRST_RETRY_S: Final = 30
LAST_RETRY_S: Final = 3600
MAX_OUTBOX: Final = 10_000
"""Messages that wait: beyond, the oldest of a channel that never answers are dropped and counted."""

Status = Literal["firing", "resolved"]


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert of a rule. `fired_s`: when it began to fire, None while it waits. `told`: somebody was."""

    key: str
    uid: str
    labels: Mapping[str, str]
    value: float
    since_s: int
    seen_s: int
    fired_s: int | None = None
    told: bool = False
    cause: str = ""
    """Key of the alert it is part of."""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A window in which alerts of a rule with these labels are known. `until_s` is behind it."""

    alert: str
    labels: Mapping[str, str]
    from_s: int
    until_s: int

    def covers(self, alert: Alert, now_s: int) -> bool:
        """Whether nobody is to be told of this alert now."""
        same = self.alert == alert.uid and self.labels.items() <= alert.labels.items()
        return same and self.from_s <= now_s < self.until_s


@dataclass(frozen=True, slots=True)
class Message:
    """What is told at once: alerts of one incident that began or ended together. `folded`: what is part of them."""

    incident: str
    status: Status
    alerts: Sequence[Alert]
    folded: Sequence[Alert] = ()


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message for one channel."""

    channel: str
    message: Message
    attempts: int = 0
    due_s: int = 0


@dataclass(slots=True)
class State:
    """Everything a watcher has to know after a restart."""

    alerts: dict[str, Alert] = field(default_factory=dict)
    outbox: list[Waiting] = field(default_factory=list)
    failures: dict[str, int] = field(default_factory=dict)
    """Channel → attempts that failed."""
    dropped: int = 0

    def as_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "alerts": [asdict(alert) for alert in self.alerts.values()],
            "outbox": [asdict(waiting) for waiting in self.outbox],
            "failures": self.failures,
            "dropped": self.dropped,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "State":
        """
        Raises:
            InputError: another version wrote it.
        """
        if document.get("format") != FORMAT:
            raise InputError("the state of watch was written by another version; remove it to start anew")
        alerts = [Alert(**row) for row in document["alerts"]]
        outbox = [Waiting(**row | {"message": _message(row["message"])}) for row in document["outbox"]]
        return cls({a.key: a for a in alerts}, outbox, dict(document["failures"]), document["dropped"])


def _message(row: Mapping[str, Any]) -> Message:
    alerts, folded = (tuple(Alert(**alert) for alert in row[name]) for name in ("alerts", "folded"))
    return Message(row["incident"], row["status"], alerts, folded)


@dataclass(frozen=True, slots=True)
class Seen:
    """What the ledger said. A rule that is not in `findings` could not be asked: its alerts stay as they are.

    `folded`: id of an anomaly → the series that it accounts for. `known`: windows of which nobody is told.
    """

    findings: Mapping[str, Sequence[Finding]]
    folded: Mapping[str, frozenset[str]] = field(default_factory=dict)
    known: Sequence[Acknowledged] = ()


def advance(state: State, rules: Mapping[str, Rule], seen: Seen, now_s: int) -> list[Message]:
    """Bring the alerts of `state` up to `now_s`; what is to be told of it."""
    ended: list[Alert] = []
    for uid, found in seen.findings.items():
        keys = _seen(state, rules[uid], found, now_s)
        ended += list(_end(state, rules[uid], keys, now_s))
    for key in [key for key, alert in state.alerts.items() if alert.uid not in rules]:
        del state.alerts[key]  # of a rule that an older version had
    _find_causes(state, rules, seen.folded)
    # One that was not seen now is on its way out.
    began = [alert for alert in active(state, seen.known, now_s) if not alert.told and alert.seen_s == now_s]
    for alert in began:
        state.alerts[alert.key] = replace(alert, told=True)
    return [*_messages(state, rules, began, "firing"), *_messages(state, rules, ended, "resolved")]


def active(state: State, known: Sequence[Acknowledged], now_s: int) -> list[Alert]:
    """The alerts that fire, of which nobody knows and which are part of no other."""
    return [a for a in _firing(state) if not a.cause and not any(k.covers(a, now_s) for k in known)]


def _seen(state: State, rule: Rule, found: Iterable[Finding], now_s: int) -> set[str]:
    keys = set()
    for finding in found:
        key = rule.key(finding.labels)
        keys.add(key)
        before = state.alerts.get(key) or Alert(key, rule.uid, finding.labels, finding.value, now_s, now_s)
        fired_s = before.fired_s
        if fired_s is None and now_s - before.since_s >= rule.pending_s:
            fired_s = now_s
        state.alerts[key] = replace(
            before, labels=dict(finding.labels), value=finding.value, seen_s=now_s, fired_s=fired_s
        )
    return keys


def _end(state: State, rule: Rule, seen: set[str], now_s: int) -> Iterator[Alert]:
    """Those of which somebody was told; the others are forgotten in silence."""
    for key, alert in list(state.alerts.items()):
        if alert.uid != rule.uid or key in seen:
            continue
        if alert.fired_s is not None and now_s - alert.seen_s < rule.keep_firing_s:
            continue
        del state.alerts[key]
        if alert.told:
            yield alert


def _find_causes(state: State, rules: Mapping[str, Rule], folded: Mapping[str, frozenset[str]]) -> None:
    causes = {
        series: alert.key
        for alert in _firing(state)
        if (covers := rules[alert.uid].covers)
        for series in folded.get(alert.labels[covers], ())
    }
    for key, alert in state.alerts.items():
        label = rules[alert.uid].covered_by
        if label:
            state.alerts[key] = replace(alert, cause=causes.get(alert.labels[label], ""))


def _firing(state: State) -> list[Alert]:
    return [alert for alert in state.alerts.values() if alert.fired_s is not None]


def _messages(state: State, rules: Mapping[str, Rule], alerts: Iterable[Alert], status: Status) -> Iterator[Message]:
    incidents: dict[str, list[Alert]] = {}
    for alert in alerts:
        group = rules[alert.uid].group
        name = " ".join(f"{label}={alert.labels[label]}" for label in group) if group else alert.key
        incidents.setdefault(name, []).append(alert)
    for name, members in incidents.items():
        keys = {alert.key for alert in members}
        yield Message(name, status, tuple(members), tuple(a for a in _firing(state) if a.cause in keys))


def put(state: State, messages: Iterable[Message], channels: Iterable[str]) -> None:
    """Let messages wait for every channel."""
    names = tuple(channels)
    state.outbox += [Waiting(name, message) for message in messages for name in names]
    beyond = max(0, len(state.outbox) - MAX_OUTBOX)
    state.outbox, state.dropped = state.outbox[beyond:], state.dropped + beyond


def due(state: State, now_s: int) -> list[Waiting]:
    """What to send now: of each channel in order, nothing behind a message that waits for its next attempt."""
    blocked: set[str] = set()
    found = []
    for waiting in state.outbox:
        if waiting.due_s > now_s:
            blocked.add(waiting.channel)
        if waiting.channel not in blocked:
            found.append(waiting)
    return found


def sent(state: State, waiting: Waiting) -> None:
    """Forget a message that a channel took."""
    state.outbox.remove(waiting)


def failed(state: State, waiting: Waiting, now_s: int) -> None:
    """Try again later, and later each time."""
    pause_s = min(FIRST_RETRY_S * 2**waiting.attempts, LAST_RETRY_S)
    place = state.outbox.index(waiting)
    state.outbox[place] = replace(waiting, attempts=waiting.attempts + 1, due_s=now_s + pause_s)
    state.failures[waiting.channel] = state.failures.get(waiting.channel, 0) + 1
