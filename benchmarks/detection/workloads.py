"""Synthetic traffic: features of teams, minute by minute, with the shapes that real spend has.

A `Feature` is drawn from a seed: how many calls, when in the day and the week, how bursty, how dear a call is.
`traffic` draws its calls one by one (their sizes are log-normal: a few are dear) and sums them per minute.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

START = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday
DAY = 1440
CACHED_PRICE = 0.1
"""What a cached token costs, as a share of an uncached one."""
SHAPES = ("office", "global", "flat", "evening", "batch")


@dataclass(frozen=True)
class Feature:
    """Where a feature stands and how it usually behaves."""

    name: str
    team: str
    model: str
    user: str
    shape: str
    calls_per_minute: float
    weekend: float
    growth_per_week: float
    burstiness: float
    wander: float
    input_tokens: float
    output_tokens: float
    size_spread: float
    cache_share: float
    usd_per_token: float
    first_minute: int = 0
    launches: tuple[tuple[int, float], ...] = ()
    holidays: tuple[int, ...] = ()


@dataclass
class Modifiers:
    """What faults do to a feature, minute by minute; 1 (or 0, where added) is nothing."""

    rate: Floats
    price: Floats
    cache: Floats
    tokens: Floats
    added_calls: Floats
    failing: Floats
    silent: NDArray[np.bool_] = field(repr=False)

    @classmethod
    def none(cls, minutes: int) -> "Modifiers":
        ones, zeros = np.ones(minutes), np.zeros(minutes)
        return cls(ones, ones.copy(), ones.copy(), ones.copy(), zeros, zeros.copy(), np.zeros(minutes, dtype=bool))


def features(rng: np.random.Generator, teams: int, per_team: int, weeks: int) -> list[Feature]:
    """An organisation: a third of its features dense, a third of them medium, a third sparse."""
    holidays = tuple(int(day) for day in rng.choice(np.arange(14, weeks * 7), size=2, replace=False))
    drawn = []
    for number in range(teams * per_team):
        low, high = ((10, 60), (0.5, 8), (0.03, 0.3))[number % 3]
        drawn.append(
            Feature(
                name=f"feature-{number:02}",
                team=f"team-{number // per_team}",
                model=f"model-{rng.integers(4)}",
                user=f"user-{number:02}",
                shape=str(rng.choice(SHAPES, p=(0.35, 0.25, 0.15, 0.15, 0.1))),
                calls_per_minute=float(np.exp(rng.uniform(np.log(low), np.log(high)))),
                weekend=float(rng.uniform(0.15, 1.0)),
                growth_per_week=float(rng.uniform(-0.02, 0.08)),
                burstiness=float(rng.uniform(0.0, 0.3)),
                wander=float(rng.uniform(0.03, 0.12)),
                input_tokens=float(rng.uniform(500, 6_000)),
                output_tokens=float(rng.uniform(100, 800)),
                size_spread=float(rng.uniform(0.3, 1.0)),
                cache_share=float(rng.choice((0.0, 0.3, 0.6, 0.8))),
                usd_per_token=float(rng.choice((0.5e-6, 2e-6, 5e-6))),
                first_minute=0 if rng.random() > 0.15 else int(rng.integers(10, weeks * 7 - 14)) * DAY + 540,
                launches=_launches(rng, weeks),
                holidays=holidays,
            )
        )
    return drawn


def _launches(rng: np.random.Generator, weeks: int) -> tuple[tuple[int, float], ...]:
    """At most one launch: over the days after it, traffic goes up to this multiple. Wanted, so no fault."""
    if rng.random() > 0.25:
        return ()
    return ((int(rng.integers(14, weeks * 7 - 3)), float(rng.uniform(1.2, 1.8))),)


def rate(feature: Feature, minutes: int, rng: np.random.Generator) -> Floats:
    """Expected calls per minute without faults."""
    at = np.arange(minutes)
    day, hour = at // DAY, at % DAY / 60
    weekend = (day % 7) >= 5
    wave = feature.calls_per_minute * _of_day(feature.shape, hour)
    wave *= np.where(weekend, feature.weekend, 1.0)
    wave *= (1 + feature.growth_per_week) ** (at / (7 * DAY))
    for launch_day, size in feature.launches:
        wave *= 1 + (size - 1) * np.clip((at / DAY - launch_day) / 6, 0, 1)
    wave *= np.where(np.isin(day, feature.holidays), 0.4, 1.0)
    days = np.exp(rng.normal(0, feature.wander, size=minutes // DAY + 2))
    wave *= np.interp(at / DAY, np.arange(len(days)), days)
    wave *= np.exp(_wander(minutes, 90, feature.wander, rng))
    return np.where(at >= feature.first_minute, wave, 0.0)


def _of_day(shape: str, hour: Floats) -> Floats:
    bump = np.exp(-0.5 * ((hour - 13.5) / 3.2) ** 2)
    if shape == "office":
        return 0.05 + 1.6 * bump
    if shape == "evening":
        return 0.2 + 1.5 * np.exp(-0.5 * (((hour - 20 + 12) % 24 - 12) / 2.5) ** 2)
    if shape == "flat":
        return np.ones_like(hour)
    if shape == "batch":
        return 0.3 + 8.0 * ((hour >= 2) & (hour < 2.5)) + 0.8 * bump
    return 0.6 + 0.4 * np.cos((hour - 15) / 24 * 2 * np.pi)


def _wander(minutes: int, tau: int, size: float, rng: np.random.Generator) -> Floats:
    """Noise that keeps its direction for about `tau` minutes."""
    knots = rng.normal(0, size, size=minutes // tau + 2)
    return np.interp(np.arange(minutes), np.arange(len(knots)) * tau, knots)


def traffic(feature: Feature, minutes: int, modifiers: Modifiers, rng: np.random.Generator) -> dict[str, Floats]:
    """Columns of series_minute for one feature; minutes without calls have zeros."""
    expected = rate(feature, minutes, rng) * modifiers.rate
    if feature.burstiness:
        shape = 1 / feature.burstiness
        expected = expected * rng.gamma(shape, 1 / shape, size=minutes)
    calls = rng.poisson(np.where(modifiers.silent, 0, expected + modifiers.added_calls))
    tokens_in = _sums(calls, feature.input_tokens, feature.size_spread, rng)
    tokens_out = _sums(calls, feature.output_tokens, feature.size_spread, rng)
    return priced(feature, calls, tokens_in, tokens_out, modifiers, rng)


def priced(  # noqa: PLR0913, PLR0917 - one of each
    feature: Feature,
    calls: NDArray[np.int64],
    tokens_in: tuple[Floats, Floats],
    tokens_out: tuple[Floats, Floats],
    modifiers: Modifiers,
    rng: np.random.Generator,
) -> dict[str, Floats]:
    """Columns of series_minute from calls and, for each minute, sum and largest of their tokens."""
    minutes = len(calls)
    failed = rng.binomial(calls, np.clip(modifiers.failing, 0, 1))
    share = np.clip(feature.cache_share * modifiers.cache * np.exp(rng.normal(0, 0.05, minutes)), 0, 0.98)
    inputs, dearest_in = tokens_in[0] * modifiers.tokens, tokens_in[1] * modifiers.tokens
    cached = np.floor(inputs * share)
    price = feature.usd_per_token * modifiers.price
    priced_in = 1 - share * (1 - CACHED_PRICE)
    return {
        "calls": calls.astype(np.float64),
        "errors": failed.astype(np.float64),
        "retries": failed.astype(np.float64),
        "cost_usd": price * (inputs * priced_in + 4 * tokens_out[0]),
        "max_call_usd": price * (dearest_in * priced_in + 4 * tokens_out[1]),
        "input_tokens": np.floor(inputs),
        "output_tokens": np.floor(tokens_out[0]),
        "cache_read_tokens": cached,
    }


def _sums(calls: NDArray[np.int64], mean: float, spread: float, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Sum and largest, per minute, of log-normal sizes, one for each call."""
    sizes = mean * np.exp(rng.normal(-0.5 * spread**2, spread, size=int(calls.sum())))
    starts = np.concatenate(([0], np.cumsum(calls)[:-1]))
    busy = calls > 0
    total, largest = np.zeros(len(calls)), np.zeros(len(calls))
    if busy.any():
        total[busy] = np.add.reduceat(sizes, starts[busy])
        largest[busy] = np.maximum.reduceat(sizes, starts[busy])
    return total, largest
