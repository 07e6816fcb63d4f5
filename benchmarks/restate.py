"""Restating stored calls on the embedded engine: lines per second, and what it costs on disk.

    python benchmarks/restate.py [--lines 10000000] [--days 30] [--dir /tmp] [--keep]

Makes a ledger of that many lines (fifteen models of four sellers, token counts of a wide spread, four teams; bounded by
--max-gb of free disk), prices all of it by the list, then restates it under a contract of 12.5 % off, which changes
every line, and then does the same again, which changes none. At the end the ledger's total is compared with the sum of
`adjustments`. Run it alone: the engine takes every core. Needs otel-llmcost[local].
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from otel_llmcost.exporters.clickhouse.client import Ledger, LedgerUrl
from otel_llmcost.exporters.clickhouse.migrations import prepare
from otel_llmcost.pricing import PriceBook
from otel_llmcost.pricing.overlays.files import compile_entries, entries_of
from otel_llmcost.pricing.overlays.fx import Fx
from otel_llmcost.restating.run import Outcome, Restatement, dry_run
from otel_llmcost.restating.scope import Scope
from otel_llmcost.yaml_file import YamlFile

CONTRACT = "discounts: [{id: contract, from: 2025-01-01, percent_off: 12.5}]"
BYTES_A_LINE = 400
"""Disk that a line may take while old and new versions lie side by side, unmerged."""
BLOCK = 1_000_000

MODELS = (
    ("openai", ("gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-5")),
    ("anthropic", ("claude-sonnet-4-5", "claude-haiku-4-5", "claude-opus-4-5", "claude-3-5-sonnet-20241022")),
    ("gcp.gemini", ("gemini-2.5-pro", "gemini-2.5-flash", "gemini-2.0-flash", "gemini-2.5-flash-lite")),
    ("aws.bedrock", ("anthropic.claude-sonnet-4-5-20250929-v1:0", "amazon.nova-pro-v1:0", "amazon.nova-lite-v1:0")),
)
_PAIRS = ", ".join(f"('{provider}', '{model}')" for provider, models in MODELS for model in models)

FILL = f"""
INSERT INTO {{database}}.call_versions (
    call_id, version, ts, trace_id, span_id, source, emitter, service, environment, provider, host, model,
    requested_model, operation, response_id, outcome, http_status, attempt, service_tier, team, feature, customer, user,
    session, usage_known, usage_rule, buckets, input_tokens, cache_read_tokens, output_tokens, reasoning_tokens,
    duration_ms, status)
SELECT
    sipHash128(number) AS id, bitShiftLeft(toUInt64(11), 58) + bitAnd(sipHash64(number, 1), 67108863),
    toDateTime64('2026-10-01 00:00:00', 9, 'UTC') + toIntervalMillisecond(intDiv(number * {{ms}}, {{lines}})),
    sipHash128(number, 2), substring(sipHash128(number, 3), 1, 8), 'wire', 'otel_llmcost.httpx2',
    ['chat', 'search', 'agent'][number % 3 + 1], 'production', pair.1, 'api.example.test', pair.2, pair.2, 'chat',
    concat('chatcmpl-', lower(hex(sipHash128(number, 4)))), 'ok', 200, 1, 'default',
    ['cx', 'dev', 'ops', 'sales'][number % 4 + 1], ['summary', 'answer'][number % 2 + 1],
    concat('customer-', toString(sipHash64(number, 5) % 200)), concat('user-', toString(sipHash64(number, 6) % 5000)),
    concat('session-', toString(sipHash64(number, 7) % 100000)), 1, 'openai.chat',
    map('input', uncached, 'cache_read', cached, 'output', spoken, 'reasoning', thought),
    uncached + cached, cached, spoken + thought, thought, 300 + sipHash64(number, 12) % 9000, 'unpriced'
