"""Identity: which records are one call, and which of them is kept."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factories import make_call
from otel_llmcost.call import UNKNOWN_USAGE, Bucket, Cost, LLMCall, Outcome, Source, Status, Usage
from otel_llmcost.identity import call_id, digest, model_stem, version
from otel_llmcost.same_call import Facts

TRACE, SPAN = b"t" * 16, b"s" * 8
RANDOM = "chatcmpl-DuLZEecdAJKA6JI76nZgu64Qgpo1z"
SHORT = "chatcmpl-123"


def known_as(
    provider: str, response_id: str, host: str, trace: bytes = TRACE, span: bytes = SPAN, **more: Any
) -> bytes:
    """The id of a record that a span of the application made."""
    fields = {"source": Source.SDK_SPAN, "trace_id": trace, "span_id": span} | more
    return call_id(make_call(provider=provider, response_id=response_id, host=host, **fields))


def test_a_response_id_of_a_seller_identifies_the_call_anywhere() -> None:
    """Other trace, other span, no host told; the seller's own host vouches for a short id too."""
    first = known_as("openai", RANDOM, "api.openai.com")
    assert first == known_as("openai", RANDOM, "", b"u" * 16, b"v" * 8)
    assert first != known_as("openai", RANDOM[::-1], "api.openai.com")
    short = known_as("openai", SHORT, "api.openai.com")
    assert short == known_as("openai", SHORT, "api.openai.com", b"u" * 16, b"v" * 8)
    assert short != known_as("groq", SHORT, "api.groq.com")


def test_emitters_that_disagree_on_the_seller_tell_one_call() -> None:
    """Azure OpenAI is `openai` to some; what a gateway sells as openai it may have bought elsewhere."""
    assert known_as("openai", RANDOM, "") == known_as("azure.ai.openai", RANDOM, "x.openai.azure.com")


@pytest.mark.parametrize(
    ("provider", "host"), [("openai", "127.0.0.1"), ("llm.internal", "llm.internal"), ("openai", "api.groq.com")]
)
def test_random_ids_from_elsewhere_are_scoped_to_their_trace(provider: str, host: str) -> None:
    """Gateways and caches hand out an id again for another call."""
    first = known_as(provider, RANDOM, host)
    assert first != known_as(provider, RANDOM, host, b"u" * 16)
    assert first == known_as(provider, RANDOM, host, TRACE, b"v" * 8)


@pytest.mark.parametrize("host", ["127.0.0.1", ""])
@pytest.mark.parametrize("response_id", [SHORT, "chatcmpl-57", "chatcmpl-" + "1" * 30, "mock", ""])
def test_an_id_that_is_not_random_names_nothing(host: str, response_id: str) -> None:
    """A mock answers every call with the same one, within one trace too; then the span is the call."""
    ids = {known_as("openai", response_id, host, span=span) for span in (SPAN, b"v" * 8)}
    assert 2 == len(ids)


def test_at_the_wire_every_exchange_with_such_a_host_is_a_call_of_its_own() -> None:
    """A mock may answer twice with one id within one trace; a seller's id stays the identity."""
    spans = (SPAN, b"v" * 8)
    local = [known_as("openai", RANDOM, "127.0.0.1", span=span, source=Source.WIRE) for span in spans]
    real = [known_as("openai", RANDOM, "api.openai.com", span=span, source=Source.WIRE) for span in spans]
    assert (2, 1) == (len(set(local)), len(set(real)))


def test_a_gateway_that_is_configured_to_hand_on_ids_is_believed() -> None:
    """`identity.gateway_hosts`."""
    call = make_call(provider="openai", host="llm.internal", response_id=RANDOM)
    assert call_id(call, {"llm.internal"}) == known_as("openai", RANDOM, "api.openai.com")


