"""One round: ask the ledger, bring the state up to date, tell."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from otel_llmcost.errors import DeliveryError, RetryableError
from otel_llmcost.watching.channels import Alertmanager, Channel, text_of, title_of
from otel_llmcost.watching.rules import Finding, Rule, folded_series
from otel_llmcost.watching.state import Alert, Message, Seen, State, active, advance, due, failed, put, sent
from otel_llmcost.watching.stores import Store

if TYPE_CHECKING:
    from otel_llmcost.exporters.clickhouse.client import Ledger

MIN_LASTS_S: Final = 300


@dataclass(frozen=True, slots=True)
class Round:
    """What a round saw and did. `failures`: texts of channels that did not take something, and rules that failed."""

    firing: Sequence[Alert] = ()
    messages: Sequence[Message] = ()
    failures: Sequence[str] = ()


@dataclass(slots=True)
class Watcher:
    """Evaluates rules and tells channels. `interval_s`: how often it is asked to; `only`: these rules, () is all."""

    rules: Mapping[str, Rule]
    store: Store
    channels: Mapping[str, Channel]
    alertmanagers: Sequence[Alertmanager] = ()
    interval_s: int = 60
    only: Sequence[str] = ()
    _failing: set[str] = field(default_factory=set)

    def round(self, ledger: "Ledger", now: datetime, *, dry: bool = False) -> Round:
        """Ask, advance, tell. The state is stored before anything is sent and after: a message may come twice where
        the process is killed in between, and is never lost.

        Raises:
            DeliveryError: the ledger does not answer at all.
        """
        now_s = int(now.timestamp())
        known = self.store.acknowledged(now_s)
        seen, failures = self._ask(ledger, now)
        state = self.store.load()
        messages = advance(state, self.rules, Seen(seen, self._folded(ledger, state, seen, now), known), now_s)
        firing = active(state, known, now_s)
        if dry:
            return Round(firing, messages, failures)
        put(state, messages, self.channels)
        self.store.save(state)
        failures += self._deliver(state, now_s)
        failures += self._tell_alertmanagers(firing, messages, now_s)
        self.store.save(state)
        return Round(firing, messages, failures)

    def _ask(self, ledger: "Ledger", now: datetime) -> tuple[dict[str, list[Finding]], list[str]]:
        found: dict[str, list[Finding]] = {}
        failures = []
        for uid in self.only or self.rules:
            try:
                found[uid] = self.rules[uid].find(ledger, now)
            except DeliveryError as error:
                failures.append(f"{uid}: {error}")
        if failures and not found:
            raise RetryableError(failures[0])
        return found, failures

    def _folded(
        self, ledger: "Ledger", state: State, seen: Mapping[str, Sequence[Finding]], now: datetime
    ) -> Mapping[str, frozenset[str]]:
        """Nothing is read where there is no anomaly."""
        covering = {uid for uid, rule in self.rules.items() if rule.covers}
        there = {uid for uid, found in seen.items() if found} | {alert.uid for alert in state.alerts.values()}
        return folded_series(ledger, now) if covering & there else {}

    def _deliver(self, state: State, now_s: int) -> list[str]:
        failures: dict[str, str] = {}
        for waiting in due(state, now_s):
            if waiting.channel in failures:
                continue
            channel = self.channels.get(waiting.channel)
            try:
                if channel is not None:  # else it is not configured any more
                    channel.send(waiting.message, self.rules)
            except RetryableError as error:
                failures[waiting.channel] = str(error)
                failed(state, waiting, now_s)
            else:
                sent(state, waiting)
        return list(failures.values())

    def _tell_alertmanagers(self, firing: Iterable[Alert], messages: Iterable[Message], now_s: int) -> list[str]:
        over = [alert for message in messages if message.status == "resolved" for alert in message.alerts]
        failures = []
        for alertmanager in self.alertmanagers:
            try:
                alertmanager.tell(firing, self.rules, now_s, max(MIN_LASTS_S, 5 * self.interval_s))
                alertmanager.end(over, self.rules, now_s)
            except RetryableError as error:
                failures.append(str(error))
        return failures

    def new_failures(self, done: Round) -> list[str]:
        """Each failure once, until it is over."""
        found = [text for text in dict.fromkeys(done.failures) if text not in self._failing]
        self._failing = set(done.failures)
        return found


def printed(message: Message, rules: Mapping[str, Rule]) -> str:
    """A message for a terminal."""
    indented = "\n".join(f"  {line}" for line in text_of(message, rules).splitlines())
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M} {title_of(message, rules)}\n{indented}"
