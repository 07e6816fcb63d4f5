"""Draws a dashboard from its JSON and the answers of its queries, with matplotlib: what Grafana would show, roughly."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Final

import matplotlib.dates as mdates
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator
from picture_units import written

Json = dict[str, Any]
Rows = Sequence[Sequence[Any]]

CELL_W, CELL_H, GAP, TOP = 70, 38, 8, 58  # px; Grafana's grid at 1,680 px
DPI: Final = 100
BACK, CARD, EDGE, TEXT, DIM = "#111217", "#181b1f", "#2c2f36", "#ccccdc", "#8e8e9c"
LINK: Final = "#6e9fff"
NAMED: Final = {
    "green": "#73bf69", "red": "#f2495c", "orange": "#ff9830", "blue": "#5794f2", "text": TEXT,
    "semi-dark-orange": "#ff780a",
}  # fmt: skip
PALETTE: Final = (
    "#5794f2", "#73bf69", "#ff9830", "#b877d9", "#f2cc0c", "#5ac8c8", "#f2495c", "#8ab8ff", "#96d98d", "#8e8e9c",
)  # fmt: skip
ROW_H, HEAD_H, CHAR_W = 24, 26, 5.9


def draw(board: Json, answers: Mapping[int, tuple[Sequence[str], Rows]], caption: str) -> Figure:
    """`answers`: panel id → columns and rows; panels without one show a dash."""
    panels = board["panels"]
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
    width, height = 24 * CELL_W + GAP, TOP + rows * CELL_H + GAP
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor=BACK)
    page = _axes(figure, (0, 0, width, height), (width, height))
    page.text(GAP + 6, 22, board["title"], color=TEXT, size=13, weight="bold", va="center")
    page.text(GAP + 6, 45, caption, color=DIM, size=8.5, va="center")
    for panel in panels:
        _Panel(figure, page, (width, height), panel).show(*answers.get(panel["id"], ((), ())))
    return figure


def _axes(figure: Figure, box: tuple[float, float, float, float], size: tuple[float, float]) -> Axes:
    """Axes over x, y, width, height in pixels from the top left, in pixels."""
    x, y, w, h = box
    axes = figure.add_axes((x / size[0], 1 - (y + h) / size[1], w / size[0], h / size[1]))
    axes.set_xlim(0, w)
    axes.set_ylim(h, 0)
    axes.axis("off")
    return axes


class _Panel:
    """One panel: a card with its title, and what is in it."""

    def __init__(self, figure: Figure, page: Axes, size: tuple[float, float], panel: Json) -> None:
        grid = panel["gridPos"]
        self._figure, self._page, self._size, self._panel = figure, page, size, panel
        self._x, self._y = GAP + grid["x"] * CELL_W, TOP + grid["y"] * CELL_H
        self._w, self._h = grid["w"] * CELL_W - GAP, grid["h"] * CELL_H - GAP
        self._defaults = panel["fieldConfig"]["defaults"]
        self._overrides = {
            override["matcher"]["options"]: {p["id"]: p["value"] for p in override["properties"]}
            for override in panel["fieldConfig"]["overrides"]
        }

    def show(self, columns: Sequence[str], rows: Rows) -> None:
        card = FancyBboxPatch((self._x, self._y), self._w, self._h, boxstyle="round,pad=0,rounding_size=3",
                              facecolor=CARD, edgecolor=EDGE, linewidth=0.8)  # fmt: skip
        self._page.add_patch(card)
        self._page.text(
            self._x + 9, self._y + 14, self._panel["title"], color=TEXT, size=8.8, weight="bold", va="center"
        )
        kind = self._panel["type"]
        if kind == "stat":
            self._stat(columns, rows)
        elif not rows:
            self._page.text(self._x + self._w / 2, self._y + self._h / 2, "No data", color=DIM, size=10, ha="center")
        elif kind == "timeseries":
            self._chart(columns, rows)
        elif kind == "table":
            self._table(columns, rows)
        else:
            self._bars(columns, rows)

    # Stats

    def _stat(self, columns: Sequence[str], rows: Rows) -> None:
        value = self._reduced(columns, rows)
        text = written(value, self._defaults["unit"], self._defaults.get("decimals"))
        color = _step_color(value, self._defaults["thresholds"]["steps"])
        size = min(23.0, (self._w - 14) / max(len(text), 4) * 1.05)
        middle = self._y + 14 + self._h / 2
        self._page.text(self._x + self._w / 2, middle, text, color=color, size=size, ha="center", va="center")

    def _reduced(self, columns: Sequence[str], rows: Rows) -> Any:
        options = self._panel["options"]["reduceOptions"]
        name = options["fields"].strip("/^$")
        found = [row[list(columns).index(name)] for row in rows] if name in columns else []
        known = [value for value in found if value is not None]
        if options["calcs"] == ["count"]:
            return len(found)
        if options["calcs"] == ["sum"]:
            return sum(known)
        return (max(known) if options["calcs"] == ["max"] else known[-1]) if known else None

    # Tables

    def _table(self, columns: Sequence[str], rows: Rows) -> None:
        shown = [name for name in columns if not self._overrides.get(name, {}).get("custom.hidden")]
        axes = _axes(self._figure, (self._x + 4, self._y + 26, self._w - 8, self._h - 30), self._size)
        widths = self._widths(shown)
        fit = int((self._h - 30 - HEAD_H) / ROW_H)
        left = 0.0
        for name, width in zip(shown, widths, strict=True):
            values = [row[list(columns).index(name)] for row in rows]
            self._column(axes, name, values, (left, width, fit))
            left += width
        for line in range(min(fit, len(rows)) + 1):
            axes.plot([0, self._w - 8], [HEAD_H + line * ROW_H] * 2, color=EDGE, linewidth=0.6)

    def _widths(self, shown: Sequence[str]) -> list[float]:
        given = [self._overrides.get(name, {}).get("custom.width") for name in shown]
        rest = self._w - 8 - sum(width or 0 for width in given)
        free = sum(width is None for width in given)
        return [width or max(50.0, rest / max(free, 1)) for width in given]

    def _column(self, axes: Axes, name: str, values: Sequence[Any], place: tuple[float, float, int]) -> None:
        left, width, fit = place
        given = self._overrides.get(name, {})
        numeric = all(
            value is None or (isinstance(value, int | float) or hasattr(value, "as_tuple")) for value in values
        )
        at = left + width - 6 if numeric else left + 6
        align = "right" if numeric else "left"
        title = _cut(str(given.get("displayName", name)), width - 8)
        axes.text(at, HEAD_H / 2, title, color=LINK, size=7.6, va="center", ha=align, clip_on=True)
        largest = max((float(value) for value in values if value is not None), default=0.0) if numeric else 0.0
        for row, value in enumerate(values[:fit]):
            middle = HEAD_H + (row + 0.5) * ROW_H
            if given.get("custom.cellOptions", {}).get("type") == "gauge" and largest > 0 and value is not None:
                length = max(0.0, float(value)) / largest * (width - 12)
                axes.add_patch(Rectangle((left + 6, middle - 7), length, 14, color="#1f4a8c", linewidth=0))
            color = TEXT
            if "thresholds" in given:
                color = _step_color(value, given["thresholds"]["steps"])
            elif given.get("links"):
                color = LINK
            text = written(value, given.get("unit", self._defaults["unit"]), given.get("decimals"))
            axes.text(at, middle, _cut(text, width - 8), color=color, size=7.8, va="center", ha=align, clip_on=True)

    # Charts

    def _chart(self, columns: Sequence[str], rows: Rows) -> None:
        axes = self._figure.add_axes(self._inside(right=46 if self._second_axis(columns) else 12))
        series = _series(columns, rows)
        times = sorted({row[0] for row in rows})
        bar = min((after - before for before, after in pairwise(times)), default=None)
        custom = self._defaults["custom"]
        names = sorted(series, key=lambda name: name == "(other)")
        colors = {name: self._color(name, place) for place, name in enumerate(names)}
        if custom["drawStyle"] == "bars":
            stacked = [name for name in names if "custom.axisPlacement" not in self._overrides.get(name, {})]
            self._stacked(axes, {name: series[name] for name in stacked}, times, bar, colors)
        else:
            for name in names:
                points = sorted(series[name].items())
                axes.plot([t for t, _ in points], [v for _, v in points], color=colors[name], linewidth=1.5,
                          drawstyle="steps-post")  # fmt: skip
        self._on_the_right(axes, series, colors)
        percent = custom["stacking"]["mode"] == "percent"
        self._dress(axes, "percentunit" if percent else self._defaults["unit"], times)
        self._legend([(self._overrides.get(name, {}).get("displayName", name), colors[name]) for name in names])

    def _second_axis(self, columns: Sequence[str]) -> bool:
        return any("custom.axisPlacement" in self._overrides.get(name, {}) for name in columns)

    def _color(self, name: str, place: int) -> str:
        given = self._overrides.get(name, {}).get("color", {}).get("fixedColor")
        if name == "(other)":
            return DIM
        return NAMED.get(given, given) if given else PALETTE[place % len(PALETTE)]

    def _inside(self, right: int) -> tuple[float, float, float, float]:
        left, top, bottom = 52, 32, 42
        w, h = self._size
        return ((self._x + left) / w, 1 - (self._y + self._h - bottom) / h, (self._w - left - right) / w,
                (self._h - top - bottom) / h)  # fmt: skip

    def _stacked(
        self, axes: Axes, series: Json, times: Sequence[datetime], bar: Any, colors: Mapping[str, str]
    ) -> None:
        base = np.zeros(len(times))
        heights = {name: np.array([float(points.get(t) or 0) for t in times]) for name, points in series.items()}
        if self._defaults["custom"]["stacking"]["mode"] == "percent":
            whole = np.maximum(sum(heights.values()), 1e-12)
            heights = {name: values / whole for name, values in heights.items()}
        width = bar.total_seconds() / 86400 * 0.92 if bar else 0.02
        for name, values in heights.items():
            axes.bar(times, values, width, bottom=base, color=colors[name], align="edge", linewidth=0)
            base = base + values

    def _on_the_right(self, axes: Axes, series: Json, colors: Mapping[str, str]) -> None:
        for name, points in series.items():
            given = self._overrides.get(name, {})
            if "custom.axisPlacement" in given:
                other = axes.twinx()
                ordered = sorted(points.items())
                other.plot([t for t, _ in ordered], [v for _, v in ordered], color=colors[name], linewidth=1.4)
                other.set_ylim(0)
                _plain(other, given.get("unit", "short"))

    def _dress(self, axes: Axes, unit: str, times: Sequence[datetime]) -> None:
        axes.set_facecolor(CARD)
        axes.set_ylim(0)
        if unit == "percentunit":
            axes.set_ylim(0, min(1.0, axes.get_ylim()[1]))
        axes.grid(color=EDGE, linewidth=0.6)
        axes.set_axisbelow(True)
        _plain(axes, unit)
        locator = mdates.AutoDateLocator(minticks=3, maxticks=max(4, int(self._w / 110)))
        axes.xaxis.set_major_locator(locator)
        long = len(times) > 1 and (times[-1] - times[0]).total_seconds() > 2 * 86400
        axes.xaxis.set_major_formatter(mdates.DateFormatter("%d.%m." if long else "%H:%M", tz=UTC))

    def _legend(self, entries: Sequence[tuple[str, str]]) -> None:
        x, y = self._x + 14, self._y + self._h - 12
        for name, color in entries:
            if x + 22 + len(name) * CHAR_W > self._x + self._w:
                break
            self._page.plot([x, x + 12], [y, y], color=color, linewidth=3)
            self._page.text(x + 17, y, name, color=TEXT, size=7.4, va="center")
            x += 30 + len(name) * CHAR_W

    def _bars(self, columns: Sequence[str], rows: Rows) -> None:
        left = 125 / self._size[0]
        x, y, w, h = self._inside(right=60)
        axes = self._figure.add_axes((x + left * 0.6, y - 24 / self._size[1], w - left * 0.6, h + 24 / self._size[1]))
        names, values = [str(row[0]) for row in rows][::-1], [float(row[1]) for row in rows][::-1]
        axes.barh(names, values, color=self._color(columns[1], 0), height=0.6)
        for place, value in enumerate(values):
            text = written(value, self._defaults["unit"], self._defaults.get("decimals"))
            axes.annotate(
                f" {text} ", (value, place), color=TEXT, size=7.8, va="center", ha="left" if value >= 0 else "right"
            )
        axes.set_facecolor(CARD)
        axes.grid(axis="x", color=EDGE, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.margins(x=0.12)
        _plain(axes, "short")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: written(value, self._defaults["unit"])))
        axes.set_yticks(range(len(names)), names)


def _plain(axes: Axes, unit: str) -> None:
    axes.tick_params(colors=DIM, labelsize=7.4, length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: written(round(value, 12), unit)))


def _series(columns: Sequence[str], rows: Rows) -> dict[str, dict[datetime, float]]:
    """Series by name: of the text column where there is one, else of each column of numbers."""
    texts = [place for place, value in enumerate(rows[0]) if isinstance(value, str)]
    found: dict[str, dict[datetime, float]] = {}
    for row in rows:
        for place, value in enumerate(row[1:], start=1):
            if place not in texts and value is not None:
                name = str(row[texts[0]]) if texts else columns[place]
                found.setdefault(name, {})[row[0]] = float(value)
    return found


def _step_color(value: Any, steps: Sequence[Json]) -> str:
    color = TEXT
    for step in steps:
        if value is not None and (step["value"] is None or float(value) >= step["value"]):
            color = NAMED.get(step["color"], step["color"])
    return color


def _cut(text: str, width: float) -> str:
    most = max(3, int(width / CHAR_W))
    return text if len(text) <= most else text[: most - 1] + "…"
