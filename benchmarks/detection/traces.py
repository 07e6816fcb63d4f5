"""Real traffic: two recorded hours of LLM requests (CC-BY-4.0, see the corpus), played again and again.

Each simulated hour takes the recorded one from a random minute on, so bursts, pauses and sizes of requests are real;
hours of the day and days of the week are thinned to a shape. A share of the requests makes a small feature of a large
one. Price, cache and faults are added as for synthetic traffic.
"""

import csv
from datetime import datetime
from pathlib import Path

import numpy as np

from detection.workloads import Feature, Floats, Modifiers, priced

Trace = tuple[np.ndarray, Floats, Floats]  # minute, input tokens, output tokens of each request

FILES = {"code": "azure_code.csv", "conv": "azure_conv.csv"}
SHARES = (1.0, 0.2, 0.02)
"""Of the requests: features of about 150, 30 and 3 a minute at noon."""


def read(folder: Path) -> dict[str, Trace]:
    """The recorded requests, by name."""
    return {name: _read(folder / "traces" / file) for name, file in FILES.items()}


def features(rng: np.random.Generator, traces: dict[str, Trace]) -> list[Feature]:
    """Each trace in each share; two features of a team."""
    drawn = []
    for number, (name, share) in enumerate((name, share) for name in traces for share in SHARES):
        minute, inputs, outputs = traces[name]
        drawn.append(
            Feature(
                name=f"{name}-{share:g}",
                team=f"team-{number // 2}",
                model=f"model-{number % 2}",
                user=f"user-{number}",
                shape="office" if name == "code" else "global",
                calls_per_minute=len(minute) / (minute.max() + 1) * share,
                weekend=0.3 if name == "code" else 0.7,
                growth_per_week=0.03,
                burstiness=0.0,
                wander=0.05,
                input_tokens=float(inputs.mean()),
                output_tokens=float(outputs.mean()),
                size_spread=0.0,
                cache_share=float(rng.choice((0.3, 0.6, 0.8))),
                usd_per_token=2.5e-6,
            )
        )
    return drawn


def traffic(  # noqa: PLR0913, PLR0917 - one of each
    feature: Feature, trace: Trace, minutes: int, thinned: Floats, modifiers: Modifiers, rng: np.random.Generator
) -> dict[str, Floats]:
    """Columns of series_minute. `thinned` is the share of the recorded requests that a minute takes."""
    source, inputs, outputs = trace
    recorded = int(source.max()) + 1
    calls = np.zeros(minutes, dtype=np.int64)
    sums = {name: (np.zeros(minutes), np.zeros(minutes)) for name in ("in", "out")}
    wanted = np.where(modifiers.silent, 0, thinned * modifiers.rate)
    # A loop and a stolen key make requests like the others: so many more of them.
    wanted = wanted + np.where(modifiers.silent, 0, modifiers.added_calls * recorded / len(source))
    for hour in range(minutes // 60):
        at = hour * 60 + (source + int(rng.integers(recorded))) % recorded
        at = np.where(at < hour * 60 + 60, at, hour * 60)
        expected = wanted[at]
        copies = np.floor(expected).astype(np.int64) + (rng.random(len(at)) < expected % 1)
        np.add.at(calls, at, copies)
        for name, sizes in (("in", inputs), ("out", outputs)):
            np.add.at(sums[name][0], at, copies * sizes)
            np.maximum.at(sums[name][1], at, np.where(copies > 0, sizes, 0))
    return priced(feature, calls, sums["in"], sums["out"], modifiers, rng)


def _read(path: Path) -> Trace:
    with path.open(newline="") as lines:
        rows = [
            (datetime.fromisoformat(row["TIMESTAMP"][:26]), row["ContextTokens"], row["GeneratedTokens"])
            for row in csv.DictReader(lines)
        ]
    begin = rows[0][0]
    minute = np.array([int((row[0] - begin).total_seconds() // 60) for row in rows])
    whole = minute < 57  # of both files; the last minutes are cut
    inputs, outputs = (np.array([float(row[column]) for row in rows]) for column in (1, 2))
    return minute[whole], inputs[whole], outputs[whole]
