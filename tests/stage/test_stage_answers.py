"""What senders are told: nothing but success of what is durable, and of a failure what to do."""

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from otel_llmcost.processors.answers import DETAILS, Refusal, refusal_of_http, retry_delay_s
from otel_llmcost.processors.signals import LOGS, METRICS
from stage.running_stage import Stage, request, running

Code = grpc.StatusCode


def delay_of(error: grpc.RpcError) -> float | None:
    """The delay that the sender is told."""
    details = dict(error.trailing_metadata()).get(DETAILS)
    return None if details is None else retry_delay_s(details)


def with_delay(code: grpc.StatusCode, seconds: int) -> tuple[tuple[str, bytes], ...]:
    info = RetryInfo()
    info.retry_delay.seconds = seconds
    status = Status(code=code.value[0])
    status.details.add().Pack(info)
    return ((DETAILS, status.SerializeToString()),)


@pytest.mark.parametrize(
    "code",
    [
        Code.CANCELLED,
        Code.DEADLINE_EXCEEDED,
        Code.ABORTED,
        Code.OUT_OF_RANGE,
        Code.UNAVAILABLE,
        Code.DATA_LOSS,
        Code.UNKNOWN,
        Code.UNAUTHENTICATED,
    ],
)
def test_what_may_go_through_later_is_unavailable_with_a_delay(stage: Stage, code: grpc.StatusCode) -> None:
    """Whatever the next hop calls it; senders drop what they are told as UNKNOWN or UNAUTHENTICATED."""
    stage.sink.refuse = (code, "later", ())

    error = stage.refused(request())

    assert (Code.UNAVAILABLE, 1.0) == (error.code(), delay_of(error))
    assert "later" in error.details()


@pytest.mark.parametrize("code", [Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED])
def test_the_delay_of_the_next_hop_is_passed_on(stage: Stage, code: grpc.StatusCode) -> None:
    """RetryInfo with its seconds, in grpc-status-details-bin."""
    stage.sink.refuse = (code, "slowly", with_delay(code, 17))

    error = stage.refused(request())

    assert (code, 17.0) == (error.code(), delay_of(error))


@pytest.mark.parametrize("code", [Code.INVALID_ARGUMENT, Code.RESOURCE_EXHAUSTED, Code.INTERNAL, Code.UNIMPLEMENTED])
@pytest.mark.parametrize("message", [request(), request({"db.system": "x"})], ids=["genai", "plain"])
def test_a_refusal_for_good_is_passed_on_as_it_is(stage: Stage, code: grpc.StatusCode, message: object) -> None:
    """RESOURCE_EXHAUSTED without RetryInfo is one: such as a message that is too large."""
    stage.sink.refuse = (code, "never", ())

    error = stage.refused(message)

    assert (code, None) == (error.code(), delay_of(error))


def test_partial_success_is_passed_on(stage: Stage) -> None:
    """As the next hop wrote it, for enriched spans and for others."""
    answer = ExportTraceServiceResponse()
    answer.partial_success.rejected_spans = 3
    answer.partial_success.error_message = "three of them"
    stage.sink.answer = answer.SerializeToString()

    assert [answer.SerializeToString()] * 2 == [stage.send(request()), stage.send(request({"db.system": "x"}))]


def test_a_span_that_can_be_no_line_is_told_and_passed_on(stage: Stage) -> None:
    """The next hop has it, so it is not rejected; the warning says why it has no cost."""
    message = request()
    message.resource_spans[0].scope_spans[0].spans[0].trace_id = b"short"

    answer = ExportTraceServiceResponse.FromString(stage.send(message)).partial_success

    assert [message] == stage.sink.requests()
    assert (0, True) == (answer.rejected_spans, "invalid trace_id" in answer.error_message)


@pytest.mark.parametrize("signal", [LOGS, METRICS])
def test_other_signals_pass_as_bytes(stage: Stage, signal: object) -> None:
    """Whatever they hold: they are not even decoded."""
    assert b"" == stage.send(b"\xff not protobuf, llmcost.cost.usd", signal)
    assert [(signal.name, b"\xff not protobuf, llmcost.cost.usd")] == stage.sink.bodies


def test_a_next_hop_that_is_not_there_is_told_as_unavailable() -> None:
    """Nothing is acknowledged, and the sender knows to come again."""
    with running({"next_hop": {"url": "otlp://127.0.0.1:1", "timeout_s": 2}}) as alone:
        error = alone.refused(request())
    assert (Code.UNAVAILABLE, 1.0) == (error.code(), delay_of(error))


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, (Code.INVALID_ARGUMENT, 400, None)),
        (401, (Code.UNAVAILABLE, 503, 1.0)),
        (413, (Code.RESOURCE_EXHAUSTED, 413, None)),
        (429, (Code.RESOURCE_EXHAUSTED, 429, 1.0)),
        (500, (Code.INTERNAL, 500, None)),
        (503, (Code.UNAVAILABLE, 503, 1.0)),
    ],
)
def test_answers_over_http_mean_the_same(status: int, expected: tuple[object, ...]) -> None:
    """Of a next hop that speaks HTTP, in both languages."""
    found = refusal_of_http(status, "", None)
    assert expected == (found.grpc_code, found.http_status, found.retry_after_s)


def test_a_delay_is_told_in_both_languages() -> None:
    """Over HTTP in whole seconds, rounded up: too early would be in vain."""
    refusal = Refusal(Code.UNAVAILABLE, 503, "later", 1.2)
    assert {"Retry-After": "2"} == refusal.headers()
    assert 1.2 == retry_delay_s(dict(refusal.trailers())[DETAILS])
