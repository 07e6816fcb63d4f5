"""The pipeline inside an application: ledger, exporter and sampler over real SDK spans."""

import pytest
from opentelemetry import baggage
from opentelemetry.context import attach, detach
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, TraceIdRatioBased

from otel_llmcost.call import LLMCall
from otel_llmcost.exporters.delivery import Delivery
from otel_llmcost.exporters.metrics import CallMetrics
from otel_llmcost.pipeline import Pipeline
from otel_llmcost.processors.sampler import RecordGenAiSampler
from otel_llmcost.processors.sdk import BaggageSpanProcessor, EnrichingExporter, LedgerSpanProcessor, priced
from otel_llmcost.settings import Settings

SETTINGS = Settings.model_validate(
    {
        "attribution": {"rules": [{"from_baggage": ["customer"]}]},
        "delivery": {"flush_interval_ms": 5},
    }
)
PIPELINE = Pipeline.from_settings(SETTINGS)
GENAI = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o"}
USAGE = {"gen_ai.usage.input_tokens": 1_000, "gen_ai.usage.output_tokens": 100, "gen_ai.response.id": "chatcmpl-1"}


class Application:
    """A tracer provider with the ledger behind it and an exporter in front; `lines` is what the ledger got."""

    def __init__(self, sampler=ALWAYS_ON) -> None:
        self.lines: list[LLMCall] = []
        self.exported = InMemorySpanExporter()
        self.provider = TracerProvider(
            sampler=RecordGenAiSampler(sampler), resource=Resource.create({"team": "search", "service.name": "bot"})
        )
        exporter = EnrichingExporter(self.exported, PIPELINE, usage_cost=True)
        self.provider.add_span_processor(SimpleSpanProcessor(exporter))
        self.delivery = Delivery(self._take, SETTINGS.delivery, lambda count, reason: pytest.fail(reason))
        self.closed = 0
        self.provider.add_span_processor(BaggageSpanProcessor(["customer"]))
        self.provider.add_span_processor(LedgerSpanProcessor(self.delivery, self._close))
        self.tracer = self.provider.get_tracer("test")

    def _take(self, spans) -> None:
        self.lines += [call for span in spans if (call := priced(span, PIPELINE)[1])]

    def _close(self) -> None:
        self.closed += 1

    def call(self, **more) -> None:
        with self.tracer.start_as_current_span("chat", attributes=GENAI) as span:
            span.set_attributes({**USAGE, **more})


def test_an_exported_span_carries_the_whole_contract() -> None:
    """Every llmcost attribute that has a value, with parts that sum to the total; the rest of the span untouched."""
    app = Application()
    app.call()
    (span,) = app.exported.get_finished_spans()
    ours = {key: value for key, value in span.attributes.items() if key.startswith("llmcost.")}
    assert {
        "llmcost.call.id": ours["llmcost.call.id"],
        "llmcost.cost.usd": 0.0035,
        "llmcost.cost.list_usd": 0.0035,
        "llmcost.cost.input_usd": 0.0025,
        "llmcost.cost.output_usd": 0.001,
        "llmcost.cost.cache_read_usd": 0.0,
        "llmcost.cost.cache_write_usd": 0.0,
        "llmcost.cost.other_usd": 0.0,
        "llmcost.cost.cache_savings_usd": 0.0,
        "llmcost.cost.status": "exact",
        "llmcost.price.id": "openai/gpt-4o@always",
        "llmcost.price.book": PIPELINE.book.version,
        "llmcost.tag.team": "search",
        "llmcost.tag.feature": "(none)",
        "llmcost.tag.customer": "(none)",
    } == ours
    assert 0.0035 == span.attributes["gen_ai.usage.cost"]
    assert 32 == len(ours["llmcost.call.id"])
    assert {**GENAI, **USAGE}.items() <= dict(span.attributes).items()


def test_an_unpriced_call_has_a_reason_and_no_amount() -> None:
    """Unknown is never 0."""
    app = Application()
    app.call(**{"gen_ai.response.model": "nobody-knows", "gen_ai.request.model": "nobody-knows"})
    (span,) = app.exported.get_finished_spans()
    assert ("unpriced", "unknown_model:nobody-knows") == tuple(
        span.attributes[key] for key in ("llmcost.cost.status", "llmcost.cost.reason")
    )
    assert [] == [key for key in span.attributes if key.endswith("usd") or key == "gen_ai.usage.cost"]


