"""Our cost beside the one that the provider itself states, for every recorded exchange that states one.

Each difference is put down to a cause, and a cause counts only where the numbers prove it. `docs/prices.md` has the
table; it must say what is found here.
"""

import re
from collections import Counter
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from corpus.replaying import Mode, Replay, Row, body_of
from otel_llmcost.call import Amounts, Bucket, Cost, LLMCall, Status
from otel_llmcost.pricing import PriceBook, price_call

BOOK = PriceBook.bundled()
DOCUMENT = Path(__file__).parents[2] / "docs" / "prices.md"
EQUAL, UNPRICED = "equal", "no price"


@dataclass(frozen=True)
class Stated:
    """What a provider says that a call cost, and of what."""

    usd: Decimal
    upstream_usd: Decimal
    brings_own_key: bool

    @classmethod
    def of(cls, row: Row) -> "Stated":
        usage: dict[str, Any] = row["expected"].get("raw_usage") or {}
        details = usage.get("cost_details") or {}
        parts = [value for name, value in details.items() if name != "upstream_inference_cost" and value]
        upstream = sum((Decimal(str(part)) for part in parts), Decimal(0))
        return cls(Decimal(str(row["expected"]["cost_usd"])), upstream, bool(usage.get("is_byok")))


def verdict(line: LLMCall, cost: Cost, stated: Stated) -> str:
    """Equal, without a price, or the cause of the difference that the numbers prove."""
    if cost.effective is None:
        assert cost.status is Status.UNPRICED
        return UNPRICED
    return EQUAL if cost.effective.total_usd == stated.usd else cause(line, cost.effective, stated)


def cause(line: LLMCall, ours: Amounts, stated: Stated) -> str:
    """Why the costs differ."""
    reasoning, output = line.usage.reasoning_tokens, line.usage.output_tokens
    if stated.brings_own_key:
        assert ours.total_usd == stated.upstream_usd
        return "own key: the gateway charges nothing, the maker does"
    if stated.usd == 0 and output:
        return "states 0 for a call that used tokens"
    if ours.total_usd == stated.upstream_usd:
        return "a fee of a plugin that the usage does not tell"
    if reasoning and (stated.usd - ours.total_usd) * output == ours.output_usd * reasoning:
        return "charges reasoning twice: inside the output and beside it"
    if Bucket.OUTPUT_IMAGE in line.usage.buckets:
        return "the row lacks the price of images, which are charged as text"
    assert stated.usd == stated.upstream_usd
    return "another rate: routed elsewhere, or older than the row's dates"


def recorded(row: Row, line: LLMCall) -> LLMCall:
    """The call at the time that its answer tells, where it tells one: the price of that day is the right one."""
    created = re.search(rb'"created(?:_at)?": ?(\d{10})', body_of(row))
    return replace(line, start_ns=int(created[1]) * 10**9) if created else line


@pytest.fixture(scope="module")
def found(corpus_exchanges: list[Row]) -> Counter[tuple[str, str]]:
    """Seller and verdict → exchanges."""
    counts: Counter[tuple[str, str]] = Counter()

    def check(row: Row, lines: list[LLMCall], _received: bytes) -> None:
        for line in lines:
            call = recorded(row, line)
            counts[line.provider.partition(":")[0], verdict(call, price_call(call, BOOK), Stated.of(row))] += 1

    stating = [row for row in corpus_exchanges if row["expected"]["cost_usd"] is not None]
    Replay(Mode("httpx", is_async=False, chunked=False)).run(stating, check)
    return counts


def test_what_we_price_is_what_the_provider_states_but_for_known_causes(found: Counter[tuple[str, str]]) -> None:
    """More than nine of ten that have a price at all."""
    priced = {key: count for key, count in found.items() if key[1] != UNPRICED}
    equal = sum(count for (_, said), count in priced.items() if said == EQUAL)
    assert 230 <= found.total()
    assert 0.89 < equal / sum(priced.values())


def test_the_document_says_what_is_found(found: Counter[tuple[str, str]]) -> None:
    """The table of `docs/prices.md`."""
    text = DOCUMENT.read_text(encoding="utf-8").partition("<!-- stated costs -->")[2].partition("<!-- end -->")[0]
    rows = re.findall(r"^\| (\S+) \| ([^|]+) \| (\d+) \|$", text, re.MULTILINE)
    assert dict(sorted(found.items())) == {(seller, said): int(count) for seller, said, count in sorted(rows)}
