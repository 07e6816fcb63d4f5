"""Numbers and times as Grafana writes them, for the units that the dashboards use."""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any, Final

_STEPS: Final = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K"))
_TIMES: Final = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"))
_BYTES: Final = ((1024.0**3, "GiB"), (1024.0**2, "MiB"), (1024.0, "KiB"))
_TIME_PATTERNS: Final = {
    "time:DD.MM. HH:mm": "%d.%m. %H:%M",
    "time:DD.MM. HH:mm:ss": "%d.%m. %H:%M:%S",
    "time:HH:mm:ss": "%H:%M:%S",
    "time:YYYY-MM-DD": "%Y-%m-%d",
    "time:YYYY-MM-DD HH:mm:ss.SSS": "%Y-%m-%d %H:%M:%S.%f",
}


def written(value: Any, unit: str, decimals: int | None = None) -> str:
    """A value of a panel in its unit; a dash is not known."""
    if value is None or value == "":
        return "-" if value is None else ""
    if isinstance(value, datetime):
        text = value.strftime(_TIME_PATTERNS.get(unit, "%Y-%m-%d %H:%M"))
        return text[:-3] if unit.endswith("SSS") else text
    if isinstance(value, date | str):
        return str(value)
    return _UNITS.get(unit, _short)(float(value), decimals)


def _digits(value: float, decimals: int | None) -> str:
    if decimals is None:
        decimals = 0 if value == int(value) or abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{decimals}f}"


def _scaled(value: float, decimals: int | None, steps: tuple[tuple[float, str], ...], gap: str) -> str:
    for size, name in steps:
        if abs(value) >= size:
            return f"{_digits(value / size, 1 if decimals is None else decimals)}{gap}{name}"
    return _digits(value, decimals)


def _short(value: float, decimals: int | None) -> str:
    return _scaled(value, None if abs(value) >= 1000 else decimals, _STEPS, " ")


def _usd(value: float, decimals: int | None) -> str:
    sign = "-" if value < 0 else ""
    return f"{sign}${_scaled(abs(value), decimals, _STEPS, '')}"


def _seconds(value: float, decimals: int | None) -> str:
    return f"{value:.0f} s" if value == 0 else _scaled(value, decimals, _TIMES, " ")


_UNITS: Final[Mapping[str, Callable[[float, int | None], str]]] = {
    "currencyUSD": _usd,
    "percentunit": lambda value, decimals: f"{_digits(value * 100, 1 if decimals is None else decimals)}%",
    "s": _seconds,
    "ms": lambda value, decimals: _seconds(value / 1000, decimals if abs(value) < 1000 else 1),
    "d": lambda value, decimals: f"{_digits(value, decimals)} d",
    "bytes": lambda value, decimals: _scaled(value, decimals, _BYTES, " "),
    "short": _short,
}
