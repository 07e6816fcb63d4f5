"""The ledger at size: bytes a call, inserts, every query of the dashboards, a month's chargeback.

    python benchmarks/ledger.py                                   1 million calls over 90 days, in a temporary directory
    python benchmarks/ledger.py --calls 100000000 --directory /data/ledger
    python benchmarks/ledger.py --calls 34444444 --days 31 …      a month of those: what the dashboards read, in a third
    python benchmarks/ledger.py --directory /data/ledger --reuse  questions only, to a ledger that is there

Calls are made by the engine itself (generated_calls.sql), one day at a time, with a second version of one in 25 (of
those, one in 40 with a clock an hour off) and shadows as the writer makes them. All hours are settled but the last two
and the day they lie in, as in a ledger that is written to all the time. It needs about 90 bytes of free disk a call,
twice that while parts are merged, and refuses to begin with less than 250.
"""

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import blake2b
from pathlib import Path
from typing import Any

from otel_llmcost.call import Amounts, Bucket, Cost, LLMCall, Source, Status, Usage
from otel_llmcost.exporters.clickhouse.client import Ledger
from otel_llmcost.exporters.clickhouse.migrations import prepare
from otel_llmcost.exporters.clickhouse.settling import settle
from otel_llmcost.exporters.clickhouse.shadows import INSERT_SHADOWS
from otel_llmcost.exporters.clickhouse.writer import ClickHouseSink

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests" / "grafana"))

FREE_BYTES_A_CALL = 250
GENERATED = (HERE / "generated_calls.sql").read_text("utf-8")
# Blocks of a million rows, and versions collapse when they are merged, as from a writer.
INSERTING = (
    "SETTINGS optimize_on_insert = 0, min_insert_block_size_rows = 1000000, min_insert_block_size_bytes = 0,"
    " max_insert_threads = 2"
)
DUPLICATES = """
* REPLACE (
    version - bitShiftLeft(toUInt64(1), 50) AS version,
    ts + toIntervalMillisecond(if(sipHash64(call_id, 1) % 40 = 0, 3500000, 40)) AS ts
)
"""


def generate(ledger: Ledger, calls: int, days: int, end: datetime) -> None:
    """Fill the ledger with about `calls` calls in the days before `end`."""
    rows = calls // days
    begin = time.monotonic()
    for number in range(days):
        day = (end - timedelta(days=days - 1 - number)).replace(hour=0, minute=0, second=0, microsecond=0)
        select = _filled(rows=rows, first=number * rows, day_s=int(day.timestamp()))
        until = f"WHERE ts < fromUnixTimestamp64Nano(toInt64({int(end.timestamp())}) * 1000000000)"
        names = _names(ledger, select)
        for columns, condition in (("*", until), (DUPLICATES, f"{until} AND sipHash64(call_id, 0) % 25 = 0")):
            into = f"INSERT INTO {{database}}.call_versions ({names})"
            ledger.execute(f"{into} SELECT {columns} FROM ({select}) {condition} {INSERTING}")  # noqa: S608
        ledger.execute(INSERT_SHADOWS, {"days": [day.date()], "later_days": []})
        if number % 10 == 9:
            settle(ledger, grace_s=0)
        if number % 10 == 9 or rows > 500_000:
            print(f"  {number + 1} days, {(number + 1) * rows / (time.monotonic() - begin):,.0f} calls/s", flush=True)
    ledger.execute("OPTIMIZE TABLE {database}.call_versions")
    settle(ledger, grace_s=0)


def _filled(**values: int) -> str:
    text = GENERATED
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", str(value))
    return text


def _names(ledger: Ledger, select: str) -> str:
    return ", ".join(ledger.query(f"SELECT * FROM ({select}) LIMIT 1").columns)  # noqa: S608 - our own text


