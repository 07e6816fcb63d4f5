"""A loopback HTTP server that answers as it is told: bodies, streams, stalls, refusals and redirects."""

import json
import select
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LONGEST_STALL_S = 20.0
"""A stalled answer ends when the client leaves; this bounds a test that went wrong."""


@dataclass(frozen=True)
class Answer:
    """One response: a whole `body`, or the `chunks` of a stream; a `status` of 0 is no response at all.

    `asked`: a chunk before the last one, for a request with `include_usage` alone. `piece_bytes`: the stream is sent in
    pieces of that size. `stalls`: after the last chunk nothing more comes, and no end. `breaks`: the connection is
    closed there.
    """

    body: bytes = b""
    chunks: tuple[bytes, ...] = ()
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "application/json"})
    asked: bytes = b""
    piece_bytes: int = 0
    stalls: bool = False
    breaks: bool = False

    def pieces(self, *, asked: bool) -> list[bytes]:
        """The stream as it is sent."""
        chunks = [*self.chunks[:-1], self.asked, self.chunks[-1]] if asked and self.asked else self.chunks
        if not self.piece_bytes:
            return list(chunks)
        body = b"".join(chunks)
        return [body[start : start + self.piece_bytes] for start in range(0, len(body), self.piece_bytes)]


def json_answer(document: Any, status: int = 200, **headers: str) -> Answer:
    """A JSON body. An underscore in a header's name stands for a hyphen."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(json.dumps(document).encode(), status=status, headers={"content-type": "application/json", **named})


def stream_answer(chunks: list[bytes], **options: Any) -> Answer:
    """Server-sent events, each of them one chunk."""
    return Answer(chunks=tuple(chunks), headers={"content-type": "text/event-stream"}, **options)


@dataclass(frozen=True)
class Received:
    """A request as it came. Header names are in lower case."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class WireServer(ThreadingHTTPServer):
    """Gives its answers one after the other; the last one again and again."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, *answers: Answer) -> None:
        super().__init__(("127.0.0.1", 0), WireHandler)
        self.received: list[Received] = []
        self.reached = threading.Event()
        self._answers = answers
        self._taken = 0
        self._lock = threading.Lock()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def take(self, received: Received) -> Answer:
        with self._lock:
            self.received.append(received)
            answer = self._answers[min(self._taken, len(self._answers) - 1)]
            self._taken += 1
        self.reached.set()
        return answer

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is part of the play; any other error shows as a broken answer."""


class WireHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: WireServer

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class names it so)
        """Silent."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.server.take(Received(self.path, headers, body))
        if not answer.status:
            self._stall()
            return
        self.send_response_only(answer.status)  # no date: some SDKs give the headers out
        for name, value in answer.headers.items():
            self.send_header(name, value.format(origin=self.server.origin, path=self.path))
        if answer.chunks:
            self._stream(answer, list(answer.pieces(asked=b'"include_usage"' in body)))
        else:
            self.send_header("content-length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

    def _stream(self, answer: Answer, pieces: list[bytes]) -> None:
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for chunk in pieces:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        if answer.stalls:
            self._stall()
        elif answer.breaks:
            self.close_connection = True
        else:
            self.wfile.write(b"0\r\n\r\n")

    def _stall(self) -> None:
        """Until the client leaves."""
        waiting = select.poll()  # select() knows no descriptor above 1023
        waiting.register(self.connection, select.POLLIN)
        waiting.poll(LONGEST_STALL_S * 1_000)
        self.close_connection = True


@contextmanager
def serving(server: ThreadingHTTPServer) -> Iterator[None]:
    """Serve in a thread of its own until the block ends."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
