"""Identity: which records are one call, and which of them is kept."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factories import make_call
from otel_llmcost.call import UNKNOWN_USAGE, Bucket, Cost, Outcome, Source, Status, Usage
from otel_llmcost.identity import call_id, digest, version

TRACE, SPAN = b"t" * 16, b"s" * 8


def test_a_response_id_of_a_seller_identifies_the_call_anywhere() -> None:
    """Other trace, other span, no host told."""
    first = call_id("openai", "chatcmpl-1", "api.openai.com", TRACE, SPAN)
    assert first == call_id("openai", "chatcmpl-1", "", b"u" * 16, b"v" * 8)
    assert first != call_id("openai", "chatcmpl-2", "api.openai.com", TRACE, SPAN)
    assert first != call_id("groq", "chatcmpl-1", "api.groq.com", TRACE, SPAN)


@pytest.mark.parametrize(
    ("provider", "host"), [("openai", "127.0.0.1"), ("llm.internal", "llm.internal"), ("openai", "api.groq.com")]
)
def test_ids_from_elsewhere_are_scoped_to_their_trace(provider: str, host: str) -> None:
    """Mocks, gateways and caches hand out the same id for different calls."""
    first = call_id(provider, "chatcmpl-1", host, TRACE, SPAN)
    assert first != call_id(provider, "chatcmpl-1", host, b"u" * 16, SPAN)
    assert first == call_id(provider, "chatcmpl-1", host, TRACE, b"v" * 8)


def test_at_the_wire_every_exchange_with_such_a_host_is_a_call_of_its_own() -> None:
    """A mock may answer twice with one id within one trace; a seller's id stays the identity."""
    local = [call_id("openai", "chatcmpl-1", "127.0.0.1", TRACE, span, at_wire=True) for span in (SPAN, b"v" * 8)]
    real = [call_id("openai", "chatcmpl-1", "api.openai.com", TRACE, span, at_wire=True) for span in (SPAN, b"v" * 8)]
    assert (2, 1) == (len(set(local)), len(set(real)))


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
