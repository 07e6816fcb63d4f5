"""Prices of many lines at once, in integers, wherever one product a bucket is the price.

Lines that agree on everything but their counts and times form a group; for each line the book is asked which price
held (a look-up), and lines of a group with the same price cost rate times count, whole columns at a time. `price_call`
stays the judge: it prices one line of each group. Where the columns say anything else than it does, and where a price
is more than products (audio by the second, rates finer than a pico-USD, silence), it prices every line itself.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from otel_llmcost.call import BUCKETS, Bucket, Cost, LLMCall
from otel_llmcost.exporters.clickhouse.rows import COLUMNS, TAG_COLUMNS
from otel_llmcost.money import MAX_PICO_USD
from otel_llmcost.pipeline import cost_of
from otel_llmcost.pricing.book import PriceBook
from otel_llmcost.pricing.compiled import PARTS, Level, Price
from otel_llmcost.pricing.overlay import OwnPrice
from otel_llmcost.pricing.overlays.overlays import Overlays
from otel_llmcost.pricing.quote import OUT_OF_RANGE
from otel_llmcost.pricing.rates import NoPrice
from otel_llmcost.restating.arrow_columns import mappings, text_lists, units, whole_numbers, words
from otel_llmcost.restating.codes import Array, coded, combined, counts_of, numbered, split
from otel_llmcost.restating.repricing import MONEY_COLUMNS, SLICE_LINES, WORD_COLUMNS, Amount, Repriced, calls_of

if TYPE_CHECKING:
    import pyarrow as pa

SMALLEST_GROUP: Final = 8
"""Lines below which a group is priced line by line."""
MAX_CHARGE: Final = 1 << 58
"""Charges above are priced line by line, so that no sum leaves 64 bits unseen."""

DECIDING: Final = (
    "source",
    "provider",
    "model",
    "requested_model",
    "host",
    "service_tier",
    "outcome",
    "streaming",
    "http_status",
    "error_type",
    "usage_known",
    "usage_rule",
)
"""Columns that a price, its reason or reading the line depends on, beside the mappings, the counts and the time."""
_PART_COLUMNS: Final = tuple(f"{part}_cost_usd" for part in PARTS)


@dataclass(slots=True)
class Costs:
    """Columns of prices, to be filled: counts of 1e-12 USD, whether they are known, and words."""

    units: dict[str, Array]
    known: dict[str, Array]
    words: dict[str, Array]

    @classmethod
    def empty(cls, lines: int) -> "Costs":
        import numpy as np

        return cls(
            {name: np.zeros(lines, dtype=np.int64) for name in MONEY_COLUMNS},
            {name: np.zeros(lines, dtype=bool) for name in MONEY_COLUMNS},
            {name: np.full(lines, "", dtype=object) for name in WORD_COLUMNS},
        )

    def put_words(self, rows: Array, cost: Cost) -> None:
        """What lines with that cost say of it."""
        self.words["status"][rows] = cost.status.value
        self.words["reason"][rows] = cost.reason
        self.words["price_id"][rows] = cost.price_id
        self.words["price_book"][rows] = cost.price_book

    def put_amounts(self, rows: Array, listed: "Charges", effective: "Charges") -> None:
        """Amounts of lines that have a price."""
        for name, part in zip(_PART_COLUMNS, effective.parts, strict=True):
            self.units[name][rows] = part
        self.units["cost_usd"][rows] = effective.total
        self.units["list_cost_usd"][rows] = listed.total
        self.units["cache_savings_usd"][rows] = listed.saved
        for known in self.known.values():
            known[rows] = True

    def beside(self, table: "pa.Table", readable: Array) -> Repriced:
        """The new prices beside the old ones."""
        return Repriced(
            lines=table,
            readable=readable,
            old={name: Amount(*units(table.column(name))) for name in MONEY_COLUMNS},
            new={name: Amount(self.units[name], self.known[name]) for name in MONEY_COLUMNS},
            old_words={name: words(table.column(name)) for name in WORD_COLUMNS},
            new_words={name: column.tolist() for name, column in self.words.items()},
        )

    def put_call(self, row: int, call: LLMCall) -> None:
        """A line that was priced by itself; the columns as the writer fills them."""
        for name, column in self.units.items():
            value = COLUMNS[name][1](call)
            self.known[name][row] = value is not None
            column[row] = _pico(value)
        for name, column in self.words.items():
            column[row] = str(COLUMNS[name][1](call))


def _pico(value: Any) -> int:
    if value is None:
        return 0
    return value if isinstance(value, int) else int(value.scaleb(12))


@dataclass(frozen=True, slots=True)
class Charges:
    """Pico-USD of the lines of a group: by part of the bill, in all, and what caching saved."""

    parts: Sequence[Array]
    total: Array
    saved: Array


@dataclass(frozen=True, slots=True)
class Choice:
    """The price that holds for some lines."""

    price: Price | NoPrice
    own: OwnPrice | None


@dataclass(slots=True)
class _Lines:
    """A chunk, as far as prices depend on it."""

    table: "pa.Table"
    plain: Array  # lines that columns can price, as far as one can tell before
    start_ns: Sequence[int]
    counts: Mapping[Bucket, Array]
    kinds: Array  # of lines that agree on everything but counts and time
    by_hand: set[int] = field(default_factory=set)

    def calls(self, rows: Sequence[int]) -> Iterator[LLMCall | None]:
        return calls_of(self.table.take(rows))

    def call(self, row: int) -> LLMCall | None:
        return next(calls_of(self.table.slice(row, 1)))  # far quicker than to take one


class BookPrices:
    """Prices lines by one book."""

    def __init__(self, book: PriceBook) -> None:
        self.book = book
        self._conditions = _conditions_of(book)

    def reprice(self, table: "pa.Table") -> Repriced:
        """What every line costs, beside what it cost."""
        import numpy as np

        lines, costs = self._read(table), Costs.empty(table.num_rows)
        readable = np.ones(table.num_rows, dtype=bool)
        for rows, choice in self._groups(lines):
            if len(rows) < SMALLEST_GROUP or not self._price(lines, rows, choice, costs):
                lines.by_hand.update(rows.tolist())
        by_hand = sorted(lines.by_hand)
        for begin in range(0, len(by_hand), SLICE_LINES):
            rows = by_hand[begin : begin + SLICE_LINES]
            for row, call in zip(rows, lines.calls(rows), strict=True):
                if call is None:
                    readable[row] = False
                else:
                    object.__setattr__(call, "cost", cost_of(call, self.book))  # nobody else has seen it yet
                    costs.put_call(row, call)
        return costs.beside(table, readable)

    # groups

    def _read(self, table: "pa.Table") -> _Lines:
        import numpy as np

        counts, plain = counts_of(table)
        kinds = combined(_coded_columns(table, self._conditions))
        by_hand = set(np.flatnonzero(~plain).tolist())
        return _Lines(table, plain, whole_numbers(table.column("ts")), counts, kinds, by_hand)

    def _groups(self, lines: _Lines) -> Iterator[tuple[Array, Choice]]:
        """Lines of one kind with the same buckets, the same price, and on the same step of it."""
        import numpy as np

        buckets = np.zeros(lines.table.num_rows, dtype=np.int64)
        for place, counts in enumerate(lines.counts.values()):
            buckets |= (counts > 0).astype(np.int64) << place
        choices, chosen = self._choices(lines)
        steps = np.zeros(lines.table.num_rows, dtype=np.int64)
        for index, choice in enumerate(choices):
            rows = np.flatnonzero(chosen == index)
            steps[rows] = _step_of(choice, _input_of(lines.counts, rows))
        for rows in split(combined([lines.kinds, buckets, chosen, steps]), lines.plain):
            yield rows, choices[chosen[rows[0]]]

    def _choices(self, lines: _Lines) -> tuple[list[Choice], Array]:
        """The prices that hold, and which of them does for each line."""
        import numpy as np

        choices: dict[tuple[object, ...], int] = {}
        found: list[Choice] = []
        chosen = np.zeros(lines.table.num_rows, dtype=np.int64)
        for rows in split(lines.kinds, lines.plain):
            probe = lines.call(int(rows[0])) if len(rows) >= SMALLEST_GROUP else None
            if probe is None:  # too few, or not to be read
                lines.plain[rows] = False
                lines.by_hand.update(rows.tolist())
                continue
            for row in rows.tolist():
                object.__setattr__(probe, "start_ns", lines.start_ns[row])
                price = self.book.price_of(probe)
                own = None if isinstance(price, NoPrice) or not self.book.overlay else self._own(probe, price)
                key = (id(price), id(own.price), own.reason, own.estimated) if own else (id(price),)
                index = choices.get(key)
                if index is None:
                    index = choices[key] = len(found)
                    found.append(Choice(price, own))  # keeps both alive: an id is its object's as long as that lives
                chosen[row] = index
        return found, chosen

    def _own(self, call: LLMCall, price: Price) -> OwnPrice | None:
        assert self.book.overlay is not None
        return self.book.overlay.own_price(call, price)

    # prices

    def _price(self, lines: _Lines, rows: Array, choice: Choice, costs: Costs) -> bool:
        """Price a group as the book prices its first line; False where columns cannot."""
        call = lines.call(int(rows[0]))
        assert call is not None  # of a kind that was read before
        cost = cost_of(call, self.book)
        if cost.effective is None or cost.list is None:
            if cost.reason == OUT_OF_RANGE:
                return False
            costs.put_words(rows, cost)
            return True
        if isinstance(choice.price, NoPrice):
            return False
        effective_price = choice.own.price if choice.own else choice.price
        listed, effective = (_charged(price, lines.counts, rows) for price in (choice.price, effective_price))
        if listed is None or effective is None:
            return False
        expected = (cost.list.pico_usd, cost.effective.pico_usd, _pico(cost.cache_savings_usd))
        if expected != (_first(listed), _first(effective), int(listed.saved[0])):
            return False
        wild = (listed.total >= MAX_PICO_USD) | (effective.total >= MAX_PICO_USD)
        lines.by_hand.update(rows[wild].tolist())
        costs.put_words(rows, cost)
        costs.put_amounts(rows, listed, effective)
        return True


def _first(charges: Charges) -> tuple[int, ...]:
    return tuple(int(part[0]) for part in charges.parts)


def _charged(price: Price, counts: Mapping[Bucket, Array], rows: Array) -> Charges | None:
    """Rate times count for lines on one step of a price; None where that is not all, or might leave 64 bits."""
    import numpy as np

    first = rows[:1]
    level: Level = price.level(int(_input_of(counts, first)[0]))
    parts = [np.zeros(len(rows), dtype=np.int64) for _ in PARTS]
    parts[-1] += level.request
    saved = np.zeros(len(rows), dtype=np.int64)
    for bucket, column in counts.items():
        if not column[first[0]]:
            continue
        plain = level.plain.get(bucket)
        if plain is None:
            return None
        place, rate, saving = plain
        used = column[rows]
        if int(used.max()) * max(abs(rate), abs(saving)) >= MAX_CHARGE:
            return None
        parts[place] += used * rate
        saved += used * saving
    return Charges(parts, sum(parts[1:], start=parts[0]), saved)


def _input_of(counts: Mapping[Bucket, Array], rows: Array) -> Array:
    import numpy as np

    total = np.zeros(len(rows), dtype=np.int64)
    for bucket, column in counts.items():
        if BUCKETS[bucket].direction == "input":
            total += column[rows]
    return total


def _step_of(choice: Choice, input_tokens: Array) -> Array:
    """On which step of the list price, and of one's own, lines are."""
    import numpy as np

    if isinstance(choice.price, NoPrice):
        return 0
    step = np.searchsorted(choice.price.starts, input_tokens, "left")
    own = choice.own.price.starts if choice.own else []
    return step * (len(own) + 1) + np.searchsorted(own, input_tokens, "left")


def _conditions_of(book: PriceBook) -> frozenset[str]:
    """Dimensions that prices of one's own ask for."""
    if not isinstance(book.overlay, Overlays):
        return frozenset()
    sections = (entries for entries in book.overlay.to_document().values() if isinstance(entries, list))
    return frozenset(name for entries in sections for entry in entries for name in entry.get("when", {}))


def _coded_columns(table: "pa.Table", conditions: frozenset[str]) -> Iterator[Array]:
    """Each column that a price depends on, as numbers that are equal where its values are."""
    in_columns = {*DECIDING, *(conditions & set(table.column_names))}
    for name in sorted(in_columns):
        yield coded(table.column(name))
    yield numbered([tuple(sorted(context.items())) for context in mappings(table.column("price_context"), words)])
    yield numbered(text_lists(table.column("usage_flags")))
    others = conditions - in_columns - set(TAG_COLUMNS)
    if others:
        tags = mappings(table.column("tags"), words)
        yield numbered([tuple(row.get(name, "") for name in sorted(others)) for row in tags])
