"""The standard metrics of GenAI clients.

Source: semantic-conventions-genai, `gen_ai.client.*`, with the bucket boundaries that it advises.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from opentelemetry.metrics import Meter

from otel_llmcost import semconv as sc
from otel_llmcost.call import Usage

TOKEN_BOUNDARIES: Final = [4**power for power in range(14)]
SECONDS_BOUNDARIES: Final = [0.01 * 2**power for power in range(14)]

MAX_CACHED: Final = 1_024
"""Attribute sets kept; an application calls few models at few places, and a hostile peer names many."""

_OF_REQUEST: Final = (sc.OPERATION_NAME, sc.PROVIDER_NAME, sc.REQUEST_MODEL, sc.SERVER_ADDRESS, sc.SERVER_PORT)


class ClientMetrics:
    """Tokens and times of calls as the client sees them."""

    def __init__(self, meter: Meter) -> None:
        def seconds(name: str, description: str) -> Any:
            return meter.create_histogram(
                f"gen_ai.client.operation.{name}",
                "s",
                description,
                explicit_bucket_boundaries_advisory=SECONDS_BOUNDARIES,
            )

        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            "{token}",
            "Tokens used",
            explicit_bucket_boundaries_advisory=[float(boundary) for boundary in TOKEN_BOUNDARIES],
        )
        self._duration = seconds("duration", "Duration of the call")
        self._first_chunk = seconds("time_to_first_chunk", "Time until the first chunk of a stream")
        self._per_chunk = seconds("time_per_output_chunk", "Mean time between the chunks of a stream after the first")

    def record(self, at_start: Mapping[str, Any], at_end: Mapping[str, Any], usage: Usage, times: "CallTimes") -> None:
        """Record one call that has ended, from the attributes that its span got at its start and at its end."""
        of_request = tuple(map(at_start.get, _OF_REQUEST))
        of_call, of_input, of_output = _attribute_sets(of_request, at_end.get(sc.RESPONSE_MODEL))
        if usage.known:
            self._tokens.record(usage.input_tokens, of_input)
            self._tokens.record(usage.output_tokens, of_output)
        if times.first_chunk_s is not None:
            self._first_chunk.record(times.first_chunk_s, of_call)
        if times.per_chunk_s is not None:
            self._per_chunk.record(times.per_chunk_s, of_call)
        error = at_end.get(sc.ERROR_TYPE)
        self._duration.record(times.duration_s, {**of_call, sc.ERROR_TYPE: error} if error else of_call)


@lru_cache(maxsize=MAX_CACHED)
def _attribute_sets(of_request: tuple[Any, ...], model: str | None) -> tuple[dict[str, Any], ...]:
    """Attributes of a call's metrics, of its input tokens and of its output tokens."""
    of_call = dict(zip((*_OF_REQUEST, sc.RESPONSE_MODEL), (*of_request, model), strict=True))
    known = {name: value for name, value in of_call.items() if value is not None}
    return known, {**known, "gen_ai.token.type": "input"}, {**known, "gen_ai.token.type": "output"}


class CallTimes:
    """When a call began, and its chunks came; `perf_counter_ns` throughout."""

    __slots__ = ("_began_ns", "_chunks", "_ended_ns", "_first_ns", "_last_ns")

    def __init__(self, began_ns: int) -> None:
        self._began_ns = began_ns
        self._ended_ns = began_ns
        self._first_ns = 0
        self._last_ns = 0
        self._chunks = 0

    def chunk(self, now_ns: int) -> None:
        """A chunk has come."""
        if not self._chunks:
            self._first_ns = now_ns
        self._last_ns = now_ns
        self._chunks += 1

    def end(self, now_ns: int, *, streamed: bool) -> None:
        """The call has ended; the chunks of a body that is no stream say nothing."""
        self._ended_ns = now_ns
        if not streamed:
            self._chunks = 0

    @property
    def duration_s(self) -> float:
        return (self._ended_ns - self._began_ns) / 1e9

    @property
    def first_chunk_s(self) -> float | None:
        return (self._first_ns - self._began_ns) / 1e9 if self._chunks else None

    @property
    def per_chunk_s(self) -> float | None:
        return (self._last_ns - self._first_ns) / 1e9 / (self._chunks - 1) if self._chunks > 1 else None
