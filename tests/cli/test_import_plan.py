"""`--map` and `--set` → plan: every mistake is told with what to do."""

from zoneinfo import ZoneInfo

import pytest

from otel_llmcost.errors import ConfigError
from otel_llmcost.importing import FIELDS, Plan

MAPS = ["ts=TIMESTAMP,input_tokens=ContextTokens", "output_tokens=GeneratedTokens"]
CONSTANTS = ["provider=azure.ai.openai", "model=gpt-4o"]


def test_maps_may_be_repeated_and_hold_odd_column_names() -> None:
    """A comma or an equals sign in a column name is part of it, unless another field follows."""
    plan = Plan.from_options(["ts=Time, UTC,input_tokens=in=all", "tag.cost_center=Cost Center"], CONSTANTS)

    assert {"ts": "Time, UTC", "input_tokens": "in=all", "tag.cost_center": "Cost Center"} == plan.columns
    assert {"provider": "azure.ai.openai", "model": "gpt-4o"} == plan.constant_values()


def test_a_zone_is_taken_by_its_name() -> None:
    """Times without a zone are wall-clock times there."""
    plan = Plan.from_options(MAPS, CONSTANTS, timezone="Europe/Berlin")

    assert ZoneInfo("Europe/Berlin") == plan.zone
    parse = next(parse for name, _, parse in plan.parsers() if name == "ts")
    assert 1_700_155_023_000_000_000 == parse("2023-11-16 18:17:03")


@pytest.mark.parametrize(
    ("maps", "constants", "says"),
    [
        (["ts=a", "input_tokes=b"], CONSTANTS, "did you mean 'input_tokens'"),
        (["ts"], CONSTANTS, "--map field=column"),
        (["ts="], CONSTANTS, "--map field=column"),
        (MAPS, [*CONSTANTS, "team"], "--set field=value"),
        (["ts=a", "ts=b"], CONSTANTS, "gives ts twice"),
        ([*MAPS, "model=m"], CONSTANTS, "--map and --set both give model"),
        ([*MAPS, "end_ts=e", "duration_ms=d"], CONSTANTS, "end_ts and duration_ms exclude each other"),
        ([*MAPS, "call_id=e", "response_id=d"], CONSTANTS, "call_id and response_id exclude each other"),
        (["input_tokens=a"], CONSTANTS, "--map ts=<column>"),
        (MAPS, ["model=gpt-4o"], "--set provider=openai"),
        (MAPS, ["provider=openai"], "--set model=gpt-4o"),
        (MAPS, [*CONSTANTS, "reasoning_tokens=-1"], "--set reasoning_tokens: '-1'"),
        (MAPS, [*CONSTANTS, "call_id=1"], "differs from row to row"),
        (MAPS, [*CONSTANTS, "tag.Cost Center=1"], "is no field"),
        (MAPS, [*CONSTANTS, "tag.team=cx"], "write team="),
    ],
)
def test_a_plan_that_cannot_work_is_refused(maps: list[str], constants: list[str], says: str) -> None:
    """Unknown, missing, doubled and contradicting fields, before the file is read."""
    with pytest.raises(ConfigError) as caught:
        Plan.from_options(maps, constants)

    assert says in str(caught.value)


def test_all_columns_that_the_file_lacks_are_told_at_once() -> None:
    """Each with the nearest one, and the whole list, however odd its names are."""
    plan = Plan.from_options(MAPS, CONSTANTS)

    with pytest.raises(ConfigError) as caught:
        plan.check_columns(["TIMESTAMP", "contextTokens", "caf\udce9"])
    lines = str(caught.value).splitlines()
    assert "--map input_tokens=ContextTokens: no such column; did you mean 'contextTokens'?" == lines[0]
    assert lines[1].startswith("--map output_tokens=GeneratedTokens: no such column")
    assert "the file's columns: TIMESTAMP, contextTokens, caf\\udce9" == lines[2]


def test_what_a_row_must_tell_itself_cannot_be_a_constant() -> None:
    """Times and ids; everything else may be said for all rows."""
    assert ["call_id", "duration_ms", "end_ts", "response_id", "ts"] == sorted(
        name for name, field in FIELDS.items() if not field.constant
    )
