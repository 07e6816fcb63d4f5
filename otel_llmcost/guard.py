"""Never break the host: an error of ours is counted, logged once per place, and swallowed.

Under pytest it is raised again, so that no test passes over it.
"""

import logging
import os
from collections import Counter
from typing import Final

_logger = logging.getLogger("otel_llmcost")

INTERNAL_ERRORS: Final[Counter[str]] = Counter()
"""Swallowed errors by place."""


class host_unharmed:  # noqa: N801 - reads as a statement
    """Run our own code inside someone else's call: `with host_unharmed("place"): …`."""

    __slots__ = ("_place",)

    def __init__(self, place: str) -> None:
        self._place = place

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> bool:
        if kind is None or not isinstance(error, Exception) or "PYTEST_CURRENT_TEST" in os.environ:
            return False
        INTERNAL_ERRORS[self._place] += 1
        if INTERNAL_ERRORS[self._place] == 1:
            # The type and our own place only: the text of a foreign exception may hold content.
            _logger.error(
                "otel-llmcost failed in %s with %s; the application is not affected, but calls may be missing from the"
                " ledger. Further errors at this place are counted, not logged.",
                self._place,
                kind.__name__,
            )
        return True
