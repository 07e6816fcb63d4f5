"""Reading JSON that a provider sent: typed access that never raises."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from otel_llmcost.usage import UNREADABLE, CountError, parse_count
from otel_llmcost.wire.reading import Reading

MAX_EPOCH_SECONDS: Final = 10**11
"""A point in time beyond is a fault (or in milliseconds), not a time."""


def text(document: Mapping[str, Any], key: str) -> str:
    """The string under a key; empty where there is none."""
    value = document.get(key)
    return value if isinstance(value, str) else ""


def section(document: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    """The object under the first of the keys that holds one; empty where none does."""
    for key in keys:
        value = document.get(key)
        if isinstance(value, dict):
            return value
    return {}


def objects(document: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """The objects of the list under a key."""
    value = document.get(key)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def first_object(document: Mapping[str, Any], key: str) -> dict[str, Any]:
    """The first object of the list under a key; empty where there is none."""
    return next(iter(objects(document, key)), {})


def epoch_ns(value: object) -> int | None:
    """A point in time, as seconds since 1970 or in ISO 8601, in UTC nanoseconds."""
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return None
        value = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < MAX_EPOCH_SECONDS:
        return None
    return int(value * 1_000_000_000)


class Counts:
    """Counts out of a usage object; what cannot be a count is left out and flagged."""

    def __init__(self) -> None:
        self.flags: list[str] = []

    def get(self, document: Mapping[str, Any], *keys: str) -> int | None:
        """The count under the first of the keys that is present and not null."""
        for key in keys:
            value = document.get(key)
            if value is not None:
                try:
                    return parse_count(value)
                except CountError as error:
                    self.flags.append(f"{UNREADABLE}{key}: {error}")
                    return None
        return None

    def number(self, document: Mapping[str, Any], *keys: str) -> int:
        """The count, 0 where there is none."""
        return self.get(document, *keys) or 0


def read_identity(document: Mapping[str, Any], reading: Reading) -> None:
    """`id`, `model` and `service_tier` of a response, where it has them."""
    reading.response_id = text(document, "id") or reading.response_id
    reading.model = text(document, "model") or reading.model
    reading.service_tier = text(document, "service_tier") or reading.service_tier


def read_times(document: Mapping[str, Any], reading: Reading, started: str, ended: str) -> None:
    """When a deferred call began and ended by the provider's clock, under the keys it uses."""
    reading.started_ns = epoch_ns(document.get(started)) or reading.started_ns
    reading.ended_ns = epoch_ns(document.get(ended)) or reading.ended_ns
