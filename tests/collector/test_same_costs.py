"""Golden spans of every emitter through a real Collector and the stage: the SDK host's costs, to the last digit."""

from pathlib import Path

from collector.golden_spans import documents, expected_costs, message_of
from collector.processes import Sink, costs, running_stage, send, serving
from collector.test_end_to_end import collecting
from otel_llmcost.dialects import is_genai


def test_golden_spans_cost_what_they_cost_in_the_sdk_host(otelcol: Path, tmp_path: Path) -> None:
    """Cost, parts, status, price, identity; and the filter of the configuration lets every GenAI span through."""
    sink = Sink()
    sent = [resource_spans for document in documents() for resource_spans in message_of(document)]
    genai = {
        bytes.fromhex(raw["span_id"])
        for document in documents()
        for raw in document["spans"]
        if is_genai(raw["attributes"])
    }
    with (
        serving(sink) as sink_port,
        serving(Sink()) as backend_port,
        running_stage(tmp_path, "--next-hop", f"otlp://127.0.0.1:{sink_port}") as stage,
        collecting(
            otelcol,
            "genai-to-llmcost",
            tmp_path,
            LLMCOST_ENDPOINT=f"127.0.0.1:{stage}",
            BACKEND_ENDPOINT=f"127.0.0.1:{backend_port}",
        ) as collector,
    ):
        send(collector["grpc"], *sent)
        sink.wait_for(len(genai))

    found = {span.span_id: costs(span) for span in sink.spans}
    assert genai <= found.keys()
    assert {key: told for key, told in expected_costs().items() if key in found} == found
