"""The matrix once more, in the emitters' own keys: what tests/dialects reads alike is one call."""

import pytest
from deliveries import Told, billed
from emitters import ANSWER, CALL, HOST, ID, WIRE

from dialects.test_emitters import OPENAI, OPENAI_CALLS

USAGE = {
    "gen_ai.usage.input_tokens": 1_200,
    "gen_ai.usage.output_tokens": 300,
    "gen_ai.usage.cache_read.input_tokens": 1_024,
    "gen_ai.usage.reasoning.output_tokens": 200,
}
EMITTERS = OPENAI_CALLS | {
    "the wire": (WIRE[0], {**CALL, **ANSWER, **ID, **HOST, **USAGE}),
    "openai-v2": ("opentelemetry.instrumentation.openai_v2", {**CALL, **ANSWER, **ID, **HOST, **USAGE}),
    "a framework": ("pydantic-ai", {**CALL, **USAGE}),
}
INNERMOST = {"the wire"}


@pytest.mark.parametrize("inner", EMITTERS)
@pytest.mark.parametrize("outer", sorted(EMITTERS.keys() - INNERMOST))
def test_two_emitters_on_one_call_make_one_line_with_the_providers_buckets(outer: str, inner: str) -> None:
    """In both orders; with the outer one's parent unknown, a span between, and in two processes."""
    around = Told(2, EMITTERS[outer][1], parent=1, scope=EMITTERS[outer][0])
    between = Told(3, {"http.request.method": "POST"}, parent=2)
    within = Told(4, EMITTERS[inner][1], parent=3, scope=EMITTERS[inner][0])
    below = Told(4, EMITTERS[inner][1], parent=2, scope=EMITTERS[inner][0])
    ways = [billed(each) for each in ([[around, between, within]], [[within], [between], [around]])]
    if outer != "openai-v2" or inner in {"openai-v2", "the wire"}:  # it alone has an id: docs/identity.md
        ways += [billed(each, processes=2) for each in ([[around], [below]], [[below], [around]])]
    for ledger in ways:
        assert [OPENAI] == [line.usage.buckets for line in ledger.lines]