def make_live(ledger: Ledger, end: datetime) -> None:
    """The state of a ledger that is written to: the last two hours, and so their day, are live."""
    for hours in (0, 1):
        hour = int((end - timedelta(hours=hours)).timestamp())
        ledger.execute(
            "INSERT INTO {database}.touched_hours (day, hour) SELECT"
            f" toDate32(toDateTime({hour}), 'UTC'), toStartOfHour(toDateTime({hour}, 'UTC'), 'UTC')"
        )


def wait_for_merges(ledger: Ledger, timeout_s: float = 3600) -> None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline and ledger.query("SELECT count() FROM system.merges").rows[0][0]:
        time.sleep(2)


def report_bytes(ledger: Ledger) -> None:
    """Bytes by table, and of call_versions by column."""
    calls = ledger.query("SELECT count() FROM call_versions WHERE shadow = 0").rows[0][0]
    print(f"\n{calls:,} stored versions")
    rows = ledger.query(
        "SELECT table, sum(rows), sum(bytes_on_disk), count() FROM system.parts"
        " WHERE active AND database = currentDatabase() GROUP BY table ORDER BY 3 DESC"
    ).rows
    for table, count, size, parts in rows:
        print(f"  {table:<24}{count:>14,} rows {size / 1e6:>10,.1f} MB {size / calls:>8.2f} B a call {parts:>5} parts")
    print("  call_versions, bytes a call by column:")
    columns = ledger.query(
        "SELECT name, sum(data_compressed_bytes) AS size FROM system.columns WHERE table = 'call_versions'"
        " AND database = currentDatabase() GROUP BY name HAVING size > 0 ORDER BY size DESC"
    ).rows
    print("   ", ", ".join(f"{name} {size / calls:.2f}" for name, size in columns if size / calls >= 0.005))


def percentiles(ask: Callable[[], Any], times: int) -> tuple[float, float, float]:
    """p50 and p95 in ms, and p50 of the CPU time: that of all cores, which others on the machine do not change."""
    ask()
    took, worked = [], []
    for _ in range(times):
        begin, cpu = time.perf_counter(), time.process_time()
        ask()
        took.append((time.perf_counter() - begin) * 1000)
        worked.append((time.process_time() - cpu) * 1000)
    return statistics.median(took), sorted(took)[min(len(took) - 1, round(0.95 * len(took)))], statistics.median(worked)


def panels() -> Iterator[tuple[str, str]]:
    """Name and SQL of every panel, list of values and alert, with Grafana's macros in them."""
    import json

    import yaml

    grafana = HERE.parent / "grafana"
    listed = set()
    for file in sorted((grafana / "dashboards").glob("*.json")):
        dashboard = json.loads(file.read_text("utf-8"))
        for panel in dashboard["panels"]:
            if sql := panel["targets"][0].get("rawSql"):  # others show the result of one of these
                yield f"{file.stem}: {panel['title']}", sql
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query" and variable["name"] not in listed:
                listed.add(variable["name"])
                yield f"list of {variable['name']}", variable["query"]["rawSql"]
    for file in sorted((grafana / "provisioning" / "alerting").glob("*.yaml")):
        for group in yaml.safe_load(file.read_text("utf-8")).get("groups", ()):
            for rule in group["rules"]:
                yield f"alert {rule['uid']}", rule["data"][0]["model"]["rawSql"]


# Range, seconds of a bar as Grafana chooses them for 168 points, and what is chosen.
VIEWS = {
    "an hour": (timedelta(hours=1), 20, {}),
    "a day": (timedelta(days=1), 600, {}),
    "a week": (timedelta(days=7), 3_600, {}),
    "30 days": (timedelta(days=30), 14_400, {}),
    "30 days, a team": (timedelta(days=30), 14_400, {"team": ["team-7"]}),
    "30 days, a customer": (timedelta(days=30), 14_400, {"customer": ["customer-12"]}),
}


