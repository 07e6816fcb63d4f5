"""Files → rows: formats, line numbers, and what is broken."""

import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from otel_llmcost.errors import InputError
from otel_llmcost.importing.files import MAX_LINE_CHARS, Rejected, Row, open_usage_file


def rows_of(path: Path) -> list[Row | Rejected]:
    """All rows of a file."""
    return list(open_usage_file(path).rows())


def write(folder: Path, text: str | bytes, name: str = "usage") -> Path:
    """A file with that content."""
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_csv_rows_carry_the_line_they_begin_on(tmp_path: Path) -> None:
    """Blank lines and line ends inside quotes count as lines, whatever the line ends are."""
    path = write(tmp_path, 'ts,prompt\r\n1,"a\r\nb"\r\n\r\n2,"say ""hi"", c"\r\n3,last')

    assert [
        Row(2, {"ts": "1", "prompt": "a\r\nb"}),
        Row(5, {"ts": "2", "prompt": 'say "hi", c'}),
        Row(6, {"ts": "3", "prompt": "last"}),
    ] == rows_of(path)


def test_gzip_and_a_byte_order_mark_change_nothing(tmp_path: Path) -> None:
    """What a file is, its first bytes say; its name does not matter."""
    text = b"\xef\xbb\xbfts,model\n1,gpt-4o\n"
    plain = rows_of(write(tmp_path, text, "usage.txt"))

    assert [Row(2, {"ts": "1", "model": "gpt-4o"})] == plain
    assert plain == rows_of(write(tmp_path, gzip.compress(text), "usage.parquet"))


def test_a_broken_csv_line_is_refused_alone(tmp_path: Path) -> None:
    """Too many or too few fields and text after a closing quote cost their own row only."""
    path = write(tmp_path, 'a,b\n1,2,3\n4\n"5"x,6\n7,8\n')

    rejected = [(row.line, row.reason) for row in rows_of(path) if isinstance(row, Rejected)]
    assert [(2, "has 3 fields, the header has 2"), (3, "has 1 fields, the header has 2")] == rejected[:2]
    assert 4 == rejected[2][0]
    assert [Row(5, {"a": "7", "b": "8"})] == [row for row in rows_of(path) if isinstance(row, Row)]


def test_a_quote_that_never_closes_is_refused(tmp_path: Path) -> None:
    """A truncated file ends in a rejection, not in a row that was made up."""
    found = rows_of(write(tmp_path, 'a,b\n1,2\n3,"cut'))

    assert Row(2, {"a": "1", "b": "2"}) == found[0]
    assert [3] == [row.line for row in found[1:] if isinstance(row, Rejected)]


def test_a_line_without_end_is_skipped_in_bounded_memory(tmp_path: Path) -> None:
    """A line of more than 16 Mi characters is refused, and the next one is read under its right number."""
    path = write(tmp_path, b"a,b\n" + b"x" * (2 * MAX_LINE_CHARS + 5) + b"\n1,2\n")

    found = rows_of(path)
    assert [2] == [row.line for row in found if isinstance(row, Rejected)]
    assert [Row(3, {"a": "1", "b": "2"})] == [row for row in found if isinstance(row, Row)]


def test_long_fields_are_read(tmp_path: Path) -> None:
    """A prompt beyond the csv module's default limit of a field does not cost the row."""
    found = rows_of(write(tmp_path, "a,b\n" + "x" * 200_000 + ",2\n"))

    assert 200_000 == len(found[0].values["a"]) if isinstance(found[0], Row) else False


def test_json_lines_keep_numbers_exact_and_nested_objects_by_dots(tmp_path: Path) -> None:
    """No number goes through a float, and `usage.prompt_tokens` is a column."""
    path = write(tmp_path, '\n{"ts": 1700158623.979960001, "usage": {"prompt_tokens": 12, "details": {"cached": 3}}}\n')

    assert [
        Row(2, {"ts": Decimal("1700158623.979960001"), "usage.prompt_tokens": 12, "usage.details.cached": 3})
    ] == rows_of(path)


@pytest.mark.parametrize(
    "line",
    [
        "[1]",
        "7",
        "{",
        '{"a": NaN}',
        '{"a": 1, "a": 2}',
        '{"a": {"b": 1, "b": 2}}',
        '{"a.b": 1, "a": {"b": 2}}',
        '{"a": ' + "1" * 5_000 + "}",
        '{"a": ' + "[" * 100_000 + "}",
    ],
)
def test_a_broken_json_line_is_refused_alone(tmp_path: Path, line: str) -> None:
    """What is no object, no JSON, ambiguous or a trap costs its own line only."""
    found = rows_of(write(tmp_path, f'{{"a": 1}}\n{line}\n{{"a": 3}}\n'))

    assert [Row(1, {"a": 1}), Row(3, {"a": 3})] == [row for row in found if isinstance(row, Row)]
    assert [2] == [row.line for row in found if isinstance(row, Rejected)]


def test_json_lines_name_a_column_that_comes_late(tmp_path: Path) -> None:
    """A column is found however late its first value comes; a misspelled one is not."""
    path = write(tmp_path, '{"a": 1}\n' * 3_000 + '{"a": 1, "late": 2}\n')

    assert ["a", "late"] == open_usage_file(path).columns(frozenset({"late"}))
    assert ["a"] == open_usage_file(path).columns(frozenset({"a"}))


