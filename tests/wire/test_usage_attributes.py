"""Wire and span agree: what the instrumentation writes is what the dialect reads."""

from hypothesis import given
from hypothesis import strategies as st

from otel_llmcost.call import Bucket, Source, Usage
from otel_llmcost.dialects import read_span
from otel_llmcost.semconv import OPERATION_NAME, WIRE_SCOPE
from otel_llmcost.span import Span
from otel_llmcost.wire.reading import usage_attributes

usages = st.builds(
    Usage,
    buckets=st.dictionaries(st.sampled_from(Bucket), st.integers(1, 10**9)),
    rule=st.sampled_from(["chat_completions", "messages"]),
    flags=st.lists(st.text(min_size=1, max_size=20), max_size=2).map(tuple),
)


@given(usages)
def test_any_usage_comes_back_from_its_attributes(usage: Usage) -> None:
    """Exclusive buckets → totals with parts inside → the same exclusive buckets."""
    attributes = {OPERATION_NAME: "chat", **usage_attributes(usage)}
    call = read_span(Span("chat", bytes(16), bytes(8), b"", 0, 0, attributes, {}, WIRE_SCOPE), Source.SDK_SPAN)
    assert call is not None
    assert usage == call.usage
