"""Faults, put into the traffic of a feature: what goes wrong, how badly and for how long."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from detection.workloads import CACHED_PRICE, DAY, Feature, Modifiers

HOUR = 60


@dataclass(frozen=True)
class Fault:
    """A label: [start, end) in minutes since the first one. `size` is the multiple of the feature's usual cost, and
    `calls_per_minute` what it usually does."""

    kind: str
    feature: str
    start: int
    end: int
    size: float
    calls_per_minute: float = 0.0


@dataclass(frozen=True)
class Kind:
    """How a fault is made: sizes and hours it lasts, drawn evenly, and what it does."""

    sizes: tuple[float, ...]
    hours: tuple[float, float]
    apply: Callable[[Modifiers, slice, float, Feature], None]


def _rate(m: Modifiers, at: slice, size: float, _: Feature) -> None:
    m.rate[at] *= size


def _level(m: Modifiers, at: slice, size: float, _: Feature) -> None:
    m.rate[at.start :] *= size  # it stays; the label ends where everybody has got used to it


def _price(m: Modifiers, at: slice, size: float, _: Feature) -> None:
    m.price[at.start :] *= size


def _swap(m: Modifiers, at: slice, size: float, _: Feature) -> None:
    m.price[at] *= size


def _cache(m: Modifiers, at: slice, _: float, __: Feature) -> None:
    m.cache[at] = 0


def _leak(m: Modifiers, at: slice, size: float, feature: Feature) -> None:
    m.added_calls[at] += max(feature.calls_per_minute * (size - 1), 1.0)


def _loop(m: Modifiers, at: slice, size: float, feature: Feature) -> None:
    m.added_calls[at] += max(feature.calls_per_minute * (size - 1), 2.0)  # a loop is as fast as its model answers


def _storm(m: Modifiers, at: slice, size: float, _: Feature) -> None:
    m.rate[at] *= size
    m.failing[at] = 1 - 1 / size


def _drift(m: Modifiers, at: slice, size: float, _: Feature) -> None:
    length = at.stop - at.start
    m.rate[at] *= size ** (np.arange(length) / length)
    m.rate[at.stop :] *= size


def _silence(m: Modifiers, at: slice, _: float, __: Feature) -> None:
    m.silent[at] = True


KINDS: Mapping[str, Kind] = {
    "runaway_loop": Kind((2, 3, 5, 10), (0.5, 6), _loop),
    "price_change": Kind((1.5, 2, 3), (24, 24), _price),
    "cache_loss": Kind((0,), (6, 48), _cache),
    "model_swap": Kind((2, 5, 10), (6, 48), _swap),
    "leaked_key": Kind((3, 5, 10), (2, 8), _leak),
    "retry_storm": Kind((2, 3, 5), (0.5, 3), _storm),
    "level_shift": Kind((1.5, 2, 3, 5), (24, 24), _level),
    "drift": Kind((2, 3), (14 * 24, 14 * 24), _drift),
    "drop_to_zero": Kind((0,), (2, 12), _silence),
}

CALLS_TO_MISS = 60
"""Calls that an outage takes away at least: a series of 3 calls an hour is not missed in one."""
CALLS_TO_SEE = 40
"""Calls that a fault of an hour or less touches at least, else it lasts longer."""
SPACING = 3 * DAY


def plan(feature: Feature, minutes: int, rng: np.random.Generator, warm_up: int = 28 * DAY) -> list[Fault]:
    """Faults of a feature, a few days apart, after `warm_up` minutes of nothing but usual traffic."""
    faults: list[Fault] = []
    at = max(warm_up, feature.first_minute + 8 * DAY) + int(rng.integers(2 * DAY))
    names = [name for name in KINDS if name != "cache_loss" or feature.cache_share >= 0.3]
    while at < minutes - 2 * DAY:
        fault = _draw(str(rng.choice(names)), feature, at, rng)
        if fault.end < minutes:
            faults.append(fault)
        at = fault.end + SPACING + int(rng.integers(SPACING))
        if fault.kind in {"drift", "level_shift", "price_change"}:
            at += 4 * DAY
    return faults


def _draw(name: str, feature: Feature, at: int, rng: np.random.Generator) -> Fault:
    kind = KINDS[name]
    size = float(rng.choice(kind.sizes))
    length = rng.uniform(*kind.hours) * HOUR
    if name == "cache_loss":
        size = _cache_loss_size(feature)
    if name in {"drop_to_zero", "retry_storm", "runaway_loop"}:
        start = at - at % DAY + int(rng.integers(9 * HOUR, 15 * HOUR))  # in daytime: at night there is little to lose
        wanted = CALLS_TO_MISS if name == "drop_to_zero" else CALLS_TO_SEE
        length = max(length, wanted / feature.calls_per_minute)
        at = start
        while at // DAY % 7 >= 5:
            at += DAY
    return Fault(name, feature.name, at, at + int(length), size, feature.calls_per_minute)


def _cache_loss_size(feature: Feature) -> float:
    inputs, outputs = feature.input_tokens, 4 * feature.output_tokens
    return (inputs + outputs) / (inputs * (1 - feature.cache_share * (1 - CACHED_PRICE)) + outputs)


def modifiers(feature: Feature, faults: list[Fault], minutes: int) -> Modifiers:
    """What the faults of a feature do to it."""
    made = Modifiers.none(minutes)
    for fault in faults:
        KINDS[fault.kind].apply(made, slice(fault.start, fault.end), fault.size, feature)
    return made
