"""How well anomalies are found: precision, recall, time to detect, beside other ways to alert; and how fast.

    python benchmarks/detection.py                      synthetic workloads, the test seeds
    python benchmarks/detection.py --seeds 1 2 3        others; 1 and 2 are those that thresholds were tuned with
    python benchmarks/detection.py --traces             the recorded traces of the corpus with faults put in
    python benchmarks/detection.py --shapes             synthetic workloads of another make: nothing was chosen by them
    python benchmarks/detection.py --labelled FOLDER    a set of your own: see docs/anomalies.md
    python benchmarks/detection.py --scale 10000        seconds an evaluation takes at so many series

Needs otel-llmcost[local], numpy and pyarrow.
"""

import argparse
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from detection.faults import Fault
from detection.score import GAP, Alert, Score, runs, score, together
from detection.workloads import DAY, Feature, Floats

from detection import faults, labelled, peers, replay, scale, shapes, traces, workloads
from otel_llmcost.exporters.clickhouse.client import Ledger

TEST_SEEDS = (114, 115)
WARM_UP_DAYS = 21
OURS = "otel-llmcost"
CORPUS = Path(__file__).parents[2] / "shared" / "corpus"


def synthetic(seed: int, teams: int, weeks: int) -> tuple[list[Feature], list[Fault], dict[str, dict[str, Floats]]]:
    """Features, labels and columns by feature."""
    rng = np.random.default_rng(seed)
    drawn = workloads.features(rng, teams, 3, weeks)
    labels: list[Fault] = []
    columns = {}
    for feature in drawn:
        planned = faults.plan(feature, weeks * 7 * DAY, rng)
        labels += planned
        columns[feature.name] = workloads.traffic(
            feature, weeks * 7 * DAY, faults.modifiers(feature, planned, weeks * 7 * DAY), rng
        )
    return drawn, labels, columns


def recorded(seed: int, weeks: int) -> tuple[list[Feature], list[Fault], dict[str, dict[str, Floats]]]:
    """The same, with real traffic below the faults."""
    rng = np.random.default_rng(seed)
    hours = traces.read(Path(os.environ.get("LLMCOST_CORPUS", CORPUS)))
    drawn = traces.features(rng, hours)
    labels: list[Fault] = []
    columns = {}
    for feature in drawn:
        planned = faults.plan(feature, weeks * 7 * DAY, rng)
        labels += planned
        trace = hours[feature.name.partition("-")[0]]
        share = float(feature.name.partition("-")[2])
        shape = workloads.rate(feature, weeks * 7 * DAY, rng) / feature.calls_per_minute
        columns[feature.name] = traces.traffic(
            feature, trace, weeks * 7 * DAY, np.clip(shape * share, 0, None),
            faults.modifiers(feature, planned, weeks * 7 * DAY), rng,
        )  # fmt: skip
    return drawn, labels, columns


def shaped(seed: int, teams: int, weeks: int) -> tuple[list[Feature], list[Fault], dict[str, dict[str, Floats]]]:
    """The same, with traffic of another make."""
    rng = np.random.default_rng(seed)
    drawn = shapes.features(rng, teams, weeks)
    labels: list[Fault] = []
    columns = {}
    for feature, shape in drawn:
        planned = faults.plan(feature, weeks * 7 * DAY, rng)
        labels += planned
        made = faults.modifiers(feature, planned, weeks * 7 * DAY)
        columns[feature.name] = shapes.traffic(feature, shape, weeks * 7 * DAY, made, rng)
    return [feature for feature, _ in drawn], labels, columns


def affected(fault: Fault, calls: Floats) -> int:
    """The first minute in which a fault touched a call, or took one away."""
    if fault.kind == "drop_to_zero":
        return fault.start
    later = np.flatnonzero(calls[fault.start : fault.end])
    return fault.start + (int(later[0]) if len(later) else 0)


