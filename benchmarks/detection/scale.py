"""How long detection takes at many series, on synthetic memory of five weeks and the minutes of the last hour."""

import tempfile
import time
from collections.abc import Callable
from datetime import timedelta

from detection import replay
from detection.workloads import START
from otel_llmcost.detection import run
from otel_llmcost.exporters.clickhouse.client import Ledger

NOW = START + timedelta(days=42, hours=10, minutes=30)
DAYS = 37

# A tenth of the series are busy every minute, the others every few minutes.
MEMORY = """
INSERT INTO {{database}}.series_hour (series_kind, series_key, hour, calls, errors, retries, cost_usd, max_call_usd,
    sq1, sq5, quarters_usd, input_tokens, output_tokens, cache_read_tokens)
SELECT if(n = 0, 'total', if(n % 2, 'user', 'feature')), if(n = 0, '', concat('s', toString(n))),
    toDateTime({start}, 'UTC') + h * 3600, calls, 0, 0, usd, 0.02, usd * usd / 58, usd * usd / 11.9,
    [usd / 4, usd / 4, usd / 4, usd / 4], calls * 2000, calls * 200, calls * 500
FROM
(
    SELECT number % {series} AS n, intDiv(number, {series}) AS h,
        (5 + n % 100 * if(n % 10 = 0, 20, 1)) * (0.9 + rand(1) % 200 / 1000) AS around,
        toUInt64(around) AS calls,
        calls * 0.006 AS usd
    FROM numbers({rows})
)
"""
MINUTES = """
INSERT INTO {{database}}.series_rows
SELECT if(n = 0, 'total', if(n % 2, 'user', 'feature')), if(n = 0, '', concat('s', toString(n))),
    toDateTime({start}, 'UTC') + m * 60, calls, 0, 0, calls * 0.006, 0.02, calls * 2000, calls * 200, calls * 500
FROM
(
    SELECT number % {series} AS n, intDiv(number, {series}) AS m,
        -- one of them triples two minutes before the end
        (5 + n % 100 * if(n % 10 = 0, 20, 1)) / 60 AS around,
        toUInt64(around * if(n = 90 AND m >= 118, 3, 1) + rand(1) % 1000 / 1000) AS calls
    FROM numbers({rows})
)
WHERE calls > 0
"""


def main(series: int) -> None:
    """Print seconds, on the clock and of CPU, of each step."""
    with tempfile.TemporaryDirectory() as folder, Ledger.open(f"chdb://{folder}", read_only=False) as ledger:
        replay.prepare(ledger)
        replay.take_series(ledger)
        ledger.client.command("SET max_threads = 2")
        hour = run._floor(NOW, run.HOUR)
        begin = int((hour - timedelta(days=DAYS)).timestamp())
        ledger.execute(MEMORY.format(series=series, start=begin, rows=series * DAYS * 24))
        ledger.execute(
            MINUTES.format(series=series, start=int((NOW - timedelta(minutes=120)).timestamp()), rows=series * 120)
        )
        print(f"{series} series: seconds on the clock, seconds of CPU")
        _timed("an hour remembered", lambda: run.remember(ledger, hour - run.HOUR, hour))
        _timed("two hours expected", lambda: run.expect(ledger, hour - 2 * run.HOUR, hour + 2 * run.HOUR))
        _timed("an hour judged (shifts, drift)", lambda: run.judge_hours(ledger, hour - run.HOUR, hour))
        for minutes in (1, 15, 15, 15):
            _timed(f"{minutes} minutes judged", lambda m=minutes: run.judge(ledger, NOW - m * run.MINUTE, NOW))  # type: ignore[misc]
        for name in ("spend", "measures", "newcomers", "conversations"):
            _timed(f"  of these: {name}", lambda n=name: run._run(ledger, n, NOW - 15 * run.MINUTE, NOW, closed=NOW))  # type: ignore[misc]
        _timed("anomalies listed", lambda: ledger.query("SELECT count() FROM anomalies"))
        print("the series that tripled:", ledger.query("SELECT series_key, started_at FROM anomalies").rows)


def _timed(what: str, step: Callable[[], object]) -> None:
    clock, cpu = time.perf_counter(), time.process_time()
    step()
    print(f"{what:32} {time.perf_counter() - clock:6.2f} {time.process_time() - cpu:6.2f}", flush=True)
