"""`restate`, `whatif` and `prices missing`: what they print, refuse and leave alone."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from ledgers import CONTRACT, CONTRACTED, LIST, call_of, contents, ledger_total, priced, some_calls, total_of, write

from factories import SECOND_NS
from otel_llmcost.call import Bucket, Usage
from otel_llmcost.cli import main
from otel_llmcost.exporters.clickhouse.client import Ledger
from up_process import connect, running_up

Run = Callable[..., tuple[int, str, str]]
CALLS = some_calls(30)


@pytest.fixture(autouse=True)
def _no_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("OTEL_LLMCOST_", "CLICKHOUSE_"))]:
        monkeypatch.delenv(name)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A ledger with thirty lines at list price, a third of them without one."""
    found = f"chdb://{tmp_path / 'ledger'}"
    write(found, [priced(call) for call in CALLS])
    return found


@pytest.fixture
def contract(tmp_path: Path) -> str:
    """The price file of `CONTRACTED`."""
    path = tmp_path / "contract.yaml"
    path.write_text(CONTRACT)
    return str(path)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], url: str) -> Run:
    """Run a command on the ledger: exit code, output, errors."""

    def runs(*argv: str, ledger: str = url) -> tuple[int, str, str]:
        try:
            code = main([*argv, "--ledger", ledger])
        except SystemExit as exit_:
            code = int(str(exit_.code))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return runs


def total(url: str) -> Decimal:
    with Ledger.open(url) as ledger:
        return ledger_total(ledger)


def test_restate_prices_the_ledger_again(run: Run, url: str, contract: str) -> None:
    """
    The table has exact sums by seller and model; the same again says that nothing changed.
    """
    code, out, _ = run("restate", "--overlays", contract, "--yes", "--why", "contract", "--json")
    told = json.loads(out)
    again = json.loads(run("restate", "--overlays", contract, "--yes", "--json")[1])

    assert (0, 1, 30, 30) == (code, told["restatement"], told["lines"], told["changed"])
    assert total_of(CALLS, CONTRACTED) == total(url)
    deltas = sum(Decimal(row["delta_usd"]) for row in told["by_model"])
    assert total_of(CALLS, CONTRACTED) - total_of(CALLS, LIST) == deltas
    assert {"own": (10, 0)} == {
        row["model"]: (row["old_unpriced"], row["new_unpriced"])
        for row in told["by_model"]
        if row["provider"] == "vllm.internal"
    }
    assert (None, 0) == (again["restatement"], again["changed"])


def test_price_data_of_the_archive_is_a_book_without_price_files(run: Run, url: str, contract: str) -> None:
    """
    The contract's book is archived; the version of its data alone takes the contract back.
    """
    run("restate", "--overlays", contract, "--yes")

    code, out, _ = run("restate", "--book", LIST.data_version, "--yes", "--json")

    assert (0, LIST.version, 30) == (code, json.loads(out)["book"], json.loads(out)["changed"])
    assert total_of(CALLS, LIST) == total(url)


def test_the_table_names_what_to_do_next(run: Run, contract: str) -> None:
    """
    People get a total line, unpriced counts and the query that charges the difference back.
    """
    _, out, _ = run("restate", "--overlays", contract, "--yes")

    assert "total" in out
    assert f"restatement 1: 30 of 30 lines changed, priced with {CONTRACTED.version}" in out
    assert "sum(delta_usd) FROM restated WHERE restatement = 1" in out


def test_a_dry_run_leaves_the_ledger_as_it_is(run: Run, url: str, contract: str) -> None:
    """
    No table has a row more; a read-only connection does it.
    """
    with Ledger.open(url) as ledger:
        before = contents(ledger)
    code, out, _ = run("restate", "--overlays", contract, "--dry-run")
    with Ledger.open(url) as ledger:
        after = contents(ledger)

    assert (0, before) == (code, after)
    assert "30 of 30 lines would change" in out


def test_without_yes_nothing_happens_where_nobody_can_answer(run: Run, url: str) -> None:
    """
    A script that forgot --yes is told so.
    """
    code, _, err = run("restate")

    assert (2, total_of(CALLS, LIST)) == (code, total(url))
    assert "give --yes, or --dry-run" in err


