"""What a sender is told instead of success, over gRPC and over HTTP.

An answer says what the sender has to do. What would fail again in the same way is refused for good; everything else,
also what nobody foresaw, is told to be sent again: senders drop what is answered with any other code. How long to wait
is told as `RetryInfo` (gRPC) and `Retry-After` (HTTP). Source: opentelemetry-proto, docs/specification.md.
"""

import logging
import math
import traceback
from dataclasses import dataclass
from typing import Final

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from otel_llmcost.content_encoding import TooLargeError, UnknownEncodingError
from otel_llmcost.errors import InputError, LlmcostError, RetryableError

logger = logging.getLogger(__name__)

RETRY_AFTER_S: Final = 1.0
MAX_TOLD: Final = 1_024
"""Characters of a message that are passed on."""
DETAILS: Final = "grpc-status-details-bin"


@dataclass(frozen=True, slots=True)
class Refusal:
    """`retry_after_s`: when to come again; None where the sender must not."""

    grpc_code: grpc.StatusCode
    http_status: int
    message: str
    retry_after_s: float | None = None

    def trailers(self) -> tuple[tuple[str, bytes], ...]:
        """What gRPC tells of it beside code and text."""
        if self.retry_after_s is None:
            return ()
        info = RetryInfo()
        info.retry_delay.FromNanoseconds(int(self.retry_after_s * 1e9))
        status = Status(code=self.grpc_code.value[0], message=self.message)
        status.details.add().Pack(info)
        return ((DETAILS, status.SerializeToString()),)

    def headers(self) -> dict[str, str]:
        """What HTTP tells of it beside status and body."""
        headers = {} if self.retry_after_s is None else {"Retry-After": str(max(math.ceil(self.retry_after_s), 1))}
        if self.http_status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return headers


class RefusedError(LlmcostError):
    """Refused, and it is known what to tell the sender."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class BusyError(RetryableError):
    """As much is under way as may be."""


_REFUSALS: Final[tuple[tuple[type[Exception], grpc.StatusCode, int], ...]] = (
    (TooLargeError, grpc.StatusCode.RESOURCE_EXHAUSTED, 413),
    (UnknownEncodingError, grpc.StatusCode.INVALID_ARGUMENT, 415),
    (InputError, grpc.StatusCode.INVALID_ARGUMENT, 400),
    (TimeoutError, grpc.StatusCode.UNAVAILABLE, 408),
    (RetryableError, grpc.StatusCode.UNAVAILABLE, 503),
)
"""The first row that an error is an instance of."""


def refusal_of(error: Exception) -> Refusal:
    """The one map from errors to answers."""
    if isinstance(error, RefusedError):
        return error.refusal
    for kind, grpc_code, http_status in _REFUSALS:
        if isinstance(error, kind):
            retry_after_s = RETRY_AFTER_S if grpc_code is grpc.StatusCode.UNAVAILABLE else None
            return Refusal(grpc_code, http_status, str(error), retry_after_s)
    # The text of an unforeseen error may hold content of the message: only its name and place are told.
    place = traceback.extract_tb(error.__traceback__)[-1:]
    where = f" at {place[0].filename}:{place[0].lineno}" if place else ""
    logger.error("a request failed and will be sent again: %s%s", type(error).__name__, where)
    return Refusal(grpc.StatusCode.UNAVAILABLE, 503, f"internal error: {type(error).__name__}", RETRY_AFTER_S)


_TRANSIENT: Final = frozenset(
    {
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
        grpc.StatusCode.UNKNOWN,  # an unhandled fault there; a sender that is told so drops
        grpc.StatusCode.UNAUTHENTICATED,  # our credentials, not the sender's
        grpc.StatusCode.PERMISSION_DENIED,
    }
)
_HTTP_OF: Final = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 413,
    grpc.StatusCode.UNIMPLEMENTED: 404,
}
_GRPC_OF: Final = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    404: grpc.StatusCode.UNIMPLEMENTED,
    415: grpc.StatusCode.INVALID_ARGUMENT,
}
_HTTP_TRANSIENT: Final = frozenset({401, 403, 408, 502, 503, 504})


def refusal_of_grpc(code: grpc.StatusCode, details: str, retry_after_s: float | None) -> Refusal:
    """What to tell when the next hop answered so over gRPC."""
    message = f"next hop: {details or code.name}"[:MAX_TOLD]
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and retry_after_s is not None:
        return Refusal(code, 429, message, retry_after_s)
    if code in _TRANSIENT:
        delay_s = RETRY_AFTER_S if retry_after_s is None else retry_after_s
        return Refusal(grpc.StatusCode.UNAVAILABLE, 503, message, delay_s)
    return Refusal(code, _HTTP_OF.get(code, 500), message)


def refusal_of_http(status: int, details: str, retry_after_s: float | None) -> Refusal:
    """What to tell when the next hop answered so over HTTP."""
    message = f"next hop: {details or f'HTTP {status}'}"[:MAX_TOLD]
    delay_s = RETRY_AFTER_S if retry_after_s is None else retry_after_s
    if status == 429:
        return Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, 429, message, delay_s)
    if status in _HTTP_TRANSIENT:
        return Refusal(grpc.StatusCode.UNAVAILABLE, 503, message, delay_s)
    return Refusal(_GRPC_OF.get(status, grpc.StatusCode.INTERNAL), status if status >= 400 else 502, message)


def retry_delay_s(status_details: bytes) -> float | None:
    """The delay that a `grpc-status-details-bin` asks for; None where it has none."""
    try:
        status = Status.FromString(status_details)
        for detail in status.details:
            info = RetryInfo()
            if detail.Unpack(info):
                delay_ns: int = info.retry_delay.ToNanoseconds()
                return max(delay_ns / 1e9, 0.0)
    except (DecodeError, ValueError):
        return None
    return None
