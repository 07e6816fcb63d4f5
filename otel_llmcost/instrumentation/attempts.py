"""Which attempt of a call a request is, where its SDK does not say so."""

from collections import OrderedDict
from hashlib import blake2b
from threading import Lock
from time import monotonic
from typing import Final

MAX_REMEMBERED: Final = 1_024
"""Failed requests remembered; the oldest is forgotten first."""

FORGOTTEN_AFTER_S: Final = 600.0
"""Longer than any SDK waits before it tries again; the same request later is a new call."""

_TRIED_AGAIN: Final = frozenset({0, 408, 409, 425, 429})
"""Statuses after which clients try again, beside those of 500 and more; 0: there was no answer."""


class Attempts:
    """Remembers the requests that failed in a way after which clients try again: by a digest, never by content.

    The next one of the same place, body and parent span is the next attempt. A body that is a stream cannot be told
    from another.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._failed: OrderedDict[bytes, tuple[int, float]] = OrderedDict()  # digest → attempts so far, when

    def number(self, place: str, body: bytes, parent: int) -> int:
        """The attempt that a request is, from 1; `parent` is the id of the span around it."""
        if not self._failed or not body:  # as nearly always, and then it costs nothing
            return 1
        so_far, at_s = self._failed.get(_digest(place, body, parent), (0, 0.0))
        return so_far + 1 if monotonic() - at_s < FORGOTTEN_AFTER_S else 1

    def failed(self, place: str, body: bytes, parent: int, attempt: int, status: int) -> None:
        """A request has failed; `status` is 0 where no answer came."""
        if not body or (status not in _TRIED_AGAIN and status < 500):
            return
        digest = _digest(place, body, parent)
        with self._lock:
            self._failed[digest] = attempt, monotonic()
            self._failed.move_to_end(digest)
            if len(self._failed) > MAX_REMEMBERED:
                self._failed.popitem(last=False)

    def succeeded(self, place: str, body: bytes, parent: int) -> None:
        """A later attempt went through, so the same request again is a new call."""
        with self._lock:
            self._failed.pop(_digest(place, body, parent), None)


def _digest(place: str, body: bytes, parent: int) -> bytes:
    state = blake2b(body, digest_size=16)
    state.update(f"{place} {parent}".encode())
    return state.digest()
