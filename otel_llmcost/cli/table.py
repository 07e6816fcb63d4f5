"""Rows of text as a table: with rich on a terminal where it is installed, else in plain columns."""

import unicodedata
from collections.abc import Sequence
from typing import IO


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], out: IO[str]) -> None:
    """Write a table; control characters are spelled out, because cells come from outside and terminals obey them."""
    header = [printable(name) for name in header]
    clean = [[printable(cell) for cell in row] for row in rows]
    if out.isatty():
        try:
            _print_rich(header, clean, out)
        except ImportError:
            pass
        else:
            return
    _print_plain(header, clean, out)


def printable(text: str) -> str:
    """The text without control characters, direction marks and lone surrogates, each written as an escape."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        char if not unicodedata.category(char).startswith("C") else char.encode("unicode_escape").decode()
        for char in text
    )


def _print_plain(header: Sequence[str], rows: Sequence[Sequence[str]], out: IO[str]) -> None:
    lines = [list(header), ["-" * len(name) for name in header], *rows]
    widths = [max(len(line[index]) for line in lines) for index in range(len(header))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip(), file=out)


def _print_rich(header: Sequence[str], rows: Sequence[Sequence[str]], out: IO[str]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for name in header:
        table.add_column(Text(name), overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell, overflow="fold") for cell in row))
    Console(file=out).print(table)
