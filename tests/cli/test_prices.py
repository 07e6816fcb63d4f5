"""`otel-llmcost prices`."""

import json
import os
import re
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from otel_llmcost.cli import build_parser, main
from otel_llmcost.cli.prices import ACTIONS
from otel_llmcost.pricing import PriceBook

ROOT = Path(__file__).parents[2]
OFF = "discounts:\n  - {id: seller, from: 2026-01-01, when: {provider: openai, customer: acme}, percent_off: 10}\n"
HOUSE = """\
models:
  - {id: house, from: 2026-01-01, provider: llm.internal, model: llama, rates: {input: 0.2, output: 0.6}}
deployments:
  - {id: prod, from: 2026-01-01, provider: azure, host: contoso.openai.azure.com, model: prod-chat, base_model: gpt-4o}
"""


@pytest.fixture(autouse=True)
def _no_configuration(monkeypatch) -> None:
    for name in [name for name in os.environ if name.startswith("OTEL_LLMCOST_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def config(tmp_path) -> list[str]:
    """`--config` with two price files."""
    (tmp_path / "off.yaml").write_text(OFF)
    (tmp_path / "house.yaml").write_text(HOUSE)
    file = tmp_path / "llmcost.yaml"
    file.write_text("prices: {overlays: [off.yaml, house.yaml]}\n")
    return ["--config", str(file)]


def run(capsys, *argv: str) -> tuple[int, str, str]:
    try:
        code = main(["prices", *argv])
    except SystemExit as exit_:
        code = exit_.code
    captured = capsys.readouterr()
    return code, captured.out, captured.err


EXAMPLES = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "prices.md").read_text(), flags=re.DOTALL)
PRICE_FILES = [text for text in EXAMPLES if re.search(r"^(discounts|models):", text, flags=re.MULTILINE)]


@pytest.mark.parametrize("text", PRICE_FILES)
def test_price_files_of_the_documentation_have_no_mistake(capsys, tmp_path, text: str) -> None:
    """Whoever copies one gets no error and no warning."""
    assert len(PRICE_FILES) >= 2
    (tmp_path / "example.yaml").write_text(text)
    code, out, err = run(capsys, "check", str(tmp_path / "example.yaml"), "--strict")
    assert (0, "") == (code, err)
    assert "no mistakes" in out


def test_the_traceback_may_be_asked_for_behind_an_action(capsys) -> None:
    """As on either side of a command."""
    assert "Traceback" in run(capsys, "show", "nobody/x", "--debug")[2]
    assert "Traceback" not in run(capsys, "show", "nobody/x")[2]


def test_list_shows_rates_of_a_day_with_own_models(capsys, config) -> None:
    """GPT-5's batch price is among its six; the private model stands beside the sellers'."""
    code, out, _ = run(
        capsys, "list", "--seller", "openai", "--model", "gpt-5", "--at", "2026-11-01", "--json", *config
    )
    (row,) = json.loads(out)
    assert (0, "gpt-5", "1.25", "10", "0.125") == (
        code,
        row["model"],
        *(row["rates"][name] for name in ("input", "output", "cache_read")),
    )
    assert re.search(
        r"^llm\.internal +llama +0\.2 +0\.6 ", run(capsys, "list", "--model", "llama", *config)[1], re.MULTILINE
    )
    assert 3 == run(capsys, "list", "--seller", "llm.internal", "--at", "2025-01-01", *config)[0]


def test_a_seller_or_model_that_there_is_not_names_the_nearest(capsys) -> None:
    """Exit code 3."""
    code, _, err = run(capsys, "list", "--seller", "opena")
    assert (3, True) == (code, "did you mean 'openai'?" in err)
    assert "did you mean 'gpt-5.5'?" in run(capsys, "show", "openai/gpt-5.55x")[2]
    assert "did you mean 'openai'?" in run(capsys, "show", "opnai/gpt-5")[2]
    assert 2 == run(capsys, "show", "gpt-5")[0]


def test_show_tells_all_prices_and_what_a_customer_pays(capsys, config) -> None:
    """Dates and contexts of the list, then list and effective rate for the one who calls."""
    code, out, _ = run(
        capsys, "show", "openai/gpt-5", "--set", "customer=acme", "--at", "2026-11-01", "--json", *config
    )
    shown = json.loads(out)
    assert (0, "openai/gpt-5@always", "overlay:seller") == (code, shown["price"], shown["overlay"])
    assert {"charge": "output", "list": "10", "effective": "9"} in shown["effective"]
    assert "processing=batch" in [row["context"] for row in shown["prices"]]
    others = json.loads(run(capsys, "show", "openai/gpt-5", "--json", *config)[1])
    assert [] == others["effective"]
    assert re.search(
        r"output +10 +9$", run(capsys, "show", "openai/gpt-5", "--set", "customer=acme", *config)[1], re.MULTILINE
    )


def test_show_resolves_a_deployment(capsys, config) -> None:
    """On its host."""
    shown = run(capsys, "show", "azure/prod-chat", "--host", "contoso.openai.azure.com", *config)[1]
    assert re.search(r"^price +azure\.ai\.openai/gpt-4o@", shown, re.MULTILINE)
    assert 3 == run(capsys, "show", "azure/prod-chat", *config)[0]


