"""Bill lines on disk: what is read is what was written, to the last digit."""

import json
from dataclasses import fields
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factories import make_call, make_cost
from otel_llmcost.call import Amounts, Bucket, LLMCall, Outcome, Source, Status, Usage
from otel_llmcost.errors import InputError
from otel_llmcost.exporters.dead_letters import Letter
from otel_llmcost.exporters.line_codec import LineCodec
from otel_llmcost.exporters.spool import framed, unframed

CODEC = LineCodec()

TEXT = st.text(max_size=20)
USD = st.decimals(min_value=-(10**9), max_value=10**9, places=12)
COUNT = st.integers(0, 2**70)
AMOUNTS = st.builds(Amounts, USD, USD, USD, USD, USD)
TEXTS = st.dictionaries(TEXT, TEXT, max_size=4)
COST = st.builds(
    make_cost,
    status=st.sampled_from(Status),
    reason=TEXT,
    list=st.none() | AMOUNTS,
    effective=st.none() | AMOUNTS,
    cache_savings_usd=USD,
    reported_usd=st.none() | USD,
)
USAGE = st.builds(
    Usage,
    buckets=st.dictionaries(st.sampled_from(Bucket), COUNT, max_size=5),
    known=st.booleans(),
    rule=TEXT,
    flags=st.lists(TEXT, max_size=3).map(tuple),
)
CALLS = st.builds(
    make_call,
    st.integers(0, 2**60),
    source=st.sampled_from(Source),
    outcome=st.sampled_from(Outcome),
    start_ns=st.integers(0, 2**63 - 1),
    end_ns=st.integers(-(2**70), 2**70),
    ttft_ns=st.none() | COUNT,
    http_status=st.none() | COUNT,
    model=TEXT,
    user=TEXT,
    streaming=st.booleans(),
    price_context=TEXTS,
    tags=TEXTS,
    usage=USAGE,
    reported_usd=st.none() | USD,
    cost=st.none() | COST,
)


@given(CALLS)
def test_a_line_is_read_as_it_was_written(call: LLMCall) -> None:
    """Every field, to the last digit; as one line of the file."""
    record = CODEC.encode(call)
    assert [record] == unframed(framed([record])).records
    assert call == CODEC.decode(record)
    assert call == CODEC.decode(Letter.from_json(Letter("line", record, "why").to_json()).record)


def test_every_field_of_a_call_travels() -> None:
    """Also one that was added since: a field that the codec left out would be at its default afterwards."""
    odd = {bytes: b"\xff" * 16, str: "odd", int: 77, bool: True}
    for field in fields(LLMCall):
        if field.type in odd:
            call = make_call(1, **{field.name: odd[field.type]})
            assert odd[field.type] == getattr(CODEC.decode(CODEC.encode(call)), field.name), field.name


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "1E+400"])
def test_an_amount_that_is_no_number_stays_with_its_line(amount: str) -> None:
    """The ledger shows it as unknown; the rest of the line is worth keeping."""
    call = make_call(1, reported_usd=Decimal(amount))
    assert str(call.reported_usd) == str(CODEC.decode(CODEC.encode(call)).reported_usd)


def test_text_that_utf8_cannot_say_costs_no_line() -> None:
    """Half of a surrogate pair, as JSON may hold it; the ledger writes `?` too."""
    call = make_call(1, user="a\ud800b", tags={"team": "\udfff", "feature": "ü"}, usage=Usage(flags=("\ud83d",)))
    read = CODEC.decode(CODEC.encode(call))
    assert ("a?b", {"team": "?", "feature": "ü"}, ("?",)) == (read.user, read.tags, read.usage.flags)
    assert call.cost == read.cost


@pytest.mark.parametrize(
    ("record", "where"),
    [
        (b"{", "no JSON"),
        (b"", "no JSON"),
        (b"[]", "no JSON"),
        (json.dumps(json.loads(CODEC.encode(make_call(1))) | {"from_the_future": 1}).encode(), "from_the_future"),
        (CODEC.encode(make_call(1)).replace(b'"0.0', b'"x0.0', 1), "cost"),
    ],
)
def test_what_is_no_line_of_this_version_is_told_without_its_content(record: bytes, where: str) -> None:
    """A field that a newer version wrote is not dropped in silence."""
    with pytest.raises(InputError, match=where) as caught:
        CODEC.decode(record)
    assert "x0.0" not in str(caught.value)


def test_nothing_of_a_call_on_disk_is_secret_or_content() -> None:
    """The fields of a record are those of a bill line."""
    assert set(json.loads(CODEC.encode(make_call(1)))) <= {field.name for field in fields(LLMCall)}


OF_OLD = (
    b'{"call_id":"00000000000000000000000000000007","trace_id":"00000000000000010000000000000007"'
    b',"span_id":"0000000000000007","parent_span_id":"0000000100000007","source":"wire"'
    b',"emitter":"otel_llmcost.httpx","service":"support-bot","environment":"production"'
    b',"start_ns":1764590407000000000,"end_ns":1764590408250000000,"ttft_ns":310000000,"provider":"openai"'
    b',"host":"api.openai.com","operation":"chat","requested_model":"gpt-4o","model":"gpt-4o-2024-08-06"'
    b',"response_id":"chatcmpl-00000000000000000000000000007","streaming":true,"service_tier":"default"'
    b',"price_context":{"service_tier":"default"},"http_status":200,"finish_reason":"stop"'
    b',"usage":{"buckets":{"input":600,"cache_read":400,"output":150,"reasoning":50},"rule":"openai.chat"}'
    b',"user":"u-17","session":"s-42","agent":"triage","workflow":"answer-ticket","run":"r-7"'
    b',"tags":{"team":"cx","feature":"support","customer":"acme","region":"eu"},"cost":{"status":"exact"'
    b',"list":{"pico_usd":[2000000000,2500000000,600000000,200000000,100000000]}'
    b',"effective":{"pico_usd":[1500000000,2000000000,500000000,200000000,100000000]}'
    b',"cache_savings_usd":"0.004500000000","price_id":"openai/gpt-4o@2024-05-13"'
    b',"price_book":"2026.11.1"}}'
)


def test_a_line_that_an_earlier_version_left_on_disk_is_read() -> None:
    """An upgrade finds a full spool. A field that is renamed must still be read under its old name: in LineCodec."""
    assert make_call(7) == CODEC.decode(OF_OLD)
