"""The command line: help, exit codes, errors, `config` and `query`."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from factories import make_call
from otel_llmcost.cli import COMMANDS, EXIT_CODES, build_parser, main
from otel_llmcost.cli.config import description, schema_text
from otel_llmcost.exporters import open_sink
from otel_llmcost.settings import environment_names

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _no_configuration(monkeypatch) -> None:
    for name in [name for name in os.environ if name.startswith("OTEL_LLMCOST_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def ledger(tmp_path) -> str:
    """A ledger with three calls of one team and one of another."""
    url = f"chdb://{tmp_path / 'ledger'}"
    sink = open_sink(url)
    teams = ("cx", "cx", "cx", "O'Neil")
    sink.write([make_call(number, tags={"team": team}) for number, team in enumerate(teams, 1)])
    sink.close()
    return url


def run(capsys, *argv: str) -> tuple[int, str, str]:
    try:
        code = main(argv)
    except SystemExit as exit_:
        code = exit_.code
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_help_names_every_command_every_exit_code_and_shows_examples(capsys) -> None:
    """What a new user reads first."""
    code, out, _ = run(capsys, "--help")
    assert 0 == code
    assert all(command.NAME in out and command.HELP.split()[0] in out for command in COMMANDS)
    assert all(re.search(rf"^  {number}\s", out, re.MULTILINE) for number in EXIT_CODES)
    for command in COMMANDS:
        assert "examples:" in run(capsys, command.NAME, "--help")[1]


@pytest.mark.parametrize(
    ("argv", "hint"), [(["improt"], "did you mean 'import'?"), (["query", "SELECT 1", "--format", "jsn"], "'json'")]
)
def test_a_mistyped_word_names_the_nearest_one(capsys, argv: list[str], hint: str) -> None:
    """Exit code 2, as for every wrong command line."""
    code, _, err = run(capsys, *argv)
    assert 2 == code
    assert hint in err


def test_config_check_tells_each_value_and_where_it_comes_from(capsys, tmp_path, monkeypatch) -> None:
    """Default, line of the file, or variable; a password is masked."""
    file = tmp_path / "llmcost.yaml"
    file.write_text("delivery:\n  queue_size: 7\nledger: clickhouse://me:hunter2@host/db\n")
    monkeypatch.setenv("OTEL_LLMCOST_DISABLED", "true")
    code, out, _ = run(capsys, "config", "check", "--config", str(file), "--json")
    rows = {row["key"]: (row["value"], row["origin"]) for row in json.loads(out)["settings"]}
    assert 0 == code
    assert (7, f"{file}:2") == rows["delivery.queue_size"]
    assert (True, "OTEL_LLMCOST_DISABLED") == rows["disabled"]
    assert "default" == rows["delivery.batch_size"][1]
    assert ("clickhouse://me:***@host/db", f"{file}:3") == rows["ledger"]
    assert "hunter2" not in out + run(capsys, "config", "check", "--config", str(file))[1]


def test_config_check_tells_all_mistakes_and_ends_with_2(capsys, tmp_path) -> None:
    """Rules that name what does not exist included."""
    file = tmp_path / "llmcost.yaml"
    file.write_text("ledgr: off\ndisabeld: true\n")
    code, _, err = run(capsys, "config", "check", "--config", str(file))
    assert (2, 2) == (code, err.count("did you mean"))
    file.write_text("attribution: {rules: [{set: {teem: x}}]}\n")
    assert "'teem' is no dimension" in run(capsys, "config", "check", "--config", str(file))[2]


def test_query_prints_exact_amounts_in_every_format(capsys, ledger) -> None:
    """Decimals stay decimals: a string in JSON, all digits in a table."""
    sql = "SELECT team, sum(cost_usd) AS usd FROM calls GROUP BY team ORDER BY usd DESC"
    query = ("query", sql, "--ledger", ledger, "--format")
    expected = [{"team": "cx", "usd": "0.012900000000"}, {"team": "O'Neil", "usd": "0.004300000000"}]
    assert expected == json.loads(run(capsys, *query, "json")[1])
    assert "team,usd\ncx,0.012900000000\nO'Neil,0.004300000000\n" == run(capsys, *query, "csv")[1]
    assert re.search(r"^cx +0\.012900000000$", run(capsys, *query, "table")[1], re.MULTILINE)


@pytest.mark.parametrize("sql", ["DROP TABLE call_versions", "INSERT INTO call_versions (call_id) VALUES ('x')"])
def test_query_writes_nothing(capsys, ledger, sql: str) -> None:
    """Refused by the engine; the lines are still there."""
    assert 4 == run(capsys, "query", sql, "--ledger", ledger)[0]
    count = json.loads(
        run(capsys, "query", "SELECT count() AS n FROM calls", "--ledger", ledger, "--format", "json")[1]
    )
    assert [{"n": 4}] == count


def test_a_wrong_query_is_one_text_and_exit_code_4(capsys, ledger) -> None:
    """With the engine's own reason, without a traceback."""
    code, _, err = run(capsys, "query", "SELECT nope FROM calls", "--ledger", ledger)
    assert (4, True, False) == (code, "nope" in err, "Traceback" in err)