def test_diff_tells_rates_and_entries_that_differ(capsys, config, tmp_path) -> None:
    """Exit code 1 where something differs, as diff has it."""
    assert 0 == run(capsys, "diff", "bundled", "bundled")[0]
    code, out, _ = run(capsys, "diff", "bundled", "configured", "--json", *config)
    found = {(it["what"], it["charge"]): it for it in json.loads(out)["differences"]}
    assert 1 == code
    assert ("", "0.2") == tuple(found[("llm.internal/llama", "input")][key] for key in ("old", "new"))
    assert "10" == found[("seller", "percent_off")]["new"]
    dearer = tmp_path / "dearer.yaml"
    dearer.write_text(HOUSE.replace("0.2", "0.3"))
    assert "+50.0 %" in run(capsys, "diff", str(tmp_path / "house.yaml"), str(dearer))[1]


def test_check_tells_mistakes_with_their_line(capsys, tmp_path, config) -> None:
    """Exit code 2 and nothing but the mistakes on stderr; 0 where all is right."""
    assert (0, "no mistakes; files: 2, entries: 3, warnings: 0\n", "") == run(capsys, "check", *config)
    file = tmp_path / "off.yaml"
    file.write_text(OFF + OFF.removeprefix("discounts:\n").replace("seller", "again") + "dicounts: []\n")
    assert (2, "", f"{file}:4: dicounts: unknown key; did you mean 'discounts'?\n") == run(capsys, "check", *config)
    file.write_text(OFF + OFF.removeprefix("discounts:\n").replace("seller", "again"))
    code, _, err = run(capsys, "check", *config)
    assert (2, True) == (code, err.startswith(f"{file}:3: discounts 'again': overlaps 'seller' ({file}:2)"))
    assert {"valid", "mistakes", "warnings"} == set(json.loads(run(capsys, "check", "--json", *config)[1]))
    assert 2 == run(capsys, "check")[0]


def test_check_warns_of_what_can_be_meant(capsys, tmp_path) -> None:
    """Names that match nothing; --strict makes mistakes of them."""
    file = tmp_path / "p.yaml"
    file.write_text(OFF.replace("provider: openai", "provider: opnai"))
    code, _, err = run(capsys, "check", str(file))
    assert (0, True) == (code, "warning: discounts 'seller': no seller is called opnai; did you mean 'openai'?" in err)
    assert 2 == run(capsys, "check", str(file), "--strict")[0]


def test_check_against_a_commit_or_a_file_holds_the_past(capsys, tmp_path) -> None:
    """What has begun may only be ended, from today on."""
    file, old = tmp_path / "p.yaml", tmp_path / "old.yaml"
    file.write_text(OFF)
    old.write_text(OFF)
    git = ["git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@example.invalid"]
    for command in (["init", "-q"], ["add", "p.yaml"], ["commit", "-qm", "prices"]):
        subprocess.run([*git, *command], check=True, capture_output=True)
    for against in ("HEAD", str(old)):
        file.write_text(OFF)
        assert 0 == run(capsys, "check", str(file), "--against", against)[0]
        file.write_text(OFF.replace("percent_off: 10", "percent_off: 11"))
        code, _, err = run(capsys, "check", str(file), "--against", against)
        assert (2, True) == (code, f"{file}:2: discounts 'seller': has begun on 2026-01-01 and cannot change" in err)
        today = datetime.now(UTC).date()
        file.write_text(OFF.replace("id: seller", f"id: seller, until: {today + timedelta(1)}"))
        assert 0 == run(capsys, "check", str(file), "--against", against)[0]
    assert "is neither a file nor a commit" in run(capsys, "check", str(file), "--against", "nope")[2]


def test_age_ends_with_1_where_the_data_is_too_old(capsys) -> None:
    """Data of a release is as old as its newest price."""
    code, out, _ = run(capsys, "age", "--json", "--max-age", "1s")
    told = json.loads(out)
    assert (1, True, PriceBook.bundled().version) == (code, told["too_old"], told["book"])
    assert 0 == run(capsys, "age", "--max-age", "99999d")[0]
    assert 2 == run(capsys, "age", "--max-age", "soon")[0]


def test_an_imported_litellm_file_passes_the_check(capsys, tmp_path) -> None:
    """The price file on stdout, what it does not hold on stderr."""
    row = {"litellm_provider": "together_ai", "input_cost_per_token": 1e-06, "output_cost_per_image": 1}
    (tmp_path / "l.json").write_text(json.dumps({"together_ai/a/B-1": row}))
    code, out, err = run(capsys, "import-litellm", str(tmp_path / "l.json"), "--from", "2026-01-01")
    assert (0, "1 models taken\nleft out, 1 models: output_cost_per_image: no such unit\n") == (code, err)
    (tmp_path / "l.yaml").write_text(out)
    assert 0 == run(capsys, "check", str(tmp_path / "l.yaml"))[0]
    assert 3 == run(capsys, "import-litellm", str(tmp_path / "l.yaml"), "--from", "2026-01-01")[0]


def test_docs_tell_every_action_and_option(capsys) -> None:
    """docs/cli.md against the parser; each help has examples."""
    text = (ROOT / "docs" / "cli.md").read_text()
    commands = next(action for action in build_parser()._actions if action.dest == "command")
    actions = next(action for action in commands.choices["prices"]._actions if action.dest == "action").choices
    assert {action.NAME for action in ACTIONS} == set(actions)
    for name, action in actions.items():
        assert f"`prices {name}" in text
        options = [option for it in action._actions for option in it.option_strings if option.startswith("--")]
        assert [] == [option for option in options if f"`{option}" not in text and option not in ("--help", "--debug")]
        assert "examples:" in run(capsys, name, "--help")[1]
