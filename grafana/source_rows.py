"""The tables' rows, as sources/dashboards/*.yaml and sources/alerts/*.yaml write them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml

Row = TypeVar("Row")


class SourceError(Exception):
    """A source is wrong; the text names the file and the row."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table panel (or one series of a chart), by the name that the query gives it.

    `filters`: a click sets this variable to the cell's value. `sets` does the same for several, variable → column of
    the row; with `opens` on another dashboard, by its uid. `days`: the row's from_ms and to_ms become the time range.
    """

    title: str = ""
    unit: str = ""
    decimals: int | None = None
    bar: bool = False  # drawn as a bar from 0 to the largest value
    width: int | None = None
    hidden: bool = False
    color: str = ""
    thresholds: Mapping[str, float | None] = field(default_factory=dict)
    axis: str = ""  # a line on an axis of its own: right
    filters: str = ""
    sets: Mapping[str, str] = field(default_factory=dict)
    opens: str = ""
    says: str = "Only this"  # text of the link
    days: bool = False
    trace: bool = False  # a click opens the trace

    @property
    def picks(self) -> Mapping[str, str]:
        """What a click sets: variable → column whose value it takes."""
        return ({self.filters: self.filters} if self.filters else {}) | self.sets


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel. `at` is x, y, width, height on Grafana's 24-column grid.

    It asks `query`, a file of queries/<dashboard>/ with `fill` put in, or `shows` a column of what the panel `reuse`
    asked, or asks Prometheus for `promql`.
    """

    id: int
    title: str
    description: str
    type: str
    unit: str
    at: Sequence[int]
    query: str = ""
    fill: Mapping[str, str] = field(default_factory=dict)
    reuse: int | None = None
    shows: str = ""  # the column of the result that a stat shows
    calc: str = "lastNotNull"  # what of it, where the result has several rows
    promql: str = ""
    thresholds: Mapping[str, float | None] = field(default_factory=lambda: {"text": None})
    decimals: int | None = None
    legend: str = ""
    colors: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, Column] = field(default_factory=dict)
    max_points: int | None = None
    no_value: str = "-"


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One dashboard; its queries stand in queries/<file name>/. `variables` are those beside the dimensions."""

    uid: str
    title: str
    description: str
    time_from: str
    refresh: str
    panels: Sequence[Panel]
    variables: Sequence[Mapping[str, Any]] = ()
    time_to: str = "now"


@dataclass(frozen=True, slots=True)
class Alert:
    """One rule. It asks the ledger (`query`: label columns and one number), a metric (`promql`), or either.

    It fires where the number is above `above` for `pending`. In `summary` and `description`, {label} stands for a label
    and {value:.1f} for the number. For `watch`: labels of `identity` make an alert (all, if none), those with equal
    labels of `group` are told together, and what is `covered_by` a series of another alert is part of that one's cause.
    """

    uid: str
    title: str
    above: float
    pending: str
    keep_firing: str
    labels: Mapping[str, str]
    summary: str
    description: str
    runbook: str  # a file of docs/runbooks
    query: str = ""
    window_s: int = 0
    promql: str = ""
    dashboard: str = ""
    panel: int = 0
    identity: Sequence[str] = ()
    group: Sequence[str] = ()
    covers: str = ""  # the label that is the id of an anomaly
    covered_by: str = ""  # the label that is a series, as anomalies name it


@dataclass(frozen=True, slots=True)
class AlertGroup:
    """Rules that are evaluated together."""

    name: str
    folder: str
    interval: str
    rules: Sequence[Alert]


def read_row(kind: type[Row], values: Any, where: str) -> Row:
    """One row of a source as its dataclass.

    Raises:
        SourceError: a key is missing or unknown.
    """
    try:
        return kind(**values)
    except TypeError as error:
        raise SourceError(f"{where}: {error}") from None


def read_dashboard(path: Path) -> Dashboard:
    """One file of sources/dashboards/."""
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    panels = []
    for row in document["panels"]:
        where = f"{path.name}: panel {row.get('id')}"
        columns = {name: read_row(Column, column, where) for name, column in row.get("columns", {}).items()}
        panels.append(read_row(Panel, row | {"columns": columns}, where))
    return read_row(Dashboard, document | {"panels": panels}, path.name)


def read_alerts(path: Path) -> AlertGroup:
    """One file of sources/alerts/."""
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    rules = [read_row(Alert, row, f"{path.name}: rule {row.get('uid')}") for row in document["rules"]]
    return read_row(AlertGroup, document | {"rules": rules}, path.name)
