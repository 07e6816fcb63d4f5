"""Our processor file in the real rotel."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Status
from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan

from collector.golden_spans import GOLDEN, documents, expected_costs, message_of
from collector.processes import (
    Sink,
    answers,
    clean_environment,
    costs,
    free_port,
    path_with_python,
    processor_path,
    running_rotel,
    send,
    serving,
    without_costs,
)

BEGAN_NS = 1_795_392_000 * 10**9


def message(*spans: OtlpSpan) -> ResourceSpans:
    resource_spans = ResourceSpans(schema_url="https://example.com/resource")
    resource_spans.resource.attributes.add(key="service.name").value.string_value = "shop"
    words = resource_spans.resource.attributes.add(key="process.command_args").value.array_value
    for word in ("shop", "--port", "80"):
        words.values.add().string_value = word
    scope_spans = resource_spans.scope_spans.add(schema_url="https://example.com/scope", spans=spans)
    scope_spans.scope.name, scope_spans.scope.version = "some.instrumentation", "1.2"
    scope_spans.scope.attributes.add(key="flavour").value.string_value = "plain"
    flavours = scope_spans.scope.attributes.add(key="flavours").value.array_value.values
    for word in ("plain", "sweet"):
        flavours.add().string_value = word
    return resource_spans


def span(number: int, **attributes: str | float | bool) -> OtlpSpan:
    """Any span, with something in every field."""
    made = OtlpSpan(
        name=f"span {number}",
        trace_id=bytes([7] * 16),
        span_id=number.to_bytes(8, "big"),
        parent_span_id=(99).to_bytes(8, "big"),
        trace_state="vendor=1",
        flags=257,
        kind=OtlpSpan.SPAN_KIND_CLIENT,
        start_time_unix_nano=BEGAN_NS,
        end_time_unix_nano=BEGAN_NS + 10**9,
        dropped_attributes_count=1,
        dropped_events_count=2,
        dropped_links_count=3,
        status=Status(code=Status.STATUS_CODE_ERROR, message="no"),
    )
    for key, value in attributes.items():
        pair = made.attributes.add(key=key.replace("__", ".")).value
        kind = {bool: "bool_value", int: "int_value", float: "double_value", str: "string_value"}[type(value)]
        setattr(pair, kind, value)
    event = made.events.add(name="happened", time_unix_nano=BEGAN_NS + 5, dropped_attributes_count=4)
    event.attributes.add(key="what").value.string_value = "this"
    link = made.links.add(trace_id=bytes([8] * 16), span_id=bytes([8] * 8), trace_state="x=y", flags=1)
    link.attributes.add(key="why").value.int_value = 3
    return made


def chat(number: int, **more: str | float | bool) -> OtlpSpan:
    """1,000 tokens at 2.50 USD and 200 at 10 USD per million: 0.0045 USD."""
    return span(
        number,
        gen_ai__operation__name="chat",
        gen_ai__provider__name="openai",
        gen_ai__response__model="gpt-4o-2024-08-06",
        gen_ai__usage__input_tokens=1_000,
        gen_ai__usage__output_tokens=200,
        **more,
    )


def nested(made: OtlpSpan) -> OtlpSpan:
    """With attributes of every other kind."""
    made.attributes.add(key="bytes").value.bytes_value = b"\xff\x00"
    made.attributes.add(key="unset").value.SetInParent()
    items = made.attributes.add(key="list").value.array_value.values
    items.add().string_value = "one"
    items.add().SetInParent()
    for number in (1, 2, 3):
        items.add().array_value.values.add().int_value = number
    fields = made.attributes.add(key="map").value.kvlist_value.values
    fields.add(key="z").value.double_value = 0.1
    inner = fields.add(key="a").value.array_value.values
    for number in (1, 2, 3):
        inner.add().int_value = number
    made.attributes.add(key="empty list").value.array_value.SetInParent()
    made.attributes.add(key="empty map").value.kvlist_value.SetInParent()
    return made


def through_rotel(agent: Path, directory: Path, *sent: ResourceSpans, **environ: str) -> list[ResourceSpans]:
    """What comes out behind rotel; nothing failed in the processor on the way."""
    sink = Sink()
    count = sum(len(scope.spans) for resource in sent for scope in resource.scope_spans)
    with serving(sink) as next_port, running_rotel(agent, directory, next_port, **environ) as port:
        for each in sent:
            send(port, each)
        sink.wait_for(count)
    assert "otel-llmcost failed" not in (directory / "rotel.log").read_text()
    return sink.received


def test_every_field_of_a_span_but_the_costs_is_as_it_came(rotel_agent: Path, tmp_path: Path) -> None:
    """Bit for bit, with its resource and scope, GenAI or not: lists keep their order, values their kind."""
    sent = message(nested(chat(1)), nested(span(2, db__system="postgresql")))

    (received,) = through_rotel(rotel_agent, tmp_path, sent)

    first, second = received.scope_spans[0].spans
    assert 0.0045 == costs(first)["llmcost.cost.usd"]
    assert {} == costs(second)
    del received.scope_spans[0].spans[:]
    received.scope_spans[0].spans.extend([without_costs(first), second])
    assert MessageToDict(sent) == MessageToDict(received)
    assert sent.SerializeToString(deterministic=True) == received.SerializeToString(deterministic=True)


SCALARS = (
    st.builds(lambda value: AnyValue(string_value=value), st.text(max_size=20))
    | st.builds(lambda value: AnyValue(bool_value=value), st.booleans())
    | st.builds(lambda value: AnyValue(int_value=value), st.integers(-(2**63), 2**63 - 1))
    | st.builds(lambda value: AnyValue(double_value=value), st.floats(allow_nan=False))
    | st.builds(lambda value: AnyValue(bytes_value=value), st.binary(max_size=20))
    | st.just(AnyValue())
)
KEYS = st.text(max_size=10) | st.sampled_from(["user.id", "gen_ai.request.model", "gen_ai.usage.input_tokens"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.builds(lambda values: AnyValue(array_value=ArrayValue(values=values)), st.lists(inner, max_size=4))
        | st.builds(
            lambda fields: AnyValue(kvlist_value=KeyValueList(values=pairs(fields))),
            st.dictionaries(KEYS, inner, max_size=4),
        )
    ),
    max_leaves=12,
)


def pairs(fields: dict[str, AnyValue]) -> list[KeyValue]:
    return [KeyValue(key=key, value=value) for key, value in fields.items()]


@pytest.fixture(scope="module")
def unbatched(rotel_agent: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Sink]]:
    """One rotel for many messages; its port, and what stands behind it."""
    sink = Sink()
    with serving(sink) as next_port:
        folder = tmp_path_factory.mktemp("rotel")
        with running_rotel(rotel_agent, folder, next_port, "--disable-batching") as port:
            yield port, sink
    assert "otel-llmcost failed" not in (folder / "rotel.log").read_text()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(resource=st.dictionaries(KEYS, VALUES, max_size=3), attributes=st.dictionaries(KEYS, VALUES, max_size=6))
def test_attributes_of_any_kind_come_out_as_they_went_in(
    unbatched: tuple[int, Sink], resource: dict[str, AnyValue], attributes: dict[str, AnyValue]
) -> None:
    """On spans and resources, however they nest, whatever they say of a call."""
    port, sink = unbatched
    sink.received.clear()
    sent = message(OtlpSpan(name="any", trace_id=bytes([1] * 16), span_id=bytes([1] * 8), start_time_unix_nano=5))
    sent.resource.attributes.extend(pairs(resource))
    sent.scope_spans[0].spans[0].attributes.extend(pairs(attributes))

    send(port, sent)
    sink.wait_for(1)

    (received,) = sink.received
    (found,) = received.scope_spans[0].spans
    found.CopyFrom(without_costs(found))
    assert sent.SerializeToString(deterministic=True) == received.SerializeToString(deterministic=True)


def test_costs_that_came_from_outside_are_not_believed(rotel_agent: Path, tmp_path: Path) -> None:
    """On any span, its scope and resource; what our own instrumentation measured is read and stays."""
    spoofed = {"llmcost__cost__usd": 99.0, "llmcost__tag__team": "rivals", "llmcost__price__id": "mine"}
    sent = message(chat(1, **spoofed, llmcost__usage__web_searches=2), span(2, **spoofed))
    plain = message()
    sent.resource.attributes.add(key="llmcost.tag.team").value.string_value = "rivals"
    sent.scope_spans[0].scope.attributes.add(key="llmcost.tag.team").value.string_value = "rivals"

    (received,) = through_rotel(rotel_agent, tmp_path, sent)

    first, second = received.scope_spans[0].spans
    assert {} == costs(second)
    assert ("(none)", "exact") == (costs(first)["llmcost.tag.team"], costs(first)["llmcost.cost.status"])
    assert 0.0045 < float(costs(first)["llmcost.cost.usd"]) < 1
    assert 1 == [pair.key for pair in first.attributes].count("llmcost.cost.usd")
    assert (plain.resource, plain.scope_spans[0].scope) == (received.resource, received.scope_spans[0].scope)
    assert "llmcost.usage.web_searches" in [pair.key for pair in first.attributes]


def test_golden_spans_cost_what_they_cost_in_the_sdk_host(rotel_agent: Path, tmp_path: Path) -> None:
    """Every emitter, to the last digit: cost, parts, status, price, identity."""
    sent = [resource_spans for document in documents() for resource_spans in message_of(document)]

    received = through_rotel(rotel_agent, tmp_path, *sent)

    spans = [each for resource in received for scope in resource.scope_spans for each in scope.spans]
    assert len(GOLDEN) > 100
    assert expected_costs() == {each.span_id: costs(each) for each in spans}


def test_hostile_spans_pass_and_rotel_lives(rotel_agent: Path, tmp_path: Path) -> None:
    """Ids of no length, times of no age, attributes without a value, absurd numbers: the next span is priced."""
    broken = chat(1)
    broken.attributes.add(key="none")
    broken.attributes.add(key="in a map").value.kvlist_value.values.add(key="none")
    no_ids = chat(2)
    no_ids.ClearField("trace_id")
    ancient = chat(3)
    ancient.start_time_unix_nano = 2**64 - 1
    absurd = span(4, gen_ai__request__model="x" * 100_000, gen_ai__usage__input_tokens=-(2**63))
    deep = chat(5)
    value = deep.attributes.add(key="deep").value
    for _ in range(30):
        value = value.array_value.values.add()
    many = chat(6, **{f"key{number}": number for number in range(5_000)})
    no_resource = ResourceSpans()
    no_resource.scope_spans.add(spans=[chat(7)])
    plain = span(8, db__system="x")
    plain.attributes.add(key="none")

    received = through_rotel(
        rotel_agent,
        tmp_path,
        message(broken, no_ids, ancient, absurd, deep, many),
        no_resource,
        message(plain),
        message(chat(9)),
    )

    spans = [each for resource in received for scope in resource.scope_spans for each in scope.spans]
    found = {each.name: costs(each).get("llmcost.cost.usd") for each in spans}
    priced = {f"span {number}": 0.0045 for number in (1, 5, 6, 7, 9)}
    assert priced | dict.fromkeys(("span 2", "span 3", "span 4", "span 8")) == found
    assert 1 == (tmp_path / "rotel.log").read_text().count("a span passes without a price: invalid trace_id")


def test_the_configuration_is_the_file_and_the_environment(rotel_agent: Path, tmp_path: Path) -> None:
    """As in every other host."""
    config = tmp_path / "llmcost.yaml"
    config.write_text(
        "attribution: {rules: [{when: {service: shop}, set: {team: retail}}]}\nusage_cost_attribute: false\n"
    )

    (received,) = through_rotel(rotel_agent, tmp_path, message(chat(1)), OTEL_LLMCOST_CONFIG=str(config))

    found = costs(received.scope_spans[0].spans[0])
    assert ("retail", None) == (found["llmcost.tag.team"], found.get("gen_ai.usage.cost"))


def test_a_wrong_configuration_stops_rotel_as_it_starts(rotel_agent: Path, tmp_path: Path) -> None:
    """And says what is wrong, rather than to pass spans without costs."""
    config = tmp_path / "llmcost.yaml"
    config.write_text("attributions: {}\n")
    port = free_port()
    command = [rotel_agent, "start", "--otlp-grpc-endpoint", f"127.0.0.1:{port}", "--exporter", "blackhole"]
    command += ["--otlp-http-endpoint", f"127.0.0.1:{free_port()}", "--pid-file", tmp_path / "rotel.pid"]
    command += ["--otlp-with-trace-processor", processor_path()]

    done = subprocess.run(
        [str(word) for word in command],
        env=clean_environment(OTEL_LLMCOST_CONFIG=str(config), PATH=path_with_python()),
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert not answers(port)
    assert "attributions" in done.stdout + done.stderr


@pytest.mark.parametrize("word", ["rotel-agent start", "python -m otel_llmcost.processors.rotel"])
def test_the_file_says_how_it_is_used(word: str) -> None:
    """Who opens it finds the command."""
    assert word in Path(processor_path()).read_text()
