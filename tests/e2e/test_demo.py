"""The demo from end to end: real SDKs under opentelemetry-instrument, the ledger against the provider's own log."""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from demo.services import SERVICES, read_log, sdk_environment
from served_usage import COST_COLUMNS, buckets, costs, whole_cost
from support_app.app import ANSWERED, POLICY, WORKLOADS, schedule

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 180

Row = dict[str, Any]


@dataclass(frozen=True)
class Demo:
    """A finished run: what it printed, what the provider served and what the ledger holds."""

    directory: Path
    output: str
    served: list[Row]
    rows: list[Row]

    def pairs(self) -> Iterator[tuple[Row, Row]]:
        """Each served response that has an id, with its line."""
        lines = {row["response_id"]: row for row in self.rows}
        yield from ((entry, lines[entry["response_id"]]) for entry in self.served if entry["response_id"])

    def told(self) -> Iterator[tuple[Row, Row]]:
        """Those of which the client was told the usage."""
        yield from ((entry, row) for entry, row in self.pairs() if entry["sent_usage"])

    def untold(self) -> list[tuple[Row, Row]]:
        """Streams that broke off before anybody told the usage."""
        return [(entry, row) for entry, row in self.pairs() if not entry["sent_usage"]]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """`make demo`, in a directory of its own, and everything that its ledger says."""
    directory = tmp_path_factory.mktemp("demo")
    output = run("examples/demo/run.py", "--directory", str(directory))
    sql = "SELECT * FROM calls ORDER BY ts"
    rows = run("-m", "otel_llmcost.cli", "query", sql, "--format", "json", "--ledger", f"chdb://{directory}/ledger")
    return Demo(directory, output, read_log(directory / "served.jsonl"), json.loads(rows))


def run(*arguments: str) -> str:
    """Run Python as a user would; what it printed, or a failure that shows it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    command = [sys.executable, *arguments]
    done = subprocess.run(
        command,
        check=False,
        cwd=ROOT,
        env=environment | {"COLUMNS": "160"},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )
    assert 0 == done.returncode, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def started_at(row: Row) -> datetime:
    moment = datetime.fromisoformat(row["ts"])
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def amount(row: Row, column: str) -> Decimal | None:
    return None if row[column] is None else Decimal(row[column])


def estimated_cost(entry: Row, row: Row) -> Decimal:
    """What the counts on the line cost, worked out from the price list."""
    usage = {"prompt_tokens": row["buckets"]["input"], "completion_tokens": row["buckets"]["output"]}
    priced = costs(entry | {"sent_usage": usage}, started_at(row))
    assert priced is not None
    return sum(priced.values(), Decimal(0))


def test_one_line_per_request(demo: Demo) -> None:
    """The ledger has as many lines as the provider served requests, and the demo says so."""
    assert len(demo.served) == len(demo.rows)
    assert len(demo.rows) == len({row["call_id"] for row in demo.rows})
    assert f"{len(demo.rows)} lines in the ledger = {len(demo.served)} requests" in demo.output


def test_every_response_once(demo: Demo) -> None:
    """Each response id that the provider gave is on one line, and no other id is."""
    served = Counter(entry["response_id"] for entry in demo.served if entry["response_id"])

    assert served == Counter(row["response_id"] for row in demo.rows if row["response_id"])
    assert {1} == set(served.values())


def test_every_request_without_an_id_once(demo: Demo) -> None:
    """Embeddings and refused requests have no response id; of each kind there are as many lines as requests."""

    def kind(seller: str, record: Row) -> tuple[Any, ...]:
        return (seller, *(record[name] for name in ("requested_model", "http_status", "attempt")))

    served = Counter(kind(entry["seller"], entry) for entry in demo.served if not entry["response_id"])

    assert served == Counter(kind(row["provider"], row) for row in demo.rows if not row["response_id"])
    assert {200, 429, 500} == {status for _, _, status, _ in served}


def test_the_run_holds_what_the_demo_promises(demo: Demo) -> None:
    """All sellers, streams and bodies, retries, refusals, an abort, a cut stream, caching and reasoning occurred."""
    assert {"openai", "anthropic", "groq"} == {entry["seller"] for entry in demo.served}
    for seller in ("openai", "anthropic", "groq"):
        done = {entry["streaming"] for entry in demo.served if entry["seller"] == seller and entry["completed"]}
        assert {True, False} == done, seller
    assert {1, 2} <= {entry["attempt"] for entry in demo.served}
    cut = {(entry["seller"], entry["sent_usage"] is None) for entry in demo.served if not entry["completed"]}
    assert {("anthropic", False), ("groq", True)} == cut
    found = {name for entry in demo.served for name in buckets(entry)}
    assert {"input", "cache_read", "cache_write", "cache_write_1h", "output", "reasoning"} == found


def test_lines_say_what_was_served(demo: Demo) -> None:
    """Seller, models, attempt, status, streaming and tier of each line are those of the log."""
    fields = ("requested_model", "model", "attempt", "http_status", "streaming")

    def facts(seller: str, record: Row) -> dict[str, Any]:
        return {"seller": seller} | {name: record[name] for name in fields}

    for entry, row in demo.pairs():
        assert facts(entry["seller"], entry) == facts(row["provider"], row | {"streaming": bool(row["streaming"])})
        if entry["completed"]:
            assert entry["service_tier"] == row["service_tier"], entry


def test_buckets_are_those_served(demo: Demo) -> None:
    """Each line has the provider's counts, split into exclusive buckets."""
    expected = {entry["response_id"]: buckets(entry) for entry, _ in demo.told()}

    assert len(expected) > 250
    assert expected == {row["response_id"]: row["buckets"] for _, row in demo.told()}


