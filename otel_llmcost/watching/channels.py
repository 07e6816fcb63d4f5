"""Who is told: Alertmanager, a webhook, and what apprise knows (Slack, email, PagerDuty, and a hundred more).

A URL of a channel may be a secret. It is in no exception and no log line: those name the channel.
"""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Protocol
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from otel_llmcost.errors import ConfigError, MissingExtraError, RetryableError
from otel_llmcost.watching.rules import Rule
from otel_llmcost.watching.state import Alert, Message

TIMEOUT_S: Final = 10


class Channel(Protocol):
    """Takes a message, or raises RetryableError."""

    def send(self, message: Message, rules: Mapping[str, Rule]) -> None: ...


def title_of(message: Message, rules: Mapping[str, Rule]) -> str:
    """One line: what, and whether it began or is over."""
    titles = list(dict.fromkeys(rules[alert.uid].title for alert in message.alerts))
    return f"{message.status.upper()}: {', '.join(titles)}"


def text_of(message: Message, rules: Mapping[str, Rule]) -> str:
    """What each alert says, what is folded into it, and where to read on."""
    lines = []
    for alert in message.alerts:
        rule = rules[alert.uid]
        lines += [rule.worded(rule.summary, alert.labels, alert.value)]
        if message.status == "firing":
            lines += [rule.worded(rule.description, alert.labels, alert.value), f"Runbook: {rule.runbook}"]
    if message.folded:
        lines.append("Part of it: " + ", ".join(sorted(_named(alert, rules) for alert in message.folded)))
    return "\n".join(lines)


def _named(alert: Alert, rules: Mapping[str, Rule]) -> str:
    return f"{rules[alert.uid].title} ({alert.labels.get(rules[alert.uid].covered_by, '')})"


def moment_text(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Webhook:
    """POSTs a message as JSON; `token` goes as a bearer."""

    name: str
    url: str
    token: str = ""

    def send(self, message: Message, rules: Mapping[str, Rule]) -> None:
        """
        Raises:
            RetryableError: it did not take the message.
        """
        alerts = [
            {
                "alert": alert.uid,
                "key": alert.key,
                "title": rules[alert.uid].title,
                "labels": {**rules[alert.uid].labels, **alert.labels},
                "value": alert.value,
                "summary": rules[alert.uid].worded(rules[alert.uid].summary, alert.labels, alert.value),
                "runbook": rules[alert.uid].runbook,
                "starts_at": moment_text(alert.fired_s or alert.since_s),
            }
            for alert in message.alerts
        ]
        document = {
            "version": 1,
            "status": message.status,
            "incident": message.incident,
            "title": title_of(message, rules),
            "text": text_of(message, rules),
            "alerts": alerts,
            "folded": [alert.key for alert in message.folded],
        }
        _post(self.name, self.url, document, self.token)


@dataclass(frozen=True, slots=True)
class Apprise:
    """One of apprise's services, by its URL."""

    name: str
    url: str

    def check(self) -> None:
        """
        Raises:
            MissingExtraError: apprise is not installed.
            ConfigError: it knows no such service.
        """
        self._service()

    def send(self, message: Message, rules: Mapping[str, Rule]) -> None:
        """
        Raises:
            RetryableError: the service did not take the message.
        """
        kind = "warning" if message.status == "firing" else "success"
        service = self._service()
        if not service.notify(title=title_of(message, rules), body=text_of(message, rules), notify_type=kind):
            raise RetryableError(f"channel {self.name}: the service did not take the message")

    def _service(self) -> Any:
        try:
            import apprise
        except ImportError:
            raise MissingExtraError(f"channel {self.name} (apprise)", "watch") from None
        logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)  # its texts show parts of URLs
        service = apprise.Apprise()
        if not service.add(self.url):
            raise ConfigError(f"channel {self.name}: apprise knows no service for its URL; see its list of services")
        return service


@dataclass(frozen=True, slots=True)
class Alertmanager:
    """Is told of all alerts that fire, again and again: it groups, silences and routes itself (API v2)."""

    name: str
    url: str

    def tell(self, alerts: Iterable[Alert], rules: Mapping[str, Rule], now_s: int, lasts_s: int) -> None:
        """Alerts that fire, for `lasts_s` from now; those that are told of no more end then by themselves.

        Raises:
            RetryableError: it did not take them.
        """
        self._post([self._alert(alert, rules[alert.uid], now_s + lasts_s) for alert in alerts])

    def end(self, alerts: Iterable[Alert], rules: Mapping[str, Rule], now_s: int) -> None:
        """Alerts that are over.

        Raises:
            RetryableError: it did not take them.
        """
        self._post([self._alert(alert, rules[alert.uid], now_s) for alert in alerts])

    def _post(self, alerts: Sequence[Mapping[str, Any]]) -> None:
        if alerts:
            _post(self.name, f"{self.url.rstrip('/')}/api/v2/alerts", alerts)

    def _alert(self, alert: Alert, rule: Rule, until_s: int) -> Mapping[str, Any]:
        # Only labels that stay the same: Alertmanager knows an alert by all of them.
        kept = {name: alert.labels[name] for name in rule.identity or alert.labels}
        return {
            "labels": {"alertname": rule.alertname, **rule.labels, **{k: v for k, v in kept.items() if v}},
            "annotations": {
                "summary": rule.worded(rule.summary, alert.labels, alert.value),
                "description": rule.worded(rule.description, alert.labels, alert.value),
                "runbook_url": rule.runbook,
            },
            "startsAt": moment_text(alert.fired_s or alert.since_s),
            "endsAt": moment_text(until_s),
        }


class _NoRedirects(HTTPRedirectHandler):
    """A redirect would carry the token elsewhere."""

    def redirect_request(self, *_args: Any) -> None:
        return None


_opener: Final = build_opener(_NoRedirects)


def check_url(name: str, url: str) -> str:
    """An address that can be posted to.

    Raises:
        ConfigError: it is none; the text does not repeat it.
    """
    try:
        parts = urlsplit(url)
        right = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        right = False
    if not right:
        raise ConfigError(f"channel {name}: needs an address that starts with http:// or https://")
    return url


def _post(name: str, url: str, document: Any, token: str = "") -> None:
    headers = {"Content-Type": "application/json", "User-Agent": "otel-llmcost"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    request = Request(url, json.dumps(document).encode(), headers, method="POST")  # noqa: S310 - check_url
    try:
        _opener.open(request, timeout=TIMEOUT_S).close()
    except HTTPError as error:
        raise RetryableError(f"channel {name}: HTTP status {error.code}") from None
    except (URLError, OSError, ValueError) as error:
        cause = getattr(error, "reason", error)
        raise RetryableError(f"channel {name}: no answer ({type(cause).__name__})") from None
