"""Files of past usage → rows, one at a time: CSV and JSON Lines (each may be gzipped) and Parquet.

What a file is, its first bytes say, not its name. Memory is bounded by one line (16 Mi characters) or one Parquet
batch; a line that cannot be read is handed on as `Rejected` and the next one is tried.
"""

import csv
import gzip
import json
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Any, Final, NoReturn, Protocol

from otel_llmcost.errors import InputError, MissingExtraError
from otel_llmcost.importing.values import UnreadableError

MAX_LINE_CHARS: Final = 16 * 1024 * 1024
PARQUET_BATCH_ROWS: Final = 5_000

_GZIP: Final = b"\x1f\x8b"
_PARQUET: Final = b"PAR1"
_BOM: Final = b"\xef\xbb\xbf"
_OTHER_MAGIC: Final = {
    b"\xff\xfe": "UTF-16 text: save it as UTF-8",
    b"\xfe\xff": "UTF-16 text: save it as UTF-8",
    b"\x28\xb5\x2f\xfd": "zstd: unpack it first",
    b"BZh": "bzip2: unpack it first",
    b"\xfd7zXZ": "xz: unpack it first",
    b"PK\x03\x04": "a ZIP archive or an Excel workbook: save it as CSV",
    b"[": "one JSON array: import reads JSON Lines, one object a line (jq -c '.[]' makes them)",
}
_DAMAGE: Final = (EOFError, OSError, zlib.error)


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its first line (from 1; the row number in Parquet) and its values by column name.

    The value of a CSV column is text; nested objects of JSON and Parquet are columns `outer.inner`.
    """

    line: int
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that cannot be read, and why; the reason holds no content."""

    line: int
    reason: str


class UsageFile(Protocol):
    """A readable file of rows."""

    def columns(self, wanted: frozenset[str]) -> list[str]:
        """Its columns; of JSON Lines, those seen until all `wanted` ones have been."""

    def rows(self) -> Iterator[Row | Rejected]:
        """All rows from the first."""

    def fraction(self) -> float:
        """How much of the file `rows` has read, 0 to 1."""


def open_usage_file(path: Path) -> UsageFile:
    """The reader for a file, by its first bytes.

    Raises:
        InputError: it cannot be opened, is empty, or is none of the formats.
        MissingExtraError: Parquet without pyarrow.
    """
    try:
        with path.open("rb") as raw:
            head = raw.read(4)
            if head == _PARQUET:
                return ParquetUsage(path)
            raw.seek(0)
            start = _start_of(gzip.GzipFile(fileobj=raw) if head[:2] == _GZIP else raw)
    except _DAMAGE as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    if not start:
        raise InputError(f"{path}: is empty")
    for magic, what in _OTHER_MAGIC.items():
        if start.startswith(magic):
            raise InputError(f"{path}: is {what}")
    text = _TextFile(path, gzipped=head[:2] == _GZIP)
    return JsonLinesUsage(text) if start.startswith(b"{") else CsvUsage(text)


def _start_of(file: IO[bytes] | gzip.GzipFile) -> bytes:
    """The first bytes that are no byte-order mark and no white space."""
    return file.read(4096).removeprefix(_BOM).lstrip()


class _Lines:
    """Physical lines with their ends; `number` is the number of the last one handed out."""

    def __init__(self, stream: TextIOWrapper) -> None:
        self._stream = stream
        self.number = 0

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._stream.readline(MAX_LINE_CHARS)
        if not line:
            raise StopIteration
        self.number += 1
        if len(line) == MAX_LINE_CHARS and line[-1] not in "\r\n":
            while (rest := self._stream.readline(MAX_LINE_CHARS)) and rest[-1] not in "\r\n":
                pass
            raise UnreadableError(f"longer than {MAX_LINE_CHARS:,} characters")
        return line