def test_parquet_times_come_as_exact_text(tmp_path: Path) -> None:
    """Nanoseconds stay, a zone is taken off, nested fields are columns, and batches go on counting."""
    ns = [1_700_158_623_979_960_001] * 7_000
    table = pa.table(
        {
            "naive": pa.array(ns, pa.timestamp("ns")),
            "zoned": pa.array(ns, pa.timestamp("ns", tz="Europe/Berlin")),
            "usage": pa.array([{"in": 12, "details": {"cached": 3}}] * 7_000),
            "price": pa.array([Decimal("0.10")] * 7_000, pa.decimal128(10, 2)),
        }
    )
    path = tmp_path / "usage"
    parquet.write_table(table, path)

    file = open_usage_file(path)
    found = list(file.rows())
    assert ["naive", "zoned", "usage.in", "usage.details.cached", "price"] == file.columns(frozenset())
    assert 1.0 == file.fraction()
    assert list(range(1, 7_001)) == [row.line for row in found]
    assert (
        Row(
            7_000,
            {
                "naive": "2023-11-16 18:17:03.979960001",
                "zoned": "2023-11-16 18:17:03.979960001Z",
                "usage.in": 12,
                "usage.details.cached": 3,
                "price": Decimal("0.10"),
            },
        )
        == found[-1]
    )


def test_parquet_columns_of_odd_types_do_not_stop_an_import(tmp_path: Path) -> None:
    """Times of day, durations, lists and raw bytes are values like others where nobody maps them."""
    table = pa.table(
        {
            "ts": pa.array(["2026-11-01"]),
            "at": pa.array([1_001], pa.time64("ns")),
            "took": pa.array([1_001], pa.duration("ns")),
            "stops": pa.array([["a", "b"]]),
            "key": pa.array([b"\xff"]),
        }
    )
    path = tmp_path / "usage"
    parquet.write_table(table, path)

    (row,) = rows_of(path)
    assert isinstance(row, Row)
    assert ("2026-11-01", "00:00:00.000001001", ["a", "b"]) == tuple(row.values[name] for name in ("ts", "at", "stops"))


def test_parquet_text_that_is_no_text_ends_in_a_rejection(tmp_path: Path) -> None:
    """A batch that Arrow cannot hand out is told by its first row, and not as a fault of this program."""
    path = tmp_path / "usage"
    parquet.write_table(pa.table({"model": pa.array([b"gpt", b"\xff\xfe"]).view(pa.string())}), path)

    (row,) = rows_of(path)
    assert isinstance(row, Rejected)
    assert "cannot be read from here on" in row.reason


def test_parquet_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    """Also where a nested field and a dot make the name."""
    path = tmp_path / "usage"
    parquet.write_table(pa.table({"a.b": [1], "a": [{"b": 2}]}), path)

    with pytest.raises(InputError, match=r"names a\.b twice"):
        open_usage_file(path).columns(frozenset())


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"  \n ", "is empty"),
        ("ts,a\n1,2\n".encode("utf-16"), "UTF-16"),
        (b'[{"a": 1}]', "JSON array"),
        (b"PK\x03\x04....", "Excel"),
        (b"PAR1garbage", "no Parquet file"),
        (b"\x1f\x8bgarbage", "cannot be read"),
        (b"a,b,a\n1,2,3\n", "names a twice"),
    ],
)
def test_what_is_no_such_file_is_said_at_once(tmp_path: Path, content: bytes, says: str) -> None:
    """A file that cannot work is refused before anything is imported, with what to do."""
    path = write(tmp_path, content)

    with pytest.raises(InputError, match=says):
        open_usage_file(path).columns(frozenset())


def test_a_file_that_is_not_there_is_an_input_error(tmp_path: Path) -> None:
    """A path that leads nowhere, or to a folder, is said so."""
    for path in (tmp_path / "absent.csv", tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            open_usage_file(path)


def test_a_damaged_archive_gives_what_came_before(tmp_path: Path) -> None:
    """A download that broke off gives its readable rows and one last rejection."""
    text = "a,b\n" + "".join(f"{number},{number * 7919 % 104729}\n" for number in range(20_000))
    found = rows_of(write(tmp_path, gzip.compress(text.encode())[:-20_000]))

    assert Row(2, {"a": "0", "b": "0"}) == found[0]
    assert 1 == sum(isinstance(row, Rejected) for row in found)
    assert isinstance(found[-1], Rejected)
    assert "cannot be read from here on" in found[-1].reason


def test_progress_follows_the_file(tmp_path: Path) -> None:
    """The fraction grows from row to row and ends at one."""
    path = write(tmp_path, "a,b\n" + "1,2\n" * 50_000)
    file = open_usage_file(path)
    rows = file.rows()

    fractions = [file.fraction() for _ in rows]
    assert fractions == sorted(fractions)
    assert fractions[0] < 0.5
    assert 1.0 == file.fraction()


cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


@settings(max_examples=50)
@given(st.lists(st.dictionaries(st.sampled_from(["a", "b", "c"]), st.one_of(cells, st.integers()), min_size=1)))
def test_what_json_lines_say_is_what_is_read(tmp_path_factory: Any, objects: list[dict[str, Any]]) -> None:
    """Any flat objects come back as they were written, with their line."""
    path = tmp_path_factory.mktemp("jsonl") / "usage"
    path.write_text("".join(json.dumps(value) + "\n" for value in [{"a": 0}, *objects]))

    assert [Row(line, value) for line, value in enumerate([{"a": 0}, *objects], 1)] == rows_of(path)
