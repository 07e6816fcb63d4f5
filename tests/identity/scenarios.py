"""Random pasts: calls told by several instrumentations, and ways in which what they told may arrive."""

from typing import Any

from deliveries import INTERNAL, SERVER, Told
from emitters import ANSWER, CALL, DETAILS, USAGE, WIRE
from hypothesis import strategies as st

AGENT = {**CALL, **USAGE, "gen_ai.operation.name": "invoke_agent"}
IDS = st.sampled_from(["", "chatcmpl-123", "chatcmpl-DuLZEecdAJKA6JI76nZgu64Qgpo1z", "msg_01RZ1YJKW5JWC51ZKmYR19sf"])
HOSTS = st.sampled_from(["", "api.openai.com", "10.0.0.7", "llm.internal"])
USAGES = st.sampled_from([None, (1_200, 345), (1_200, 345), (1_100, 1), (0, 0)])
SCOPES = st.sampled_from([WIRE[0], "openlit.otel.tracing", "ai", "litellm"])


@st.composite
def records(draw: st.DrawFn, span: int, parent: int, trace: int) -> Told:
    """A record of inference that knows this or that."""
    attributes: dict[str, Any] = {**CALL}
    if draw(st.booleans()):
        attributes |= ANSWER
    if response_id := draw(IDS):
        attributes["gen_ai.response.id"] = response_id
    if host := draw(HOSTS):
        attributes["server.address"] = host
    if usage := draw(USAGES):
        attributes |= {"gen_ai.usage.input_tokens": usage[0], "gen_ai.usage.output_tokens": usage[1]}
        if usage[0] > 1_150 and draw(st.booleans()):
            attributes |= DETAILS
    if draw(st.integers(0, 9)) == 0:
        attributes["litellm.cache_hit"] = True
    failed = draw(st.integers(0, 5)) == 0
    start_s = draw(st.sampled_from([0.0, 0.5, 3_600.0]))
    return Told(span, attributes, parent, trace, draw(SCOPES), "app", start_s, start_s + 1, failed=failed)


@st.composite
def others(draw: st.DrawFn, span: int, parent: int, trace: int) -> Told:
    """An agent, a tool, a request or a server's span."""
    kind, attributes = draw(
        st.sampled_from(
            [
                (INTERNAL, AGENT | {"gen_ai.agent.name": f"agent-{span}"}),
                (INTERNAL, {"gen_ai.operation.name": "execute_tool"}),
                (INTERNAL, {"session.id": f"session-{span}"}),
                (INTERNAL, {"k": "v"}),
                (SERVER, {"http.route": "/v1/chat/completions"}),
            ]
        )
    )
    return Told(span, attributes, parent, trace, kind=kind)


@st.composite
def pasts(draw: st.DrawFn) -> list[Told]:
    """Trees of spans in two traces, up to nine spans."""
    spans: list[Told] = []
    for span in range(1, draw(st.integers(2, 10))):
        trace = draw(st.sampled_from([7, 7, 8]))
        parent = draw(st.sampled_from([0, 99, *(told.span for told in spans if told.trace == trace)]))
        spans.append(
            draw(st.one_of(records(span, parent, trace), records(span, parent, trace), others(span, parent, trace)))
        )
    return spans


@st.composite
def deliveries(draw: st.DrawFn, spans: list[Told]) -> list[list[Told]]:
    """The spans in messages: in any order, some of them twice, cut anywhere."""
    order = draw(st.permutations([*spans, *draw(st.lists(st.sampled_from(spans), max_size=4))]))
    cuts = sorted(draw(st.lists(st.integers(0, len(order)), max_size=5)))
    return [order[one:two] for one, two in zip([0, *cuts], [*cuts, len(order)], strict=True) if two > one]
