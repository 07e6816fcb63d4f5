"""`HostMap`: hosts of the configuration → whatever is said of them."""

from collections.abc import Mapping
from typing import Generic, TypeVar

T = TypeVar("T")


class HostMap(Generic[T]):
    """Values by `host`, `host:port`, or either with a path prefix; the longest matching key wins."""

    def __init__(self, values: Mapping[str, T]) -> None:
        self._rows = tuple(
            (key.rstrip("/"), value) for key, value in sorted(values.items(), key=lambda row: -len(row[0]))
        )

    def find(self, host: str, port: int | None, path: str) -> T | None:
        """The value for a URL; `port` is None for the scheme's default."""
        if not self._rows:
            return None
        places = (host + path, f"{host}:{port}{path}")
        return next((value for key, value in self._rows if any(_under(place, key) for place in places)), None)


def _under(place: str, prefix: str) -> bool:
    return place.startswith(prefix) and place[len(prefix) :][:1] in ("", "/")
