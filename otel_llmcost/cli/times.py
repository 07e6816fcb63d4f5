"""Times and lengths of time on the command line."""

import argparse
import re
from datetime import UTC, datetime, timedelta
from typing import Final

_SPAN: Final = re.compile(r"(\d{1,5})([mhdw])")
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_span(text: str) -> timedelta:
    """30m, 12h, 7d or 2w.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    found = _SPAN.fullmatch(text)
    if not found:
        raise argparse.ArgumentTypeError(f"not a time span: {text!r}; write 30m, 12h, 7d or 2w")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def parse_moment(text: str) -> datetime:
    """A time in ISO 8601; UTC where it says no zone.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"not a time: {text!r}; write 2026-11-20T14:00") from None
    if not 2015 <= moment.year < 2100:
        raise argparse.ArgumentTypeError("the year must be 2015 to 2099")
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
