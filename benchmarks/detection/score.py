"""What was found, how soon, and what was said for nothing."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from detection.faults import Fault
from detection.workloads import DAY

GAP = 360
"""Minutes of silence after which firing again is another alert; the same for everybody."""
LATE = 15
"""Minutes after a fault's end in which it may still be found."""
AFTERMATH = {"drift": 4 * DAY, "level_shift": 3 * DAY, "price_change": 3 * DAY}
"""Minutes after a fault in which an alert is about it; a day where nothing else is said."""
MONTH = 30.4 * DAY


@dataclass(frozen=True)
class Alert:
    """Something was said of `features` (those whose faults it may be about) from `start` to `end`.

    `direction` is rise or drop, empty where a way to alert does not tell; `began` is when the series began to signal.
    """

    features: frozenset[str]
    start: int
    end: int
    direction: str = ""
    began: int | None = None


@dataclass(frozen=True)
class Score:
    """Of one way to alert, over one set or several."""

    faults: list[tuple[Fault, float | None]]  # minutes to detect; None: missed
    alerts: int
    false_alerts: int
    series_minutes: float

    @property
    def recall(self) -> float:
        return sum(found is not None for _, found in self.faults) / max(len(self.faults), 1)

    @property
    def precision(self) -> float:
        return (self.alerts - self.false_alerts) / self.alerts if self.alerts else 1.0

    @property
    def false_per_series_month(self) -> float:
        return self.false_alerts / self.series_minutes * MONTH

    @property
    def alerts_per_series_week(self) -> float:
        return self.alerts / self.series_minutes * 7 * DAY

    @property
    def median_minutes(self) -> float:
        found = [minutes for _, minutes in self.faults if minutes is not None]
        return median(found) if found else float("nan")

    def of(self, faults: Iterable[Fault]) -> "Score":
        """The same, of some of the faults."""
        kept = set(faults)
        return Score(
            [pair for pair in self.faults if pair[0] in kept], self.alerts, self.false_alerts, self.series_minutes
        )


def score(
    faults: Sequence[tuple[Fault, int]],
    said: Sequence[Alert],
    alerts: Sequence[Alert],
    series: int,
    minutes: int,
) -> Score:
    """`faults` with the first minute in which one touched a call; `said` are the single signals, `alerts` what people
    are told."""
    found = [(fault, _minutes(fault, affected, said)) for fault, affected in faults]
    false = sum(not any(_about(alert, fault) for fault, _ in faults) for alert in alerts)
    return Score(found, len(alerts), false, float(series) * minutes)


def together(scores: Sequence[Score]) -> Score:
    """Several sets as one."""
    return Score(
        [pair for one in scores for pair in one.faults],
        sum(one.alerts for one in scores),
        sum(one.false_alerts for one in scores),
        sum(one.series_minutes for one in scores),
    )


def runs(firing: Iterable[int], feature: str) -> list[Alert]:
    """Minutes in which something fires, as alerts."""
    alerts: list[Alert] = []
    for minute in firing:
        if alerts and minute - alerts[-1].end <= GAP:
            alerts[-1] = Alert(alerts[-1].features, alerts[-1].start, minute)
        else:
            alerts.append(Alert(frozenset((feature,)), minute, minute))
    return alerts


def _minutes(fault: Fault, affected: int, said: Sequence[Alert]) -> float | None:
    """From the landing of the first affected call to the end of the minute that told, both at a minute's end.

    What was said of several features (a team, the total) tells of a fault only where it began after it did.
    """
    direction = "drop" if fault.kind == "drop_to_zero" else "rise"
    times = [
        max(one.start, affected)
        for one in said
        if fault.feature in one.features
        and one.end >= affected
        and one.start <= fault.end + LATE
        and one.direction in {"", direction}
        and (len(one.features) == 1 or one.began is None or one.began >= affected)
    ]
    return min(times) - affected + 1 if times else None


def _about(alert: Alert, fault: Fault) -> bool:
    return (
        fault.feature in alert.features
        and alert.end >= fault.start
        and alert.start <= fault.end + AFTERMATH.get(fault.kind, DAY)
    )
