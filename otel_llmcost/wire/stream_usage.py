"""Asking a chat completions stream for its usage, and taking the answer out again.

Source: the API reference of chat completions, `stream_options.include_usage`. Asked for, a stream ends with one more
chunk that has `"choices": []` and the usage, and every other chunk has `"usage": null`. A client that did not ask would
stumble over both, so it gets the bytes that it would have got.
"""

import json
import re
from typing import Any, Final

ASKED_SELLERS: Final = frozenset({"openai", "azure.ai.openai", "azure.ai.inference"})
"""Sellers that are known to understand the question and to need it."""

_USAGE_NULL: Final = re.compile(rb'"usage"\s*:\s*null\s*,\s*|\s*,\s*"usage"\s*:\s*null')
_USAGE_CHUNK: Final = re.compile(rb'"usage"\s*:\s*\{')
_NO_CHOICES: Final = re.compile(rb'"choices"\s*:\s*\[\s*\]')
_EVENT_END: Final = re.compile(rb"\r\n\r\n|\n\n|\r\r")

MAX_HELD_BYTES: Final = 1024 * 1024
"""An unfinished event that is longer is no usage chunk; it passes as it is."""


def asking_for_usage(body: bytes, request: dict[str, Any]) -> bytes | None:
    """The request body with `include_usage` set; None where there is nothing to ask for or it is asked already.

    `request` is the parsed `body`. Where it has no `stream_options`, the rest of the body stays byte for byte.
    """
    options = request.get("stream_options")
    if request.get("stream") is not True or not isinstance(options, dict | None):
        return None
    if options is None and "stream_options" not in request:
        return body.rstrip()[:-1] + b',"stream_options":{"include_usage":true}}'
    if options and "include_usage" in options:
        return None
    return json.dumps({**request, "stream_options": {**(options or {}), "include_usage": True}}).encode()


class UsageChunkRemover:
    """Passes an event stream on without what `include_usage` added to it.

    Whole events pass at once; the beginning of an event waits for its end, for only then is it known whether it is to
    be passed on.
    """

    def __init__(self) -> None:
        self._held = b""

    def feed(self, chunk: bytes) -> bytes:
        """What the client gets for a chunk of the provider's; may be empty."""
        data = self._held + chunk if self._held else chunk
        passed = []
        start = 0
        for end in _EVENT_END.finditer(data):
            passed.append(_cleaned(data[start : end.end()]))
            start = end.end()
        self._held = data[start:]
        if len(self._held) > MAX_HELD_BYTES:
            passed.append(self.close())
        return b"".join(passed)

    def close(self) -> bytes:
        """What still waits when the body is over."""
        held, self._held = self._held, b""
        return _cleaned(held)


def _cleaned(event: bytes) -> bytes:
    if b'"usage"' not in event:
        return event
    if _USAGE_CHUNK.search(event):
        return b"" if _NO_CHOICES.search(event) else event
    return _USAGE_NULL.sub(b"", event, count=1)
