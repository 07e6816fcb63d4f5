"""Stored lines → the calls they were made of → what they cost by another book, beside what they cost."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from otel_llmcost.call import Bucket, Cost, LLMCall, Outcome, Source, Usage
from otel_llmcost.exporters.clickhouse.pack import MONEY, PICO_USD
from otel_llmcost.exporters.clickhouse.rows import COLUMNS, NANOSECONDS_PER_MS, TAG_COLUMNS, UNFIT
from otel_llmcost.exporters.clickhouse.rows import MONEY as MONEY_KIND
from otel_llmcost.restating.arrow_columns import mappings, text_lists, units, whole_numbers, words

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

MONEY_COLUMNS: Final = (
    "cost_usd",
    "list_cost_usd",
    "input_cost_usd",
    "output_cost_usd",
    "cache_read_cost_usd",
    "cache_write_cost_usd",
    "other_cost_usd",
    "cache_savings_usd",
)
WORD_COLUMNS: Final = ("status", "reason", "price_id", "price_book")
COMPARED_WORDS: Final = ("status", "reason", "price_id")
"""A line whose amounts, status, reason and row of the book stay as they are is not restated: it is right in both."""
SLICE_LINES: Final = 10_000
"""Lines that are Python objects at a time."""

Price = Callable[[LLMCall], Cost]

_BUCKETS: Final = {bucket.value: bucket for bucket in Bucket}
_OUTCOMES: Final = {outcome.value: outcome for outcome in Outcome}
_SOURCES: Final = {source.value: source for source in Source}


@dataclass(frozen=True, slots=True)
class Amount:
    """A column of money: counts of 1e-12 USD, 0 where it is not known."""

    units: "np.ndarray"
    known: "np.ndarray"


@dataclass(frozen=True, slots=True)
class Repriced:
    """Lines with their old and new amounts.

    `readable`: which lines could be priced; a later version of this program may have written buckets that this one
    does not know, and such a line keeps what it has.
    """

    lines: "pa.Table"
    readable: "np.ndarray"
    old: Mapping[str, Amount]
    new: Mapping[str, Amount]
    old_words: Mapping[str, Sequence[str]]
    new_words: Mapping[str, Sequence[str]]

    def changed(self) -> "np.ndarray":
        """Which lines cost something else now, or the same for another reason."""
        import numpy as np

        differs = np.zeros(self.lines.num_rows, dtype=bool)
        for name, new in self.new.items():
            old = self.old[name]
            differs |= (old.units != new.units) | (old.known != new.known)
        for name in COMPARED_WORDS:
            old_words, new_words = (np.array(told[name], dtype=object) for told in (self.old_words, self.new_words))
            differs |= old_words != new_words
        changed: np.ndarray = differs & self.readable
        return changed


def reprice(lines: "pa.Table", price: Price) -> Repriced:
    """What every line costs by `price`."""
    import numpy as np

    costs: dict[str, list[Any]] = {name: [] for name in (*MONEY_COLUMNS, *WORD_COLUMNS)}
    readable: list[bool] = []
    for begin in range(0, lines.num_rows, SLICE_LINES):
        calls = list(calls_of(lines.slice(begin, SLICE_LINES)))
        readable += [call is not None for call in calls]
        _add_costs(calls, price, costs)
    old = {name: Amount(*units(lines.column(name))) for name in MONEY_COLUMNS}
    return Repriced(
        lines=lines,
        readable=np.array(readable, dtype=bool),
        old=old,
        new={name: _amount(name, costs[name]) for name in MONEY_COLUMNS},
        old_words={name: words(lines.column(name)) for name in WORD_COLUMNS},
        new_words={name: costs[name] for name in WORD_COLUMNS},
    )


def _add_costs(calls: Sequence[LLMCall | None], price: Price, costs: dict[str, list[Any]]) -> None:
    priced = [call for call in calls if call is not None]
    for call in priced:
        object.__setattr__(call, "cost", price(call))  # nobody else has seen it yet
    for name, found in costs.items():
        get = COLUMNS[name][1]
        if len(priced) == len(calls):
            found += [get(call) for call in priced]
        else:
            empty = None if name in MONEY_COLUMNS else ""
            found += [empty if call is None else get(call) for call in calls]


def _amount(name: str, values: Sequence[Any]) -> Amount:
    """A column as the writer of lines packs it."""
    import numpy as np

    known = np.fromiter((value is not None for value in values), dtype=bool, count=len(values))
    type_ = MONEY if COLUMNS[name][0] is MONEY_KIND else PICO_USD
    packed = type_.pack([0 if value is None else value for value in values])
    return Amount(np.frombuffer(packed, dtype="<i8"), known)


def calls_of(lines: "pa.Table") -> Iterator[LLMCall | None]:
    """The calls that lines were made of, without their cost; None for a line that this version cannot read.

    Durations are those that the ledger has, in whole milliseconds.
    """
    columns = [read(lines.column(name)) for name, read in _READERS.items()]
    for row in zip(*columns, strict=True):
        yield _call(*row)


def _call(  # noqa: PLR0913, PLR0917 - the row of a table
    call_id: bytes,
    source: str,
    start_ns: int,
    duration_ms: int,
    streaming: int,
    outcome: str,
    usage_known: int,
    usage_rule: str,
    flags: tuple[str, ...],
    buckets: dict[str, int],
    tags: dict[str, str],
    team: str,
    feature: str,
    customer: str,
    reported_usd: Decimal | None,
    *rest: Any,
) -> LLMCall | None:
    try:
        counted = {_BUCKETS[name]: count for name, count in buckets.items() if count}
        ended = _OUTCOMES[outcome]
        seen = _SOURCES[source]
    except KeyError:
        return None
    named = zip(TAG_COLUMNS, (team, feature, customer), strict=True)
    tags = {**tags, **{name: value for name, value in named if value}}
    if flags:
        flags = tuple(flag for flag in flags if not flag.endswith(UNFIT))
    return LLMCall(
        call_id=call_id,
        source=seen,
        start_ns=start_ns,
        end_ns=start_ns + duration_ms * NANOSECONDS_PER_MS,
        streaming=bool(streaming),
        outcome=ended,
        usage=Usage(counted, bool(usage_known), usage_rule, flags),
        tags=tags,
        reported_usd=reported_usd,
        **dict(zip(_SAME, rest, strict=True)),
    )


def _as_is(column: "pa.ChunkedArray") -> list[Any]:
    values: list[Any] = column.to_pylist()
    return values


_SAME: Final = (
    "provider",
    "host",
    "operation",
    "model",
    "requested_model",
    "service",
    "environment",
    "http_status",
    "error_type",
    "service_tier",
    "price_context",
    "user",
    "session",
    "agent",
    "workflow",
    "run",
)
"""Columns that are fields of the record under the same name."""

_TEXT_MAP: Final = {"price_context"}
_NUMBERS: Final = {"http_status"}


def _reader(name: str) -> Callable[["pa.ChunkedArray"], list[Any]]:
    if name in _TEXT_MAP:
        return lambda column: mappings(column, words)
    return whole_numbers if name in _NUMBERS else words


_READERS: Final[Mapping[str, Callable[["pa.ChunkedArray"], list[Any]]]] = {
    "call_id": _as_is,
    "source": words,
    "ts": whole_numbers,
    "duration_ms": whole_numbers,
    "streaming": whole_numbers,
    "outcome": words,
    "usage_known": whole_numbers,
    "usage_rule": words,
    "usage_flags": text_lists,
    "buckets": lambda column: mappings(column, whole_numbers),
    "tags": lambda column: mappings(column, words),
    "team": words,
    "feature": words,
    "customer": words,
    "reported_cost_usd": _as_is,
    **{name: _reader(name) for name in _SAME},
}
CALL_COLUMNS: Final = tuple(_READERS)
"""What a call is read from."""
