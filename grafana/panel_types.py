"""What each type of panel asks of its query and of Grafana."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class PanelType:
    """`result` is the plugin's result format; `custom` and `options` are the panel's own settings."""

    result: str
    options: Json
    custom: Json = field(default_factory=dict)
    color: str = "thresholds"


_BARS: Final[Json] = {
    "drawStyle": "bars",
    "barAlignment": 1,  # a bucket's time is its start
    "fillOpacity": 80,
    "lineWidth": 0,
    "stacking": {"mode": "normal", "group": "A"},
    "axisSoftMin": 0,
}
_LINES: Final[Json] = {
    "drawStyle": "line",
    "lineInterpolation": "stepAfter",
    "fillOpacity": 8,
    "lineWidth": 2,
    "spanNulls": True,
    "showPoints": "never",
    "stacking": {"mode": "none", "group": "A"},
    "axisSoftMin": 0,
}
_LEGEND: Final[Json] = {
    "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
    "tooltip": {"mode": "multi", "sort": "desc"},
}

PANEL_TYPES: Final[Mapping[str, PanelType]] = {
    "stat": PanelType(
        result="table",
        options={
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "colorMode": "value",
            "graphMode": "none",
            "justifyMode": "center",
            "orientation": "auto",
            "textMode": "value",
            "wideLayout": True,
        },
    ),
    "bars": PanelType("timeseries", _LEGEND, _BARS, "palette-classic-by-name"),
    "shares": PanelType(
        "timeseries", _LEGEND, _BARS | {"stacking": {"mode": "percent", "group": "A"}}, "palette-classic-by-name"
    ),
    "lines": PanelType("timeseries", _LEGEND, _LINES, "palette-classic-by-name"),
    "table": PanelType(
        result="table",
        options={"showHeader": True, "cellHeight": "sm"},
        custom={"align": "auto", "filterable": False, "minWidth": 70},
    ),
    "barchart": PanelType(
        result="table",
        options={
            "orientation": "horizontal",
            "showValue": "always",
            "stacking": "none",
            "groupWidth": 0.7,
            "barWidth": 0.9,
            "barRadius": 0,
            "fullHighlight": False,
            "xTickLabelRotation": 0,
            "xTickLabelSpacing": 0,
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": False, "calcs": []},
            "tooltip": {"mode": "single", "sort": "none"},
        },
        custom={"fillOpacity": 80, "lineWidth": 0, "axisSoftMin": 0},
    ),
}
"""By the name that sources use. Grafana's own name of `bars`, `shares` and `lines` is timeseries."""

GRAFANA_TYPES: Final = {"bars": "timeseries", "shares": "timeseries", "lines": "timeseries"}