def test_the_exported_span_and_the_ledger_say_the_same() -> None:
    """Both run the same pure pipeline."""
    app = Application()
    app.call()
    app.provider.shutdown()
    (span,), (line,) = app.exported.get_finished_spans(), app.lines
    assert (line.call_id.hex(), float(line.cost.effective.total_usd)) == (
        span.attributes["llmcost.call.id"],
        span.attributes["llmcost.cost.usd"],
    )


def test_spans_that_are_no_calls_pass_as_they_are() -> None:
    """The same object, in the same order."""
    app = Application()
    with app.tracer.start_as_current_span("GET /", attributes={"http.route": "/"}):
        pass
    app.provider.shutdown()
    assert ({"http.route": "/"}, []) == (dict(app.exported.get_finished_spans()[0].attributes), app.lines)


@pytest.mark.parametrize("sampler", [ALWAYS_OFF, TraceIdRatioBased(0.0)])
def test_a_sampler_that_drops_loses_no_line(sampler) -> None:
    """The trace stays unsampled for exporters; the ledger gets every call."""
    app = Application(sampler)
    for _ in range(5):
        app.call()
    with app.tracer.start_as_current_span("GET /") as plain:
        assert not plain.is_recording()
    app.provider.shutdown()
    assert (5, ()) == (len(app.lines), app.exported.get_finished_spans())


def test_baggage_reaches_the_line_and_only_the_named_keys_do() -> None:
    """What the configuration does not name stays out of attributes."""
    app = Application()
    token = attach(baggage.set_baggage("password", "x", baggage.set_baggage("customer", "acme")))
    app.call()
    detach(token)
    app.provider.shutdown()
    (span,) = app.exported.get_finished_spans()
    assert ("acme", "acme") == (app.lines[0].tags["customer"], span.attributes["customer"])
    assert "password" not in span.attributes


def test_a_flush_waits_for_the_ledger_and_a_shutdown_closes_it() -> None:
    """As OpenTelemetry's own processors do."""
    app = Application()
    app.call()
    assert app.provider.force_flush(5_000)
    assert (1, 0) == (len(app.lines), app.closed)
    app.provider.shutdown()
    assert 1 == app.closed


def test_metrics_count_calls_tokens_cost_and_what_has_no_price() -> None:
    """Attributes of low cardinality only."""
    app = Application()
    app.call()
    app.call(**{"gen_ai.response.model": "nobody-knows", "gen_ai.request.model": "nobody-knows", "user.id": "u-1"})
    app.provider.shutdown()
    reader = InMemoryMetricReader()
    metrics = CallMetrics(["team"], MeterProvider([reader]))
    for line in app.lines:
        metrics.record(line)
    metrics.dropped(3, "queue_full")
    found: dict[str, float] = {}
    for scope in reader.get_metrics_data().resource_metrics[0].scope_metrics:
        for metric in scope.metrics:
            points = metric.data.data_points
            found[metric.name] = sum(point.value for point in points)
            allowed = {"provider", "model", "operation", "status", "team", "direction", "reason"}
            assert all(set(point.attributes) <= allowed for point in points)
    assert {
        "llmcost.calls": 2,
        "llmcost.tokens": 2_200,
        "llmcost.cost": 0.0035,
        "llmcost.unpriced.tokens": 1_100,
        "llmcost.dropped": 3,
    } == found


def test_a_span_is_priced_once_for_the_ledger_and_the_exporter(monkeypatch) -> None:
    """Both are handed the same ended span, one after the other or at once."""
    made: list[object] = []
    process = PIPELINE.process_span
    monkeypatch.setattr(PIPELINE, "process_span", lambda *args: (made.append(args), process(*args))[1])
    app = Application()
    app.call()
    app.provider.force_flush()
    assert 1 == len(app.lines) == len(app.exported.get_finished_spans())
    assert 1 == len(made)
