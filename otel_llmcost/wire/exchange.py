"""One HTTP exchange with a provider: the response's bytes go by, a `Reading` comes out.

The same code reads a whole JSON body and an event stream in any chunking. Nothing is kept but the parser's state;
a JSON body that is streamed is buffered up to a bound.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from otel_llmcost.providers.wire_format import WireFormat
from otel_llmcost.wire.decoding import Decoder, Identity, decoder_for
from otel_llmcost.wire.reading import Reading
from otel_llmcost.wire.sse import SseParser

MAX_BODY_BYTES: Final = 64 * 1024 * 1024
"""A longer JSON body is not read; its usage is then unknown, never guessed."""


class Exchange:
    """Reads one response in one wire format.

    Malformed input never raises: what could not be read is missing from the reading, so its usage is unknown.
    """

    def __init__(self, wire_format: WireFormat) -> None:
        self.reading = Reading()
        self.status = 0
        self._format = wire_format
        self._decoder: Decoder | None = Identity()
        self._events: SseParser | None = None
        self._body = bytearray()
        self._size = 0

    def respond(self, status: int, headers: Mapping[str, str], *, decoded: bool) -> None:
        """The response's head has come. `decoded`: the body will be fed without its content encoding."""
        self.status = status
        if not decoded:
            self._decoder = decoder_for(headers.get("content-encoding", ""))
        if "text/event-stream" in headers.get("content-type", ""):
            self._events = SseParser()

    def feed(self, chunk: bytes) -> None:
        """A chunk of the body as it went over the wire."""
        if self._decoder is None:
            return
        try:
            data = self._decoder.decompress(chunk)
        except Exception:  # noqa: BLE001 - each decoder has errors of its own; the client meets the same one and raises it
            self._decoder = None
            return
        if self._events is None:
            self._size += len(data)
            if self._size <= MAX_BODY_BYTES:
                self._body += data
        else:
            for event in self._events.feed(data):
                self._read_event(event)

    def end(self) -> Reading:
        """The body is over, complete or not."""
        if self._events is not None:
            for event in self._events.close():
                self._read_event(event)
        elif self._body and self._size <= MAX_BODY_BYTES:
            self._read_body(bytes(self._body))
            self._body.clear()
        return self.reading

    @property
    def streamed(self) -> bool:
        """The response is an event stream."""
        return self._events is not None

    @property
    def finished(self) -> bool:
        """The provider has said that the stream is done, so closing it now loses nothing."""
        return self.reading.finished

    def _read_body(self, body: bytes) -> None:
        document = parse_object(body)
        if document is None:
            return
        if self.status >= 400:
            self.reading.error_type = error_type(document)
        else:
            self._format.read(document, self.reading)

    def _read_event(self, data: bytes) -> None:
        if data == b"[DONE]":
            self.reading.finished = True
        elif not self.reading.response_id or self._format.interesting.search(data):
            document = parse_object(data)
            if document is not None:
                if "error" in document:
                    self.reading.error_type = error_type(document) or self.reading.error_type
                self._format.read(document, self.reading)


def parse_object(data: bytes) -> dict[str, Any] | None:
    """A JSON object; None where it is anything else."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def error_type(document: Mapping[str, Any]) -> str:
    """The provider's name for an error: `error.code` or `error.type`, never its message (it may quote the prompt)."""
    error = document.get("error")
    if not isinstance(error, dict):
        return ""
    name = error.get("code") or error.get("type")
    return str(name)[:100] if isinstance(name, str | int) else ""
