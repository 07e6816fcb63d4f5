"""What leaves the stage is what came in, with `llmcost.*` added."""

from collections.abc import Mapping
from typing import Any

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

from collector.golden_spans import documents, expected_costs, message_of
from collector.processes import costs
from otel_llmcost.dialects.kinds import GENAI_KEYS
from otel_llmcost.processors.otlp import decode_protobuf, genai_messages, seen_plain
from otel_llmcost.processors.scanning import may_hold_foreign, may_hold_genai
from stage.running_stage import Stage, request, running
from up_process import GENAI

FOREIGN = {"llmcost.cost.usd": 0.0, "llmcost.call.id": "00", "llmcost.tag.team": "others"}


def text(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=value))


def only(message: ExportTraceServiceRequest) -> Any:
    (resource_spans,) = message.resource_spans
    (scope_spans,) = resource_spans.scope_spans
    (span,) = scope_spans.spans
    return span


def attributes(span: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in span.attributes}


def without_ours(message: ExportTraceServiceRequest) -> ExportTraceServiceRequest:
    """The message with what the stage adds taken off."""
    bare = ExportTraceServiceRequest()
    bare.CopyFrom(message)
    for resource_spans in bare.resource_spans:
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                kept = [pair for pair in span.attributes if not pair.key.startswith(("llmcost.", "gen_ai.usage.cost"))]
                del span.attributes[:]
                span.attributes.extend(kept)
    return bare


def test_nothing_but_attributes_is_added(stage: Stage) -> None:
    """Events, links, states, dropped counts, unknown fields, resource and scope stay as they came."""
    message = request(GENAI, {"db.system": "x"})
    resource_spans = message.resource_spans[0]
    resource_spans.schema_url = "https://example.com/schema"
    span = resource_spans.scope_spans[0].spans[0]
    span.trace_state, span.flags, span.dropped_attributes_count = "a=b", 0x301, 7
    span.events.add(name="e", time_unix_nano=5).attributes.append(text("gen_ai.prompt", "secret"))
    span.links.add(trace_id=b"\x01" * 16, span_id=b"\x02" * 8)
    span.status.message = "fine"
    span.MergeFromString(b"\xfa\x3e\x03new")  # field 1007, of a later version
    resource_spans.resource.MergeFromString(b"\xfa\x3e\x03new")

    stage.send(message)

    (arrived,) = stage.sink.requests()
    assert message == without_ours(arrived)
    assert b"\xfa\x3e\x03new" in stage.sink.bodies[0][1]
    added = attributes(arrived.resource_spans[0].scope_spans[0].spans[0]).keys() - GENAI.keys()
    assert {"llmcost.cost.usd", "llmcost.call.id", "gen_ai.usage.cost"} < added


def test_a_message_without_genai_spans_passes_as_it_came(stage: Stage) -> None:
    """Byte by byte, also where another encoder wrote it in another order."""
    body = request({"db.system": "x"}).SerializeToString()
    odd = b"\xa2\x06\x01z" + body  # an unknown field first

    stage.send(odd)

    assert [("traces", odd)] == stage.sink.bodies


def test_foreign_costs_are_taken_off_everywhere(stage: Stage) -> None:
    """From spans with and without a call, from resource and scope; what was used is believed."""
    message = request(GENAI | FOREIGN | {"llmcost.usage.rule": "x", "gen_ai.usage.cost": 99.0}, {"k": 1} | FOREIGN)
    message.resource_spans[0].resource.attributes.append(text("llmcost.tag.team", "others"))
    message.resource_spans[0].scope_spans[0].scope.attributes.append(text("llmcost.price.id", "free"))

    stage.send(message)

    (arrived,) = stage.sink.requests()
    priced, plain = (attributes(span) for span in arrived.resource_spans[0].scope_spans[0].spans)
    assert (0.0045, 0.0045, "(none)") == tuple(
        priced[key] for key in ("llmcost.cost.usd", "gen_ai.usage.cost", "llmcost.tag.team")
    )
    assert ({"k": 1}, "x") == (plain, priced["llmcost.usage.rule"])
    keys = [pair.key for pair in arrived.resource_spans[0].resource.attributes]
    assert "llmcost.tag.team" not in keys
    assert not arrived.resource_spans[0].scope_spans[0].scope.attributes
    own = [pair.key for pair in arrived.resource_spans[0].scope_spans[0].spans[0].attributes]
    assert len(set(own)) == len(own)


