"""llmcost.yaml and the environment."""

from pathlib import Path

import pytest

from otel_llmcost.errors import ConfigError
from otel_llmcost.settings import Settings, environment_names, json_schema, load_settings

GOOD = """\
ledger: clickhouses://llmcost@ch.internal:8443/llmcost
attribution:
  dimensions: [team, feature, customer, tier]
  rules:
    - {set: {team: "{resource.k8s.namespace.name}"}}
    - when: {service: support-bot}
      set: {feature: support}
    - from_baggage: [customer]
"""


def write(path: Path, text: str) -> Path:
    file = path / "llmcost.yaml"
    file.write_text(text)
    return file


def test_defaults_need_no_file() -> None:
    """An empty environment is a valid configuration."""
    assert Settings() == load_settings({})


def test_the_file_is_read_and_the_environment_wins(tmp_path) -> None:
    """OTEL_LLMCOST_CONFIG names the file; a variable overrides its key and leaves the others."""
    environ = {
        "OTEL_LLMCOST_CONFIG": str(write(tmp_path, GOOD)),
        "OTEL_LLMCOST_LEDGER": "off",
        "OTEL_LLMCOST_DELIVERY_QUEUE_SIZE": "7",
    }
    settings = load_settings(environ)
    assert ("off", 7, ["team", "feature", "customer", "tier"]) == (
        settings.ledger,
        settings.delivery.queue_size,
        settings.attribution.dimensions,
    )
    assert 3 == len(settings.attribution.rules)


def test_an_unquoted_off_is_the_word(tmp_path) -> None:
    """YAML 1.1 reads it as a boolean."""
    assert "off" == load_settings({}, write(tmp_path, "ledger: off\n")).ledger


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ledgr: off\n", "llmcost.yaml:1: ledgr: unknown key; did you mean 'ledger'?"),
        (
            GOOD.replace("dimensions", "dimensons"),
            "llmcost.yaml:3: attribution.dimensons: unknown key; did you mean 'dimensions'?",
        ),
        (GOOD.replace("when:", "wenn:"), "llmcost.yaml:6: attribution.rules.1.wenn: unknown key; did you mean 'when'?"),
        ("delivery:\n  queue_size: many\n", "llmcost.yaml:2: delivery.queue_size: Input should be a valid integer"),
        ("ledger: mysql://x\n", "llmcost.yaml:1: ledger: must be 'off' or a URL"),
        ("ledger: chdb://\n", "llmcost.yaml:1: ledger: chdb needs the path of a directory"),
        ("disabled: false\nledger: off\nledger: off\n", "llmcost.yaml:3: ledger: set twice, first on line 2"),
        ("storage:\n  rollups_days: 30\n", "llmcost.yaml:1: storage: rollups_days is shorter than calls_days"),
        ("storage: {rollups_days: 30, calls_days: 31}\n", "llmcost.yaml:1: storage: rollups_days is shorter"),
        ("- a\n", "llmcost.yaml:1: must be a mapping"),
        ("a: [\n", "not YAML"),
        ("attribution: {dimensions: [Team]}\n", "llmcost.yaml:1: attribution.dimensions.0: 'Team' is no dimension"),
    ],
)
def test_every_mistake_names_its_file_its_line_and_what_to_do(tmp_path, text: str, message: str) -> None:
    """The nearest right name where one is near."""
    with pytest.raises(ConfigError) as error:
        load_settings({}, write(tmp_path, text))
    assert message in str(error.value)


def test_all_mistakes_are_told_at_once(tmp_path) -> None:
    """One a line."""
    with pytest.raises(ConfigError) as error:
        load_settings({}, write(tmp_path, "ledgr: off\ndisabeld: true\n"))
    assert 2 == len(str(error.value).splitlines())


def test_mistakes_in_the_environment_name_the_variable_or_its_key() -> None:
    """There is no line to name."""
    with pytest.raises(ConfigError, match="OTEL_LLMCOST_LEDGR: unknown variable; did you mean 'OTEL_LLMCOST_LEDGER'"):
        load_settings({"OTEL_LLMCOST_LEDGR": "off"})
    with pytest.raises(ConfigError, match=r"environment: delivery\.batch_size: "):
        load_settings({"OTEL_LLMCOST_DELIVERY_BATCH_SIZE": "0"})


def test_a_password_never_stands_in_a_message() -> None:
    """Not even where the URL around it is wrong."""
    with pytest.raises(ConfigError) as error:
        load_settings({"OTEL_LLMCOST_LEDGER": "postgres://user:hunter2@host/db"})
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize("url", ["clickhouse://u:s3cr\u2100et@h/d", "clickhouse://u:s3cret@[::1/d"])
def test_a_url_that_is_none_is_refused_without_being_quoted(url: str) -> None:
    """The parser's own message would hold the password."""
    with pytest.raises(ConfigError, match="ledger: is no URL") as error:
        load_settings({"OTEL_LLMCOST_LEDGER": url})
    assert "s3cr" not in str(error.value)


@pytest.mark.parametrize(("text", "value"), [("1", True), ("true", True), ("0", False), ("", False), ("  ", False)])
def test_switches_are_read_as_everywhere_in_opentelemetry(text: str, value: bool) -> None:
    """And an empty variable is one that is not set."""
    assert value == load_settings({"OTEL_LLMCOST_DISABLED": text, "OTEL_LLMCOST_LEDGER": ""}).disabled


def test_a_missing_file_is_an_error(tmp_path) -> None:
    """A typo in the path must not mean defaults."""
    with pytest.raises(ConfigError, match="cannot be read"):
        load_settings({"OTEL_LLMCOST_CONFIG": str(tmp_path / "nope.yaml")})


def test_every_key_can_be_said_by_the_environment() -> None:
    """One variable a leaf, named after its path."""
    assert ("attribution", "rules") == environment_names()["OTEL_LLMCOST_ATTRIBUTION_RULES"]
    assert len(environment_names()) == len(set(environment_names().values()))


def test_the_json_schema_forbids_unknown_keys_and_describes_every_key() -> None:
    """So that an editor completes and explains."""
    schema = json_schema()
    assert schema["additionalProperties"] is False
    undescribed = [
        name
        for part in (schema, *schema["$defs"].values())
        for name, field in part["properties"].items()
        if "description" not in field and "$ref" not in field
    ]
    assert [] == undescribed
