"""Messages of spans in pieces that the next hop takes: enriched spans are larger than what came."""

from collections.abc import Iterator
from typing import Any

from otel_llmcost.processors.otlp import OtlpRequest
from otel_llmcost.processors.otlp_schema import Request


def split(request: OtlpRequest, max_bytes: int) -> list[bytes]:
    """The message, in halves of halves until none is larger than `max_bytes`; a single span is not cut."""
    body = request.SerializeToString()
    if len(body) <= max_bytes or _spans(request) <= 1:
        return [body]
    return [part for half in _halves(request) for part in split(half, max_bytes)]


def _spans(request: OtlpRequest) -> int:
    return sum(len(scope.spans) for resource in request.resource_spans for scope in resource.scope_spans)


def _halves(request: OtlpRequest) -> Iterator[OtlpRequest]:
    """Two messages with half of the spans each, below copies of their resources and scopes."""
    middle = _spans(request) // 2
    for first, last in ((0, middle), (middle, _spans(request))):
        half = Request()
        half.CopyFrom(request)
        _keep(half, first, last)
        yield half


def _keep(request: OtlpRequest, first: int, last: int) -> None:
    """Leave the spans from number `first` up to `last`, and nothing that is empty without the others."""
    at = 0
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            begin, at = at, at + len(scope.spans)
            del scope.spans[max(last - begin, 0) :]
            del scope.spans[: max(first - begin, 0)]
        _drop_empty(resource.scope_spans, "spans")
    _drop_empty(request.resource_spans, "scope_spans")


def _drop_empty(items: Any, below: str) -> None:
    for index in range(len(items) - 1, -1, -1):
        if not len(getattr(items[index], below)):
            del items[index]
