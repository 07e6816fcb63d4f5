"""ClickHouse's failures → the two kinds a queue tells apart: try again later, or never as they are."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from otel_llmcost.errors import DeliveryError, PermanentError, RetryableError

# Codes for which the same statement would fail again. A code that is not listed is retried: an unknown code is more
# often a state of the server than a fault of a line, and a line that is given up is lost. Unknown table and unknown
# database are retried too: the sink creates what is missing before its next attempt.
PERMANENT_CODES: Final[Mapping[int, str]] = {
    6: "CANNOT_PARSE_TEXT",
    8: "THERE_IS_NO_COLUMN",
    10: "NOT_FOUND_COLUMN_IN_BLOCK",
    16: "NO_SUCH_COLUMN_IN_TABLE",
    20: "NUMBER_OF_COLUMNS_DOESNT_MATCH",
    27: "CANNOT_PARSE_INPUT_ASSERTION_FAILED",
    36: "BAD_ARGUMENTS",
    41: "CANNOT_PARSE_DATETIME",
    43: "ILLEGAL_TYPE_OF_ARGUMENT",
    44: "ILLEGAL_COLUMN",
    46: "UNKNOWN_FUNCTION",
    47: "UNKNOWN_IDENTIFIER",
    48: "NOT_IMPLEMENTED",
    50: "UNKNOWN_TYPE",
    53: "TYPE_MISMATCH",
    62: "SYNTAX_ERROR",
    69: "ARGUMENT_OUT_OF_BOUND",
    70: "CANNOT_CONVERT_TYPE",
    72: "CANNOT_PARSE_NUMBER",
    73: "UNKNOWN_FORMAT",
    115: "UNKNOWN_SETTING",
    117: "INCORRECT_DATA",
    349: "CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN",
    407: "DECIMAL_OVERFLOW",
    452: "SETTING_CONSTRAINT_VIOLATION",
}

# No fault of a line, and mended at the server: a password is corrected, a grant given.
ACCESS_CODES: Final[Mapping[int, str]] = {
    164: "READONLY",
    192: "UNKNOWN_USER",
    193: "WRONG_PASSWORD",
    194: "REQUIRED_PASSWORD",
    497: "ACCESS_DENIED",
    516: "AUTHENTICATION_FAILED",
}

# The server's text of these names the user.
AUTHENTICATION_CODES: Final = frozenset({192, 193, 194, 497, 516})

ADVICE: Final[Mapping[int, str]] = {
    16: "its tables are of another version of otel-llmcost",
    192: "check the user and the password",
    193: "check the user and the password",
    194: "check the user and the password",
    164: "it is read-only (rows: start `otel-llmcost up` with --writable, or send to its otlp:// port)",
    497: "the user lacks a grant: INSERT and SELECT, and CREATE for the first start",
    516: "check the user and the password",
}

MAX_TEXT_CHARS: Final = 2_000

_HTTP_STATUS: Final = re.compile(r"HTTP status (\d{3})")
_SERVER_TEXT: Final = re.compile(r"DB::Exception: (.*?)(?:\s*\(version .*)?(?:\s*\(for url [^)]*\))?\s*$", re.DOTALL)


@contextmanager
def translated(address: str, *, with_text: bool = False) -> Iterator[None]:
    """Turn the client library's exceptions into ours.

    `with_text` adds the server's own words. Those may quote values: they are for statements that a person wrote, not
    for inserts.

    Raises:
        RetryableError: not reachable, overloaded, not let in, or not told which.
        PermanentError: the same statement would fail again.
    """
    from clickhouse_connect.driver.exceptions import ClickHouseError
    from urllib3.exceptions import HTTPError

    try:
        yield
    except DeliveryError:
        raise
    except ClickHouseError as error:
        raise _translate(error, address, with_text) from None
    except (HTTPError, OSError) as error:
        raise RetryableError(f"ClickHouse at {address}: the connection broke ({type(error).__name__})") from None


def _translate(error: Exception, address: str, with_text: bool) -> DeliveryError:
    code = getattr(error, "code", None)
    kind = PermanentError if _is_permanent(error, code) else RetryableError
    return kind(f"ClickHouse at {address}: {_describe(error, code, with_text)}")


def _is_permanent(error: Exception, code: int | None) -> bool:
    from clickhouse_connect.driver.exceptions import DataError, NotSupportedError

    if code is not None:
        return code in PERMANENT_CODES
    status = _HTTP_STATUS.search(str(error))
    if status:
        return 400 <= int(status[1]) < 500 and status[1] not in {"408", "429"}
    # A ProgrammingError without a code is the client library's own: a closed client, for one. The sink connects anew.
    return isinstance(error, DataError | NotSupportedError)


def _describe(error: Exception, code: int | None, with_text: bool) -> str:
    from clickhouse_connect.driver.exceptions import ProgrammingError

    if code is None:
        status = _HTTP_STATUS.search(str(error))
        if status:
            return f"HTTP status {status[1]} without a ClickHouse error; is this ClickHouse's HTTP port?"
        if isinstance(error, ProgrammingError):
            return str(error)[:MAX_TEXT_CHARS]  # of the client library, about its own use
        cause = getattr(error.__cause__, "reason", error.__cause__) or error
        return f"no answer ({type(cause).__name__})"
    what = f"{getattr(error, 'name', None) or {**PERMANENT_CODES, **ACCESS_CODES}.get(code, 'error')} (code {code})"
    if code in ADVICE:
        what += f": {ADVICE[code]}"
    text = _SERVER_TEXT.search(str(error))
    if with_text and text and code not in AUTHENTICATION_CODES:
        what += f": {text[1][:MAX_TEXT_CHARS]}"
    return what