def report_queries(ledger: Ledger, end: datetime, times: int) -> None:
    """Every query of the dashboards over each view."""
    from grafana_boards import BOARDS, opened
    from grafana_macros import View, expand

    everything = {}
    for board in BOARDS:
        everything |= opened(board, end, timedelta(days=1), ledger).variables
    print(f"\nqueries, ms, p50 / p95 of {times} (CPU p50); the first time is not counted")
    worst: dict[str, float] = {}
    for view_name, (length, interval_s, chosen) in VIEWS.items():
        print(f"  {view_name}")
        view = View(end - length, end, interval_s, everything | chosen)
        for name, macros in panels():
            is_alert = name.startswith("alert")
            if is_alert and view_name != "a day":
                continue
            sql = expand(macros, replace(view, start=end - timedelta(days=14)) if is_alert else view)
            p50, p95, cpu = percentiles(lambda sql=sql: ledger.query(sql), times)
            worst[name] = max(worst.get(name, 0), p95)
            print(
                f"    {name:<44}{p50:>9.0f} /{p95:>7.0f} ({cpu:>6.0f}){'   over 300' if p95 > 300 else ''}", flush=True
            )
    over = {name: round(ms) for name, ms in worst.items() if ms > 300}
    print(f"  over 300 ms: {over or 'none'}")


CHARGEBACK = """
SELECT team, model, sum(calls) AS calls, sum(cost_usd) AS cost_usd FROM chargeback
WHERE day >= '{first}' AND day < '{last}' GROUP BY team, model ORDER BY team, model
"""
RAW_CHARGEBACK = """
SELECT team, model, count() AS calls, sum(cost_usd) AS cost_usd FROM calls
WHERE ts >= '{first} 00:00:00' AND ts < '{last} 00:00:00' GROUP BY team, model ORDER BY team, model
"""


def report_chargeback(ledger: Ledger, end: datetime, times: int) -> None:
    """A month by team and model, against the lines themselves."""
    last = end + timedelta(days=1)
    dates = {"first": f"{end - timedelta(days=29):%Y-%m-%d}", "last": f"{last:%Y-%m-%d}"}
    sql = CHARGEBACK.format(**dates)
    rolled = ledger.query(sql).rows
    p50, p95, cpu = percentiles(lambda: ledger.query(sql), times)
    begin = time.monotonic()
    raw = ledger.query(RAW_CHARGEBACK.format(**dates)).rows
    took_s = time.monotonic() - begin
    calls = sum(row[2] for row in raw)
    print(f"\nchargeback of 30 days by team and model, {len(rolled)} rows of {calls:,} calls:")
    print(f"  {p50:.0f} / {p95:.0f} ms ({cpu:.0f} CPU); straight from the calls {took_s:.1f} s;", end=" ")
    print("equal to the last digit" if rolled == raw else "NOT EQUAL")


