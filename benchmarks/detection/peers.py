"""Other ways to alert, as people set them up by hand, on the spend of each feature by the minute."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from detection.workloads import DAY, Floats

Firing = NDArray[np.bool_]


def static_threshold(usd: Floats, warm_up: int) -> Firing:
    """The last hour costs more than 1.5 times the dearest hour of the weeks before."""
    hour = trailing(usd, 60)
    return hour > 1.5 * hour[:warm_up].max()


def three_sigma(usd: Floats, _: int) -> Firing:
    """The last 5 minutes are 3 standard deviations off the mean of those of the last 24 hours, either way."""
    recent = trailing(usd, 5)
    mean = trailing(recent, DAY) / DAY
    spread = np.sqrt(np.maximum(trailing(recent**2, DAY) / DAY - mean**2, 0))
    return np.abs(recent - mean) > 3 * spread


def ratio(usd: Floats, _: int) -> Firing:
    """The last hour costs more than 150 % of the same hour yesterday."""
    hour = trailing(usd, 60)
    yesterday = np.concatenate((np.zeros(DAY), hour[:-DAY]))
    return (yesterday > 0) & (hour > 1.5 * yesterday)


PEERS: Mapping[str, Callable[[Floats, int], Firing]] = {
    "static threshold": static_threshold,
    "3 sigma, trailing day": three_sigma,
    "150 % of yesterday": ratio,
}


def trailing(values: Floats, width: int) -> Floats:
    """Sums of `width` values that end with each."""
    sums = np.concatenate((np.zeros(width), np.cumsum(values)))
    return np.maximum(sums[width:] - sums[:-width], 0)
