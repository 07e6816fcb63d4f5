"""Rows of a file → `LLMCall`, each with an id that is the same whenever the same row is read again."""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Final

from otel_llmcost.call import Bucket, LLMCall, Outcome, Source, Usage
from otel_llmcost.identity import digest, imported_id
from otel_llmcost.importing.files import Rejected, Row
from otel_llmcost.importing.plan import TAG_PREFIX, Plan
from otel_llmcost.importing.values import UnreadableError
from otel_llmcost.providers.sellers import seller_named
from otel_llmcost.usage import UNREADABLE, Side, exclusive_usage

RULES: Final = {True: "import", False: "import-cache-outside"}

_INPUT_PARTS: Final = {
    "cache_read_tokens": Bucket.CACHE_READ,
    "cache_write_tokens": Bucket.CACHE_WRITE,
    "cache_write_1h_tokens": Bucket.CACHE_WRITE_1H,
}
_TOTALS: Final = ("input_tokens", "output_tokens")
_OUTPUT_PARTS: Final = {"reasoning_tokens": Bucket.REASONING}
_TAGS: Final[tuple[str, ...]] = ("team", "feature", "customer")
_PLAIN: Final = (
    *("host", "operation", "service_tier", "service", "environment"),
    *("user", "session", "agent", "workflow", "run", "response_id"),
)
_ENCODE: Final = json.JSONEncoder(sort_keys=True, default=str).encode
_SEEN_CACHE_KIB: Final = 64 * 1024


class RowIdentity:
    """Ids for rows that have none: what the row says, and which of the equal rows of the file it is.

    The file's name and the row's place in it do not count, so a renamed file is the same file and rows may be
    appended. How often a row was seen is kept in a temporary database, which goes to disk where it grows: memory
    stays bounded for any number of rows.
    """

    def __init__(self, constants: Mapping[str, str]) -> None:
        self._constants = _canonical(constants)
        self._seen = sqlite3.connect("", isolation_level=None)
        self._seen.execute(f"PRAGMA cache_size = -{_SEEN_CACHE_KIB}")
        self._seen.execute("PRAGMA journal_mode = OFF")
        self._seen.execute("CREATE TABLE seen (row BLOB PRIMARY KEY, times INTEGER NOT NULL) WITHOUT ROWID")
        self._seen.execute("BEGIN")

    def of(self, values: Mapping[str, Any]) -> bytes:
        """16 bytes for the next row with these values."""
        row = digest(b"import-row", self._constants, _canonical(values))
        return digest(b"import-occurrence", row, self._occurrence(row).to_bytes(8, "big"))

    def _occurrence(self, row: bytes) -> int:
        """How many equal rows came before."""
        if self._seen.execute("INSERT OR IGNORE INTO seen VALUES (?, 0)", (row,)).rowcount:
            return 0
        self._seen.execute("UPDATE seen SET times = times + 1 WHERE row = ?", (row,))
        times: int = self._seen.execute("SELECT times FROM seen WHERE row = ?", (row,)).fetchone()[0]
        return times

    def __enter__(self) -> "RowIdentity":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._seen.close()


def read_calls(rows: Iterable[Row | Rejected], plan: Plan, imported_at_s: int) -> Iterator[LLMCall | Rejected]:
    """The calls of a file's rows, not priced yet; a row that cannot be read comes as `Rejected`, in its place.

    `imported_at_s`: the time of the import; where the same row is imported again, the later import counts.
    """
    parsers = plan.parsers()
    constants = plan.constant_values()
    with RowIdentity(plan.constants) as identity:
        for row in rows:
            if isinstance(row, Rejected):
                yield row
                continue
            fields = dict(constants)
            column = ""
            try:
                for name, column, parse in parsers:
                    value = row.values.get(column)
                    if value is not None and not (isinstance(value, str) and not value.strip()):
                        fields[name] = parse(value)
            except UnreadableError as error:
                yield Rejected(row.line, f"{column}: {error}")
                continue
            fields["revision"] = imported_at_s
            yield _call(fields, row, plan, identity) if "ts" in fields else Rejected(row.line, "has no time")


def _call(fields: dict[str, Any], row: Row, plan: Plan, identity: RowIdentity) -> LLMCall:
    seller = seller_named(fields.get("provider", ""))
    provider = seller.name if seller else fields.get("provider", "")
    start_ns: int = fields["ts"]
    end_ns, flags = _end(fields, start_ns)
    status = fields.get("http_status")
    requested = fields.get("requested_model", "")
    tags = {name: fields[name] for name in _TAGS if name in fields}
    tags |= {name.removeprefix(TAG_PREFIX): value for name, value in fields.items() if name.startswith(TAG_PREFIX)}
    return LLMCall(
        call_id=_call_id(fields, provider, row, identity),
        source=Source.IMPORT,
        start_ns=start_ns,
        end_ns=end_ns,
        provider=provider,
        model=fields.get("model", "") or requested,
        requested_model=requested,
        outcome=Outcome.ERROR if status is not None and status >= 400 else Outcome.OK,
        http_status=status,
        usage=_usage(fields, plan, flags),
        reported_usd=fields.get("reported_cost_usd"),
        tags=tags,
        revision=fields["revision"],
        **{name: fields.get(name, "") for name in _PLAIN},
    )


def _call_id(fields: Mapping[str, Any], provider: str, row: Row, identity: RowIdentity) -> bytes:
    if "response_id" in fields:
        # The id that a capture of the same call has: an import and a capture of one call are one line.
        return imported_id(provider, fields["response_id"])
    if "call_id" in fields:
        return digest(b"import-id", provider.encode(), fields["call_id"].encode())
    return identity.of(row.values)


def _canonical(values: Mapping[str, Any]) -> bytes:
    """Names and values, in the order of the names; the same for the same row, whatever the order of its columns."""
    return _ENCODE(values).encode()


def _end(fields: Mapping[str, Any], start_ns: int) -> tuple[int, tuple[str, ...]]:
    """When the call ended (the start where that is not told), and a flag where it ended before it began."""
    end_ns: int = fields.get("end_ts", start_ns + fields.get("duration_ms", 0))
    if end_ns < start_ns:
        return start_ns, (f"times: end {end_ns} before start {start_ns}",)
    return end_ns, ()


def _usage(fields: Mapping[str, Any], plan: Plan, flags: tuple[str, ...]) -> Usage:
    """Exclusive buckets; where one total is told and the other one's cell is empty, that is flagged, not taken as 0."""
    silent = [name for name in _TOTALS if name in plan.columns and name not in fields]
    if len(silent) == 1:
        flags = (*flags, f"{UNREADABLE}{silent[0]}: the cell is empty")
    input_parts = {bucket: fields[name] for name, bucket in _INPUT_PARTS.items() if name in fields}
    output_parts = {bucket: fields[name] for name, bucket in _OUTPUT_PARTS.items() if name in fields}
    return exclusive_usage(
        Side(fields.get("input_tokens"), input_parts, plan.cache_inside),
        Side(fields.get("output_tokens"), output_parts),
        rule=RULES[plan.cache_inside],
        flags=flags,
    )
