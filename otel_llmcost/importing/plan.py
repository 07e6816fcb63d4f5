"""`Plan`: which column of a file is which field of the record, and what is constant for all its rows."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from functools import partial
from types import MappingProxyType
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from otel_llmcost.errors import ConfigError, nearest
from otel_llmcost.importing.values import (
    UnreadableError,
    parse_count,
    parse_duration_ms,
    parse_http_status,
    parse_text,
    parse_timestamp,
    parse_usd,
)
from otel_llmcost.settings import DIMENSION_NAME

Parse = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Field:
    """A field that a column can be mapped to; `constant`: `--set` can give it for all rows."""

    parse: Parse
    meaning: str
    constant: bool = True


FIELDS: Final[Mapping[str, Field]] = MappingProxyType(
    {
        "ts": Field(parse_timestamp, "when the call began (required): ISO 8601, or s, ms, us or ns since 1970", False),
        "end_ts": Field(parse_timestamp, "when it ended, as ts", False),
        "duration_ms": Field(parse_duration_ms, "how long it took, in milliseconds, instead of end_ts", False),
        "provider": Field(parse_text, "who sold it: openai, anthropic, azure.ai.openai, aws.bedrock, …"),
        "model": Field(parse_text, "model that answered"),
        "requested_model": Field(parse_text, "model that was asked for"),
        "host": Field(parse_text, "host that the call went to, where price files ask for it"),
        "operation": Field(parse_text, "chat, embeddings, …"),
        "service_tier": Field(parse_text, "tier that its price depends on: batch, flex, priority, …"),
        "response_id": Field(parse_text, "id the provider gave its response (chatcmpl-…, msg_…)", False),
        "call_id": Field(parse_text, "any other id that is unique to the call, instead of response_id", False),
        "service": Field(parse_text, "service that made the call"),
        "environment": Field(parse_text, "production, staging, …"),
        "input_tokens": Field(parse_count, "all input tokens, cached ones included (see --cache)"),
        "cache_read_tokens": Field(parse_count, "input tokens read from the cache"),
        "cache_write_tokens": Field(parse_count, "input tokens written to the cache, without those for an hour"),
        "cache_write_1h_tokens": Field(parse_count, "input tokens written to the cache for an hour"),
        "output_tokens": Field(parse_count, "all output tokens, reasoning included"),
        "reasoning_tokens": Field(parse_count, "output tokens spent on reasoning"),
        "http_status": Field(parse_http_status, "HTTP status; from 400 on the call counts as failed"),
        "user": Field(parse_text, "end user"),
        "session": Field(parse_text, "conversation"),
        "agent": Field(parse_text, "agent"),
        "workflow": Field(parse_text, "workflow"),
        "run": Field(parse_text, "task or run"),
        "team": Field(parse_text, "team that pays"),
        "feature": Field(parse_text, "feature it was for"),
        "customer": Field(parse_text, "customer it was for"),
        "reported_cost_usd": Field(parse_usd, "what the provider itself said it cost, in USD"),
    }
)
TAG_PREFIX: Final = "tag."
_TAG: Final = Field(parse_text, "any other dimension")

_ONLY_ONE: Final = (("end_ts", "duration_ms"), ("call_id", "response_id"))
_NEXT_PAIR: Final = re.compile(r",(?=\s*[\w.]+=)")


def field_named(name: str) -> Field:
    """
    Raises:
        ConfigError: there is no such field; the text names the nearest.
    """
    if name in FIELDS:
        return FIELDS[name]
    tag = name.removeprefix(TAG_PREFIX)
    if tag != name and tag in FIELDS:
        raise ConfigError(f"{name!r} is the field {tag!r}: write {tag}=…")
    if tag != name and DIMENSION_NAME.fullmatch(tag):
        return _TAG
    raise ConfigError(f"{name!r} is no field{nearest(name, FIELDS)} (a dimension of your own is tag.<name>)")


@dataclass(frozen=True, slots=True)
class Plan:
    """How a row becomes a record.

    `columns` and `constants` are by field; the constants are as given, texts. `cache_inside`: the cached tokens are
    part of `input_tokens`. `zone` is the zone of times that name none.
    """

    columns: Mapping[str, str]
    constants: Mapping[str, str]
    cache_inside: bool = True
    zone: tzinfo = UTC

    @classmethod
    def from_options(
        cls, maps: Sequence[str], constants: Sequence[str], *, cache_inside: bool = True, timezone: str = "UTC"
    ) -> "Plan":
        """The plan of `--map field=column,…` and `--set field=value` options.

        Raises:
            ConfigError: a field is unknown, given twice, missing, or not to be given so.
        """
        columns = _pairs("--map", [pair for option in maps for pair in _NEXT_PAIR.split(option)])
        values = _pairs("--set", constants)
        for name, value in values.items():
            _check_constant(name, value)
        given = {**columns, **values}
        twice = [name for name in columns if name in values]
        if twice:
            raise ConfigError(f"--map and --set both give {', '.join(twice)}")
        _check_fields(given)
        return cls(columns, values, cache_inside, _zone(timezone))

    def parsers(self) -> list[tuple[str, str, Parse]]:
        """Field, column and reader of each mapped column."""
        in_zone = partial(parse_timestamp, zone=self.zone)
        parsers = [(name, column, field_named(name).parse) for name, column in self.columns.items()]
        return [(name, column, in_zone if parse is parse_timestamp else parse) for name, column, parse in parsers]

    def constant_values(self) -> dict[str, Any]:
        """The constants, read."""
        return {name: field_named(name).parse(value) for name, value in self.constants.items()}

    def check_columns(self, known: Sequence[str]) -> None:
        """
        Raises:
            ConfigError: the file lacks a column that the plan names; every such column, one a line.
        """
        missing = [(name, column) for name, column in self.columns.items() if column not in known]
        if missing:
            lines = [f"--map {name}={column}: no such column{nearest(column, known)}" for name, column in missing]
            # A file decides its column names: what is no text must still be printable.
            names = ", ".join(known).encode("utf-8", "backslashreplace").decode()
            raise ConfigError("\n".join([*lines, f"the file's columns: {names}"]))


def _pairs(option: str, texts: Sequence[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not name or not value:
            raise ConfigError(f"{option} {text!r}: write {option} field={'column' if option == '--map' else 'value'}")
        try:
            field_named(name)
        except ConfigError as error:
            raise ConfigError(f"{option} {text}: {error}") from None
        if name in pairs:
            raise ConfigError(f"{option} gives {name} twice")
        pairs[name] = value
    return pairs


def _check_constant(name: str, value: str) -> None:
    field = field_named(name)
    if not field.constant:
        raise ConfigError(f"--set {name}: differs from row to row; map a column: --map {name}=<column>")
    try:
        field.parse(value)
    except UnreadableError as error:
        raise ConfigError(f"--set {name}: {error}") from None


def _check_fields(given: Mapping[str, str]) -> None:
    if "ts" not in given:
        raise ConfigError("no time: say which column holds it with --map ts=<column>")
    if "provider" not in given:
        raise ConfigError(
            "no provider, and prices belong to the seller: name its column with --map provider=<column>,"
            " or say it for all rows with --set provider=openai"
        )
    if "model" not in given and "requested_model" not in given:
        raise ConfigError(
            "no model: name its column with --map model=<column>, or, where the file is of one model and does not"
            " say so, give it for all rows with --set model=gpt-4o"
        )
    for pair in _ONLY_ONE:
        if all(name in given for name in pair):
            raise ConfigError(f"{' and '.join(pair)} exclude each other: give one")


def _zone(name: str) -> tzinfo:
    if name.upper() in {"UTC", "Z"}:
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError(f"--timezone {name}: no such time zone; write it as Europe/Berlin or UTC") from None
