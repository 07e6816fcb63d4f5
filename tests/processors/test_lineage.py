"""Inside an application: records around one another, and ids that only a span above tells."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from identity.deliveries import Ledger, numbers, pipeline_with
from identity.emitters import CALL, FRAMEWORKS, HOST, ID, INPUT, OUTPUT, SDK_LEVEL, USAGE, WIRE
from otel_llmcost.distro import SpanBilling
from otel_llmcost.exporters.metrics import CallMetrics
from otel_llmcost.pipeline import Pipeline
from otel_llmcost.processors.intake import kinship_of, read_request
from otel_llmcost.processors.lineage import LineageSpanProcessor
from otel_llmcost.processors.otlp import decode_protobuf
from otel_llmcost.processors.sdk import EnrichingExporter

AGENT = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "planner", "gen_ai.conversation.id": "c-1"}
WORKFLOW = {"gen_ai.operation.name": "invoke_workflow", "gen_ai.workflow.name": "answer", "user.id": "u-1"}
OUTER = {f"sdk: {name}": row for name, row in SDK_LEVEL.items() if row is not WIRE}
OUTER |= {f"framework: {name}": row for name, row in FRAMEWORKS.items() if name != "uncached input only"}


class Application:
    """A tracer provider as the distro sets it up; spans end in `ended`, and exported ones in `exported`."""

    def __init__(self, pipeline: Pipeline | None = None) -> None:
        self.pipeline = pipeline or pipeline_with()
        self._exporter, self._enriched = InMemorySpanExporter(), InMemorySpanExporter()
        self.lineage = LineageSpanProcessor(self.pipeline)
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.provider.add_span_processor(
            SimpleSpanProcessor(EnrichingExporter(self._enriched, self.pipeline, usage_cost=True))
        )
        self.provider.add_span_processor(self.lineage)

    @property
    def ended(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    @property
    def exported(self) -> list[ReadableSpan]:
        return list(self._enriched.get_finished_spans())

    @contextmanager
    def span(self, scope: str, attributes: Mapping[str, Any], **more: Any) -> Iterator[Any]:
        """An open span: what is known of the request at its start, the rest at its end."""
        at_start = {key: value for key, value in attributes.items() if ".usage." not in key and ".response." not in key}
        with self.provider.get_tracer(scope).start_as_current_span("span", attributes=at_start, **more) as span:
            yield span
            span.set_attributes(dict(attributes))

    def billed(self, metrics: CallMetrics | None = None) -> Ledger:
        """The ledger of the application's own pipeline."""
        ledger = Ledger()
        sink = type("Sink", (), {"write": ledger.write, "close": lambda _self: None})()
        SpanBilling(self.pipeline, sink, metrics or CallMetrics([], MeterProvider())).take(self.ended)
        return ledger

    def forwarded(self, *, each_alone: bool) -> Ledger:
        """The ledger of receivers that the spans are forwarded to: one, or one for every span."""
        ledger = Ledger()
        for spans in [[span] for span in self.ended] if each_alone else [self.ended]:
            seen, _ = read_request(decode_protobuf(encode_spans(spans).SerializeToString()), self.pipeline)
            ledger.write(kinship_of(self.pipeline.identity).meet(seen))
        return ledger


@pytest.mark.parametrize("inner", SDK_LEVEL)
@pytest.mark.parametrize("outer", OUTER)
def test_a_record_around_another_of_the_same_call_is_no_line(outer: str, inner: str) -> None:
    """In the application's ledger, and with receivers that see one span each: what is needed travels on the span."""
    app = Application()
    with app.span(*OUTER[outer]), app.span("plain", {"k": 1}), app.span(*SDK_LEVEL[inner]):
        pass
    for ledger in (app.billed(), app.forwarded(each_alone=True), app.forwarded(each_alone=False)):
        assert [(INPUT, OUTPUT)] == [numbers(line) for line in ledger.lines]


@pytest.mark.parametrize("outer", OUTER)
def test_exported_spans_carry_the_cost_of_a_call_once(outer: str) -> None:
    """So that a sum over spans is the bill too."""
    app = Application()
    with app.span(*OUTER[outer]), app.span(*WIRE):
        pass
    told = [span.attributes for span in app.exported if "llmcost.call.id" in span.attributes]
    assert 1 == len({attributes["llmcost.call.id"] for attributes in told})
    assert 1 == sum("llmcost.cost.usd" in attributes for attributes in told)