@pytest.mark.parametrize(
    ("ledger_url", "code", "says"),
    [
        (None, 2, "no ledger: give one with --ledger"),
        ("chdb:///nonexistent/ledger", 2, "there is no ledger"),
        ("mysql://x", 2, "--ledger: must be 'off' or a URL"),
        ("clickhouse://me:hunter2@127.0.0.1:9/db", 4, "127.0.0.1:9"),
    ],
)
def test_a_ledger_that_is_not_there_is_said_clearly(capsys, ledger_url: str | None, code: int, says: str) -> None:
    """And never with a password."""
    options = ["--ledger", ledger_url] if ledger_url else []
    found, _, err = run(capsys, "query", "SELECT 1", *options)
    assert code == found
    assert says in err
    assert "hunter2" not in err


def test_an_internal_error_is_one_line_and_70(capsys, monkeypatch) -> None:
    """--debug shows where; a password in a URL is masked in both."""

    def broken(_args) -> int:
        raise RuntimeError("clickhouse://me:hunter2@host went away")

    monkeypatch.setattr("otel_llmcost.cli.config.run", broken)
    code, _, err = run(capsys, "config", "check")
    assert (70, 1) == (code, len(err.splitlines()))
    assert "--debug" in err
    code, _, debug = run(capsys, "--debug", "config", "check")
    assert "Traceback" in debug
    assert "hunter2" not in err + debug


def test_the_command_and_the_module_are_the_same() -> None:
    """`otel-llmcost` and `python -m otel_llmcost.cli`."""
    command = [str(Path(sys.executable).with_name("otel-llmcost")), "--version"]
    module = [sys.executable, "-m", "otel_llmcost.cli", "--version"]
    outputs = {subprocess.run(argv, capture_output=True, text=True, check=True).stdout for argv in (command, module)}
    assert 1 == len(outputs)


def test_the_reader_of_the_output_may_go_away() -> None:
    """As in `| head`: no traceback."""
    shell = f"{sys.executable} -m otel_llmcost.cli config env | head -1"
    result = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=True)
    assert ("", 1) == (result.stderr, len(result.stdout.splitlines()))


def test_docs_tell_every_command_and_every_option() -> None:
    """docs/cli.md against the parser."""
    text = (ROOT / "docs" / "cli.md").read_text()
    parser = build_parser()
    subparsers = next(action for action in parser._actions if action.dest == "command")
    for name, command in subparsers.choices.items():
        assert f"## otel-llmcost {name}" in text
        options = [o for action in command._actions for o in action.option_strings if o.startswith("--")]
        assert [] == [o for o in options if f"`{o}" not in text and o not in ("--help", "--debug")]
    assert [] == [code for code in EXIT_CODES if f"| {code} |" not in text]


def test_docs_tell_every_key_with_its_variable() -> None:
    """docs/configuration.md against the settings, with the meaning that the settings give."""
    text = " ".join((ROOT / "docs" / "configuration.md").read_text().split())
    missing = [
        variable
        for variable, key in environment_names().items()
        if f"`{variable}`" not in text or f"`{'.'.join(key)}`" not in text or description(key) not in text
    ]
    assert [] == missing


def test_the_schema_for_editors_is_the_settings() -> None:
    """docs/llmcost.schema.json is what `config schema` prints."""
    assert schema_text() == (ROOT / "docs" / "llmcost.schema.json").read_text()
