"""Raw requests to the ClickHouse port, and the row of the table `kinds`."""

import base64
import datetime as dt
import http.client
import urllib.parse
import uuid
from decimal import Decimal

from up_process import Up

KINDS_ROW = (
    -1,
    Decimal("1234.123456789012"),
    dt.datetime(2026, 11, 22, 10, 11, 12, 123456, tzinfo=dt.UTC),
    dt.date(2026, 11, 22),
    {"team": "cx"},
    bytes(range(16)),
    None,
    ["x", "y"],
    uuid.UUID("12345678-1234-5678-1234-567812345678"),
    "error",
    True,
)


def ask(
    up: Up,
    sql: str | bytes = b"",
    *,
    method: str = "POST",
    path: str = "/",
    headers: dict[str, str] | None = None,
    **options: object,
) -> tuple[http.client.HTTPResponse, bytes]:
    """One request as it goes over the wire; `options` are URL parameters."""
    body = sql.encode() if isinstance(sql, str) else sql
    connection = http.client.HTTPConnection("127.0.0.1", up.ports["ClickHouse"], timeout=60)
    try:
        query = f"?{urllib.parse.urlencode(options)}" if options else ""
        connection.request(method, path + query, body or None, headers or {})
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def code_of(response: http.client.HTTPResponse) -> tuple[int, str | None]:
    return response.status, response.headers["X-ClickHouse-Exception-Code"]


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}
