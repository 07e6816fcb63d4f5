"""OpenTelemetry's numbers → Prometheus' text, of one process or of several together."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from opentelemetry.sdk.metrics.export import Gauge, Histogram, Metric, MetricsData, Sum
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric as Exposed

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_UNITS: Final = {"USD": "usd", "s": "seconds", "By": "bytes"}

Labels = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Family:
    """A metric: `samples` by name and labels."""

    name: str
    kind: str
    text: str
    samples: dict[tuple[str, Labels], float] = field(default_factory=dict)


def families(data: MetricsData | None) -> list[Family]:
    """What was collected, as Prometheus names it: `llmcost.cost` in USD is `llmcost_cost_usd_total`."""
    metrics = [
        metric
        for resource in (data.resource_metrics if data else ())
        for scope in resource.scope_metrics
        for metric in scope.metrics
    ]
    return [_family(metric) for metric in metrics]


def merged(processes: Iterable[Sequence[Family]]) -> list[Family]:
    """The families of several processes: counts are added, of other gauges the largest holds."""
    found: dict[str, Family] = {}
    for process in processes:
        for family in process:
            whole = found.setdefault(family.name, Family(family.name, family.kind, family.text))
            adds = family.kind != "gauge" or "_in_flight_" in family.name
            for key, value in family.samples.items():
                before = whole.samples.get(key)
                whole.samples[key] = value if before is None else before + value if adds else max(before, value)
    return list(found.values())


def exposed(found: Sequence[Family]) -> bytes:
    """The text that Prometheus scrapes."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(found))
    return bytes(generate_latest(registry))


class _Collector:
    def __init__(self, found: Sequence[Family]) -> None:
        self._found = found

    def collect(self) -> Iterator[Exposed]:
        for family in self._found:
            metric = Exposed(family.name, family.text, family.kind)
            for (name, labels), value in family.samples.items():
                metric.add_sample(name, dict(labels), value)
            yield metric


def _family(metric: Metric) -> Family:
    unit = _UNITS.get(metric.unit or "")
    name = metric.name.replace(".", "_") + (f"_{unit}" if unit else "")
    data = metric.data
    if isinstance(data, Histogram):
        return Family(name, "histogram", metric.description or "", dict(_buckets(name, data)))
    assert isinstance(data, Sum | Gauge)
    counts = isinstance(data, Sum) and data.is_monotonic
    sample = f"{name}_total" if counts else name
    samples = {(sample, _labels(point.attributes)): float(point.value) for point in data.data_points}
    return Family(name, "counter" if counts else "gauge", metric.description or "", samples)


def _buckets(name: str, data: Histogram) -> Iterator[tuple[tuple[str, Labels], float]]:
    for point in data.data_points:
        labels = _labels(point.attributes)
        below = 0
        for bound, count in zip([*point.explicit_bounds, float("inf")], point.bucket_counts, strict=True):
            below += count
            edge = "+Inf" if bound == float("inf") else repr(float(bound))
            yield (f"{name}_bucket", (*labels, ("le", edge))), below
        yield (f"{name}_sum", labels), point.sum
        yield (f"{name}_count", labels), point.count


def _labels(attributes: object) -> Labels:
    assert hasattr(attributes, "items")
    return tuple(sorted((key.replace(".", "_"), str(value)) for key, value in attributes.items()))