def judge(drawn: list[Feature], labels: list[Fault], columns: Mapping[str, Mapping[str, Floats]]) -> dict[str, Score]:
    """Scores by the name of the way to alert."""
    minutes = len(next(iter(columns.values()))["calls"])
    begin = WARM_UP_DAYS * DAY
    known = [(fault, affected(fault, columns[fault.feature]["calls"])) for fault in labels]
    scores = {}
    for name, peer in peers.PEERS.items():
        alerts = [
            alert
            for feature in drawn
            for alert in runs(
                (int(m) for m in np.flatnonzero(peer(columns[feature.name]["cost_usd"], begin)) if m >= begin),
                feature.name,
            )
        ]
        scores[name] = score(known, alerts, alerts, len(drawn), minutes - begin)
    with tempfile.TemporaryDirectory() as folder, Ledger.open(f"chdb://{folder}", read_only=False) as ledger:
        replay.prepare(ledger)
        for feature in drawn:
            replay.load(ledger, feature, columns[feature.name])
        found = replay.judge(ledger, WARM_UP_DAYS, minutes // DAY)
    said = _said(drawn, found.signals)
    alerts = [
        Alert(_features(drawn, str(one["series_kind"]), str(one["series_key"])), one["start"], one["end"])
        for one in found.incidents
    ]
    series = 1 + sum(len({getattr(f, kind) for f in drawn}) for kind in ("team", "name", "model", "user"))
    scores[OURS] = score(known, said, alerts, series, minutes - begin)
    return scores


def _said(drawn: list[Feature], signals: list[tuple[str, str, str, str, int, int, int]]) -> list[Alert]:
    """Signals, each with the minute in which its series began to signal without a pause of six hours."""
    runs_of: dict[tuple[str, str, str], tuple[int, int]] = {}
    said = []
    for kind, key, _, direction, first, last, _ in sorted(signals, key=lambda signal: signal[4]):
        began, end = runs_of.get((kind, key, direction), (first, first))
        began = began if first - end <= GAP else first
        runs_of[kind, key, direction] = (began, max(end, last))
        said.append(Alert(_features(drawn, kind, key), first, last, direction, began))
    return said


def _features(drawn: list[Feature], kind: str, key: str) -> frozenset[str]:
    """The features whose calls a series has."""
    field = "name" if kind == "feature" else kind
    return frozenset(f.name for f in drawn if kind == "total" or getattr(f, field) == key)


def report(title: str, sets: list[dict[str, Score]]) -> None:
    """A table of all, and one by kind of fault and size."""
    print(f"\n### {title}\n")
    print(
        "| | recall | precision | false alerts per series-month | alerts per series-week | median minutes to detect |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name in (OURS, *peers.PEERS):
        if all(name in one for one in sets):
            print(f"| {name} | {_row(together([one[name] for one in sets]))} |")
    ours = together([one[OURS] for one in sets])
    for column, classes in (("size", SIZES), ("fault", KINDS_OF_FAULT)):
        print(f"\n| {column} | {' | '.join(DENSITIES)} |\n| --- | {' | '.join('---' for _ in DENSITIES)} |")
        for name, of_class in classes.items():
            row = [
                ours.of(f for f, _ in ours.faults if of_class(f) and of_density(f)) for of_density in DENSITIES.values()
            ]
            print(f"| {name} | {' | '.join(map(_cell, row))} |")


DENSITIES: Mapping[str, Callable[[Fault], bool]] = {
    "under 0.5 calls a minute": lambda fault: fault.calls_per_minute < 0.5,
    "0.5 to 8": lambda fault: 0.5 <= fault.calls_per_minute < 8,
    "over 8": lambda fault: fault.calls_per_minute >= 8,
}
SIZES: Mapping[str, Callable[[Fault], bool]] = {
    "2x and over": lambda fault: fault.size >= 1.999 and fault.kind != "drift",
    "under 2x": lambda fault: 0 < fault.size < 1.999 and fault.kind != "drift",
    "drifts": lambda fault: fault.kind == "drift",
    "silence": lambda fault: fault.kind == "drop_to_zero",
}
KINDS_OF_FAULT: Mapping[str, Callable[[Fault], bool]] = {
    kind: (lambda fault, kind=kind: fault.kind == kind)  # type: ignore[misc]
    for kind in faults.KINDS
}


def _cell(one: Score) -> str:
    """Found of faults, median and ninth tenth of the minutes that took."""
    minutes = sorted(value for _, value in one.faults if value is not None)
    if not minutes:
        return f"{len(minutes)} of {len(one.faults)}" if one.faults else ""
    return f"{len(minutes)} of {len(one.faults)}; {np.median(minutes):g}, {np.percentile(minutes, 90):.0f}"


def _row(one: Score) -> str:
    numbers = f"{one.recall:.2f} | {one.precision:.2f} | {one.false_per_series_month:.2f}"
    return f"{numbers} | {one.alerts_per_series_week:.2f} | {one.median_minutes:g}"


def main() -> None:
    """Run what the command line asks for and print tables in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=TEST_SEEDS)
    parser.add_argument("--teams", type=int, default=4, help="teams of three features in a synthetic set")
    parser.add_argument("--weeks", type=int, default=8)
    parser.add_argument("--traces", action="store_true")
    parser.add_argument("--shapes", action="store_true")
    parser.add_argument("--labelled", type=Path)
    parser.add_argument("--scale", type=int)
    args = parser.parse_args()
    if args.scale:
        scale.main(args.scale)
    elif args.labelled:
        report(args.labelled.name, [labelled.judge(args.labelled, OURS)])
    elif args.shapes:
        report("other workloads", [judge(*shaped(seed, args.teams, args.weeks)) for seed in args.seeds])
    elif args.traces:
        report("recorded traces with faults", [judge(*recorded(seed, args.weeks)) for seed in args.seeds])
    else:
        report("synthetic workloads", [judge(*synthetic(seed, args.teams, args.weeks)) for seed in args.seeds])


if __name__ == "__main__":
    main()
