"""Which failures of ClickHouse are worth another attempt."""

from collections.abc import Iterator
from urllib.parse import quote

import pytest

from chdb_server import PASSWORD, USER, ChdbServer, serve
from factories import make_call
from otel_llmcost.errors import DeliveryError, PermanentError, RetryableError
from otel_llmcost.exporters import open_sink
from otel_llmcost.exporters.clickhouse.client import Ledger
from otel_llmcost.exporters.clickhouse.failures import PERMANENT_CODES

RETRYABLE_CODES = {
    60: "UNKNOWN_TABLE",
    81: "UNKNOWN_DATABASE",
    159: "TIMEOUT_EXCEEDED",
    202: "TOO_MANY_SIMULTANEOUS_QUERIES",
    209: "SOCKET_TIMEOUT",
    210: "NETWORK_ERROR",
    241: "MEMORY_LIMIT_EXCEEDED",
    242: "TABLE_IS_READ_ONLY",
    243: "NOT_ENOUGH_SPACE",
    252: "TOO_MANY_PARTS",
    319: "UNKNOWN_STATUS_OF_INSERT",
    439: "CANNOT_SCHEDULE_TASK",
    745: "SERVER_OVERLOADED",
    999: "KEEPER_EXCEPTION",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChdbServer]:
    with serve(tmp_path_factory.mktemp("failures")) as running:
        yield running


@pytest.fixture(scope="module")
def url(server: ChdbServer) -> str:
    return f"clickhouse://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{server.server_port}"


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        *((500, code, RetryableError) for code in (60, 202, 241, 252, 12_345)),
        *((500, code, PermanentError) for code in (16, 53)),
        *((500, code, RetryableError) for code in (164, 193, 497, 516)),
        *((status, None, RetryableError) for status in (429, 502, 503)),
        *((status, None, PermanentError) for status in (400, 404)),
    ],
)
def test_a_failure_is_of_the_kind_its_code_says(
    server: ChdbServer, url: str, status: int, code: int | None, kind: type[DeliveryError]
) -> None:
    """
    Overload, timeouts and unknown codes are retried; what is wrong with the statement or the user is not.
    """
    server.faults = [(status, code)]
    sink = open_sink(url)

    with pytest.raises(kind, match=str(code or status)):
        sink.write([make_call(1)])

    assert [] == server.faults
    sink.close()


def test_overload_is_never_permanent() -> None:
    """
    No code that a later attempt may overcome is in the table of those that it cannot.
    """
    assert not PERMANENT_CODES.keys() & RETRYABLE_CODES.keys()


def test_the_names_of_codes_are_the_engines(url: str) -> None:
    """
    Every code is called what ClickHouse calls it.
    """
    named = {**PERMANENT_CODES, **RETRYABLE_CODES}
    codes = ", ".join(map(str, named))

    with Ledger.open(url) as ledger:
        ((names,),) = ledger.client.query(f"SELECT arrayMap(c -> toString(errorCodeToName(c)), [{codes}])").result_rows

    assert list(named.values()) == names
