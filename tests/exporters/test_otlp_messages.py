"""Spans on disk on their way to an `otlp://` ledger: what the receiver needs, and nothing of what people wrote."""

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from keeping_ledger import until
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_llmcost.distro import attach
from otel_llmcost.errors import InputError
from otel_llmcost.exporters import spooled as spooled_module
from otel_llmcost.exporters.otlp_messages import SpanCodec, message_of
from otel_llmcost.processors.otlp import decode_protobuf, genai_spans
from otel_llmcost.settings import DeliverySettings, Settings

SECRET = "what is the password of the vault"

CONTENT = {
    "gen_ai.input.messages": f'[{{"content": "{SECRET}"}}]',
    "gen_ai.output.messages": SECRET,
    "gen_ai.system_instructions": SECRET,
    "gen_ai.tool.call.arguments": SECRET,
    "gen_ai.tool.call.result": SECRET,
    "gen_ai.prompt.0.content": SECRET,
    "gen_ai.completion.0.content": SECRET,
    "llm.input_messages.0.message.content": SECRET,
    "llm.prompts.0": SECRET,
    "input.value": SECRET,
    "output.value": SECRET,
    "traceloop.entity.input": SECRET,
    "ai.prompt.messages": SECRET,
    "ai.response.text": SECRET,
    "anything.long": SECRET * 200,
}
FACTS = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.usage.input_tokens": 1_000,
    "gen_ai.usage.prompt_tokens": 1_000,
    "gen_ai.usage.completion_tokens": 5,
    "gen_ai.prompt.name": "triage",
    "llm.token_count.prompt": 1_000,
    "llm.token_count.prompt_details.cache_read": 10,
    "llm.token_count.completion": 5,
    "user.id": "u-17",
}


class Receiver(TraceServiceServicer):
    """Keeps what it is sent, once it is `up`."""

    def __init__(self) -> None:
        self.up = True
        self.spans: list[str] = []

    def Export(  # noqa: N802 - the name of the service
        self, request: ExportTraceServiceRequest, context: grpc.ServicerContext
    ) -> ExportTraceServiceResponse:
        if not self.up:
            context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
        self.spans += [s.name for r in request.resource_spans for scope in r.scope_spans for s in scope.spans]
        return ExportTraceServiceResponse()


@pytest.fixture
def receiver() -> Iterator[tuple[Receiver, int]]:
    servicer = Receiver()
    with ThreadPoolExecutor(2) as threads:
        server = grpc.server(threads)
        add_TraceServiceServicer_to_server(servicer, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        yield servicer, port
        server.stop(None).wait()


def ended(attributes: dict[str, str | int]) -> ReadableSpan:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({"service.name": "support-bot", "team": "cx"}))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with provider.get_tracer("scope").start_as_current_span("outer"):
        span = provider.get_tracer("scope").start_span("chat", attributes=attributes)
        span.add_event("gen_ai.user.message", {"content": SECRET})
        span.record_exception(ValueError(SECRET))
        span.end()
    return exporter.get_finished_spans()[0]


def test_a_span_on_disk_has_all_facts_and_no_content() -> None:
    """Whoever wrote the attributes; events and error texts stay away too."""
    record = SpanCodec().encode(message_of(ended({**FACTS, **CONTENT})))
    (span,) = genai_spans(decode_protobuf(SpanCodec().decode(record).SerializeToString()), pytest.fail)
    assert FACTS == span.attributes
    assert {"service.name": "support-bot", "team": "cx"} == span.resource
    assert (16, 8, 8) == (len(span.trace_id), len(span.span_id), len(span.parent_span_id))
    assert SECRET.encode() not in SpanCodec().decode(record).SerializeToString()
    assert b"\n" not in record


@pytest.mark.parametrize("record", [b"no base64!", b"////", b"\xff"])
def test_a_record_that_is_no_message_is_told(record: bytes) -> None:
    """It goes to the dead letters."""
    with pytest.raises(InputError, match="no OTLP message"):
        SpanCodec().decode(record)


def test_spans_wait_on_disk_for_a_receiver_that_is_away(receiver, tmp_path: Path, monkeypatch, caplog) -> None:
    """Those of an application that ended meanwhile are sent by the next one, with its own first call."""
    monkeypatch.setattr(spooled_module, "FIRST_RETRY_S", 0.01)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    servicer, port = receiver
    servicer.up = False
    settings = Settings(
        ledger=f"otlp://127.0.0.1:{port}",
        delivery=DeliverySettings(spool=str(tmp_path), spool_interval_ms=5, flush_interval_ms=10),
    )
    with caplog.at_level(logging.WARNING):
        for names in (["a", "b"], ["c"]):
            provider = TracerProvider()
            attach(provider, settings)
            for name in names:
                provider.get_tracer("tests").start_span(name, attributes=FACTS).end()
            if names == ["a", "b"]:
                until(lambda: "kept on disk" in caplog.text)
                provider.shutdown()
                servicer.up = True
    assert provider.force_flush()
    provider.shutdown()
    assert ["a", "b", "c"] == sorted(servicer.spans)
    assert [] == [path for path in tmp_path.rglob("*") if path.is_file()]