def report_inserts(ledger: Ledger, rows: int = 1_000_000, chunk: int = 100_000) -> None:
    """Calls a second into a ledger of their own: blocks of columns, records of the writer, and rows of the client."""
    select = _filled(rows=chunk, first=10**9, day_s=1_700_000_000 // 86_400 * 86_400)
    names = _names(ledger, select).split(", ")
    parts = [select.replace("+ 1000000000 AS n", f"+ {10**9 + n * chunk} AS n") for n in range(rows // chunk)]
    blocks = [ledger.client.raw_query(f"SELECT {', '.join(names)} FROM ({part})", fmt="Native") for part in parts]  # noqa: S608
    few = [ledger.client.query(f"SELECT {', '.join(names)} FROM ({part})").result_rows for part in parts[:2]]  # noqa: S608
    print(f"\ninserts in blocks of {chunk:,}, into the same table")
    _timed("blocks of columns", rows, lambda: [ledger.insert("call_versions", names, one, "Native") for one in blocks])
    sink = ClickHouseSink(f"chdb://{ledger.url.path}")
    calls = [[_call(n + at) for at in range(chunk)] for n in range(0, 2 * chunk, chunk)]
    _timed("LLMCall records, our writer", 2 * chunk, lambda: [sink.write(batch) for batch in calls])
    sink.close()
    client, table = ledger.client, f"`{ledger.url.database}`.call_versions"
    _timed(
        "ready rows, plain clickhouse-connect",
        2 * chunk,
        lambda: [client.insert(table, batch, names, settings={"async_insert": 0}) for batch in few],
    )


def _timed(name: str, rows: int, do: Callable[[], Any]) -> None:
    begin, cpu = time.monotonic(), time.process_time()
    do()
    took_s, cpu_s = time.monotonic() - begin, time.process_time() - cpu
    print(f"  {name:<40}{rows / took_s:>10,.0f} calls/s{cpu_s / rows * 1e6:>8.1f} µs CPU a call", flush=True)


def _call(number: int) -> LLMCall:
    """A line as a pipeline makes it."""
    start_ns = 1_764_590_400_000_000_000 + number * 1_000_000
    usage = Usage(buckets={Bucket.INPUT: number % 9_000, Bucket.CACHE_READ: 512, Bucket.OUTPUT: number % 700})
    amounts = Amounts(Decimal(number % 9_000) / 400_000, Decimal(number % 700) / 100_000, Decimal("0.00064"))
    return LLMCall(
        call_id=blake2b(number.to_bytes(8, "big"), digest_size=16).digest(),
        trace_id=(number // 3).to_bytes(16, "big"),
        span_id=number.to_bytes(8, "big"),
        source=Source.WIRE,
        emitter="otel_llmcost.httpx",
        service=f"service-{number % 120}",
        environment="production",
        start_ns=start_ns,
        end_ns=start_ns + 1_250_000_000,
        provider="openai",
        model=f"model-{number % 40}",
        response_id=f"chatcmpl-{number:024x}",
        http_status=200,
        tags={"team": f"team-{number % 30}", "feature": f"feature-{number % 80}", "region": "eu"},
        usage=usage,
        cost=Cost(Status.EXACT, list=amounts, effective=amounts, price_id="openai/model", price_book="2026.11.1"),
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run all of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=90, help="days that the calls are spread over")
    parser.add_argument("--directory", type=Path, help="kept afterwards; a temporary one is not")
    parser.add_argument("--reuse", action="store_true", help="generate nothing")
    parser.add_argument("--times", type=int, default=9, help="how often a query is asked")
    parser.add_argument("--skip-inserts", action="store_true")
    options = parser.parse_args(arguments)
    directory = options.directory or Path(tempfile.mkdtemp(prefix="llmcost-ledger-"))
    free = shutil.disk_usage(directory.parent).free
    if not options.reuse and free < options.calls * FREE_BYTES_A_CALL:
        needed = options.calls * FREE_BYTES_A_CALL
        raise SystemExit(f"{directory}: {free / 1e9:.0f} GB free, {needed / 1e9:.0f} GB needed")
    try:
        run(directory, options)
    finally:
        if options.directory is None:
            shutil.rmtree(directory, ignore_errors=True)


def run(directory: Path, options: argparse.Namespace) -> None:
    with Ledger.open(f"chdb://{directory}", read_only=False) as ledger:
        prepare(ledger)
        if not options.skip_inserts and not options.reuse:
            report_inserts(ledger)
            ledger.execute("TRUNCATE TABLE {database}.call_versions")
            ledger.execute("TRUNCATE TABLE {database}.touched_hours")
        if options.reuse:
            end = ledger.query("SELECT max(ts) FROM call_versions WHERE shadow = 0").rows[0][0].replace(tzinfo=UTC)
        else:
            end = datetime.now(UTC).replace(microsecond=0)
            print(f"\n{options.calls:,} calls until {end:%Y-%m-%d %H:%M} UTC", flush=True)
            generate(ledger, options.calls, options.days, end)
        wait_for_merges(ledger)
        report_bytes(ledger)
        settle(ledger, grace_s=0)
        make_live(ledger, end)
        report_chargeback(ledger, end, options.times)
        report_queries(ledger, end, options.times)


if __name__ == "__main__":
    main()
