"""From SDKs in two languages through real Collectors to the ledger: exact lines, and nothing but costs on the spans."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from pathlib import Path

from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans
from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan

from collector.processes import (
    CONFIG_DIRECTORY,
    Sink,
    attributes_of,
    clean_environment,
    costs,
    free_port,
    running,
    running_rotel,
    running_stage,
    serving,
    without_costs,
)
from collector.senders import (
    CHAT,
    EMBEDDING,
    Provider,
    Tap,
    answering,
    send_from_javascript,
    send_from_python,
)
from collector.traces_table import running_clickhouse
from collector.traces_table import variables as clickhouse_variables
from polling import wait_until
from up_process import Up, connect, ledger_url, running_up

REQUESTS = 40
INPUT, OUTPUT = "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"
USD_PER_MILLION = {CHAT: (Decimal("2.5"), Decimal(10)), EMBEDDING: (Decimal("0.02"), Decimal(0))}
"""Input and output, as OpenAI's list has it."""


def cost_of(span: OtlpSpan) -> Decimal | None:
    """The arithmetic of a bill by hand; None where the span is no call."""
    told = attributes_of(span)
    if INPUT not in told:
        return None
    rates = USD_PER_MILLION[told["gen_ai.response.model"].string_value]
    tokens = [told[key].int_value if key in told else 0 for key in (INPUT, OUTPUT)]
    return sum((rate * count for rate, count in zip(rates, tokens, strict=True)), Decimal(0)) / 1_000_000


def by_span(received: list[ResourceSpans]) -> dict[bytes, tuple[bytes, bytes, bytes]]:
    """Span id → resource, scope and span, each as it stands on the wire but for costs."""
    return {
        span.span_id: (
            resource.resource.SerializeToString(deterministic=True) + resource.schema_url.encode(),
            scope.scope.SerializeToString(deterministic=True) + scope.schema_url.encode(),
            without_costs(span).SerializeToString(deterministic=True),
        )
        for resource in received
        for scope in resource.scope_spans
        for span in scope.spans
    }


def lines_of(up: Up, **options: str) -> dict[str, tuple[str, str]]:
    """Span id → cost and status of its line."""
    with connect(up, **options) as client:
        rows = client.query("SELECT span_id, toString(cost_usd), status FROM calls").result_rows
    assert len(rows) == len({row[0] for row in rows})
    return {row[0]: (row[1], row[2]) for row in rows}


def check(sent: list[ResourceSpans], arrived: list[ResourceSpans], lines: Mapping[str, tuple[str, str]]) -> None:
    """Every span is what it was with its cost beside, every call is a line."""
    assert by_span(sent) == by_span(arrived)
    spans = [span for resource in arrived for scope in resource.scope_spans for span in scope.spans]
    expected = {span.span_id: cost_of(span) for span in spans}
    assert expected == {
        span.span_id: Decimal(repr(found["llmcost.cost.usd"])) if (found := costs(span)) else None for span in spans
    }
    calls = {span_id.hex(): cost for span_id, cost in expected.items() if cost is not None}
    assert calls == {span_id: Decimal(cost) for span_id, (cost, _) in lines.items()}
    assert {"exact"} == {status for _, status in lines.values()}


def send_all(javascript: Path, target_port: int) -> tuple[list[ResourceSpans], int]:
    """From both languages at once; what was sent."""
    tap = Tap(target_port)
    with answering(tap) as port, answering(Provider()) as provider:
        count = send_from_python(port, REQUESTS) + send_from_javascript(javascript, provider, port, REQUESTS)
    assert count == sum(len(scope.spans) for resource in tap.received for scope in resource.scope_spans)
    return tap.received, count


@contextmanager
def collecting(otelcol: Path, name: str, directory: Path, **variables: str) -> Iterator[dict[str, int]]:
    """A Collector with a configuration of ours; its OTLP ports by protocol."""
    ports = {"grpc": free_port(), "http": free_port()}
    folder = directory / name
    folder.mkdir()
    environ = {
        "OTLP_GRPC_ENDPOINT": f"127.0.0.1:{ports['grpc']}",
        "OTLP_HTTP_ENDPOINT": f"127.0.0.1:{ports['http']}",
        "QUEUE_DIRECTORY": str(folder / "queue"),
        "LLMCOST_QUEUE_DIRECTORY": str(folder / "queue"),
        "HEALTH_ENDPOINT": f"127.0.0.1:{free_port()}",
        "METRICS_PORT": str(free_port()),
    }
    config = CONFIG_DIRECTORY / name / "config.yaml"
    with running(
        [otelcol, "--config", config],
        folder / "otelcol.log",
        [*ports.values()],
        clean_environment(**environ, **variables),
    ):
        yield ports


def test_through_collectors_and_the_stage(otelcol: Path, javascript: Path, tmp_path: Path) -> None:
    """SDKs → agent → gateway → stage → gateway → backend and ClickHouse, and the lines to the ledger."""
    sink, priced = Sink(), free_port()
    with ExitStack() as stack:
        up = stack.enter_context(running_up(ledger_url(tmp_path)))
        table = tmp_path / "table"
        table.mkdir()
        clickhouse = stack.enter_context(running_clickhouse(table))
        ledger = f"otlp://127.0.0.1:{up.ports['OTLP/gRPC']}"
        stage = stack.enter_context(
            running_stage(tmp_path, "--next-hop", f"otlp://127.0.0.1:{priced}", "--ledger", ledger)
        )
        gateway = stack.enter_context(
            collecting(
                otelcol,
                "gateway",
                tmp_path,
                STAGE_ENDPOINT=f"127.0.0.1:{stage}",
                PRICED_ENDPOINT=f"127.0.0.1:{priced}",
                BACKEND_ENDPOINT=f"127.0.0.1:{stack.enter_context(serving(sink))}",
                SAMPLING_WAIT="1s",
                SAMPLING_PERCENTAGE="100",
                **clickhouse_variables(clickhouse),
            )
        )
        agent = stack.enter_context(
            collecting(otelcol, "agent", tmp_path, GATEWAY_ENDPOINT=f"127.0.0.1:{gateway['grpc']}")
        )
        sent, count = send_all(javascript, agent["http"])
        sink.wait_for(count)
        lines = lines_of(up)

    check(sent, sink.received, lines)


def test_through_rotel(otelcol: Path, rotel_agent: Path, javascript: Path, tmp_path: Path) -> None:
    """SDKs → rotel with our processor → Collector → backend, and `up` with the ledger."""
    sink = Sink()
    with ExitStack() as stack:
        up = stack.enter_context(running_up(ledger_url(tmp_path)))
        collector = stack.enter_context(
            collecting(
                otelcol,
                "genai-to-llmcost",
                tmp_path,
                LLMCOST_ENDPOINT=f"127.0.0.1:{up.ports['OTLP/gRPC']}",
                BACKEND_ENDPOINT=f"127.0.0.1:{stack.enter_context(serving(sink))}",
            )
        )
        http_port = free_port()
        stack.enter_context(running_rotel(rotel_agent, tmp_path, collector["grpc"], http_port=http_port))
        sent, count = send_all(javascript, http_port)
        sink.wait_for(count)
        wait_until(lambda: len(lines_of(up)) >= 4 * REQUESTS)
        lines = lines_of(up)

    check(sent, sink.received, lines)
