"""Reading JSON that a provider sent: typed access that never raises."""

from collections.abc import Mapping
from typing import Any

from otel_llmcost.usage import CountError, parse_count


def text(document: Mapping[str, Any], key: str) -> str:
    """The string under a key; empty where there is none."""
    value = document.get(key)
    return value if isinstance(value, str) else ""


def section(document: Mapping[str, Any], key: str) -> dict[str, Any]:
    """The object under a key; empty where there is none."""
    value = document.get(key)
    return value if isinstance(value, dict) else {}


class Counts:
    """Counts out of a usage object; what cannot be a count is left out and flagged."""

    def __init__(self) -> None:
        self.flags: list[str] = []

    def get(self, document: Mapping[str, Any], key: str) -> int | None:
        value = document.get(key)
        if value is None:
            return None
        try:
            return parse_count(value)
        except CountError as error:
            self.flags.append(f"{key}: {error}")
            return None

    def number(self, document: Mapping[str, Any], key: str) -> int:
        """The count, 0 where there is none."""
        return self.get(document, key) or 0
