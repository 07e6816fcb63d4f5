"""JSON that a provider or an application sent: parsed fast, and never an exception for what is no JSON."""

import json
from typing import Any

from pydantic_core import from_json


def parse_json(data: bytes) -> Any:
    """The document; where the fast parser refuses it, as Python's own reads it (half surrogate pairs, UTF-16, depth).

    Raises:
        ValueError: it is no JSON.
        RecursionError: it is nested too deep to read.
    """
    try:
        return from_json(data, cache_strings="keys")
    except ValueError:
        return json.loads(data)


def parse_object(data: bytes) -> dict[str, Any] | None:
    """A JSON object; None where it is anything else."""
    try:
        document = parse_json(data)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def parse_objects(data: bytes) -> list[dict[str, Any]]:
    """The JSON object, or those of a JSON array; none where it is anything else."""
    try:
        document = parse_json(data)
    except (ValueError, RecursionError):
        return []
    if isinstance(document, dict):
        return [document]
    return [item for item in document if isinstance(item, dict)] if isinstance(document, list) else []
