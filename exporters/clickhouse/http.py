"""ClickHouse's HTTP interface over the embedded engine.

One process at a time can open an embedded ledger, so that process answers everybody else: dashboards, scripts and
the other commands reach the ledger here as they would reach a ClickHouse server.
"""

import asyncio
import base64
import binascii
import json
import logging
import re
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesParser
from email.policy import HTTP
from hmac import compare_digest
from typing import Final
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from otel_llmcost.content_encoding import TooLargeError, codecs, decompress, negotiate
from otel_llmcost.errors import InputError
from otel_llmcost.exporters.clickhouse import embedded
from otel_llmcost.exporters.clickhouse.statement import NOT_IMPLEMENTED, QUERY_IS_TOO_LARGE, SqlError

logger = logging.getLogger(__name__)

USER: Final = "default"
MAX_BODY_BYTES: Final = 256 * 1024 * 1024
"""Largest request, decompressed; only an INSERT may come near."""
MAX_WAITING: Final = 64
"""Queries that run or wait for the engine at most."""
QUERY_THREADS: Final = 2
"""The engine runs each query on all cores; a second thread lets a short query overtake a long one."""
MIN_COMPRESSED_BYTES: Final = 1_024

AUTHENTICATION_FAILED: Final = (516, "AUTHENTICATION_FAILED")
TOO_MANY_QUERIES: Final = (202, "TOO_MANY_SIMULTANEOUS_QUERIES")
BAD_ARGUMENTS: Final = (36, "BAD_ARGUMENTS")

HTTP_STATUSES: Final[Mapping[int, int]] = {
    **dict.fromkeys((6, 8, 15, 25, 26, 27, 36, 38, 41, 44, 53, 62, 72, 117, 167, 168, 427, 441), 400),
    **dict.fromkeys((192, 193, 497, 516), 403),
    **dict.fromkeys((46, 47, 50, 56, 60, 63, 73, 81, 115), 404),
    48: 501,
    159: 408,
    202: 503,
    223: 413,
}
"""Error code → status, as ClickHouse has it; what is not listed is 500. Too many queries are 503, so that clients
come again by themselves."""

_CODE: Final = re.compile(r"Code: (\d+)\.")

CONTENT_TYPES: Final[Mapping[str, str]] = {
    "tabseparated": "text/tab-separated-values; charset=UTF-8",
    "tsv": "text/tab-separated-values; charset=UTF-8",
    "csv": "text/csv; charset=UTF-8; header=absent",
    "csvwithnames": "text/csv; charset=UTF-8; header=present",
    "json": "application/json; charset=UTF-8",
    "jsoncompact": "application/json; charset=UTF-8",
    "jsoneachrow": "application/x-ndjson; charset=UTF-8",
    "native": "application/octet-stream",
    "rowbinary": "application/octet-stream",
    "parquet": "application/octet-stream",
    "arrow": "application/octet-stream",
    "arrowstream": "application/octet-stream",
}
DEFAULT_CONTENT_TYPE: Final = "text/plain; charset=UTF-8"

TRANSPORT_PARAMETERS: Final = frozenset({
    "buffer_size",
    "client_protocol_version",
    "close_session",
    "compress",
    "database",
    "decompress",
    "default_format",
    "enable_http_compression",
    "http_headers_progress_interval_ms",
    "password",
    "query",
    "query_id",
    "quota_key",
    "role",
    "send_progress_in_http_headers",
    "session_check",
    "session_id",
    "session_timeout",
    "stacktrace",
    "user",
    "wait_end_of_query",
})  # fmt: skip
"""URL parameters that are no settings. There are no sessions: each query stands for itself."""


