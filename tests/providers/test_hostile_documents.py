"""Documents that nobody should send."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from otel_llmcost.call import Usage
from otel_llmcost.providers.formats import FORMATS
from otel_llmcost.wire.reading import Reading

NAMES = st.sampled_from(
    """
    id model type object status usage usageMetadata message delta response meta billed_units tokens choices
    iterations cache_creation input_tokens output_tokens prompt_tokens completion_tokens total_tokens
    prompt_tokens_details completion_tokens_details cached_tokens audio_tokens reasoning_tokens cost
    promptTokenCount candidatesTokenCount thoughtsTokenCount totalTokenCount promptTokensDetails modality
    tokenCount cacheTokensDetails cachedContentTokenCount trafficType candidates groundingMetadata
    webSearchQueries results metrics input_token_count details generated_tokens prefill usage_info pages
    pages_processed inputTokens outputTokens cacheDetails ttl inputTextTokenCount created_at completed_at
    output
    """.split()  # noqa: SIM905 - a list of this length reads better as words
)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 500), st.floats(), st.text(max_size=5), st.just(10**400), st.just("1h")
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=6)),
    max_leaves=25,
)


@given(documents=st.lists(st.dictionaries(NAMES, JSON, max_size=8), min_size=1, max_size=3))
def test_no_document_makes_a_format_raise_or_give_a_negative_count(documents: list[dict[str, Any]]) -> None:
    """Input is hostile: whatever stands where, a count is a whole number of 0 or more, or it is left out."""
    for row in FORMATS:
        reading = Reading(provider="gcp.gemini")
        for document in documents:
            row.read(document, reading)
        usage: Usage = reading.usage
        assert all(type(count) is int and count > 0 for count in usage.buckets.values())
        assert usage.known or not usage.buckets
        reading.attributes()
