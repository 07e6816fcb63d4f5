"""What Grafana does to a query before ClickHouse sees it: a model of its variables and of the ClickHouse plugin 4.20.

The browser first resolves `$__conditionalAll` and the variables, then the plugin's backend drops comments and expands
the time macros. An alert rule runs in the backend alone: `expand_in_backend`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

ALL = "$__all"

Value = str | Sequence[str]
"""The value of a variable: `ALL`, one string (a single-value variable) or a list (a multi-value one)."""


@dataclass(frozen=True)
class View:
    """What a user looks at: a time range in UTC, the panel's interval in seconds and the variables' values."""

    start: datetime
    end: datetime
    interval_s: int = 60
    variables: Mapping[str, Value] = field(default_factory=dict)


class MacroError(Exception):
    """The query asks for something that Grafana would not expand."""


def expand(sql: str, view: View) -> str:
    """A panel's query as ClickHouse gets it."""
    return expand_in_backend(_variables(_conditional_all(sql, view.variables), view.variables), view)


def expand_in_backend(sql: str, view: View) -> str:
    """An alert rule's query as ClickHouse gets it.

    Raises:
        MacroError: something is left that only the browser expands, or that nobody does.
    """
    bare = re.sub(r"^\s*--.*$", "", sql, flags=re.MULTILINE)
    for name, replace in _BACKEND.items():
        bare = _replace_calls(bare, name, lambda arguments, replace=replace: replace(view, *arguments))
    if left := re.search(r"\$(__\w+|\{\w+)", _without_strings(bare)):
        raise MacroError(f"not expanded: {left.group()}")
    return bare


# The browser's half


def _is_all(value: Value) -> bool:
    return value == ALL or list(value) == [ALL]


def _conditional_all(sql: str, variables: Mapping[str, Value]) -> str:
    """`$__conditionalAll(condition, $variable)`: the condition, or `1=1` where All or nothing is chosen."""

    def choose(arguments: Sequence[str]) -> str:
        condition, reference = arguments
        name = re.fullmatch(r"\$\{?(\w+)\}?", reference.strip())
        if name is None:
            raise MacroError(f"the second argument must be a plain variable: {reference.strip()}")
        value = variables[name.group(1)]
        return "1=1" if _is_all(value) or "".join(value) == "" else condition

    return _replace_calls(sql, "conditionalAll", choose)


def _variables(sql: str, variables: Mapping[str, Value]) -> str:
    """`${name:sqlstring}`; any other form is refused, as the plugin would put it in without quoting."""

    def quote(match: re.Match[str]) -> str:
        name, form = match.group(1), match.group(2)
        if form != "sqlstring":
            raise MacroError(f"{match.group()}: only ${{{name}:sqlstring}} quotes its value")
        value = variables[name]
        values = [value] if isinstance(value, str) else value
        return ",".join(_sql_string(one) for one in values)

    return re.sub(r"\$\{(\w+)(?::(\w+))?\}", quote, sql)


def _sql_string(value: str) -> str:
    """Grafana's `sqlstring`: doubles ' and escapes ", and leaves a backslash as it is."""
    escaped = value.replace("'", "''").replace('"', '\\"')
    return f"'{escaped}'"


# The backend's half


def _seconds(moment: datetime) -> str:
    return f"toDateTime({int(moment.timestamp())})"


def _milliseconds(moment: datetime) -> str:
    return f"fromUnixTimestamp64Milli({int(moment.timestamp() * 1000)})"


def _date(moment: datetime) -> str:
    return f"toDate('{moment.astimezone(UTC):%Y-%m-%d}')"


def _between(column: str, view: View, literal: Callable[[datetime], str]) -> str:
    return f"{column} >= {literal(view.start)} AND {column} <= {literal(view.end)}"


_BACKEND: Mapping[str, Callable[..., str]] = {
    "timeFilter_ms": lambda view, column: _between(column, view, _milliseconds),
    "timeFilter": lambda view, column: _between(column, view, _seconds),
    "dateTimeFilter": lambda view, date, time: (
        f"({_between(date, view, _date)}) AND ({_between(time, view, _seconds)})"
    ),
    "timeInterval": lambda view, column: (
        f"toStartOfInterval(toDateTime({column}), INTERVAL {max(view.interval_s, 1)} second)"
    ),
    "interval_s": lambda view, *_: str(max(view.interval_s, 1)),
    "fromTime": lambda view, *_: _seconds(view.start),
    "toTime": lambda view, *_: _seconds(view.end),
}


# Both halves


def _replace_calls(sql: str, name: str, replace: Callable[[Sequence[str]], str]) -> str:
    """Replace every `$__name` and `$__name(a, b)`; brackets inside arguments are balanced."""
    pieces, last = [], 0
    for match in re.finditer(rf"\$__{name}(?!\w)", sql):
        if match.start() < last:
            raise MacroError(f"$__{name} inside its own arguments")
        arguments, end = _arguments(sql, match.end())
        pieces += [sql[last : match.start()], replace(arguments)]
        last = end
    return "".join([*pieces, sql[last:]])


def _arguments(sql: str, start: int) -> tuple[list[str], int]:
    """The arguments of the call whose bracket opens at `start`, and where it ends; none where no bracket opens."""
    if sql[start : start + 1] != "(":
        return [], start
    depth, begin, found = 0, start + 1, []
    for position in range(start, len(sql)):
        character = sql[position]
        depth += (character == "(") - (character == ")")
        if (character == "," and depth == 1) or depth == 0:
            found.append(sql[begin:position].strip())
            begin = position + 1
        if depth == 0:
            return [argument for argument in found if argument], position + 1
    raise MacroError(f"a bracket is not closed: {sql[start : start + 60]}")


def _without_strings(sql: str) -> str:
    """The statement without its string literals, where a `$` means nothing."""
    return re.sub(r"'(?:[^'\\]|\\.|'')*'", "''", sql)