@pytest.mark.parametrize(
    ("argv", "code", "hint"),
    [
        (["restate", "--yes", "--from", "yesterday"], 2, "--from 'yesterday': must be a day"),
        (["restate", "--yes", "--from", "2026-03-01T12:00"], 2, "must name its zone: 2026-03-01T12:00Z"),
        (["restate", "--yes", "--from", "9999-01-01"], 2, "from 1900 to 2261"),
        (["restate", "--yes", "--from", "2026-04", "--to", "2026-03"], 2, "must come before --to"),
        (["restate", "--yes", "--where", "taem=cx"], 2, "did you mean 'team'?"),
        (["restate", "--yes", "--why", "x" * 3_000], 2, "--why: at most 2000"),
        (["restate", "--yes", "--book", "genai-prices-0"], 3, "the ledger has no price book 'genai-prices-0', nor any"),
        (["restate", "--yes", "--overlays", "/no/such.yaml"], 2, "/no/such.yaml"),
        (["restate", "--yes", "--include-closd"], 2, "unrecognized arguments"),
        (["whatif", "--model-map", "gpt-4o"], 2, "must be MODEL=MODEL"),
        (["whatif", "--price-change", "lots"], 2, "must be a percentage"),
        (["whatif", "--price-change", "NaN"], 2, "must be a percentage"),
        (["whatif", "--discount", "120%"], 2, "between 0 % and 100 %"),
        (["whatif", "--by", "provider,modell"], 2, "did you mean 'model'?"),
        (["prices", "missing", "--limit", "0"], 2, "from 1 to 100000"),
    ],
)
def test_wrong_arguments_are_one_clear_line(run: Run, url: str, argv: list[str], code: int, hint: str) -> None:
    """
    Each says what is wrong and what to write instead, and nothing is changed.
    """
    found, _, err = run(*argv)

    assert (code, total_of(CALLS, LIST)) == (found, total(url))
    assert hint in err
    assert "Traceback" not in err


@pytest.mark.parametrize("command", [["restate", "--yes"], ["whatif"], ["prices", "missing"]])
def test_no_ledger_is_made_where_none_is(run: Run, tmp_path: Path, command: list[str]) -> None:
    """
    A mistyped path is an error, and no empty ledger appears there.
    """
    code, _, err = run(*command, ledger=f"chdb://{tmp_path / 'nowhere'}")

    assert (2, False) == (code, (tmp_path / "nowhere").exists())
    assert "there is no ledger" in err