def test_streams_that_told_nothing_are_estimated_and_priced_as_such(demo: Demo) -> None:
    """A lower bound: our own count of what was sent and seen, at the price list's rates, and marked."""
    assert demo.untold()
    for entry, row in demo.untold():
        assert row["usage_rule"].startswith("estimate:"), entry
        assert 0 < row["buckets"]["input"] <= 2 * entry["usage"]["prompt_tokens"]
        assert 0 < row["buckets"]["output"] <= 2 * entry["usage"]["completion_tokens"]
        assert estimated_cost(entry, row) == amount(row, "cost_usd")


def test_embeddings_are_those_served(demo: Demo) -> None:
    """Embeddings carry no id: their counts agree as a whole."""
    embeddings = [entry for entry in demo.served if entry["path"].endswith("/embeddings") and entry["usage"]]
    rows = [row for row in demo.rows if row["operation"] == "embeddings" and row["http_status"] == 200]

    assert embeddings
    assert sorted(entry["usage"]["prompt_tokens"] for entry in embeddings) == sorted(
        row["input_tokens"] for row in rows
    )
    assert {entry["model"] for entry in embeddings} == {row["model"] for row in rows}


def test_totals_are_the_sums_of_the_buckets(demo: Demo) -> None:
    """input_tokens holds the cached ones, output_tokens the reasoning."""
    for row in demo.rows:
        count = Counter(row["buckets"])
        written = count["cache_write"] + count["cache_write_1h"]
        assert row["input_tokens"] == count["input"] + count["cache_read"] + written
        assert row["output_tokens"] == count["output"] + count["reasoning"]
        assert row["reasoning_tokens"] == count["reasoning"]


def test_costs_to_the_last_digit(demo: Demo) -> None:
    """Each part of each line is what the price list says for what was served."""
    compared = 0
    for entry, row in demo.told():
        expected = costs(entry, started_at(row))
        found = {column: amount(row, column) for column in COST_COLUMNS}
        assert (expected or dict.fromkeys(COST_COLUMNS)) == found, entry
        assert (None if expected is None else sum(expected.values())) == amount(row, "cost_usd")
        assert amount(row, "cost_usd") == amount(row, "list_cost_usd")
        if expected is not None:
            assert whole_cost(entry, started_at(row)) == amount(row, "cost_usd")
            compared += 1
    assert compared > 100


