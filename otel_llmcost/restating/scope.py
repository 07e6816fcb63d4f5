"""Which stored lines: a time, sellers, models, tags."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from otel_llmcost.call import LLMCall
from otel_llmcost.errors import ConfigError
from otel_llmcost.exporters.clickhouse.rows import TAG_COLUMNS as OWNERS
from otel_llmcost.pricing.overlays.patterns import matches

TAG_COLUMNS: Final = (*OWNERS, "environment", "service")
"""Columns that lines can be chosen by, beside seller and model."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Lines from `start` on and before `end` (UTC, both may be open), of some sellers and models.

    `providers` and `models` may have `*`; a model is the responding or the requested one. `where` is column → value.
    """

    start: datetime | None = None
    end: datetime | None = None
    providers: Sequence[str] = ()
    models: Sequence[str] = ()
    where: Mapping[str, str] = field(default_factory=dict)

    def condition(self) -> tuple[str, dict[str, Any]]:
        """the SQL condition on current_versions and its parameters; it leaves out what is no line."""
        parts = ["duplicate_of = toFixedString('', 16)"]
        parameters: dict[str, Any] = {}
        for name, sign, moment in (("start", ">=", self.start), ("end", "<", self.end)):
            if moment is not None:
                parts.append(f"ts {sign} fromUnixTimestamp64Nano({{{name}:Int64}})")
                parameters[name] = nanoseconds(moment)
        if self.providers:
            parts.append(_any_like("provider", "provider", self.providers, parameters))
        if self.models:
            responding = _any_like("model", "model", self.models, parameters)
            requested = _any_like("requested_model", "model", self.models, parameters)
            parts.append(f"({responding} OR {requested})")
        for name, value in self.where.items():
            assert name in TAG_COLUMNS
            parts.append(f"{name} = {{{name}:String}}")
            parameters[name] = value
        return " AND ".join(parts), parameters

    def covers(self, call: LLMCall) -> bool:
        """Whether the line of a call is among them: `condition`, for a call."""
        at_ns = call.start_ns
        if self.start is not None and at_ns < nanoseconds(self.start):
            return False
        if self.end is not None and at_ns >= nanoseconds(self.end):
            return False
        if self.providers and not _one_is_like((call.provider,), self.providers):
            return False
        if self.models and not _one_is_like((call.model, call.requested_model), self.models):
            return False
        return all(
            value == (call.tags.get(name, "") if name in OWNERS else getattr(call, name))
            for name, value in self.where.items()
        )

    def to_text(self) -> str:
        """The same for equal scopes."""
        return json.dumps(
            {
                "from": self.start.isoformat() if self.start else None,
                "to": self.end.isoformat() if self.end else None,
                "provider": sorted(self.providers),
                "model": sorted(self.models),
                "where": dict(sorted(self.where.items())),
            }
        )


def _any_like(column: str, name: str, patterns: Sequence[str], parameters: dict[str, Any]) -> str:
    tests = []
    for index, pattern in enumerate(patterns):
        parameters[f"{name}_{index}"] = _like(pattern)
        tests.append(f"{column} ILIKE {{{name}_{index}:String}}")
    return f"({' OR '.join(tests)})"


def _one_is_like(names: Sequence[str], patterns: Sequence[str]) -> bool:
    lowered = tuple(pattern.lower() for pattern in patterns)
    return any(matches(lowered, name.lower()) for name in names)


def _like(pattern: str) -> str:
    """A shell pattern as LIKE has it; `*` alone is special."""
    for plain in ("\\", "%", "_"):
        pattern = pattern.replace(plain, "\\" + plain)
    return pattern.replace("*", "%")


def nanoseconds(moment: datetime) -> int:
    """Since 1970."""
    return round((moment - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1)) * 1_000


def parse_moment(option: str, text: str) -> datetime:
    """A day (its begin, UTC), a month, or a time with a zone.

    Raises:
        ConfigError: it is none, or lies beyond what the ledger can hold.
    """
    try:
        if len(text) == len("2026-03"):
            moment = datetime.combine(date.fromisoformat(f"{text}-01"), datetime.min.time(), UTC)
        elif len(text) == len("2026-03-01"):
            moment = datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)
        else:
            moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{option} {text!r}: must be a day (2026-03-01), a month (2026-03) or a time") from None
    if moment.tzinfo is None:
        raise ConfigError(f"{option} {text!r}: must name its zone: {text}Z for UTC")
    if not 1900 <= moment.year <= 2261:
        raise ConfigError(f"{option} {text!r}: the ledger holds times from 1900 to 2261")
    return moment.astimezone(UTC)
