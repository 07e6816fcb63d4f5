"""One HTTP exchange with a provider: the response's bytes go by, a `Reading` comes out.

The same code reads a whole JSON body and every kind of stream, in any chunking. Nothing is kept but the parser's
state; a JSON body that is streamed is buffered up to a bound.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from otel_llmcost.providers.wire_format import WireFormat
from otel_llmcost.wire.decoding import Decoder, Identity, decoder_for
from otel_llmcost.wire.framing import Framing, WholeBody, framing_of
from otel_llmcost.wire.json_array import JsonArrayParser
from otel_llmcost.wire.json_document import parse_objects
from otel_llmcost.wire.reading import Reading

MAX_BODY_BYTES: Final = 64 * 1024 * 1024
"""A longer JSON body is not read; its usage is then unknown, never guessed."""

LARGE_BODY_BYTES: Final = 64 * 1024
NEAR_BYTES: Final = 4 * 1024
_MODEL: Final = re.compile(rb'"model"\s*:\s*"([^"\\]{1,200})"')

MAX_TEXT_BYTES: Final = 32 * 1024
"""Text of an answer kept for an estimate at most; the rest is taken to be like it."""

MAX_FIRST_EVENTS: Final = 4
"""Events parsed in search of the response's id, for a format whose events may have none."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The text of an answer, or its beginning: `kept_bytes` of the `total_bytes` that it has in JSON."""

    text: str
    kept_bytes: int
    total_bytes: int


class Exchange:
    """Reads one response in one wire format. `provider` is the seller: some count in their own way.

    Malformed input never raises: what could not be read is missing from the reading, so its usage is unknown.
    """

    def __init__(self, wire_format: WireFormat, provider: str = "") -> None:
        self.reading = Reading(provider=provider)
        self.status = 0
        self._format = wire_format
        self._decoder: Decoder | None = Identity()
        self._content_type = ""
        self._head = b""  # blanks before the body, until its first byte tells the framing
        self._framing: Framing | None = None
        self._streamed = False
        self._first_events = 0
        self._text = bytearray()
        self._text_bytes = 0

    def respond(self, status: int, headers: Mapping[str, str], *, decoded: bool) -> None:
        """The response's head has come. `decoded`: the body will be fed without its content encoding."""
        self.status = status
        self._content_type = headers.get("content-type", "")
        if not decoded:
            self._decoder = decoder_for(headers.get("content-encoding", ""))
        if status >= 400:
            self.reading.error_type = headers.get("x-amzn-errortype", "").partition(":")[0][:100]
        elif self._format.read_headers is not None:
            self._format.read_headers(headers, self.reading)

    def feed(self, chunk: bytes) -> None:
        """A chunk of the body as it went over the wire."""
        if self._decoder is None:
            return
        try:
            data = self._decoder.decompress(chunk)
        except Exception:  # noqa: BLE001 - each decoder has errors of its own; the client meets the same one and raises it
            self._decoder = None
            return
        if self._framing is None:
            data = self._head + data
            self._framing = framing_of(data, self._content_type, MAX_BODY_BYTES)
            if self._framing is None:
                self._head = data[-16:]  # blanks carry nothing; some are kept for the framing to pass over
                return
            self._streamed = not isinstance(self._framing, WholeBody)
        for document in self._framing.feed(data):
            self._read(document)
        if isinstance(self._framing, JsonArrayParser) and self._framing.ended:
            self.reading.finished = True

    def end(self) -> Reading:
        """The body is over, complete or not."""
        if self._framing is not None:
            for document in self._framing.close():
                self._read(document)
        return self.reading

    @property
    def streamed(self) -> bool:
        """The response is a stream of documents."""
        return self._streamed

    @property
    def finished(self) -> bool:
        """The provider is done, so closing the response now loses nothing; SDKs close a refusal unread to retry."""
        return self.reading.finished or self.status >= 400

    @property
    def whole(self) -> bool:
        """A body that has ended was not cut short. Of streams without an end marker, the finish reason tells."""
        return not self.streamed or self.finished or bool(self.reading.finish_reason)

    def _read(self, data: bytes) -> None:
        if data == b"[DONE]":
            self.reading.finished = True
            return
        if self._streamed and self._format.text is not None:
            self._keep(self._format.text, data)
        if self._streamed and not self._worth_parsing(data):
            return
        large = self._format.usage_last and len(data) > LARGE_BODY_BYTES
        for document in (parse_end(data) if large else None) or parse_objects(data):
            if "error" in document:
                self.reading.error_type = error_type(document) or self.reading.error_type
            if self.status < 400:
                self._format.read(document, self.reading)

    def _keep(self, pattern: re.Pattern[bytes], data: bytes) -> None:
        """Keep the beginning of the answer, as it stands in JSON, and the length of all of it."""
        for match in pattern.finditer(data):
            start, end = match.span(1)
            self._text_bytes += end - start
            if len(self._text) + end - start <= MAX_TEXT_BYTES:
                self._text += data[start:end]

    def answer(self) -> Answer | None:
        """What a stream answered that told no usage, to be counted; None where it is no such stream."""
        if self._format.text is None or not self._streamed:
            return None
        try:
            text = str(json.loads(b'"%s"' % self._text, strict=False))
        except ValueError:
            return None
        return Answer(text, len(self._text), self._text_bytes)

    def _worth_parsing(self, data: bytes) -> bool:
        if not self.reading.response_id and self._first_events < MAX_FIRST_EVENTS:
            self._first_events += 1
            return True
        return self._format.interesting.search(data) is not None


def parse_end(data: bytes) -> list[dict[str, Any]]:
    """The last keys of a JSON object, from `usage` on, and its model; none where they do not read as such.

    Parsing megabytes of vectors for three numbers would hold the application up.
    """
    found = parse_objects(b"{" + data[max(data.rfind(b'"usage"'), 0) :])
    if found and "model" not in found[0]:
        model = _MODEL.search(data, 0, NEAR_BYTES) or _MODEL.search(data, len(data) - NEAR_BYTES)
        found[0] |= {"model": model[1].decode("utf-8", "replace")} if model else {}
    return found


def error_type(document: Mapping[str, Any]) -> str:
    """The provider's name for an error, never its message (it may quote the prompt).

    A word (`error.code`, `.status`, `.type`) before a number, which only repeats the HTTP status.
    """
    error = document.get("error")
    if not isinstance(error, dict):
        return ""
    names = [error.get(key) for key in ("code", "status", "type")]
    name = next((name for name in names if isinstance(name, str) and name), None) or error.get("code")
    return str(name)[:100] if isinstance(name, str | int) and not isinstance(name, bool) else ""
