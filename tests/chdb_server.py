"""ClickHouse's HTTP interface on a loopback port, in front of the embedded engine.

The engine and the client are the real ones; this file is the door between them, for no server binary is at hand in a
test run. It knows what clickhouse-connect sends: a statement in the body or in `?query=`, settings and `param_<name>`
in the URL, the rows of an insert in the body, Basic credentials.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import clickhouse_connect
from clickhouse_connect.driver._backend.chdb_backend import CHDB_TRANSPORT_SETTINGS, _decompress
from clickhouse_connect.driver.exceptions import DatabaseError

USER = "ledger"
PASSWORD = "pa/ss:w@rd?#%"

_LINES = re.compile(rb"INSERT INTO [^ ]+\.call_versions\b")
_INSERT = re.compile(
    rb"^INSERT INTO (?P<target>.+?) FORMAT (?P<format>Native|TabSeparated|ArrowStream|Arrow)\s*", re.DOTALL
)


class ChdbServer(ThreadingHTTPServer):
    """`faults` are used up one per insert of lines: ('lost answer',), ('lost request',), (HTTP status, ClickHouse code
    or None), or None for an insert that goes well.
    """

    daemon_threads = True

    def __init__(self, directory: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.client = clickhouse_connect.get_client(interface="chdb", path=str(directory))
        # `readonly` cannot be taken back on an embedded connection, so read-only requests have one of their own.
        self.reader = clickhouse_connect.get_client(interface="chdb", path=str(directory))
        self.reader.set_client_setting("readonly", "2")
        self.lock = Lock()
        self.faults: list[tuple[Any, ...]] = []
        self.inserts = 0

    def run(self, statement: bytes, body: bytes, parameters: dict[str, str]) -> bytes:
        """Run one statement with the URL's settings; the engine takes one at a time."""
        bound = {name[6:]: value for name, value in parameters.items() if name.startswith("param_")}
        reserved = CHDB_TRANSPORT_SETTINGS | {"query", "default_format"}
        settings = {k: v for k, v in parameters.items() if k not in reserved and not k.startswith("param_")}
        backend = (self.reader if settings.pop("readonly", None) else self.client)._backend
        with self.lock:
            database = parameters.get("database") or "default"
            insert = _INSERT.match(statement)
            if not insert:
                result = backend._run_with_settings(statement, "TabSeparated", settings, bound, database)
                return bytes(result.bytes() or b"")
            with _temporary(statement[insert.end() :] + body) as path:
                target, form = insert["target"].decode(), insert["format"].decode()
                sql = f"INSERT INTO {target} FROM INFILE '{path}' FORMAT {form}"
                backend._run_with_settings(sql, "TabSeparated", settings, bound, database)
            return b""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ChdbServer

    def do_GET(self) -> None:
        self.do_POST()

    def do_POST(self) -> None:
        parameters = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        body = self._body()
        expected = "Basic " + b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self.headers.get("Authorization") != expected:
            self._fail(401, 516, "ledger: Authentication failed (AUTHENTICATION_FAILED)")
            return
        statement = parameters.get("query", "").encode() or body
        body = body if parameters.get("query") else b""
        is_insert = _LINES.match(statement) is not None
        self.server.inserts += is_insert
        fault = self.server.faults.pop(0) if is_insert and self.server.faults else None
        if fault == ("lost request",):
            self.close_connection = True
            return
        if fault and fault[0] != "lost answer":
            self._fail(*fault, "injected (INJECTED)")
            return
        try:
            answer = self.server.run(statement, body, parameters)
        except DatabaseError as error:
            self._fail(500, error.code, str(error).partition("DB::Exception: ")[2])
            return
        if fault:
            self.close_connection = True  # stored, but the client never hears of it
            return
        self._answer(200, answer, {"X-ClickHouse-Timezone": "UTC", "X-ClickHouse-Summary": json.dumps({})})

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            chunks = iter(lambda: self.rfile.read(int(self.rfile.readline(), 16) + 2)[:-2], b"")
            body = b"".join(chunks)
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        encoding = self.headers.get("Content-Encoding")
        return _decompress(body, encoding) if encoding else body

    def _fail(self, status: int, code: int | None, text: str) -> None:
        body = f"Code: {code}. DB::Exception: {text}".encode() if code else b"no upstream"
        self._answer(status, body, {"X-ClickHouse-Exception-Code": str(code)} if code else {})

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
        """Say nothing."""


@contextmanager
def _temporary(data: bytes) -> Iterator[str]:
    handle, path = tempfile.mkstemp(suffix=".native")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        yield path
    finally:
        Path(path).unlink()


@contextmanager
def serve(directory: Path) -> Iterator[ChdbServer]:
    """A running server; its engine lives in `directory`."""
    with ChdbServer(directory) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
            server.reader.close()
            server.client.close()


@contextmanager
def serve_apart(directory: Path) -> Iterator[str]:
    """The same in a process of its own, for a test that has an engine open itself; the ledger's URL."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    command = [sys.executable, __file__, str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True, env=environ) as process:
        assert process.stdout is not None
        try:
            yield f"clickhouse://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{int(process.stdout.readline())}/llmcost"
        finally:
            process.kill()


if __name__ == "__main__":
    with serve(Path(sys.argv[1])) as served:
        print(served.server_port, flush=True)
        sys.stdin.read()