def test_total_cost(demo: Demo) -> None:
    """The bill is what the served usage costs, refused requests at nothing, unknown ones left out."""
    day = started_at(demo.rows[0])
    priced = [costs(entry, day) for entry in demo.served if entry["sent_usage"]]
    expected = sum((sum(cost.values()) for cost in priced if cost), Decimal(0))
    expected += sum((estimated_cost(entry, row) for entry, row in demo.untold()), Decimal(0))

    assert expected == sum((amount(row, "cost_usd") or Decimal(0) for row in demo.rows), Decimal(0))
    assert expected > 0


def test_statuses(demo: Demo) -> None:
    """An abort is a lower bound, no price list is unpriced and says so, all else is exact."""
    for entry, row in demo.pairs():
        if costs(entry, started_at(row)) is None:
            is_tuned = row["requested_model"].startswith("ft:")
            expected = ("unpriced", "fine_tune_without_price" if is_tuned else "unknown_model")
        elif not entry["completed"]:
            expected = ("lower_bound", "aborted")
        else:
            expected = ("exact", "")
        assert expected == (row["status"], row["reason"].partition(":")[0]), entry
        assert ("ok" if entry["completed"] else "aborted") == row["outcome"], entry
    assert {"exact", "lower_bound", "unpriced"} == {row["status"] for row in demo.rows}


def test_refused_requests_cost_nothing(demo: Demo) -> None:
    """A 429 or a 500 is a line of its own: an error, billed at 0 and not at unknown."""
    refused = [row for row in demo.rows if row["http_status"] >= 400]

    assert refused
    for row in refused:
        expected = ("error", "exact", f"not_billed:http_{row['http_status']}", Decimal(0))
        assert expected == (row["outcome"], row["status"], row["reason"], amount(row, "cost_usd")), row


def test_who_pays(demo: Demo) -> None:
    """Team comes from the resource; feature and customer from the baggage of the work that made the call."""
    for service in SERVICES:
        rows = [row for row in demo.rows if row["service"] == service.name]
        assert {(service.team, "demo")} == {(row["team"], row["environment"]) for row in rows}
        # Every piece of work makes one call; its retries have higher attempt numbers.
        work = schedule(WORKLOADS[service.workload], service.calls)
        expected = Counter((task.feature, ticket.customer) for task, ticket in work)
        assert expected == Counter((row["feature"], row["customer"]) for row in rows if row["attempt"] == 1)
        assert set(expected) == {(row["feature"], row["customer"]) for row in rows}


def test_the_application_noticed_nothing(demo: Demo) -> None:
    """Each piece of work ended as the provider let it end: instrumentation changed no result and raised nothing."""
    failing = {"rank_cut_off": "RemoteProtocolError", "review": "InternalServerError"}
    for service in SERVICES:
        work = schedule(WORKLOADS[service.workload], service.calls)
        expected = Counter(failing.get(task.job.__name__, ANSWERED) for task, _ in work)
        # OpenTelemetry itself warns on the lines before where a second distribution is installed.
        output = (demo.directory / f"{service.name}.txt").read_text()
        line = output.splitlines()[-1].removeprefix(f"{service.workload}: ")
        assert "Traceback" not in output
        assert expected == Counter({name: int(count) for count, name in re.findall(r"(\d+) (\w+)", line)})


def test_no_content_and_no_key(demo: Demo) -> None:
    """No prompt, answer or API key is in any row, nor in any file under the ledger."""
    secrets = [value for name, value in sdk_environment("").items() if name.endswith("_KEY")]
    content = [POLICY[:40], "asks where order", "Ticket 1", "refund is on its way", "Rewrite as a search query"]
    text = json.dumps(demo.rows)

    assert 3 == len(secrets)
    assert [] == [needle for needle in (*secrets, *content) if needle in text]
    files = [path for path in (demo.directory / "ledger").rglob("*") if path.is_file()]
    assert files
    for path in files:
        held = path.read_bytes()
        assert [] == [needle for needle in (*secrets, *content) if needle.encode() in held], path
