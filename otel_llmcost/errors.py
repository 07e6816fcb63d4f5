"""One tree of errors. The question each answers: would the same input, sent again later, work?

    LlmcostError
    ├── ConfigError          the user's configuration is wrong: say where and what to do
    ├── InputError           one span, row or message can never be read
    ├── DeliveryError
    │   ├── RetryableError   the ledger or the network is not ready: keep the lines and try again
    │   └── PermanentError   the ledger will never take these lines as they are
    └── MissingExtraError    an optional dependency is not installed

`exit_code` is what the command line ends with.
"""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, known: Iterable[str]) -> str:
    """What to say of an unknown name: `; did you mean …?` with the nearest right one, or all of them."""
    names = list(known)
    close = get_close_matches(name, names, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(names)}"


class LlmcostError(Exception):
    """Base of every error this package raises on purpose. Its text is for the user and holds no content."""

    exit_code = 1


class ConfigError(LlmcostError):
    """The configuration is wrong; the text names the file, the line and the nearest right name."""

    exit_code = 2


class InputError(LlmcostError):
    """One input can never be read; the text names which and why."""

    exit_code = 3


class DeliveryError(LlmcostError):
    """Lines did not reach the ledger."""

    exit_code = 4


class RetryableError(DeliveryError):
    """Transient: the same lines may go through later."""


class PermanentError(DeliveryError):
    """The same lines would fail again."""


class MissingExtraError(LlmcostError):
    """An optional dependency is missing; the text names the extra that brings it."""

    exit_code = 5

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an optional dependency: pip install 'otel-llmcost[{extra}]'")
