"""Which call a request is: the URL → seller and wire format."""

from collections.abc import Mapping
from dataclasses import dataclass

from otel_llmcost.providers.formats import format_of
from otel_llmcost.providers.sellers import seller_at, seller_named
from otel_llmcost.providers.wire_format import WireFormat


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An inference endpoint. `known_host`: somebody vouches for the seller, so the path alone is enough."""

    provider: str
    wire_format: WireFormat
    known_host: bool


class Endpoints:
    """Finds the seller of a URL: hosts named in the configuration first, then the sellers' own."""

    def __init__(self, hosts: Mapping[str, str]) -> None:
        """`hosts`: `host`, `host:port` or either with a path prefix → the seller's name."""
        rows = ((key.rstrip("/"), seller_named(name), name) for key, name in hosts.items())
        # The longest prefix first, so that one gateway may stand for several sellers.
        longest_first = sorted(rows, key=lambda row: -len(row[0]))
        self._configured = tuple((key, seller.name if seller else name) for key, seller, name in longest_first)

    def find(self, host: str, port: int | None, path: str) -> Endpoint | None:
        """The endpoint, or None where the path is no inference endpoint. `port` is None for the scheme's default."""
        wire_format = format_of(path)
        if wire_format is None:
            return None
        configured = self._configured_seller(host, port, path)
        if configured:
            return Endpoint(configured, wire_format, known_host=True)
        seller = seller_at(host)
        if seller:
            return Endpoint(seller.name, wire_format, known_host=True)
        # Nobody we know sells here: the host itself is the seller, and has no price until one is configured.
        return Endpoint(host if port is None else f"{host}:{port}", wire_format, known_host=False)

    def _configured_seller(self, host: str, port: int | None, path: str) -> str:
        if not self._configured:
            return ""
        places = (host + path, f"{host}:{port}{path}")
        return next((name for key, name in self._configured if any(_under(place, key) for place in places)), "")


def _under(place: str, prefix: str) -> bool:
    return place.startswith(prefix) and place[len(prefix) :][:1] in ("", "/")