FROM (
    SELECT number, [{_PAIRS}][sipHash64(number, 13) % {sum(len(models) for _, models in MODELS)} + 1] AS pair,
        1 + sipHash64(number, 8) % 6000 AS uncached, 1 + sipHash64(number, 9) % 3000 AS cached,
        1 + sipHash64(number, 10) % 900 AS spoken, 1 + sipHash64(number, 11) % 300 AS thought
    FROM numbers({{start}}, {{count}})
)
SETTINGS max_partitions_per_insert_block = 0
"""  # noqa: S608 - our own names


def fill(ledger: Ledger, lines: int, days: int) -> None:
    """Lines without a price, in blocks."""
    for start in range(0, lines, BLOCK):
        values = {"{start}": start, "{count}": min(BLOCK, lines - start), "{lines}": lines, "{ms}": days * 86_400_000}
        statement = FILL
        for name, value in values.items():
            statement = statement.replace(name, str(value))
        ledger.execute(statement)


@contextmanager
def timed(what: str, lines: int) -> Iterator[None]:
    """Say how long a part took."""
    print(f"{what:<44}", end="", flush=True)
    began = time.perf_counter()
    yield
    took = time.perf_counter() - began
    print(f"{took:8.1f} s  {lines / took:10,.0f} lines/s", flush=True)


def restated(ledger: Ledger, what: str, book: PriceBook, lines: int) -> Outcome:
    with timed(what, lines):
        outcome = Restatement(ledger, Scope(), book, who="benchmark", why=what).restate()
    assert outcome.lines == lines, outcome
    return outcome


def show_disk(ledger: Ledger) -> None:
    rows = ledger.query(
        "SELECT table, sum(rows), sum(bytes_on_disk) FROM system.parts"
        " WHERE active AND database = 'llmcost' AND table IN ('call_versions', 'adjustments') GROUP BY table"
    ).rows
    for table, count, size in rows:
        print(f"  {table}: {count:,} rows, {size / 1e6:,.0f} MB, {size / count:.1f} bytes a row")


def check(ledger: Ledger) -> None:
    """The ledger's total is what the restatements made of nothing."""
    total = ledger.query("SELECT sum(cost_usd) FROM calls").rows[0][0]
    deltas = ledger.query("SELECT sum(delta_usd) FROM restated").rows[0][0]
    assert total == deltas, (total, deltas)
    print(f"ledger {total} USD = the sum of all adjustments")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=10_000_000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--dir", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--max-gb", type=float, default=20.0, help="disk that it may take")
    parser.add_argument("--keep", action="store_true", help="leave the ledger there")
    options = parser.parse_args()
    needed = options.lines * BYTES_A_LINE
    if needed > min(options.max_gb * 1e9, shutil.disk_usage(options.dir).free * 0.8):
        sys.exit(f"{options.lines:,} lines may take {needed / 1e9:.1f} GB: give fewer --lines, or more --max-gb")
    path = Path(tempfile.mkdtemp(prefix="llmcost-restate-", dir=options.dir))
    try:
        with Ledger.connect(LedgerUrl("chdb", path=str(path)), read_only=False) as ledger:
            measure(ledger, options.lines, options.days)
    finally:
        if not options.keep:
            shutil.rmtree(path)


def measure(ledger: Ledger, lines: int, days: int) -> None:
    contract = PriceBook.bundled(compile_entries(entries_of(YamlFile.parse(CONTRACT, "contract.yaml")), Fx({})))
    prepare(ledger)
    with timed("made", lines):
        fill(ledger, lines, days)
    restated(ledger, "priced by the list, all lines new", PriceBook.bundled(), lines)
    with timed("dry run of the contract", lines):
        dry_run(ledger, Scope(), contract)
    changed = restated(ledger, "restated by the contract, all lines change", contract, lines)
    restated(ledger, "the same again, no line changes", contract, lines)
    print(f"{changed.changed:,} of {lines:,} lines restated")
    show_disk(ledger)
    check(ledger)


if __name__ == "__main__":
    main()
