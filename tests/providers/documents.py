"""Documents of providers, read as an exchange reads them."""

import json

from otel_llmcost.providers.formats import format_of
from otel_llmcost.wire.exchange import Exchange
from otel_llmcost.wire.reading import Reading


def read(path: str, *documents: object, seller: str = "", headers: dict[str, str] | None = None) -> Reading:
    """One document is a body, several are a stream."""
    wire_format = format_of(path, seller)
    assert wire_format is not None
    exchange = Exchange(wire_format, seller)
    exchange.respond(200, headers or {}, decoded=False)
    if len(documents) == 1:
        exchange.feed(json.dumps(documents[0]).encode())
    for document in documents if len(documents) > 1 else ():
        exchange.feed(b"data: " + json.dumps(document).encode() + b"\n\n")
    return exchange.end()
