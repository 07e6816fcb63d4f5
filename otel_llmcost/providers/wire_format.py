"""`WireFormat`: one way in which providers answer."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from otel_llmcost.wire.reading import Reading


@dataclass(frozen=True, slots=True)
class WireFormat:
    """A row: the path the format is spoken on, and its parser.

    `path` may name groups: `model` where the path names the model, `stream` where it asks for a stream. `read` takes a
    JSON object (a whole body, or one document of a stream) into the reading. `interesting` finds, in the raw data of a
    document, what makes it worth parsing once the first one has been read: a stream of thousands of text deltas is
    searched, not parsed.

    `sellers`: the only ones whose path this is; none: anybody's. `read_headers` takes what response headers tell,
    before the body comes. `polled_path`: where a GET tells the usage of an earlier request. `text`: finds, in the raw
    data of a document of a stream, the JSON strings that are the answer's text, to be counted where nobody tells the
    usage. `usage_last`: the usage follows the bulk of a body, such as vectors, so a large body is read from its end.
    """

    name: str
    operation: str
    path: re.Pattern[str]
    read: Callable[[dict[str, Any], Reading], None]
    interesting: re.Pattern[bytes]
    sellers: frozenset[str] = frozenset()
    read_headers: Callable[[Mapping[str, str], Reading], None] | None = None
    polled_path: re.Pattern[str] | None = None
    text: re.Pattern[bytes] | None = None
    usage_last: bool = False
