"""Lines as a restatement leaves them: all they were, with other amounts and a higher version."""

from typing import TYPE_CHECKING, Any

from otel_llmcost.call import Source
from otel_llmcost.exporters.clickhouse.shadows import DAY_NS, HOUR_NS, other_days
from otel_llmcost.restating.arrow_columns import amounts, dictionary, words
from otel_llmcost.restating.repricing import MONEY_COLUMNS, WORD_COLUMNS, Repriced
from otel_llmcost.restating.versions import IMPORT_SHIFT, MAX_GENERATION, SHIFT

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


def new_versions(repriced: Repriced, which: "np.ndarray", run_id: int) -> "pa.Table":
    """The new versions of those lines."""
    import numpy as np
    import pyarrow as pa

    lines = repriced.lines.filter(pa.array(which))
    places = np.flatnonzero(which).tolist()
    replaced: dict[str, pa.Array] = {"version": pa.array(restated_versions(lines, run_id))}
    for name in MONEY_COLUMNS:
        replaced[name] = amounts(repriced.new[name].units[which], repriced.new[name].known[which])
    for name in WORD_COLUMNS:
        replaced[name] = dictionary([repriced.new_words[name][place] for place in places])
    return pa.table({name: replaced.get(name, lines.column(name)) for name in lines.column_names})


def shadows_of(lines: "pa.Table") -> "pa.Table":
    """The marks of lines in days next to their own (shadows.py): a record of the call that comes late, with a time on
    the other side of midnight, is hidden there by the version that a restatement gave the line, as any other is."""
    import numpy as np
    import pyarrow as pa

    start_ns, skew_ns = start_times(lines), lines.column("skew_h").to_numpy().astype(np.int64) * HOUR_NS
    near = np.flatnonzero((start_ns % DAY_NS < skew_ns) | (start_ns % DAY_NS >= DAY_NS - skew_ns))
    marks = [
        (*row, day_ns, 1)
        for row, at_ns in zip(_marked(lines.take(near)), start_ns[near].tolist(), strict=True)
        for day_ns in other_days(at_ns, row[2])
    ]
    types = {
        "call_id": pa.binary(16),
        "version": pa.uint64(),
        "skew_h": pa.uint8(),
        "ts": pa.timestamp("ns", "UTC"),
        "shadow": pa.uint8(),
    }
    columns = list(zip(*marks, strict=True)) or [()] * len(types)
    return pa.table(
        {name: pa.array(column, type_) for (name, type_), column in zip(types.items(), columns, strict=True)}
    )


def _marked(lines: "pa.Table") -> Any:
    return zip(*(lines.column(name).to_pylist() for name in ("call_id", "version", "skew_h")), strict=True)


def start_times(lines: "pa.Table") -> "np.ndarray":
    """When lines began, ns since 1970."""
    import pyarrow as pa

    times: np.ndarray = lines.column("ts").combine_chunks().view(pa.int64()).to_numpy()
    return times


def restated_after(lines: "pa.Table", run_id: int) -> "np.ndarray":
    """Lines that a later run has restated: an older one that is continued leaves them alone."""
    import numpy as np

    versions = lines.column("version").to_numpy()
    later: np.ndarray = (versions >> _shifts(lines)) & np.uint64(MAX_GENERATION) > np.uint64(run_id)
    return later


def restated_versions(lines: "pa.Table", run_id: int) -> "np.ndarray":
    """`versions.restated_version` of every line."""
    import numpy as np

    shifts = _shifts(lines)
    versions = lines.column("version").to_numpy() & ~(np.uint64(MAX_GENERATION) << shifts)
    restated: np.ndarray = versions | np.uint64(run_id) << shifts
    return restated


def _shifts(lines: "pa.Table") -> "np.ndarray":
    import numpy as np

    sources = words(lines.column("source"))
    return np.array([IMPORT_SHIFT if source == Source.IMPORT else SHIFT for source in sources], dtype=np.uint64)