def test_an_outer_span_that_alone_knows_the_usage_tells_it() -> None:
    """The inner instrumentation does not read streams."""
    app = Application()
    with app.span(*FRAMEWORKS["no id"]), app.span("openinference", CALL):
        pass
    for ledger in (app.billed(), app.forwarded(each_alone=True)):
        assert [(INPUT, OUTPUT)] == [numbers(line) for line in ledger.lines]


def test_a_call_of_another_kind_inside_stays_a_call() -> None:
    """A tool that calls a model while the outer model's span is open."""
    app = Application()
    with (
        app.span("ai", {**CALL, **USAGE}),
        app.span("ai", {"gen_ai.operation.name": "execute_tool"}),
        app.span("ai", {**CALL, **USAGE}),
    ):
        pass
    with app.span("ai", {**CALL, **USAGE}), app.span("ai", {**CALL, **USAGE, "gen_ai.usage.input_tokens": 3}):
        pass
    assert 4 == len(app.billed().lines)


def test_a_call_takes_the_ids_that_only_spans_above_it_tell() -> None:
    """The nearest first, at any depth; what it tells itself stays."""
    app = Application()
    with (
        app.span("app", WORKFLOW),
        app.span("adk", AGENT | {"gen_ai.agent.name": "outer"}),
        app.span("adk", AGENT),
        app.span("plain", {}),
        app.span(*WIRE),
    ):
        pass
    with app.span("adk", AGENT), app.span(WIRE[0], {**WIRE[1], "gen_ai.response.id": "", "gen_ai.agent.name": "mine"}):
        pass
    who = [(line.session, line.agent, line.workflow, line.user) for line in app.billed().lines]
    assert [("c-1", "mine", "", ""), ("c-1", "planner", "answer", "u-1")] == sorted(who)


def test_a_session_on_the_span_of_a_request_reaches_the_calls_right_below_it() -> None:
    """Whatever made that span."""
    app = Application()
    with app.span("fastapi", {"session.id": "s-9"}), app.span(*WIRE):
        pass
    assert ["s-9"] == [line.session for line in app.billed().lines]


def test_a_call_made_while_a_request_for_inference_is_answered_is_a_gateways() -> None:
    """By the route of the server's span; it counts above what the client told."""
    app = Application()
    with app.span("fastapi", {"http.route": "/v1/chat/completions"}, kind=SpanKind.SERVER), app.span(*WIRE):
        pass
    (line,) = app.billed().lines
    assert line.at_gateway
    assert 1 == len(line.covers)


@pytest.mark.parametrize("open_inside", [True, False])
def test_a_closed_framework_is_counted_where_no_call_is_told_below_it(open_inside: bool) -> None:
    """At any depth, in the application and behind receivers that see one span each."""
    app = Application(pipeline_with(closed_frameworks=["planner"]))
    with app.span("adk", {**AGENT, **USAGE, "gen_ai.request.model": "gpt-4o"}), app.span("plain", {}):
        if open_inside:
            with app.span(*WIRE):
                pass
    for ledger in (app.billed(), app.forwarded(each_alone=True)):
        assert [open_inside] == [line.usage.rule == "wire" for line in ledger.lines]


def test_nothing_is_kept_of_spans_that_have_ended() -> None:
    """And nothing at all of spans that have no GenAI span above them."""
    app = Application()
    with app.span("plain", {}), app.span("plain", {}):
        assert not app.lineage._open
        with app.span(*WIRE), app.span("plain", {}):
            assert 2 == len(app.lineage._open)
    assert not app.lineage._open


def test_metrics_count_a_call_once_and_its_duplicates_apart() -> None:
    """`llmcost.calls` and `llmcost.duplicates`, by the instrumentation that repeats."""
    app = Application()
    with app.span(*FRAMEWORKS["no id"]), app.span(*SDK_LEVEL["no id"]):
        pass
    with app.span("one", {**CALL, **USAGE, **ID, **HOST}):
        pass
    with app.span("two", {**CALL, **USAGE, **ID, **HOST}):
        pass
    reader = InMemoryMetricReader()
    app.billed(CallMetrics([], MeterProvider([reader])))
    data = reader.get_metrics_data()
    assert data is not None
    points: Counter[tuple[str, Any]] = Counter()
    for metric in data.resource_metrics[0].scope_metrics[0].metrics:
        for point in metric.data.data_points:
            points[metric.name, point.attributes.get("emitter")] += point.value
    assert (2, 1, 1) == (
        points["llmcost.calls", None],
        points["llmcost.duplicates", FRAMEWORKS["no id"][0]],
        points["llmcost.duplicates", "two"],
    )
