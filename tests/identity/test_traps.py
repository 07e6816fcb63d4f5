"""Servers, gateways, caches and clocks that would fool a simpler rule."""

from typing import Any

import pytest
from deliveries import INTERNAL, SERVER, Told, billed, numbers, pipeline_with
from emitters import ANSWER, CALL, HOST, ID, INPUT, OUTPUT, RESPONSE_ID, USAGE, WIRE

from factories import SECOND_NS
from otel_llmcost.call import Outcome
from otel_llmcost.semconv import WIRE_SCOPE

SHORT: dict[str, Any] = {"gen_ai.response.id": "chatcmpl-123"}
MOCK: dict[str, Any] = {"server.address": "127.0.0.1"}
FULL = {**CALL, **ANSWER, **USAGE}
HOUR_S = 3_600.0


def both_ways(*spans: Told) -> list[list[list[Told]]]:
    """Each in a message of its own, in either order, and all in one."""
    return [[[span] for span in spans], [[span] for span in reversed(spans)], [list(spans)]]


# a server that answers every call with the same id


@pytest.mark.parametrize("scope", ["openlit.otel.tracing", f"{WIRE_SCOPE}.httpx"])
@pytest.mark.parametrize("host", [MOCK, {}])
@pytest.mark.parametrize("traces", [(7, 7, 7), (7, 8, 9)])
def test_a_server_that_always_answers_with_one_id_makes_a_line_a_call(
    scope: str, host: dict[str, Any], traces: tuple[int, ...]
) -> None:
    """Within one trace and in several, with the same usage, one after the other and at once."""
    calls = [
        Told(number, {**FULL, **SHORT, **host}, parent=1, trace=trace, scope=scope, start_s=number // 2)
        for number, trace in enumerate(traces, 2)
    ]
    for batches in both_ways(*calls):
        assert 3 == len(billed(batches).lines)


def test_at_the_wire_even_a_random_id_of_a_mock_may_come_again() -> None:
    """A server that replays one recorded answer."""
    calls = [Told(number, {**FULL, **ID, **MOCK}, parent=1, scope=f"{WIRE_SCOPE}.httpx") for number in (2, 3)]
    for batches in both_ways(*calls):
        assert 2 == len(billed(batches).lines)


# a gateway that caches, and one with several tenants


def test_a_gateway_that_answers_two_tenants_with_one_id_makes_two_lines() -> None:
    """The second answer came from the gateway's cache, or the gateway counts per tenant."""
    gateway = {"server.address": "gateway.internal"}
    tenants = [
        Told(2, {**FULL, **ID, **gateway}, trace=trace, service=f"tenant-{trace}", start_s=start_s)
        for trace, start_s in ((7, 0), (8, 60))
    ]
    for batches in both_ways(*tenants):
        assert {"tenant-7", "tenant-8"} == {line.service for line in billed(batches).lines}


def test_a_local_cache_hit_costs_nothing_and_leaves_the_bought_call_alone() -> None:
    """LiteLLM answers from its cache with the id of the call that was once bought."""
    bought = Told(2, {**FULL, **ID}, scope="litellm")
    hit = Told(3, {**FULL, **ID, "litellm.cache_hit": True}, trace=8, scope="litellm", start_s=60)
    for batches in both_ways(bought, hit):
        lines = {line.trace_id[-1]: line for line in billed(batches).lines}
        assert {7, 8} == set(lines)
        cost = lines[7].cost.effective.total_usd
        assert (0, cost) == (lines[8].cost.effective.total_usd, lines[8].cost.cache_savings_usd)
        assert ("exact", "local_cache_hit") == (lines[8].cost.status, lines[8].cost.reason)
        assert cost > 0


@pytest.mark.parametrize("around", [{}, ID])
def test_a_framework_around_a_local_cache_hit_costs_nothing_either(around: dict[str, Any]) -> None:
    """Its own record is no call: without an id it repeats the cache hit, with one the call that was once bought."""
    bought = Told(9, {**FULL, **ID}, trace=5, scope="litellm", start_s=-60)
    outer = Told(2, {**FULL, **around}, scope="opentelemetry.instrumentation.langchain")
    hit = Told(3, {**FULL, **ID, "litellm.cache_hit": True}, parent=2, scope="litellm")
    for batches in both_ways(bought, outer, hit):
        ledger = billed(batches)
        assert ["local_cache_hit"] == [line.cost.reason for line in ledger.lines if line.cost.reason]
        assert 2 == len(ledger.lines)


# SDK and gateway


def through_gateway(client: dict[str, Any], gateway: dict[str, Any], **more: Any) -> list[Told]:
    """A client's call, its request, the gateway's span of it, and the gateway's own call; the clocks differ."""
    late = {"start_s": HOUR_S, "end_s": HOUR_S + 0.8}
    return [
        Told(2, client, service="bot", scope="openlit.otel.tracing"),
        Told(3, {"http.request.method": "POST"}, parent=2, service="bot"),
        Told(4, {"http.route": "/v1/chat/completions"}, parent=3, kind=SERVER, service="proxy", **late),
        Told(5, gateway, parent=4, service="proxy", scope="litellm", **late, **more),
    ]


@pytest.mark.parametrize("client_id", [{}, SHORT, ID])
def test_a_call_through_a_gateway_is_the_gateways_line(client_id: dict[str, Any]) -> None:
    """Whatever the client was told; its host is the gateway, and its clock an hour behind."""
    client = {**FULL, **client_id, "server.address": "gateway.internal"}
    gateway = {**FULL, **ID, **HOST, "gen_ai.provider.name": "openai"}
    spans = through_gateway(client, gateway)
    for batches in both_ways(*spans):
        (line,) = billed(batches).lines
        assert ("proxy", "api.openai.com", (INPUT, OUTPUT)) == (line.service, line.host, numbers(line))


@pytest.mark.parametrize("gateway_service", ["litellm-proxy", "proxy"])
def test_client_and_gateway_that_report_to_two_processes_are_one_line(gateway_service: str) -> None:
    """By the provider's id, that the gateway hands on: in the trace, or in the world where no host is told."""
    pipeline = pipeline_with(gateways=["litellm*", "proxy"])
    for host in ({"server.address": "gateway.internal"}, {}):
        client = Told(2, {**FULL, **ID, **host}, service="bot", scope="openlit.otel.tracing")
        seller = {**FULL, **ID, "gen_ai.provider.name": "azure.ai.openai"}
        gateway = Told(5, seller, parent=4, service=gateway_service, scope="litellm")
        for batches in both_ways(client, gateway)[:2]:
            (line,) = billed(batches, processes=2, pipeline=pipeline).lines
            assert ("azure.ai.openai", gateway_service) == (line.provider, line.service)


def test_a_gateway_host_that_hands_on_ids_needs_no_common_trace() -> None:
    """`identity.gateway_hosts`."""
    pipeline = pipeline_with(gateway_hosts=["gateway.internal"], gateways=["proxy"])
    client = Told(2, {**FULL, **ID, "server.address": "gateway.internal"}, trace=1, service="bot")
    gateway = Told(3, {**FULL, **ID, **HOST}, trace=2, service="proxy", start_s=-HOUR_S)
    for batches in both_ways(client, gateway):
        (line,) = billed(batches, processes=2, pipeline=pipeline).lines
        assert "proxy" == line.service


def test_a_service_that_makes_several_calls_for_a_request_is_no_gateway_of_one() -> None:
    """An application behind an API like a model's: its calls are calls, and so is what its client bought."""
    client = {**FULL, "server.address": "app.internal", "gen_ai.usage.input_tokens": 3 * INPUT}
    one, two = ({**FULL, **HOST, "gen_ai.response.id": f"{RESPONSE_ID}{number}"} for number in (1, 2))
    spans = through_gateway(client, one)
    spans.append(Told(6, two, parent=4, service="proxy", start_s=HOUR_S))
    for batches in both_ways(*spans):
        assert 3 == len(billed(batches).lines)


# polls, repeats, retries


def test_a_poll_hours_later_from_another_trace_completes_the_line() -> None:
    """A background response: the request knows no usage, the poll does."""
    request = {**CALL, **ID, **HOST}
    asked = Told(2, request, trace=1, scope=WIRE[0])
    polled = Told(9, {**request, **ANSWER, **USAGE}, trace=2, scope=WIRE[0], start_s=5 * HOUR_S)
    for batches in both_ways(asked, polled, polled):
        assert [(INPUT, OUTPUT)] == [numbers(line) for line in billed(batches, processes=2).lines]


def test_every_attempt_of_an_sdk_is_a_call_of_its_own() -> None:
    """Refused ones have no usage and no id; the SDK's own span around all of them is none."""
    refused = {**CALL, **HOST, "http.response.status_code": 429, "error.type": "429"}
    attempts = [
        Told(3, refused, parent=2, scope=WIRE[0], failed=True),
        Told(4, {**refused, "http.request.resend_count": 1}, parent=2, scope=WIRE[0], failed=True, start_s=0.2),
        Told(5, {**WIRE[1], "http.request.resend_count": 2}, parent=2, scope=WIRE[0], start_s=0.4),
    ]
    sdk = Told(2, FULL, parent=1, scope="anthropic")
    for batches in both_ways(*attempts, sdk):
        for processes in (1, 2):
            lines = billed(batches, processes=processes).lines
            outcomes = sorted((line.outcome, line.attempt) for line in lines)
            assert [(Outcome.ERROR, 1), (Outcome.ERROR, 2), (Outcome.OK, 3)] == outcomes


# a genuine call inside another


def test_a_call_inside_another_one_is_another_call() -> None:
    """A tool that asks a model while the outer model's span is open, and a judge of the same model."""
    outer = Told(2, {**FULL}, parent=1, scope="ai")
    tool = Told(3, {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "ask"}, parent=2, kind=INTERNAL)
    same_numbers = Told(4, FULL, parent=3, scope="ai")
    judge = Told(5, {**FULL, "gen_ai.usage.input_tokens": 77}, parent=2, scope="ai")
    other_model = Told(
        6, {**FULL, "gen_ai.request.model": "claude-haiku-4-5", "gen_ai.usage.output_tokens": 1}, parent=2
    )
    for batches in both_ways(outer, tool, same_numbers, judge, other_model):
        assert 4 == len(billed(batches).lines)


def test_a_stream_without_usage_is_not_hidden_by_a_call_of_another_model() -> None:
    """It has no price, but it was made."""
    stream = Told(2, {**CALL}, parent=1, scope="ai")
    guard = Told(3, {**FULL, "gen_ai.request.model": "llama-guard-3"}, parent=2, scope="ai")
    for processes in (1, 2):
        for batches in both_ways(stream, guard):
            assert 2 == len(billed(batches, processes=processes).lines)


# closed frameworks

AGENT = {
    "gen_ai.operation.name": "invoke_agent",
    "gen_ai.agent.name": "researcher",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    **USAGE,
}


def test_an_agent_is_never_a_line_unless_that_is_configured() -> None:
    """It repeats the usage of what is below it."""
    assert [] == billed([[Told(2, AGENT)]]).lines


@pytest.mark.parametrize("pattern", ["researcher", "closed.*"])
def test_a_closed_framework_is_counted_by_configuration_and_marked(pattern: str) -> None:
    """By the agent's name or by the scope."""
    pipeline = pipeline_with(closed_frameworks=[pattern])
    (line,) = billed([[Told(2, AGENT, scope="closed.agents")]], pipeline=pipeline).lines
    assert ((INPUT, OUTPUT), "agent:otel", "invoke_agent") == (numbers(line), line.usage.rule, line.operation)


@pytest.mark.parametrize(
    "attributes",
    [
        {"openinference.span.kind": "AGENT", "agent.name": "researcher", "llm.token_count.prompt": INPUT}
        | {"llm.token_count.completion": OUTPUT, "llm.model_name": "gpt-4o"},
        {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "researcher", "gen_ai.request.model": "gpt-4o"}
        | {"gen_ai.aggregated_usage.input_tokens": INPUT, "gen_ai.aggregated_usage.output_tokens": OUTPUT},
    ],
)
def test_closed_frameworks_are_read_in_their_own_dialects(attributes: dict[str, Any]) -> None:
    """And a tool of one is none, whatever it carries."""
    pipeline = pipeline_with(closed_frameworks=["researcher"])
    (line,) = billed([[Told(2, attributes)]], pipeline=pipeline).lines
    assert ((INPUT, OUTPUT), "invoke_agent", "openai") == (numbers(line), line.operation, line.provider)
    tool = attributes | {"gen_ai.operation.name": "execute_tool", "openinference.span.kind": "TOOL"}
    assert [] == billed([[Told(2, tool)]], pipeline=pipeline).lines


@pytest.mark.parametrize("between", [0, 1, 3])
def test_a_closed_framework_that_turns_out_to_be_open_is_no_line(between: int) -> None:
    """Calls below it count, at any depth, in any order."""
    pipeline = pipeline_with(closed_frameworks=["researcher"])
    spans = [Told(2, AGENT, parent=1), *(Told(3 + n, {"k": 1}, parent=2 + n, kind=INTERNAL) for n in range(between))]
    spans.append(Told(9, {**FULL, **ID, "gen_ai.usage.input_tokens": 5}, parent=2 + between))
    for batches in both_ways(*spans):
        assert [(5, OUTPUT)] == [numbers(line) for line in billed(batches, pipeline=pipeline).lines]
        assert between > 0 or 1 == len(billed(batches, processes=2, pipeline=pipeline).lines)


def test_times_say_nothing() -> None:
    """Two clocks an hour apart, in either direction."""
    for skew_s in (-HOUR_S, HOUR_S):
        outer = Told(2, FULL, parent=1, scope="ai")
        inner = Told(3, {**FULL, **ID}, parent=2, start_s=skew_s, end_s=skew_s + 1)
        for batches in both_ways(outer, inner):
            (line,) = billed(batches).lines
            assert int(skew_s) == (line.start_ns - billed([[outer]]).lines[0].start_ns) // SECOND_NS
