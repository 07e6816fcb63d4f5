"""Which call a request is: the URL → seller and wire format."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from otel_llmcost.providers.formats import match_path
from otel_llmcost.providers.host_map import HostMap
from otel_llmcost.providers.sellers import seller_at, seller_named
from otel_llmcost.providers.wire_format import WireFormat


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An inference endpoint. `known_host`: somebody vouches for the seller, so the path alone is enough.

    `model` and `streaming` are what the path says of them. `polled`: a GET here tells the usage of an earlier request;
    it makes a line where its reading `tells_deferred_call`, and else none.
    """

    provider: str
    wire_format: WireFormat
    known_host: bool
    model: str = ""
    streaming: bool = False
    polled: bool = False

    def requested_model(self, request: Mapping[str, Any]) -> str:
        """The model that is asked for: in the request's JSON, else in the path; empty where in neither."""
        names = (request.get(key) for key in ("model", "model_id", "modelId"))
        return next((name for name in names if isinstance(name, str) and name), self.model)


class Endpoints:
    """Finds the seller of a URL: hosts named in the configuration first, then the sellers' own."""

    def __init__(self, hosts: Mapping[str, str]) -> None:
        """`hosts`: `host`, `host:port` or either with a path prefix → the seller's name."""
        sellers = {key: seller_named(name) for key, name in hosts.items()}
        self._configured = HostMap({key: seller.name if seller else hosts[key] for key, seller in sellers.items()})

    def find(self, host: str, port: int | None, path: str, method: str = "POST") -> Endpoint | None:
        """The endpoint, or None where the path is no inference endpoint. `port` is None for the scheme's default."""
        if method == "GET":
            return self._find_polled(host, path)
        if method != "POST":
            return None
        configured = self._configured.find(host, port, path)
        seller = None if configured else seller_at(host, path)
        name = configured or (seller.name if seller else "")
        match = match_path(path, name)
        if match is None:
            return None
        # Where nobody we know sells, the host itself is the seller, and has no price until one is configured.
        provider = name or (host if port is None else f"{host}:{port}")
        return Endpoint(provider, match.wire_format, bool(name), match.model, match.stream)

    def _find_polled(self, host: str, path: str) -> Endpoint | None:
        """A GET tells of the same call as the request before it only where the response id alone says so."""
        seller = seller_at(host, path)
        if seller is None or not seller.ids_unique:
            return None
        match = match_path(path, seller.name, polled=True)
        return Endpoint(seller.name, match.wire_format, known_host=True, polled=True) if match else None