@dataclass(frozen=True, slots=True)
class Access:
    """Who may ask. Without a password, only whoever sits on this machine may, and no web page in their browser."""

    password: str = ""

    def check(self, request: Request) -> None:
        """
        Raises:
            SqlError: not this one.
        """
        if self.password:
            user, password = _credentials(request)
            same = compare_digest(password.encode(), self.password.encode())
            if user != USER or not same:
                message = f"{user[:64]}: Authentication failed: password is incorrect, or there is no such user"
                raise SqlError(AUTHENTICATION_FAILED, message)
        elif not _is_local(request):
            raise SqlError(AUTHENTICATION_FAILED, "Without a password, only local programs may ask")


def _credentials(request: Request) -> tuple[str, str]:
    """User and password, from the places where ClickHouse looks for them."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            user, _, password = base64.b64decode(token, validate=True).decode("utf-8").partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise SqlError(AUTHENTICATION_FAILED, "Authentication failed: no valid Basic credentials") from None
        return user, password
    if "x-clickhouse-user" in request.headers or "x-clickhouse-key" in request.headers:
        return request.headers.get("x-clickhouse-user", USER), request.headers.get("x-clickhouse-key", "")
    return request.query_params.get("user", USER), request.query_params.get("password", "")


_LOCAL_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def _is_local(request: Request) -> bool:
    """No name that a foreign DNS server could point here, and no request that a foreign page started."""
    host = urlsplit(f"//{request.headers.get('host', '')}").hostname
    origin = request.headers.get("origin")
    return host in _LOCAL_NAMES and (origin is None or urlsplit(origin).hostname in _LOCAL_NAMES)


class SqlEndpoint:
    """Answers queries over HTTP, one thread pool in front of the engine. Lives on one event loop."""

    def __init__(self, sql: embedded.EmbeddedSql, access: Access) -> None:
        self._sql = sql
        self._access = access
        self._threads = ThreadPoolExecutor(QUERY_THREADS, thread_name_prefix="llmcost-sql")
        self._waiting = 0

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/", self._query, methods=["GET", "POST"]),
                Route("/ping", _ok, methods=["GET", "HEAD"]),
            ]
        )

    def close(self) -> None:
        """Finish the queries under way."""
        self._threads.shutdown(cancel_futures=True)

    async def _query(self, request: Request) -> Response:
        query_id = request.query_params.get("query_id") or str(uuid.uuid4())
        if request.method == "GET" and not request.query_params.get("query"):
            return await _ok(request)
        try:
            self._access.check(request)
            response = await self._bounded(lambda body: self._answer(request, body), request)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it
        except Exception as error:  # noqa: BLE001 - every failure is told in ClickHouse's words
            response = _failure(error)
        response.headers["X-ClickHouse-Query-Id"] = query_id if query_id.isprintable() and query_id.isascii() else ""
        response.headers["X-ClickHouse-Server-Display-Name"] = "otel-llmcost"
        response.headers["X-ClickHouse-Timezone"] = self._sql.timezone
        return response

    async def _bounded(self, answer: Callable[[bytes], Response], request: Request) -> Response:
        if self._waiting >= MAX_WAITING:
            raise SqlError(TOO_MANY_QUERIES, f"Too many simultaneous queries. Maximum: {MAX_WAITING}")
        self._waiting += 1
        task = asyncio.ensure_future(self._run(answer, request))
        task.add_done_callback(self._leave)
        # A client that hangs up ends its own wait only: the engine is busy until the query is done.
        return await asyncio.shield(task)

    async def _run(self, answer: Callable[[bytes], Response], request: Request) -> Response:
        body = await _body(request)
        return await asyncio.get_running_loop().run_in_executor(self._threads, answer, body)

    def _leave(self, _task: "asyncio.Future[Response]") -> None:
        self._waiting -= 1

    def _answer(self, request: Request, body: bytes) -> Response:
        """Runs in a thread: decompression, the query and compression keep the event loop free."""
        answer = self._sql.run(sql_request(request, body))
        response = Response(answer.body, media_type=None)
        response.headers["Content-Type"] = CONTENT_TYPES.get(answer.format.lower(), DEFAULT_CONTENT_TYPE)
        if answer.format:
            response.headers["X-ClickHouse-Format"] = answer.format
        response.headers["X-ClickHouse-Summary"] = json.dumps(answer.statistics)
        return _compressed(request, response)


async def _ok(_request: Request) -> Response:
    return Response(b"Ok.\n", media_type="text/plain")


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise TooLargeError(f"the body is larger than {MAX_BODY_BYTES} bytes")
    return bytes(body)


def sql_request(request: Request, body: bytes) -> embedded.Request:
    """What the URL, the headers and the body of a request ask for."""
    options = dict(request.query_params)
    for flag in ("compress", "decompress"):
        if options.get(flag, "0") not in ("0", "false"):
            raise SqlError(NOT_IMPLEMENTED, f"{flag}=1 is not supported: use the HTTP header for content encodings")
    data = decompress(body, request.headers.get("content-encoding", ""), MAX_BODY_BYTES)
    if request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        options |= _form_fields(request.headers["content-type"], data)
        data = b""
    query = options.get("query", "").encode("utf-8")
    names = {name.removeprefix("param_"): value for name, value in options.items() if name.startswith("param_")}
    settings = {
        name: value
        for name, value in options.items()
        if name not in TRANSPORT_PARAMETERS and not name.startswith("param_")
    }
    revision = options.get("client_protocol_version", "0")
    return embedded.Request(
        payload=query + b"\n" + data if query and data else query or data,
        database=options.get("database") or request.headers.get("x-clickhouse-database", ""),
        default_format=options.get("default_format") or request.headers.get("x-clickhouse-format", "TabSeparated"),
        parameters=names,
        settings=settings,
        client_revision=int(revision) if revision.isdecimal() and len(revision) < 10 else 0,
        may_write=request.method == "POST",
    )


def _form_fields(content_type: str, data: bytes) -> dict[str, str]:
    """Plain fields of a form, as clients send long queries with parameters."""
    form = BytesParser(policy=HTTP).parsebytes(b"Content-Type: " + content_type.encode("latin-1") + b"\r\n\r\n" + data)
    fields = {}
    for part in form.iter_parts() if form.is_multipart() else ():
        name = _disposition(part, "name")
        if _disposition(part, "filename") is not None:
            raise SqlError(NOT_IMPLEMENTED, "External data is not supported")
        value = part.get_payload(decode=True)
        if name and isinstance(value, bytes):
            fields[name] = value.decode("utf-8", "replace")
    return fields


def _disposition(part: Message, parameter: str) -> str | None:
    value = part.get_param(parameter, header="content-disposition")
    return value if isinstance(value, str) else None


def _compressed(request: Request, response: Response) -> Response:
    encoding = negotiate(request.headers.get("accept-encoding", ""))
    wanted = request.query_params.get("enable_http_compression", "1") not in ("0", "false")
    if encoding and wanted and len(response.body) >= MIN_COMPRESSED_BYTES:
        response.body = codecs()[encoding].compress(bytes(response.body))
        response.headers["Content-Length"] = str(len(response.body))
        response.headers["Content-Encoding"] = encoding
    return response


def _failure(error: Exception) -> Response:
    """Any error as ClickHouse tells it: text with code and name, the code in a header, a status to match."""
    if isinstance(error, TooLargeError):
        error = SqlError(QUERY_IS_TOO_LARGE, str(error))
    elif isinstance(error, InputError):
        error = SqlError(BAD_ARGUMENTS, str(error))
    text = str(error)
    found = _CODE.search(text)
    if found is None:
        logger.error("a query failed: %s", type(error).__name__)
        found, text = _CODE.search("Code: 1001."), f"Code: 1001. DB::Exception: {type(error).__name__}. (STD_EXCEPTION)"
    code = int(found[1]) if found else 0
    headers = {"X-ClickHouse-Exception-Code": str(code)}
    status = HTTP_STATUSES.get(code, 500)
    if status == 503:
        headers["Retry-After"] = "1"
    start = text.find("Code: ")
    return Response(text[start:].rstrip() + "\n", status, headers, "text/plain")
