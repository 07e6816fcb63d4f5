"""The benchmark in short: loose bounds that a broken detector does not keep."""

import os
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """benchmarks/detection.py, with the package beside it."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    spec = spec_from_file_location("detection_benchmark", BENCHMARKS / "detection.py")
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def test_most_faults_of_a_small_set_are_found_and_little_else_is_said(
    benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Of the faults in three features of six weeks 3 of 4 are found, half of them within half an hour, with at most three
    false alerts per series and month.
    """
    if os.environ.get("LLMCOST_LONG") != "1":
        monkeypatch.setattr(benchmark, "WARM_UP_DAYS", 28)

    scores = benchmark.judge(*benchmark.synthetic(seed=7, teams=1, weeks=6))

    ours = scores[benchmark.OURS]
    assert len(ours.faults) >= 4
    assert ours.recall >= 0.75
    assert ours.median_minutes <= 30
    assert ours.false_per_series_month <= 3


def test_the_score_counts_what_is_found_and_what_is_said_for_nothing(benchmark: ModuleType) -> None:
    """
    A fault counts as found by an alert about its feature while it lasts, from its first call on; an alert about nothing
    is false.
    """
    fault = benchmark.Fault("runaway_loop", "search", 1_000, 1_060, 3.0)
    missed = benchmark.Fault("drop_to_zero", "chat", 5_000, 5_060, 0.0)
    about, false = (
        benchmark.Alert(frozenset({"search"}), 1_004, 1_010),
        benchmark.Alert(frozenset({"search"}), 9_000, 9_001),
    )

    score = benchmark.score([(fault, 1_002), (missed, 5_000)], [about, false], [about, false], 2, 43_776)

    assert [(fault, 3), (missed, None)] == score.faults
    assert (0.5, 0.5, 0.5) == (score.recall, score.precision, score.false_per_series_month)


def test_a_labelled_set_from_a_folder_is_scored(benchmark: ModuleType, tmp_path: Path) -> None:
    """
    series.csv and labels.csv of one series with one loop: found, and nothing else said.
    """
    lines = ["series_kind,series_key,minute,calls,cost_usd"]
    for minute in range(14 * 1440):
        calls = 20 + minute * 7919 % 11 + (80 if 12 * 1440 + 600 <= minute < 12 * 1440 + 660 else 0)
        day, rest = divmod(minute, 1440)
        lines.append(f"team,search,2026-01-{day + 1:02}T{rest // 60:02}:{rest % 60:02}:00,{calls},{calls * 0.01:.2f}")
    (tmp_path / "series.csv").write_text("\n".join(lines))
    (tmp_path / "labels.csv").write_text(
        "series_kind,series_key,start,end,fault,size\nteam,search,2026-01-13T10:00,2026-01-13T11:00,runaway_loop,4\n"
    )

    score = benchmark.labelled.judge(tmp_path, benchmark.OURS)[benchmark.OURS]

    assert [1.0] == [minutes for _, minutes in score.faults]
    assert (1, 0) == (score.alerts, score.false_alerts)
