"""Every recorded exchange gives a line whose totals are the provider's."""

from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import pytest

from corpus.replaying import MODES, Mode, Replay, Row, body_of, wire_body_of
from corpus.reported_usage import Reported, reported_usage
from otel_llmcost.call import Bucket, LLMCall, Status, Usage
from otel_llmcost.providers.endpoints import Endpoints
from otel_llmcost.wire.exchange import Exchange

EXCEPTIONS = {
    # Compaction: the totals leave out the compaction step, which the reference says is billed at the same rates and is
    # to be added from `iterations`; taking the totals alone would lose 99,276 and 55,327 tokens of the bill.
    "73a204530c140c39": Reported(input_tokens=99_195 + 162, output_tokens=81 + 11),
    "b0cf90ac091fa742": Reported(input_tokens=100 + 55_096 + 229, output_tokens=131 + 5, cache_write_tokens=55_096),
    # OpenRouter, a stream that broke with an error: 11 reasoning of 10 completion tokens. More reasoning than output is
    # taken as lying beside it (so it is behind every gateway that counts as Gemini does), and the line is flagged.
    "9c5ca4999ecbb8cd": Reported(input_tokens=43, output_tokens=10 + 11, reasoning_tokens=11),
}
"""Rows whose line is not what the provider's totals say, each with the reason and what the line has to be."""


def told(usage: Usage) -> Reported | None:
    """A line's usage in the terms of a report."""
    if not usage.known:
        return None
    return Reported(
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_tokens,
        usage.cache_write_tokens,
        usage.reasoning_tokens,
        usage.buckets.get(Bucket.RERANK_SEARCHES, 0),
        usage.buckets.get(Bucket.DOCUMENT_PAGES, 0),
    )


def reported_usd(row: Row) -> Decimal | None:
    cost = row["expected"]["cost_usd"]
    return None if cost is None else Decimal(str(cost))


def faults(row: Row, lines: list[LLMCall], received: bytes) -> list[Any]:
    """What is wrong with the lines of an exchange; nothing is right."""
    where = (row["id"], row["provider_guess"], row["api_flavor"])
    wanted = EXCEPTIONS.get(row["id"], reported_usage(row))
    found = []
    if row["method"] == "GET":  # a line only where it tells what an earlier request used
        if len(lines) > (1 if wanted else 0):
            found.append((*where, "lines", len(lines)))
    elif len(lines) != (0 if row["api_flavor"] == "count_tokens" else 1):
        found.append((*where, "lines", len(lines)))
    for line in lines:
        if wanted != told(line.usage):
            found.append((*where, "usage", wanted, told(line.usage), line.usage.flags))
        if reported_usd(row) != line.reported_usd:
            found.append((*where, "reported", reported_usd(row), line.reported_usd))
        if not line.usage.known and not (line.cost and line.cost.reason):
            found.append((*where, "no reason"))
        if line.cost and line.cost.status is Status.UNPRICED and not line.cost.reason:
            found.append((*where, "unpriced without a reason"))
    if received not in (body_of(row), wire_body_of(row)[0]):
        found.append((*where, "the client received other bytes"))
    return found


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_every_exchange_gives_the_providers_totals(corpus_exchanges: list[Row], mode: Mode) -> None:
    """One line per inference, with the totals and the cost that the provider told; none for token counting; a line
    without usage says why; the client receives every byte."""
    found: list[Any] = []
    Replay(mode).run(corpus_exchanges, lambda *exchange: found.extend(faults(*exchange)))
    assert [] == found


def test_every_seller_on_the_internet_is_known_by_name(corpus_exchanges: list[Row]) -> None:
    """Only servers of one's own are their own sellers."""
    unknown = set()
    for row in corpus_exchanges:
        url = urlsplit(row["url"])
        endpoint = Endpoints({}).find(url.hostname or "", None, url.path)
        if endpoint and not endpoint.known_host and url.hostname not in ("localhost", "127.0.0.1"):
            unknown.add(url.hostname)
    assert set() == unknown


def test_polls_tell_the_usage_of_the_call_they_ask_for(corpus_exchanges: list[Row]) -> None:
    """A GET of a finished background response or run gives its usage, its id and its times; of an unfinished one
    nothing; and what the creating POST and the GET tell is one id."""
    seen: dict[str, bool] = {}
    for row in corpus_exchanges:
        url = urlsplit(row["url"])
        endpoint = Endpoints({}).find(url.hostname or "", None, url.path, row["method"])
        if row["method"] != "GET":
            continue
        assert endpoint is not None, row["url"]
        exchange = Exchange(endpoint.wire_format, endpoint.provider)
        exchange.respond(row["status"], row["response_headers"], decoded=True)
        exchange.feed(body_of(row))
        reading = exchange.end()
        wanted = reported_usage(row)
        assert wanted == told(reading.usage), row["id"]
        assert (wanted is not None) == reading.tells_deferred_call, row["id"]
        if reading.tells_deferred_call:
            assert reading.response_id in row["url"]
            assert reading.started_ns < reading.ended_ns
        seen[row["api_flavor"]] = seen.get(row["api_flavor"], False) or wanted is not None
    assert {"openai_responses_retrieve", "openai_assistants_run"} <= {flavor for flavor, any_ in seen.items() if any_}