@pytest.mark.parametrize(
    ("written", "stem"),
    [
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("openai/gpt-4o", "gpt-4o"),
        ("Claude-Sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("models/gemini-2.5-flash", "gemini-2.5-flash"),
        ("anthropic.claude-3-haiku-20240307-v1:0", "anthropic.claude-3-haiku"),
        ("gpt-3.5-turbo-0125", "gpt-3.5-turbo"),
        ("", ""),
    ],
)
def test_a_model_is_recognised_in_the_spellings_of_emitters(written: str, stem: str) -> None:
    """With a path, a date or a version."""
    assert stem == model_stem(written)


@given(st.builds(make_call, st.integers(1, 9), response_id=st.sampled_from(["", SHORT, RANDOM]), model=st.text()))
def test_facts_survive_the_attribute_they_travel_in(call: LLMCall) -> None:
    """Whatever the model is called."""
    facts = Facts.of(replace(call, call_id=call_id(call), requested_model=""))
    assert facts == Facts.decoded(facts.encoded())


@given(st.one_of(st.text(), st.integers(), st.none(), st.lists(st.text())))
def test_facts_that_are_none_are_refused(value: object) -> None:
    """Attributes are hostile."""
    assert Facts.decoded(value) is None


def test_a_later_import_of_a_row_replaces_an_earlier_one_whatever_it_says() -> None:
    """The import is a correction."""
    earlier = replace(make_call(), source=Source.IMPORT, revision=1)
    later = replace(earlier, revision=2, cost=Cost(Status.UNPRICED, "unknown_model:x"))
    assert version(earlier) < version(later)


@given(st.lists(st.binary(max_size=5), max_size=4), st.lists(st.binary(max_size=5), max_size=4))
def test_a_digest_tells_any_two_lists_of_parts_apart(first: list[bytes], second: list[bytes]) -> None:
    """Also ("ab", "c") from ("a", "bc")."""
    assert (first == second) == (digest(*first) == digest(*second))
    assert 16 == len(digest(*first))


def test_the_fuller_record_has_the_higher_version() -> None:
    """Known usage over unknown, wire over span over file, a price over none."""
    priced = make_call()
    unpriced = replace(priced, cost=Cost(Status.UNPRICED, "unknown_model:x"))
    ordered = [
        replace(unpriced, usage=UNKNOWN_USAGE),
        replace(unpriced, source=Source.IMPORT),
        replace(priced, source=Source.IMPORT),
        replace(priced, source=Source.SDK_SPAN),
        unpriced,
        priced,
    ]
    assert ordered == sorted(ordered, key=version)


def test_what_the_provider_reported_is_above_what_was_estimated() -> None:
    """Even where the wire estimated and a span reported."""
    estimated = replace(make_call(), usage=Usage(buckets={Bucket.INPUT: 1}, rule="estimate:x"))
    assert version(estimated) < version(replace(make_call(), source=Source.SDK_SPAN))


def test_a_gateways_record_is_above_its_clients() -> None:
    """It is nearer to the provider, and knows who sold."""
    client = make_call(host="llm.internal")
    assert version(client) < version(replace(make_call(host=""), source=Source.OTLP, at_gateway=True))


def test_a_record_that_repeats_another_call_is_above_every_line_and_restatement() -> None:
    """So that it hides the line under its id, in any order of arrival."""
    assert version(make_call()) | 1 << 61 < version(replace(make_call(), duplicate_of=b"x" * 16))


@pytest.mark.parametrize(
    "change",
    [
        {"usage": Usage(buckets={Bucket.INPUT: 1})},
        {"tags": {"team": "other"}},
        {"model": "other"},
        {"end_ns": 1},
        {"user": "other"},
        {"outcome": Outcome.ERROR},
    ],
)
def test_records_of_one_rank_are_ordered_by_their_content(change: dict) -> None:
    """So that the outcome does not depend on who came first."""
    call = make_call()
    assert version(call) != version(replace(call, **change))
    assert version(call) == version(replace(call))
    assert version(call) < 1 << 40