def test_a_message_of_plain_spans_with_foreign_costs_is_cleaned(stage: Stage) -> None:
    """Though it has no GenAI span."""
    stage.send(request({"k": 1} | FOREIGN))
    assert {"k": 1} == attributes(only(stage.sink.requests()[0]))


def test_a_trusted_sender_sets_payers_and_not_prices() -> None:
    """Its tags are believed; what a call cost is still what we say, once."""
    with running({"anonymous": {"trusted": True}}) as trusting:
        trusting.send(request(GENAI | FOREIGN))
        found = attributes(only(trusting.sink.requests()[0]))
    assert ("others", 0.0045) == (found["llmcost.tag.team"], found["llmcost.cost.usd"])


def test_a_text_that_was_cut_in_a_character_is_priced_and_kept(stage: Stage) -> None:
    """Go and Rust cut at bytes: other decoders of protobuf refuse the whole message for it."""
    message = request(GENAI | {"gen_ai.input.messages": "MARK"})
    body = message.SerializeToString().replace(b"MARK", b"caf\xc3")

    stage.send(body)

    ((_, arrived),) = stage.sink.bodies
    assert b"caf\xc3" in arrived
    assert b"llmcost.cost.usd" in arrived


def test_deep_values_neither_break_nor_change(stage: Stage) -> None:
    """A thousand levels, where protobuf's own decoders give up at a hundred."""
    value = b"\x0a\x01x"
    for _ in range(1_000):
        inner = b"\x0a" + _varint(len(value)) + value
        value = b"\x2a" + _varint(len(inner)) + inner
    pair = b"\x0a\x04deep\x12" + _varint(len(value)) + value
    span = only(request()).SerializeToString() + b"\x4a" + _varint(len(pair)) + pair
    scope = b"\x12" + _varint(len(span)) + span
    resource = b"\x12" + _varint(len(scope)) + scope
    body = b"\x0a" + _varint(len(resource)) + resource

    stage.send(body)

    assert pair in stage.sink.bodies[0][1]
    assert b"llmcost.cost.usd" in stage.sink.bodies[0][1]


def _varint(number: int) -> bytes:
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])


def test_a_span_of_a_hundred_thousand_attributes_is_priced(stage: Stage) -> None:
    """As any other."""
    message = request()
    only(message).attributes.extend(text(f"k{number}", "v") for number in range(100_000))

    stage.send(message)

    assert message == without_ours(stage.sink.requests()[0])


def test_an_enriched_message_that_grew_too_large_goes_on_in_parts() -> None:
    """None above what the next hop takes; together they are the message."""
    message = request(*[GENAI | {"text": "x" * 700} for _ in range(120)])
    sent = message.SerializeToString()
    with running({"next_hop": {"max_message_bytes": 65_536}}) as splitting:
        splitting.send(message)
        bodies = [body for _, body in splitting.sink.bodies]
        arrived = [without_ours(each) for each in splitting.sink.requests()]

    assert len(bodies) > 1
    assert max(map(len, bodies)) <= 65_536 < len(sent)
    assert [only_resource(message)] * len(arrived) == [only_resource(each) for each in arrived]
    spans_of = [list(each.resource_spans[0].scope_spans[0].spans) for each in arrived]
    assert list(message.resource_spans[0].scope_spans[0].spans) == [span for part in spans_of for span in part]


def only_resource(message: ExportTraceServiceRequest) -> ResourceSpans:
    bare = ResourceSpans()
    bare.CopyFrom(message.resource_spans[0])
    bare.ClearField("scope_spans")
    return bare