class _TextFile:
    """A text file, gunzipped, that knows how far it was read."""

    def __init__(self, path: Path, *, gzipped: bool) -> None:
        self.path = path
        self._gzipped = gzipped
        self._size = max(path.stat().st_size, 1)
        self._raw: IO[bytes] | None = None
        self._fraction = 0.0

    @contextmanager
    def lines(self) -> Iterator[_Lines]:
        with self.path.open("rb") as raw:
            self._raw = raw
            unpacked: Any = gzip.GzipFile(fileobj=raw) if self._gzipped else raw
            # Bytes that are no UTF-8 stay apart as surrogates: only a mapped text column has to be valid.
            with TextIOWrapper(unpacked, encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
                try:
                    yield _Lines(stream)
                finally:
                    self._fraction = self.fraction()
                    self._raw = None

    def fraction(self) -> float:
        return min(self._raw.tell() / self._size, 1.0) if self._raw else self._fraction


def _until_damage(lines: _Lines, rows: Iterator[Row | Rejected]) -> Iterator[Row | Rejected]:
    """The rows, and where the file breaks off, one last rejection."""
    try:
        yield from rows
    except _DAMAGE as error:
        yield Rejected(lines.number + 1, f"the file cannot be read from here on: {error}")


@dataclass(frozen=True, slots=True)
class CsvUsage:
    """Comma-separated values with a header line; quoted fields may hold line ends."""

    text: _TextFile

    def columns(self, wanted: frozenset[str]) -> list[str]:  # noqa: ARG002 - the header names all of them
        with self.text.lines() as lines:
            return self._header(_csv_reader(lines))

    def rows(self) -> Iterator[Row | Rejected]:
        with self.text.lines() as lines:
            yield from _until_damage(lines, self._parse(lines))

    def fraction(self) -> float:
        return self.text.fraction()

    def _header(self, reader: Iterator[list[str]]) -> list[str]:
        try:
            header = [name.strip() for name in next(fields for fields in reader if fields)]
        except (csv.Error, UnreadableError, *_DAMAGE) as error:
            raise InputError(f"{self.text.path}: line 1: the header cannot be read: {error}") from None
        _refuse_repeated(header, f"{self.text.path}: line 1: the header")
        return header

    def _parse(self, lines: _Lines) -> Iterator[Row | Rejected]:
        reader = _csv_reader(lines)
        header = self._header(reader)
        while True:
            line = lines.number + 1
            try:
                fields = next(reader)
            except StopIteration:
                return
            except (csv.Error, UnreadableError) as error:
                yield Rejected(line, str(error))
                continue
            if len(fields) == len(header):
                yield Row(line, dict(zip(header, fields, strict=True)))
            elif fields:
                yield Rejected(line, f"has {len(fields)} fields, the header has {len(header)}")


def _refuse_repeated(names: list[str], where: str) -> None:
    repeated = sorted(name for name, times in Counter(names).items() if times > 1)
    if repeated:
        raise InputError(f"{where} names {', '.join(repeated)} twice")


def _csv_reader(lines: _Lines) -> Iterator[list[str]]:
    csv.field_size_limit(MAX_LINE_CHARS)  # process-wide; its default cuts long prompts, which usage exports may hold
    return csv.reader(lines, strict=True)


@dataclass(frozen=True, slots=True)
class JsonLinesUsage:
    """One JSON object a line."""

    text: _TextFile

    def columns(self, wanted: frozenset[str]) -> list[str]:
        seen: dict[str, None] = {}
        for row in self.rows():
            if isinstance(row, Row):
                seen.update(dict.fromkeys(row.values))
                if wanted <= seen.keys():
                    break
        return list(seen)

    def rows(self) -> Iterator[Row | Rejected]:
        with self.text.lines() as lines:
            yield from _until_damage(lines, self._parse(lines))

    def fraction(self) -> float:
        return self.text.fraction()

    def _parse(self, lines: _Lines) -> Iterator[Row | Rejected]:
        while True:
            try:
                line = next(lines)
                if line.isspace():
                    continue
                yield Row(lines.number, _flat(_json_object(line)))
            except StopIteration:
                return
            except UnreadableError as error:
                yield Rejected(lines.number, str(error))


def _json_object(line: str) -> dict[str, Any]:
    try:
        value = json.loads(
            line, parse_float=Decimal, parse_constant=_no_constant, object_pairs_hook=_object_without_repeats
        )
    except UnreadableError:
        raise
    except json.JSONDecodeError as error:
        raise UnreadableError(f"no JSON: {error.msg} at column {error.colno}") from None
    except (ValueError, RecursionError):
        raise UnreadableError("no JSON that this reads: nested too deeply, or a number too long") from None
    if not isinstance(value, dict):
        raise UnreadableError(f"is a JSON {type(value).__name__}, not an object")
    return value


def _no_constant(name: str) -> NoReturn:
    raise UnreadableError(f"{name} is no JSON")


def _object_without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise UnreadableError("an object names a key twice")
    return values


def _flat(values: dict[str, Any]) -> dict[str, Any]:
    """Nested objects as columns `outer.inner`."""
    if not any(isinstance(value, dict) for value in values.values()):
        return values
    flat: dict[str, Any] = {}
    for name, value in values.items():
        inner = {f"{name}.{key}": below for key, below in _flat(value).items()} if isinstance(value, dict) else None
        for key, below in ({name: value} if inner is None else inner).items():
            if key in flat:
                raise UnreadableError("two keys have one name once nested objects are spelled with dots")
            flat[key] = below
    return flat


class ParquetUsage:
    """Apache Parquet, read batch by batch."""

    def __init__(self, path: Path) -> None:
        try:
            import pyarrow as pa
            from pyarrow import parquet
        except ImportError:
            raise MissingExtraError("reading Parquet", "local") from None
        self._arrow: Any = pa
        self._path = path
        try:
            self._file: Any = parquet.ParquetFile(path)
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{path}: no Parquet file: {error}") from None
        self._read_rows = 0

    def columns(self, wanted: frozenset[str]) -> list[str]:  # noqa: ARG002 - the schema names all of them
        empty = self._arrow.Table.from_batches([], schema=self._file.schema_arrow)
        names: list[str] = _flat_table(self._arrow, empty).column_names
        _refuse_repeated(names, f"{self._path}: the schema")
        return names

    def rows(self) -> Iterator[Row | Rejected]:
        self._read_rows = 0
        try:
            for batch in self._file.iter_batches(batch_size=PARQUET_BATCH_ROWS):
                table = _flat_table(self._arrow, self._arrow.Table.from_batches([batch]))
                for number, values in enumerate(table.to_pylist(), self._read_rows + 1):
                    yield Row(number, values)
                self._read_rows += table.num_rows
        except (self._arrow.ArrowException, ValueError, OverflowError, *_DAMAGE) as error:
            # Arrow refuses a batch as a whole, for damage as for one value that Python cannot hold.
            yield Rejected(self._read_rows + 1, f"the file cannot be read from here on: {error}")

    def fraction(self) -> float:
        rows: int = self._file.metadata.num_rows
        return self._read_rows / max(rows, 1)


def _flat_table(pa: Any, table: Any) -> Any:
    """Struct columns as `outer.inner`, and times as ISO text: exact to the nanosecond, `Z` where they have a zone."""
    while any(pa.types.is_struct(column.type) for column in table.schema):
        table = table.flatten()
    for index, column in enumerate(table.schema):
        values = table.column(index)
        if pa.types.is_timestamp(column.type) and column.type.tz:
            values = values.cast(pa.timestamp(column.type.unit, tz="UTC"))
        if any(is_kind(column.type) for is_kind in (pa.types.is_timestamp, pa.types.is_date, pa.types.is_time)):
            table = table.set_column(index, column.name, values.cast(pa.string()))
    return table
