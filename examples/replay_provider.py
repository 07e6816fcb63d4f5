"""A stand-in for three LLM sellers: one loopback HTTP server that answers in their wire formats.

    /openai/v1/chat/completions     /openai/v1/responses     /openai/v1/embeddings
    /anthropic/v1/messages          /groq/openai/v1/chat/completions

Point OPENAI_BASE_URL at `http://127.0.0.1:PORT/openai/v1`, ANTHROPIC_BASE_URL at `…/anthropic` and GROQ_BASE_URL at
`…/groq`, and the unmodified SDKs work, streaming and errors included. It needs nothing but the standard library.

What it answers depends on the seed and the request alone (and on how often that very request came), never on the
clock, save for `created`. It keeps a JSON Lines log of what it served (`LogEntry`): the other side of the bill.
The log holds numbers, names and ids; no prompt, answer or key.

    python examples/replay_provider.py --port 0 --log served.jsonl
"""

import argparse
import json
import os
import select
import signal
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final, TextIO

from replay_answers import (
    HEX_ALPHABET,
    MODELS,
    Answer,
    Draw,
    Event,
    Json,
    Model,
    Reply,
    Tokens,
    anthropic_message,
    count_chat_tokens,
    count_embedding_tokens,
    count_message_tokens,
    groq_chat,
    openai_chat,
    openai_embeddings,
    openai_response,
)

MAX_BODY_BYTES: Final = 4 * 1024 * 1024
RETRY_AFTER_MS: Final = 20
EVENTS_BEFORE_CUT: Final = 6
DRAIN_SECONDS: Final = 5.0
# These models never work here: one always answers 500, the other's streams break off in the middle.
FAILING_MODEL: Final = "gpt-4.5-preview"
CUT_MODEL: Final = "openai/gpt-oss-20b"


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One request served. `usage` is what is billed; `sent_usage` is what the client was told of it before the end."""

    seller: str
    path: str
    requested_model: str
    model: str
    response_id: str
    http_status: int
    streaming: bool
    attempt: int
    service_tier: str
    usage: Json | None
    sent_usage: Json | None
    completed: bool


@dataclass(frozen=True, slots=True)
class Route:
    seller: str
    count: Callable[[Json, Model, Draw], Tokens]
    answer: Callable[[Answer], Reply]
    request_id_header: str = "x-request-id"


ROUTES: Final[Mapping[str, Route]] = {
    "/openai/v1/chat/completions": Route("openai", count_chat_tokens, openai_chat),
    "/openai/v1/responses": Route("openai", count_chat_tokens, openai_response),
    "/openai/v1/embeddings": Route("openai", count_embedding_tokens, openai_embeddings),
    "/anthropic/v1/messages": Route("anthropic", count_message_tokens, anthropic_message, "request-id"),
    "/groq/openai/v1/chat/completions": Route("groq", count_chat_tokens, groq_chat),
}
ERROR_TYPES: Final[Mapping[int, str]] = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
}


def error_body(seller: str, status: int, message: str) -> Json:
    kind = ERROR_TYPES[status]
    if seller == "anthropic":
        return {"type": "error", "error": {"type": kind, "message": message}}
    return {"error": {"message": message, "type": kind, "param": None, "code": kind}}


class ReplayServer(ThreadingHTTPServer):
    """Holds what all connections share: the seed, the log and how often each request came."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, log: TextIO, seed: int, rate_limit_every: int, event_delay_ms: float) -> None:
        super().__init__(("127.0.0.1", port), ReplayHandler)
        self.seed = seed
        self.rate_limit_every = rate_limit_every
        self.event_delay_s = event_delay_ms / 1000
        self._log = log
        self._seen: Counter[bytes] = Counter()
        self._active = 0
        self._state = threading.Condition()

    def begin(self, digest: bytes) -> int:
        """How often this very request came before."""
        with self._state:
            self._active += 1
            self._seen[digest] += 1
            return self._seen[digest] - 1

    def end(self, entry: LogEntry) -> None:
        with self._state:
            self._log.write(json.dumps(asdict(entry)) + "\n")
            self._log.flush()
            self._active -= 1
            self._state.notify_all()

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # a client that hangs up is part of the play
            super().handle_error(request, client_address)  # type: ignore[arg-type]

    def drain(self) -> None:
        """Wait until what was being answered is in the log."""
        with self._state:
            self._state.wait_for(lambda: self._active == 0, timeout=DRAIN_SECONDS)

    def is_rate_limited(self, digest: bytes, occurrence: int) -> bool:
        """About one request in `rate_limit_every` is refused when it first comes."""
        every = self.rate_limit_every
        return occurrence == 0 and every > 0 and Draw(self.seed, digest.hex()).number("limited", 1, every) == 1


class ReplayHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: ReplayServer

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class names it so)
        """The log that counts is the JSON Lines one."""

    def do_POST(self) -> None:
        path = self.path.partition("?")[0]
        length = self._header_number("content-length")
        if length > MAX_BODY_BYTES:
            self.close_connection = True
            self._send_json(413, error_body("", 413, "The request is too large."), {})
            return
        raw = self.rfile.read(length)
        route = ROUTES.get(path)
        if route is None:
            self._send_json(404, error_body("", 404, "There is no such endpoint."), {})
            return
        digest = blake2b(path.encode() + b"\0" + raw, digest_size=16).digest()
        occurrence = self.server.begin(digest)
        served = Served(route, path, self._header_number("x-stainless-retry-count") + 1)
        try:
            self._answer(served, raw, digest, occurrence)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            self.server.end(served.entry())

    def _header_number(self, name: str) -> int:
        text = self.headers.get(name, "")
        return int(text) if text.isascii() and text.isdigit() else 0

    def _answer(self, served: "Served", raw: bytes, digest: bytes, occurrence: int) -> None:
        refusal, request = self._check(raw, digest, occurrence)
        served.request = request
        draw = Draw(self.server.seed, digest.hex(), occurrence)
        headers = {served.route.request_id_header: f"req_{draw.text('header', 32, HEX_ALPHABET)}"}
        if refusal is not None:
            served.status, message = refusal
            headers |= {"retry-after-ms": str(RETRY_AFTER_MS)} if served.status == 429 else {}
            self._send_json(served.status, error_body(served.route.seller, served.status, message), headers)
            served.completed = True
            return
        model = MODELS.get(request["model"], Model(request["model"]))
        tokens = served.route.count(request, model, draw)
        reply = served.route.answer(Answer(request, model, tokens, draw, int(time.time())))
        served.status, served.reply, served.model = 200, reply, model.snapshot
        if reply.body is not None:
            served.sent_usage = reply.usage
            self._send_json(200, reply.body, headers)
            served.completed = True
        else:
            self._send_events(served, reply.events, headers)

    def _check(self, raw: bytes, digest: bytes, occurrence: int) -> tuple[tuple[int, str] | None, Json]:
        """Why the request is refused, if it is, and the request."""
        try:
            request = json.loads(raw)
        except ValueError:
            return (400, "The body is not JSON."), {}
        if not isinstance(request, dict) or not isinstance(request.get("model"), str):
            return (400, "The body names no model."), {}
        if not (self.headers.get("authorization") or self.headers.get("x-api-key")):
            return (401, "No API key was given."), request
        if request["model"] == FAILING_MODEL:
            return (500, "The server had an error while processing your request."), request
        if self.server.is_rate_limited(digest, occurrence):
            return (429, "Rate limit reached. Please try again in 20ms."), request
        return None, request

    def _send_json(self, status: int, body: Json, headers: dict[str, str]) -> None:
        payload = json.dumps(body).encode()
        self._send_head(status, {"content-type": "application/json", "content-length": str(len(payload))} | headers)
        self.wfile.write(payload)

    def _send_events(self, served: "Served", events: Sequence[Event], headers: dict[str, str]) -> None:
        kind = {"content-type": "text/event-stream; charset=utf-8", "transfer-encoding": "chunked"}
        self._send_head(200, kind | headers)
        is_cut = served.request["model"] == CUT_MODEL
        for event in events[:EVENTS_BEFORE_CUT] if is_cut else events:
            if self._client_has_left():
                self.close_connection = True
                return
            data = event.encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            served.sent_usage = event.usage
            time.sleep(self.server.event_delay_s)
        if is_cut:  # no closing chunk: to the client, the line went dead
            self.close_connection = True
            return
        self.wfile.write(b"0\r\n\r\n")
        served.completed = True

    def _send_head(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _client_has_left(self) -> bool:
        poll = select.poll()  # select() knows no descriptor above 1023
        poll.register(self.connection, select.POLLIN)
        readable = poll.poll(0)
        return bool(readable) and self.connection.recv(1, socket.MSG_PEEK) == b""


class Served:
    """What is known of a request so far; `entry` is its line of the log."""

    def __init__(self, route: Route, path: str, attempt: int) -> None:
        self.route = route
        self.path = path
        self.attempt = attempt
        self.request: Json = {}
        self.model = ""
        self.status = 0
        self.reply: Reply | None = None
        self.sent_usage: Json | None = None
        self.completed = False

    def entry(self) -> LogEntry:
        return LogEntry(
            seller=self.route.seller,
            path=self.path,
            requested_model=str(self.request.get("model", "")),
            model=self.model,
            response_id=self.reply.response_id if self.reply else "",
            http_status=self.status,
            streaming=bool(self.request.get("stream")),
            attempt=self.attempt,
            service_tier=self.reply.service_tier if self.reply else "",
            usage=self.reply.usage if self.reply else None,
            sent_usage=self.sent_usage,
            completed=self.completed,
        )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Answer like OpenAI, Anthropic and Groq, on loopback.")
    parser.add_argument("--port", type=int, default=8089, help="0 takes a free one (default: %(default)s)")
    parser.add_argument("--log", type=Path, default=Path(os.devnull), help="JSON Lines file of what was served")
    parser.add_argument("--seed", type=int, default=7, help="another seed, other ids and counts (default: %(default)s)")
    parser.add_argument(
        "--rate-limit-every", type=int, default=16, metavar="N", help="one in N gets a 429 first; 0: none"
    )
    parser.add_argument("--event-delay-ms", type=float, default=1.0, help="pause after each event of a stream")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with options.log.open("a", encoding="utf-8") as log:
        server = ReplayServer(options.port, log, options.seed, options.rate_limit_every, options.event_delay_ms)
        print(f"replay provider listening on http://127.0.0.1:{server.server_port}", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            server.drain()
        server.server_close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
