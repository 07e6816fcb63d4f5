"""Two spans of one message that tell one call: which of them carries its cost."""

from otel_llmcost.call import Source
from otel_llmcost.kinship import Kinship, Seen
from otel_llmcost.pipeline import Pipeline
from otel_llmcost.processors.tree import mark_repeats, seen_genai
from otel_llmcost.settings import Settings
from otel_llmcost.span import Span

PIPELINE = Pipeline.from_settings(Settings())
CALL = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.response.model": "gpt-4o",
    "gen_ai.response.id": "chatcmpl-1234567890abcdefghij",
}
USAGE = {"gen_ai.usage.input_tokens": 1_000, "gen_ai.usage.output_tokens": 200}


def key(number: int) -> bytes:
    return bytes([7] * 16) + number.to_bytes(8, "big")


def seen(number: int, parent: int, attributes: dict[str, object], scope: str = "an.emitter") -> Seen:
    ids = (bytes([7] * 16), number.to_bytes(8, "big"), parent.to_bytes(8, "big") if parent else b"")
    span = Span("chat", *ids, 10**18, 10**18 + 10**9, attributes, {"service.name": "shop"}, scope)
    return seen_genai(span, PIPELINE.process_span(span, Source.OTLP))


def told(*spans: Seen) -> list[bool]:
    """Whether each is a repeat, after they have met."""
    Kinship(100, names_unseen=True).meet(spans)
    mark_repeats(spans)
    return [span.call is not None and span.call.is_repeated for span in spans]


def test_the_inner_of_two_spans_of_one_response_carries_the_cost() -> None:
    """In either order, and with a span between them."""
    outer, inner = seen(1, 0, CALL | USAGE), seen(2, 1, CALL | USAGE, "another.emitter")
    assert [True, False] == told(outer, inner)

    outer, between = (
        seen(1, 0, CALL | USAGE),
        Seen(bytes([7] * 16) + bytes(7) + b"\x03", bytes([7] * 16) + bytes(7) + b"\x01"),
    )
    inner = seen(2, 3, CALL | USAGE, "another.emitter")
    assert [False, False, True] == told(inner, between, outer)


def test_spans_beside_each_other_both_carry_it() -> None:
    """Neither is above the other: the ledger has one line, and spans are not guessed about."""
    assert [False, False] == told(seen(1, 9, CALL | USAGE), seen(2, 9, CALL | USAGE))


def test_one_that_has_the_numbers_alone_carries_the_cost() -> None:
    """The inner span tells the response and no usage, so the outer one is the only one with a cost."""
    assert told(seen(1, 0, CALL | USAGE), seen(2, 1, CALL))[0] is False
