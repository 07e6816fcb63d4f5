"""Workloads of another make, for confirming: nothing of them was looked at while thresholds were chosen.

Against `workloads.py`: sizes with Pareto tails, calls in sessions, a rate that drifts for half an hour at a time, two
models in one feature, errors as a matter of course, offices in other time zones (one of which changes its clocks),
batches once a week at odd hours, launches within hours, a level that changes for good, customers that come late.
"""

from dataclasses import dataclass

import numpy as np

from detection.workloads import CACHED_PRICE, DAY, Feature, Floats, Modifiers

ZONES = (-8.0, -5.0, 1.0, 5.5, 9.0)
SESSION_MINUTES = 6


@dataclass(frozen=True)
class Shape:
    """What `Feature` has no field for."""

    zone: float
    clocks_change: int  # the day on which the zone moves by an hour; 0: never
    batch: tuple[int, int, float]  # day of the week, minute of the day, multiple of the rate; for two hours
    session_calls: float
    tail: float
    dear_share: float
    errors: float
    step: tuple[int, float]  # wanted: from this day on, another level


def features(rng: np.random.Generator, teams: int, weeks: int) -> list[tuple[Feature, Shape]]:
    """Three features a team: a busy one, one of a few calls a minute, one of a few an hour."""
    drawn = []
    holidays = tuple(int(day) for day in rng.integers(21, weeks * 7, size=3))
    for number in range(teams * 3):
        low, high = ((8, 120), (0.5, 8), (0.05, 0.5))[number % 3]
        launch = int(rng.integers(24, weeks * 7 - 4))
        feature = Feature(
            name=f"shape-{number:02}",
            team=f"team-{number // 3}",
            model=f"model-{number % 5}",
            user=f"customer-{number:02}",
            shape=str(rng.choice(("office", "flat", "consumer"))),
            calls_per_minute=float(np.exp(rng.uniform(np.log(low), np.log(high)))),
            weekend=float(rng.uniform(0.05, 1.2)),
            growth_per_week=float(rng.uniform(-0.05, 0.1)),
            burstiness=0.0,
            wander=float(rng.uniform(0.05, 0.2)),
            input_tokens=float(np.exp(rng.uniform(np.log(300), np.log(20_000)))),
            output_tokens=float(np.exp(rng.uniform(np.log(50), np.log(1_500)))),
            size_spread=0.0,
            cache_share=float(rng.choice((0.0, 0.4, 0.7, 0.9))),
            usd_per_token=float(rng.choice((0.15e-6, 1e-6, 3e-6, 15e-6))),
            first_minute=int(rng.integers(8, weeks * 7 - 16)) * DAY + 480 if rng.random() < 0.2 else 0,
            launches=((launch, float(rng.uniform(1.1, 1.6))),) if rng.random() < 0.2 else (),
            holidays=holidays,
        )
        shape = Shape(
            zone=float(rng.choice(ZONES)),
            clocks_change=int(rng.choice((0, 27))),
            batch=(int(rng.integers(7)), int(rng.integers(96)) * 15, float(rng.choice((0, 0, 4, 10)))),
            session_calls=float(rng.choice((1, 1, 3, 6))),
            tail=float(rng.uniform(2.1, 4)),
            dear_share=float(rng.choice((0, 0, 0, 0.05, 0.3))),
            errors=float(rng.choice((0, 0.01, 0.03))),
            step=(int(rng.integers(25, weeks * 7)), float(rng.choice((1, 1, 1, 0.7, 1.25)))),
        )
        drawn.append((feature, shape))
    return drawn


