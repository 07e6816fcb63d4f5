"""`LLMCall` ↔ bytes: a bill line as one line of JSON, on disk between the application and the ledger.

Amounts are strings and ids hexadecimal, so reading gives back the same call to the last digit. What is at its default
is left out. A line holds nothing of prompts, answers or credentials, for an `LLMCall` does not.
"""

from collections.abc import Mapping
from copy import copy
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from otel_llmcost.call import LLMCall
from otel_llmcost.errors import InputError
from otel_llmcost.exporters.dead_letters import LINE


@cache
def _calls() -> TypeAdapter[list[LLMCall]]:
    """Made when it is first needed, for it takes ten milliseconds; of a list, for the settings of an adapter reach
    dataclasses below its type only."""
    config = ConfigDict(ser_json_bytes="hex", val_json_bytes="hex", extra="forbid", strict=True, allow_inf_nan=True)
    return TypeAdapter(list[LLMCall], config=config)


class LineCodec:
    """Bill lines as records of a spool."""

    kind = LINE

    def encode(self, call: LLMCall) -> bytes:
        """The call as JSON, without a line break. Text that UTF-8 cannot say has `?` for it, as in the ledger."""
        try:
            return _json(call)
        except PydanticSerializationError:
            return _json(_encodable(call))

    def decode(self, record: bytes) -> LLMCall:
        """
        Raises:
            InputError: no such line, or one of a newer version that says what this one would lose.
        """
        try:
            calls = _calls().validate_json(b"[" + record + b"]")
        except ValidationError as error:
            where = ".".join(str(part) for part in error.errors(include_url=False, include_input=False)[0]["loc"][1:])
            raise InputError(f"no bill line that this version can read ({where or 'no JSON'})") from None
        if len(calls) != 1:
            raise InputError("no bill line that this version can read (no JSON)")
        return calls[0]


def _json(call: LLMCall) -> bytes:
    return _calls().dump_json([call], exclude_defaults=True, warnings="none")[1:-1]


def _encodable(value: Any) -> Any:
    """The value with what UTF-8 cannot say (half of a surrogate pair, as JSON may hold) as `?`, at any depth."""
    if isinstance(value, str) and not isinstance(value, Enum):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, Mapping):
        return {_encodable(key): _encodable(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(_encodable(item) for item in value)
    if is_dataclass(value) and not isinstance(value, type):
        clean = copy(value)
        for field in fields(value):
            object.__setattr__(clean, field.name, _encodable(getattr(value, field.name)))
        return clean
    return value
