"""What a Collector's own transform processor makes of calls, beside what they cost: the limits told in its file."""

import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, TraceFlags

from collector.processes import CONFIG_DIRECTORY, Sink, clean_environment, costs, free_port, running, send, serving
from otel_llmcost.call import Source
from otel_llmcost.pipeline import Pipeline
from otel_llmcost.processors.sdk import from_sdk
from otel_llmcost.settings import Settings

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
NIGHT = datetime(2025, 8, 1, 18, tzinfo=UTC)
OPENLIT, ANTHROPIC = "openlit.anthropic", "com.anthropic.sdk.python"
FLEX = {"openai.response.service_tier": "flex"}
CACHED = {"gen_ai.usage.cache_read.input_tokens": 400}
WRITTEN = {"gen_ai.usage.cache_write.input_tokens": 400}
HOUR = {"anthropic.usage.cache_creation.ephemeral_1h_input_tokens": 400, **WRITTEN}


@dataclass(frozen=True)
class Case:
    """A call, what it costs, and what OTTL says that it costs; None where one of the two has no price."""

    what: str
    usd: str | None
    ottl_usd: float | None
    model: str  # seller/model
    tokens: tuple[int, int] = (1_000, 200)
    more: dict[str, Any] = field(default_factory=dict)
    scope: str = "some.instrumentation"
    at: datetime = NOON


RIGHT = (  # but for what a float is
    Case("a plain call", "0.0045", 0.0045000000000000005, "openai/gpt-4o"),
    Case("a dated name", "0.0045", 0.0045000000000000005, "openai/gpt-4o-2024-08-06"),
    Case("another dated name", "0.006", 0.006, "anthropic/claude-sonnet-4-5-20250929"),
    Case("cached input", "0.004", 0.004, "openai/gpt-4o", more=CACHED),
    Case("input written to the cache", "0.0063", 0.0063, "anthropic/claude-sonnet-4-5", more=WRITTEN),
    Case("an embedding", "0.00002", 2e-05, "openai/text-embedding-3-small", (1_000, 0)),
)
WRONG = (
    Case(
        "cache told beside the input",
        "0.00612",
        0.004920000000000001,
        "anthropic/claude-sonnet-4-5",
        more=CACHED,
        scope="openlit.anthropic",
    ),
    Case(
        "cache written for an hour",
        "0.0072",
        0.0063,
        "anthropic/claude-sonnet-4-5",
        more=HOUR,
        scope=ANTHROPIC,
    ),
    Case("long context", "0.753", 0.377, "gcp.gemini/gemini-2.5-pro", (300_000, 200)),
    Case(
        "a service tier",
        "0.001625",
        0.0032500000000000003,
        "openai/gpt-5",
        more=FLEX,
    ),
    Case("a price of then", "0.018", 0.0036, "openai/o3", at=datetime(2025, 5, 1, 12, tzinfo=UTC)),
    Case("a price of the night", "0.000245", 0.00049, "deepseek/deepseek-chat", at=NIGHT),
    Case("another seller of the model", "0.0045", None, "azure.ai.openai/gpt-4o"),
    Case("a model that is not in the list", "0.0008", None, "openai/gpt-3.5-turbo"),
    Case("a web search", "0.0145", 0.0045000000000000005, "openai/gpt-4o", more={"llmcost.usage.web_searches": 1}),
)


def span_of(number: int, case: Case) -> ReadableSpan:
    seller, _, model = case.model.partition("/")
    told = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": seller, "gen_ai.response.model": model}
    used = {"gen_ai.usage.input_tokens": case.tokens[0], "gen_ai.usage.output_tokens": case.tokens[1]}
    start_ns = int(case.at.timestamp()) * 10**9
    return ReadableSpan(
        name=case.what,
        context=SpanContext(number, number, is_remote=False, trace_flags=TraceFlags(1)),
        resource=Resource({"service.name": "shop"}),
        attributes={**told, **used, **case.more},
        start_time=start_ns,
        end_time=start_ns + 10**9,
        instrumentation_scope=InstrumentationScope(case.scope),
    )


def ours(span: ReadableSpan, pipeline: Pipeline) -> str | None:
    call = pipeline.process_span(from_sdk(span), Source.SDK_SPAN)
    assert call is not None
    assert call.cost is not None
    return None if call.cost.effective is None else f"{call.cost.effective.total_usd.normalize():f}"


def test_what_ottl_says_beside_what_it_costs(otelcol: Path, tmp_path: Path) -> None:
    """Right calls are right to some 1e-16 USD; each limit shows as a wrong number or none."""
    cases = (*RIGHT, *WRONG)
    spans = [span_of(number, case) for number, case in enumerate(cases, 1)]
    pipeline = Pipeline.from_settings(Settings())
    sink, port = Sink(), free_port()
    with serving(sink) as backend_port:
        environ = clean_environment(
            OTLP_GRPC_ENDPOINT=f"127.0.0.1:{port}",
            OTLP_HTTP_ENDPOINT=f"127.0.0.1:{free_port()}",
            HEALTH_ENDPOINT=f"127.0.0.1:{free_port()}",
            BACKEND_ENDPOINT=f"127.0.0.1:{backend_port}",
        )
        config = CONFIG_DIRECTORY / "ottl-pricing" / "config.yaml"
        with running([otelcol, "--config", config], tmp_path / "otelcol.log", [port], environ):
            send(port, *encode_spans(spans).resource_spans)
            sink.wait_for(len(spans))

    told = {span.name: costs(span).get("llmcost.cost.usd") for span in sink.spans}
    found = [(case.what, ours(span, pipeline), told[case.what]) for case, span in zip(cases, spans, strict=True)]
    assert [(case.what, case.usd, case.ottl_usd) for case in cases] == found
    for case in RIGHT:
        assert abs(Decimal(case.ottl_usd or 0) - Decimal(case.usd or 0)) < Decimal("1e-15")
    for case in WRONG:
        assert case.ottl_usd is None or abs(Decimal(case.ottl_usd) / Decimal(case.usd or 0) - 1) > Decimal("0.05")


def test_the_file_is_what_is_generated() -> None:
    """Somebody who changes the list or the prices has to write it anew."""
    command = [sys.executable, CONFIG_DIRECTORY / "ottl_pricing.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (0, "") == (done.returncode, done.stderr)