def rate(feature: Feature, shape: Shape, minutes: int, rng: np.random.Generator) -> Floats:
    """Expected calls per minute without faults."""
    at = np.arange(minutes)
    clocks = np.where((at // DAY >= shape.clocks_change) & (shape.clocks_change > 0), 1.0, 0.0)
    local = at + (shape.zone + clocks) * 60
    day, hour = local // DAY, local % DAY / 60
    if feature.shape == "office":
        wave = 0.03 + 2.2 / (1 + np.exp(-3 * (hour - 8.5))) / (1 + np.exp(2 * (hour - 17.5)))
    elif feature.shape == "consumer":
        wave = 0.5 + 0.5 * np.cos((hour - 20) / 24 * 2 * np.pi) + 0.3 * np.cos((hour - 12.5) / 12 * 2 * np.pi) ** 2
    else:
        wave = np.ones(minutes)
    wave = wave * np.where(day % 7 >= 5, feature.weekend, 1.0) * np.where(np.isin(day, feature.holidays), 0.3, 1.0)
    weekday, begin, times = shape.batch
    wave += times * ((at // DAY % 7 == weekday) & (at % DAY >= begin) & (at % DAY < begin + 120))
    wave *= (1 + feature.growth_per_week) ** (at / (7 * DAY))
    for launch, size in feature.launches:
        wave *= 1 + (size - 1) * np.clip((at / DAY - launch) * 4, 0, 1)
    wave *= np.where(at // DAY >= shape.step[0], shape.step[1], 1.0)
    wave *= np.exp(_wander(minutes, 30, feature.wander, rng) + _wander(minutes, DAY, feature.wander, rng))
    return np.where(at >= feature.first_minute, wave * feature.calls_per_minute, 0.0)


def traffic(
    feature: Feature, shape: Shape, minutes: int, modifiers: Modifiers, rng: np.random.Generator
) -> dict[str, Floats]:
    """Columns of series_minute for one feature, call by call."""
    expected = rate(feature, shape, minutes, rng) * modifiers.rate
    begun = rng.poisson(expected / shape.session_calls)
    begin = np.repeat(np.arange(minutes), begun)
    length = rng.geometric(1 / shape.session_calls, size=len(begin))
    pauses = SESSION_MINUTES if shape.session_calls > 1 else 1
    session = np.repeat(begin, length) + rng.integers(0, pauses, length.sum())
    added = np.repeat(np.arange(minutes), rng.poisson(modifiers.added_calls))
    at = np.concatenate((session, added))
    at = at[at < minutes]
    at = np.sort(at[~modifiers.silent[at]])
    sizes = (rng.pareto(shape.tail, size=(2, len(at))) + 0.2) / (1 / (shape.tail - 1) + 0.2)
    inputs = np.ceil(feature.input_tokens * sizes[0] * modifiers.tokens[at])
    outputs = np.ceil(feature.output_tokens * sizes[1])
    # most calls find their history in the cache, the first one of a conversation finds none
    share = np.where(rng.random(len(at)) < feature.cache_share, rng.uniform(0.8, 1.0, len(at)), 0) * modifiers.cache[at]
    cached = np.floor(inputs * share)
    price = feature.usd_per_token * modifiers.price[at] * np.where(rng.random(len(at)) < shape.dear_share, 6, 1)
    usd = price * (inputs - cached * (1 - CACHED_PRICE) + 5 * outputs)
    failed = rng.random(len(at)) < np.maximum(modifiers.failing[at], shape.errors)
    largest = np.zeros(minutes)
    np.maximum.at(largest, at, usd)
    columns = {
        "calls": np.ones(len(at)), "errors": failed, "retries": failed, "cost_usd": usd,
        "input_tokens": inputs, "output_tokens": outputs, "cache_read_tokens": cached,
    }  # fmt: skip
    sums = {name: np.bincount(at, weights=values, minlength=minutes) for name, values in columns.items()}
    return sums | {"max_call_usd": largest}


def _wander(minutes: int, tau: int, size: float, rng: np.random.Generator) -> Floats:
    """Noise that keeps its direction for about `tau` minutes."""
    knots = rng.normal(0, size, size=minutes // tau + 2)
    return np.interp(np.arange(minutes), np.arange(len(knots)) * tau, knots)