def test_a_call_is_counted_once_however_often_it_comes(stage: Stage) -> None:
    """In the metrics of all traffic; spans are counted as they are acknowledged."""
    message = request(GENAI, {"db.system": "x"})
    before = stage.counted()
    for _ in range(3):
        stage.send(message)
    after = stage.counted()
    grown = {name: round(after[name] - before.get(name, 0.0), 9) for name in after}
    assert (1, 1_200, 0.0045, 6) == tuple(
        grown[f"llmcost_{name}_total"] for name in ("calls", "tokens", "cost_usd", "stage_spans")
    )


KEYS = st.one_of(st.sampled_from(sorted(GENAI_KEYS)), st.sampled_from(["llm", "gen_ai.x", "span.kind", ""]), st.text())
PAIRS = st.dictionaries(KEYS, st.one_of(st.text(max_size=20), st.integers(-9, 9), st.booleans()), max_size=6)


@settings(max_examples=300)
@given(st.lists(PAIRS, max_size=4))
def test_the_look_at_the_bytes_misses_no_span_that_the_decoder_calls_genai(told: list[Mapping[str, Any]]) -> None:
    """And none that tells what only a trusted host may."""
    message = ExportTraceServiceRequest()
    added = message.resource_spans.add().scope_spans.add().spans
    for pairs in told:
        values = [(key.encode("utf-8", "ignore").decode(), value) for key, value in pairs.items()]
        added.add(attributes=[text(key, str(value).encode("utf-8", "ignore").decode()) for key, value in values])
    body = message.SerializeToString()
    others: list[object] = []
    refused: list[str] = []
    found = list(genai_messages(decode_protobuf(body), refused.append, others.append))
    genai = len(found) + len(refused)
    assert len(added) == genai + len(others)
    assert may_hold_genai(body) or not genai
    for other in others:
        seen_plain(other)


@pytest.mark.parametrize("key", sorted(GENAI_KEYS))
def test_every_key_of_genai_is_seen_in_a_message(key: str) -> None:
    """Alone, whatever it says."""
    assert may_hold_genai(request({key: "x"}).SerializeToString())


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (["llmcost.cost.usd"], True),
        (["llmcost.usage.rule"], False),
        (["otel_llmcost.instrumentation"], False),
        (["llmcost.usage.rule", "llmcost.usage", "otel_llmcost.usage."], True),
        (["llmcost." + "x" * 87], True),  # 95 bytes: its length is the byte of `_`
    ],
)
def test_the_look_at_the_bytes_sees_foreign_attributes(keys: list[str], expected: bool) -> None:
    """Neither our own usage nor the name of our scope is one."""
    assert expected == may_hold_foreign(request(dict.fromkeys(keys, "x")).SerializeToString())


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_mutated_messages_get_a_clear_answer(stage: Stage, data: st.DataObject) -> None:
    """Whatever bytes are turned, cut or put in: success or INVALID_ARGUMENT, and the stage lives on."""
    body = bytearray(request(GENAI | FOREIGN, {"db.system": "x"}).SerializeToString())
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(body) - 1))
        piece = data.draw(st.binary(max_size=6))
        body[at : at + data.draw(st.integers(0, 6))] = piece
    try:
        stage.send(bytes(body))
    except grpc.RpcError as error:
        assert "INVALID_ARGUMENT" == error.code().name, error  # noqa: PT017


def test_golden_spans_cost_what_they_cost_in_the_sdk_host(stage: Stage) -> None:
    """Of every emitter: cost, parts, status, price and identity, to the last digit."""
    sent = [resource_spans for document in documents() for resource_spans in message_of(document)]

    stage.send(ExportTraceServiceRequest(resource_spans=sent))

    (arrived,) = stage.sink.requests()
    found = {
        span.span_id: costs(span)
        for resource_spans in arrived.resource_spans
        for scope_spans in resource_spans.scope_spans
        for span in scope_spans.spans
    }
    expected = expected_costs()
    assert expected
    assert expected == {key: found[key] for key in expected}
