"""How far a long command is, on stderr: a bar on a terminal where rich is installed, else a line per 10 %."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO

Show = Callable[[float, str], None]
"""Takes the finished fraction, 0 to 1, and a short text."""


@contextmanager
def progress(title: str, out: IO[str]) -> Iterator[Show]:
    """Show progress while the block runs."""
    if out.isatty():
        try:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
        except ImportError:
            pass
        else:
            # No markup: the title holds a file name, and `[/]` in it would be a syntax error.
            text = TextColumn("{task.description}", markup=False)
            columns = (text, BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
            with Progress(*columns, console=Console(file=out), transient=True) as bar:
                task = bar.add_task(title, total=1.0)
                yield lambda fraction, text: bar.update(task, completed=fraction, description=f"{title}: {text}")
            return
    yield _line_per_tenth(title, out)


def _line_per_tenth(title: str, out: IO[str]) -> Show:
    shown = 0

    def show(fraction: float, text: str) -> None:
        nonlocal shown
        tenth = int(fraction * 10)
        if tenth > shown:
            shown = tenth
            print(f"{title}: {tenth * 10} %, {text}", file=out, flush=True)

    return show
