"""`WireFormat`: one way in which providers answer."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from otel_llmcost.wire.reading import Reading


@dataclass(frozen=True, slots=True)
class WireFormat:
    """A row: the path the format is spoken on, and its parser.

    `read` takes a JSON object (a whole body, or the data of one event) into the reading. `interesting` finds, in the
    raw data of an event, what makes it worth parsing once the first event has been read: a stream of thousands of
    text deltas is searched, not parsed.
    """

    name: str
    operation: str
    path: re.Pattern[str]
    read: Callable[[dict[str, Any], Reading], None]
    interesting: re.Pattern[bytes]