def test_closed_days_are_left_alone_unless_asked(
    run: Run, url: str, contract: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Lines of December are billed: neither a day of theirs nor all days restate them, --include-closed does.
    """
    monkeypatch.setenv("OTEL_LLMCOST_PRICES_CLOSED_UNTIL", "2026-01-01")

    refused = run("restate", "--overlays", contract, "--yes", "--from", "2025-12-01")
    before = run("restate", "--overlays", contract, "--yes", "--to", "2025-12-31")
    left = json.loads(run("restate", "--overlays", contract, "--yes", "--json")[1])
    assert (2, 2, 0, total_of(CALLS, LIST)) == (refused[0], before[0], left["lines"], total(url))
    assert "--from 2025-12-01: days before 2026-01-01 are billed (prices.closed_until)" in refused[2]

    code, *_ = run("restate", "--overlays", contract, "--yes", "--from", "2025-12-01", "--include-closed")
    assert (0, total_of(CALLS, CONTRACTED)) == (code, total(url))


def test_whatif_scales_exactly_and_writes_nothing(run: Run, url: str) -> None:
    """
    +20 % and then 50 % off is 0.6 of each amount, rounded once; the ledger is as it was.
    """
    code, out, _ = run("whatif", "--price-change", "+20%", "--discount", "openai/gpt-4o*=50%", "--json")
    told = json.loads(out)
    now = sum(Decimal(row["now_usd"]) for row in told["compared"])
    then = sum(Decimal(row["then_usd"]) for row in told["compared"])

    assert (0, total_of(CALLS, LIST), now * Decimal("0.6")) == (code, now, then)
    assert total_of(CALLS, LIST) == total(url)
    assert (10, []) == (told["unpriced_either_way"], told["would_be_unpriced"])


MONTHLY = """
commitments:
  - id: ptu
    from: 2025-01-01
    until: 2026-01-01
    when: {provider: openai, model: gpt-4o}
    per_month: 31
    expected_per_month: 1
discounts:
  - id: volume
    from: 2025-01-01
    when: {provider: openai, model: gpt-4o-mini}
    volume: {by: tokens, expected_per_month: 1, tiers: [{above: 10, percent_off: 50}]}
"""


def test_whatif_of_a_month_that_is_over_measures_it(run: Run, tmp_path: Path) -> None:
    """
    After the month was restated, no assumption changes nothing and +20 % is a fifth more: of what was paid, not of what
    was expected. Before, the lines that rest on the expectation are told.
    """
    path = tmp_path / "monthly.yaml"
    path.write_text(MONTHLY)
    options = ("--overlays", str(path))
    run("restate", *options, "--as-expected", "--yes")
    before = json.loads(run("whatif", *options, "--json")[1])
    run("restate", *options, "--yes")
    same = json.loads(run("whatif", *options, "--json")[1])
    dearer = json.loads(run("whatif", *options, "--price-change", "+20%", "--by", "provider", "--json")[1])

    assert 20 == before["not_measured_yet"]
    assert (0, 10) == (same["not_measured_yet"], same["priced_with_other_books"])  # those without a price
    assert {"+0.000000000000"} == {row["delta_usd"] for row in same["compared"]}
    now, then = (Decimal(dearer["compared"][0][when]) for when in ("now_usd", "then_usd"))
    assert abs(now * Decimal("1.2") - then) < Decimal("1e-10")
    assert [] == same["idle"]


def test_whatif_tells_what_is_still_paid_when_its_calls_go_elsewhere(run: Run, tmp_path: Path) -> None:
    """
    A commitment whose only model is left for another one costs what it cost, and no line carries it.
    """
    path = tmp_path / "monthly.yaml"
    path.write_text(MONTHLY)
    moved = ("whatif", "--overlays", str(path), "--model-map", "gpt-4o=gpt-4.1")

    idle = json.loads(run(*moved, "--json")[1])["idle"]
    partly = json.loads(run(*moved, "--where", "team=nobody", "--json")[1])["idle"]

    assert [{"entry": "ptu", "month": "2025-12", "usd": "31.000000000000"}] == idle
    assert [] == partly  # calls of others stay where they are
    assert "ptu" in run(*moved)[1]


def test_sellers_go_by_their_aliases_and_what_fits_nothing_is_told(run: Run) -> None:
    """
    `open_ai` is openai everywhere; a mistyped model is not a saving of nothing.
    """
    code, out, err = run(
        "whatif", "--provider", "OpenAI", "--discount", "OPENAI/GPT-4O=50%", "--model-map", "gtp-4o=gpt-5", "--json"
    )
    told = json.loads(out)

    assert (0, 20) == (code, told["lines"])
    assert {"gpt-4o": "0.5", "gpt-4o-mini": "1"} == {
        row["model"]: f"{(Decimal(row['then_usd']) / Decimal(row['now_usd'])).normalize():f}"
        for row in told["compared"]
    }
    assert "--model-map gtp-4o=gpt-5: fits no line" in err
    assert "--discount" not in err


def test_whatif_on_another_model_costs_what_that_model_costs(run: Run) -> None:
    """
    Everything on one model of another seller; what had no price and would get one is told apart.
    """
    told = json.loads(run("whatif", "--model-map", "*=anthropic/claude-sonnet-4-5", "--by", "team", "--json")[1])
    moved = [
        replace(
            call,
            provider="anthropic",
            model="claude-sonnet-4-5",
            requested_model="claude-sonnet-4-5",
            host="",
            service_tier="",
            price_context={},
        )
        for call in CALLS
    ]

    compared = total_of([call for call, old in zip(moved, CALLS, strict=True) if old.provider == "openai"], LIST)
    assert ["cx"] == [row["team"] for row in told["compared"]]
    assert compared == Decimal(told["compared"][0]["then_usd"])
    assert [("own", 10)] == [(row["model"], row["calls"]) for row in told["would_be_priced"]]


def test_whatif_tells_what_could_not_be_priced(run: Run) -> None:
    """
    A model that nobody sells makes no line cheap: its lines are in no delta.
    """
    _, out, _ = run("whatif", "--model-map", "gpt-4o=gpt-none")
    told = json.loads(run("whatif", "--model-map", "gpt-4o=gpt-none", "--json")[1])

    assert [("gpt-4o", "unknown_model:gpt-none", 10)] == [
        (row["model"], row["reason"], row["calls"]) for row in told["would_be_unpriced"]
    ]
    assert ["gpt-4o-mini"] == [row["model"] for row in told["compared"]]
    assert "unknown_model:gpt-none" in out


def test_whatif_in_batch_halves_what_has_a_batch_price_and_did_not_stream(tmp_path: Path, run: Run) -> None:
    """
    gpt-4o costs half in batch (genai-prices, from October 2026 on); calls that streamed stay.
    """
    usage = Usage({Bucket.INPUT: 1_000_000}, rule="test")
    of = {"service_tier": "", "price_context": {}, "usage": usage, "start_ns": 1_794_000_000 * SECOND_NS}
    found = [call_of(n, streaming=n == 1, **of) for n in (1, 2)]
    url = f"chdb://{tmp_path / 'batch'}"
    write(url, [priced(call) for call in found])

    told = json.loads(run("whatif", "--batch", "--json", ledger=url)[1])["compared"][0]

    assert ("5.000000000000", "3.750000000000") == (told["now_usd"], told["then_usd"])


def test_prices_missing_tells_what_and_the_way_out(run: Run, url: str, contract: str) -> None:
    """
    Seller, model, reason, counts and days; an entry to fill in; after it, restating leaves nothing missing.
    """
    _, out, _ = run("prices", "missing")
    found: list[dict[str, Any]] = json.loads(run("prices", "missing", "--json")[1])

    tokens = sum(call.usage.input_tokens + call.usage.output_tokens for call in CALLS if call.model == "own")
    assert [("vllm.internal", "own", "unknown_provider:vllm.internal", 10, tokens, "price")] == [
        (row["provider"], row["model"], row["reason"], row["calls"], row["tokens"], row["needs"]) for row in found
    ]
    assert 'model: "own"' in out
    assert "restate --from 2025-12-01 --dry-run" in out
    run("restate", "--overlays", contract, "--yes")
    assert "every line has a price" in run("prices", "missing")[1]


def test_restating_through_a_running_endpoint(run: Run, contract: str, url: str) -> None:
    """
    While `otel-llmcost up` holds the ledger, its SQL port takes the restatement, if it may write at all.
    """
    with running_up(url) as up:
        server = f"clickhouse://127.0.0.1:{up.ports['ClickHouse']}/llmcost"
        code, _, err = run("restate", "--overlays", contract, "--yes", ledger=server)
        assert (4, True) == (code, "--writable" in err)
        assert 0 == run("restate", "--overlays", contract, "--dry-run", ledger=server)[0]
    with running_up(url, "--writable") as up:
        server = f"clickhouse://127.0.0.1:{up.ports['ClickHouse']}/llmcost"
        told = json.loads(run("restate", "--overlays", contract, "--yes", "--json", ledger=server)[1])
        assert 30 == told["changed"]
        assert 0 == run("whatif", "--price-change", "+5%", ledger=server)[0]
        assert 0 == run("prices", "missing", ledger=server)[0]
        with connect(up) as client:
            assert (
                total_of(CALLS, CONTRACTED) == client.query("SELECT sum(cost_usd) FROM llmcost.calls").result_rows[0][0]
            )


def test_a_copied_ledger_has_its_restatements(run: Run, url: str, contract: str, tmp_path: Path) -> None:
    """
    What was restated, from what to what, when and why goes along with the lines, and a second copy adds nothing.
    """
    run("restate", "--overlays", contract, "--yes", "--why", "contract")
    copied = f"chdb://{tmp_path / 'copied'}"
    tables = ("adjustments", "restatements", "restatement_chunks", "price_books", "prices")

    with running_up(copied, "--writable") as up:
        server = f"clickhouse://127.0.0.1:{up.ports['ClickHouse']}"
        assert [0, 0] == [main(["ledger", "copy", "--from", url, "--to", server, "--again"]) for _ in range(2)]

    with Ledger.open(url) as ledger:
        expected, total = contents(ledger), ledger_total(ledger)
    with Ledger.open(copied) as ledger:
        found, copied_total = contents(ledger), ledger_total(ledger)
    assert {name: expected[name] for name in tables} == {name: found[name] for name in tables}
    assert (expected["adjustments"][0] > 0, total) == (True, copied_total)
