"""How well anomalies are found: precision, recall, time to detect, beside other ways to alert; and how fast.

    python benchmarks/detection.py                      synthetic workloads, the test seeds
    python benchmarks/detection.py --seeds 1 2 3        others; 1 to 3 are those that thresholds were tuned with
    python benchmarks/detection.py --traces             the recorded traces of the corpus with faults put in
    python benchmarks/detection.py --labelled FOLDER    a set of your own: see docs/anomalies.md
    python benchmarks/detection.py --scale 10000        seconds an evaluation takes at so many series

Needs otel-llmcost[local], numpy and pyarrow.
"""

import argparse
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from detection.faults import Fault
from detection.score import Alert, Score, runs, score, together
from detection.workloads import DAY, Feature, Floats

from detection import faults, labelled, peers, replay, scale, traces, workloads
from otel_llmcost.exporters.clickhouse.client import Ledger

TEST_SEEDS = (111, 112, 113)
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
    said = [Alert(_features(drawn, kind, key), first, last) for kind, key, _, _, first, last, _ in found.signals]
    alerts = [
        Alert(_features(drawn, str(one["series_kind"]), str(one["series_key"])), one["start"], one["end"])
        for one in found.incidents
    ]
    series = 1 + sum(len({getattr(f, kind) for f in drawn}) for kind in ("team", "name", "model", "user"))
    scores[OURS] = score(known, said, alerts, series, minutes - begin)
    return scores


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
    print("\n| calls a minute | size | faults | found | median minutes |\n| --- | --- | ---: | ---: | ---: |")
    for density, least, most in (("under 0.5", 0, 0.5), ("0.5 to 8", 0.5, 8), ("over 8", 8, 1e9)):
        for label, low, high in (("under 2x, drifts", 0.001, 1.999), ("2x and over, silence", 1.999, 1e9)):
            some = ours.of(
                fault
                for fault, _ in ours.faults
                if least <= fault.calls_per_minute < most
                and (low <= (1.0 if fault.kind == "drift" else fault.size or 9.0) < high)
            )
            if some.faults:
                found = sum(minutes is not None for _, minutes in some.faults)
                print(f"| {density} | {label} | {len(some.faults)} | {found} | {some.median_minutes:g} |")
    print("\n| fault | size | faults | found | median minutes |\n| --- | --- | ---: | ---: | ---: |")
    for kind in sorted({fault.kind for fault, _ in ours.faults}):
        for label, low, high in (
            ("", 0, 0.001),
            ("under 2x", 0.001, 1.999),
            ("2x to 3x", 1.999, 3.001),
            ("over 3x", 3.001, 1e9),
        ):
            some = ours.of(fault for fault, _ in ours.faults if fault.kind == kind and low <= fault.size < high)
            if some.faults:
                found = sum(minutes is not None for _, minutes in some.faults)
                print(f"| {kind} | {label} | {len(some.faults)} | {found} | {some.median_minutes:g} |")


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
    parser.add_argument("--labelled", type=Path)
    parser.add_argument("--scale", type=int)
    args = parser.parse_args()
    if args.scale:
        scale.main(args.scale)
    elif args.labelled:
        report(args.labelled.name, [labelled.judge(args.labelled, OURS)])
    elif args.traces:
        report("recorded traces with faults", [judge(*recorded(seed, args.weeks)) for seed in args.seeds])
    else:
        report("synthetic workloads", [judge(*synthetic(seed, args.teams, args.weeks)) for seed in args.seeds])


if __name__ == "__main__":
    main()
