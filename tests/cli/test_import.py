"""`otel-llmcost import`: files → ledger, once and only once."""

import csv
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from genai_prices import Usage as GenaiUsage
from genai_prices import calc_price

from otel_llmcost.cli import main
from otel_llmcost.exporters.clickhouse.client import Ledger

ROWS = [
    {"when": "2026-11-01T10:00:00Z", "in": 1000, "cached": 400, "out": 50, "model": "gpt-4o", "who": "acme"},
    {"when": "2026-11-01T10:00:01Z", "in": 10, "cached": 0, "out": 5, "model": "gpt-4o-mini", "who": "globex"},
    {"when": "2026-11-01T10:00:01Z", "in": 10, "cached": 0, "out": 5, "model": "gpt-4o-mini", "who": "globex"},
]
MAP = "ts=when,input_tokens=in,cache_read_tokens=cached,output_tokens=out,model=model,customer=who"


@pytest.fixture
def ledger(tmp_path) -> str:
    return f"chdb://{tmp_path / 'ledger'}"


def query(ledger: str, sql: str) -> list[tuple]:
    with Ledger.open(ledger, read_only=True) as found:
        return [tuple(row) for row in found.query(sql).rows]


def write_csv(path: Path, rows: list[dict]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_jsonl(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_parquet(path: Path, rows: list[dict]) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def load(file: Path, ledger: str, *options: str, mapping: str = MAP) -> int:
    return main(["import", str(file), "--map", mapping, "--set", "provider=openai", "--ledger", ledger, *options])


@pytest.mark.parametrize("write", [write_csv, write_jsonl, write_parquet])
def test_every_format_gives_the_same_lines(tmp_path, ledger, write) -> None:
    """600 at 2.50, 400 at 1.25 and 50 at 10 per million, and twice the small one: two equal rows are two calls."""
    assert 0 == load(write(tmp_path / "usage", ROWS), ledger, "--set", "team=cx")
    expected = [
        ("acme", "cx", 1, 1000, 400, 50, Decimal("0.0025"), "import"),
        ("globex", "cx", 2, 20, 0, 10, Decimal("0.000009"), "import"),
    ]
    sums = "count(), sum(input_tokens), sum(cache_read_tokens), sum(output_tokens), sum(cost_usd), any(source)"
    assert expected == query(ledger, f"SELECT customer, team, {sums} FROM llmcost.calls GROUP BY 1, 2 ORDER BY 1")


def test_importing_again_renamed_or_with_rows_appended_counts_nothing_twice(tmp_path, ledger) -> None:
    """A row is known by what it says and by which of its equals it is."""
    load(write_csv(tmp_path / "a.csv", ROWS), ledger)
    load(write_csv(tmp_path / "a.csv", ROWS), ledger)
    load(write_csv(tmp_path / "b.csv", [*ROWS, {**ROWS[0], "who": "initech"}]), ledger)
    assert [(4,)] == query(ledger, "SELECT count() FROM llmcost.calls")


def test_an_id_column_identifies_the_call_even_where_another_column_was_corrected(tmp_path, ledger) -> None:
    """The provider's response id, or any id that is unique."""
    rows = [{**row, "id": f"chatcmpl-{number}"} for number, row in enumerate(ROWS)]
    load(write_csv(tmp_path / "a.csv", rows), ledger, mapping=f"{MAP},response_id=id")
    rows[0]["who"] = "umbrella"
    load(write_csv(tmp_path / "a.csv", rows), ledger, mapping=f"{MAP},response_id=id")
    assert [(3, 3)] == query(ledger, "SELECT count(), uniqExact(response_id) FROM llmcost.calls")


def test_importing_with_a_corrected_mapping_replaces_every_line(tmp_path, ledger, monkeypatch) -> None:
    """Never a mix of old and new: the later import counts, as a whole, cheaper or dearer."""
    rows = [{**ROWS[0], "in": 1000 + number} for number in range(50)]
    file = write_csv(tmp_path / "usage.csv", rows)
    found = []
    for hour, cache in enumerate(("inside", "outside", "inside")):
        monkeypatch.setattr("otel_llmcost.cli.import_usage.time", lambda hour=hour: 1_800_000_000 + hour * 3600)
        load(file, ledger, "--cache", cache)
        found += query(ledger, "SELECT count(), sum(input_tokens), uniqExact(usage_rule) FROM llmcost.calls")
    total = sum(row["in"] for row in rows)
    assert [(50, total, 1), (50, total + 50 * 400, 1), (50, total, 1)] == found


def test_a_row_that_cannot_be_read_is_told_with_its_line_and_the_rest_goes_in(tmp_path, ledger, capsys) -> None:
    """Exit code 3; no content in the message."""
    file = tmp_path / "usage.csv"
    file.write_text(
        "when,in,cached,out,model,who\n"
        "2026-11-01T10:00:00Z,10,0,5,gpt-4o,acme\n"
        "2026-11-01T10:00:00Z,-3,0,5,gpt-4o,acme\n"
        "yesterday,10,0,5,gpt-4o,acme\n"
        "2026-11-01T10:00:02Z,ten secret words,0,5,gpt-4o,acme\n"
        "2026-11-01T10:00:03Z,11,0,5,gpt-4o,acme\n"
    )
    assert 3 == load(file, ledger)
    err = capsys.readouterr().err
    assert [True] * 3 == [f"line {line}: " in err for line in (3, 4, 5)]
    assert "secret" not in err
    assert [(2, 21)] == query(ledger, "SELECT count(), sum(input_tokens) FROM llmcost.calls")


def test_strict_stops_at_the_first_such_row(tmp_path, ledger, capsys) -> None:
    """And says what is in the ledger."""
    file = write_csv(tmp_path / "usage.csv", [ROWS[0], {**ROWS[1], "in": "x"}, ROWS[2]])
    assert 3 == load(file, ledger, "--strict")
    assert "line 3" in (err := capsys.readouterr().err)
    assert "0 rows before it are in the ledger" in err


def test_contradictions_go_in_flagged_and_the_dearer_way(tmp_path, ledger) -> None:
    """More cached tokens than input tokens."""
    load(write_csv(tmp_path / "usage.csv", [{**ROWS[0], "in": 100}]), ledger)
    expected = [(500, ["input: parts 400 exceed total 100"], "exact")]
    assert expected == query(ledger, "SELECT input_tokens, usage_flags, status FROM llmcost.calls")


def test_cached_tokens_beside_the_input_are_added(tmp_path, ledger) -> None:
    """As Anthropic counts."""
    load(write_csv(tmp_path / "usage.csv", ROWS[:1]), ledger, "--cache", "outside")
    assert [(1400, 400)] == query(ledger, "SELECT input_tokens, cache_read_tokens FROM llmcost.calls")


def test_an_unknown_model_is_unpriced_and_listed(tmp_path, ledger, capsys) -> None:
    """NULL, never 0."""
    load(write_csv(tmp_path / "usage.csv", [{**ROWS[0], "model": "nobody-knows"}]), ledger)
    assert "unknown_model:nobody-knows" in capsys.readouterr().out
    assert [(None, "unpriced")] == query(ledger, "SELECT cost_usd, status FROM llmcost.calls")


@pytest.mark.parametrize(
    ("options", "mapping", "says"),
    [
        ((), MAP.replace("in,", "inn,"), "'in'"),
        ((), MAP.replace("ts=", "tss="), "'ts'"),
        ((), MAP.replace("ts=when,", ""), "ts"),
        ((), MAP.replace("model=model,", ""), "model"),
        (("--timezone", "Mars/Olympus"), MAP, "Mars/Olympus"),
        (("--set", "team"), MAP, "team"),
    ],
)
def test_a_wrong_mapping_is_told_before_anything_is_written(tmp_path, ledger, capsys, options, mapping, says) -> None:
    """Exit code 2, with the nearest right name or what to add."""
    assert 2 == load(write_csv(tmp_path / "usage.csv", ROWS), ledger, *options, mapping=mapping)
    assert says in capsys.readouterr().err
    assert not (tmp_path / "ledger").exists()


@pytest.fixture
def azure_rows(corpus_folder) -> Iterator[list[dict[str, str]]]:
    with (corpus_folder / "traces" / "azure_conv.csv").open(newline="") as file:
        yield list(csv.DictReader(file))


def test_an_hour_of_real_requests_costs_what_an_independent_sum_says(azure_rows, corpus_folder, ledger) -> None:
    """19,366 requests as gpt-4o on Azure, row by row from genai-prices; importing them again changes nothing."""
    at = datetime(2023, 11, 16, 18, 30, tzinfo=UTC)
    million = GenaiUsage(input_tokens=1_000_000, output_tokens=1_000_000)
    price = calc_price(million, "gpt-4o", provider_id="azure", genai_request_timestamp=at)
    quantum = Decimal("1e-12")
    expected = sum(
        (price.input_price * int(row["ContextTokens"]) / 1_000_000).quantize(quantum, ROUND_HALF_EVEN)
        + (price.output_price * int(row["GeneratedTokens"]) / 1_000_000).quantize(quantum, ROUND_HALF_EVEN)
        for row in azure_rows
    )
    command = [
        "import",
        str(corpus_folder / "traces" / "azure_conv.csv"),
        "--map=ts=TIMESTAMP,input_tokens=ContextTokens,output_tokens=GeneratedTokens",
        "--set=provider=azure.ai.openai",
        "--set=model=gpt-4o",
        f"--ledger={ledger}",
    ]
    for _ in range(2):
        assert 0 == main(command)
        found = query(ledger, "SELECT count(), sum(cost_usd), toString(min(ts)) FROM llmcost.calls")
        assert [(len(azure_rows), expected, min(row["TIMESTAMP"] for row in azure_rows) + "00")] == found
