"""Newer data for the price book between two releases: fetched, verified, kept, and never taken on trust.

The source is the file that genai-prices publishes, a copy of it behind a URL, or a path. Whatever goes wrong, the book
in use stays: half a file, other JSON, an error page, an emptied list are refused, logged once and counted.
"""

import hashlib
import json
import logging
import os
import tempfile
import threading
import time
import urllib.error
import urllib.request
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from genai_prices.data_snapshot import DataSnapshot
from genai_prices.types import ModelPrice, StartDateConstraint, TieredPrices, _providers_from_raw
from genai_prices.update_prices import DEFAULT_UPDATE_URL
from pydantic import ValidationError

from otel_llmcost.errors import InputError
from otel_llmcost.settings import RefreshSettings

_logger = logging.getLogger("otel_llmcost")

MAX_BYTES: Final = 64 * 1024 * 1024
"""More than ten times what is published today."""
CHUNK_BYTES: Final = 256 * 1024
MAX_USD_PER_UNIT: Final = Decimal(1_000_000)
"""Of a rate per million tokens or thousand pages: what is above is no price."""
STOP_WAIT_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class BookData:
    """Data of a price book: what it says, its version, and when it was last known to be right (s since 1970)."""

    snapshot: DataSnapshot
    version: str
    as_of_s: float


@dataclass(frozen=True, slots=True)
class Floor:
    """What data must reach to be taken, so that neither an emptied nor an old copy replaces good data."""

    models: int
    newest_price: date | None = None
    """The newest price of the data in use, as of its day."""

    @classmethod
    def of(cls, snapshot: DataSnapshot, settings: RefreshSettings, now_s: float) -> "Floor":
        """What data that replaces this snapshot must reach."""
        models = count_models(snapshot) * settings.min_models_percent // 100
        return cls(models, newest_price_day(snapshot, datetime.fromtimestamp(now_s, UTC).date()))


def parse_data(raw: bytes, floor: Floor, sha256: str, as_of_s: float) -> BookData:
    """The data of a published file, if it can be one.

    Raises:
        InputError: it is not what was asked for, cannot be read, or is implausible; the text says why.
    """
    digest = hashlib.sha256(raw).hexdigest()
    if sha256 and digest != sha256:
        raise InputError(f"has SHA-256 {digest}, not the one that prices.refresh.sha256 names")
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        raise InputError("is no JSON, or only a part of it") from None
    if not isinstance(document, list):
        raise InputError("is no list of sellers")
    try:
        # The library's own reading of its file; it has no public name, and the range of versions is pinned.
        snapshot = DataSnapshot(_providers_from_raw(document), from_auto_update=True)
    except (ValidationError, ValueError, TypeError, KeyError, AttributeError, AssertionError, StopIteration) as error:
        raise InputError(f"is not the data of a price book: {type(error).__name__}") from None
    models = count_models(snapshot)
    if models < floor.models:
        raise InputError(f"has {models} models; fewer than {floor.models} are implausible")
    newest = newest_price_day(snapshot, floor.newest_price) if floor.newest_price else None
    if newest != floor.newest_price:
        raise InputError(f"is older than the data in use: its newest price is of {newest}, not {floor.newest_price}")
    if any(not price.is_finite() or not 0 <= price < MAX_USD_PER_UNIT for price in _prices_in(snapshot)):
        raise InputError("holds a price that is none")
    return BookData(snapshot, f"genai-prices-data-{digest[:12]}", as_of_s)


def count_models(snapshot: DataSnapshot) -> int:
    """Models of all sellers."""
    return sum(len(provider.models) for provider in snapshot.providers)


def newest_price_day(snapshot: DataSnapshot, today: date) -> date | None:
    """The last day up to today that a dated price begins on: the data is at least as new."""
    days = [
        row.constraint.start_date
        for provider in snapshot.providers
        for model in provider.models
        for row in (*(model.prices if isinstance(model.prices, list) else ()), *(model.price_variants or ()))
        if isinstance(row.constraint, StartDateConstraint) and row.constraint.start_date <= today
    ]
    return max(days, default=None)


def data_as_of_s(snapshot: DataSnapshot, now_s: float) -> float:
    """When data of a release was surely right: on the day of its newest price."""
    day = newest_price_day(snapshot, datetime.fromtimestamp(now_s, UTC).date())
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() if day else 0.0


def _prices_in(snapshot: DataSnapshot) -> Iterator[Decimal]:
    for provider in snapshot.providers:
        for model in provider.models:
            rows = [row.prices for row in model.prices] if isinstance(model.prices, list) else [model.prices]
            for row in (*rows, *(variant.prices for variant in model.price_variants or ())):
                yield from _amounts_in(row)


def _amounts_in(prices: ModelPrice) -> Iterator[Decimal]:
    for price in vars(prices).values():
        if isinstance(price, TieredPrices):
            yield price.base
            yield from (tier.price for tier in price.tiers)
        elif isinstance(price, Decimal):
            yield price


def fetch_data(source: str, timeout_s: float) -> bytes:
    """The bytes of a URL or a file, whole, within the time and within `MAX_BYTES`.

    Raises:
        OSError: it cannot be reached or read, or not in time.
        InputError: it is too large.
    """
    if "://" not in source and source != "genai-prices":
        with Path(source).open("rb") as file:
            return _whole(file.read, float("inf"))
    url = DEFAULT_UPDATE_URL if source == "genai-prices" else source
    until = time.monotonic() + timeout_s
    request = urllib.request.Request(url, headers={"User-Agent": "otel-llmcost"})  # noqa: S310 - settings allow http(s) only
    with urllib.request.urlopen(request, timeout=timeout_s) as answer:  # noqa: S310
        raw = _whole(answer.read1, until)
        length = answer.headers.get("Content-Length")
    if length is not None and length.isdecimal() and int(length) != len(raw):
        raise InputError(f"broke off after {len(raw)} of {length} bytes")
    return raw


def _whole(read: Callable[[int], bytes], until: float) -> bytes:
    parts: list[bytes] = []
    size = 0
    while part := read(CHUNK_BYTES):
        size += len(part)
        if size > MAX_BYTES:
            raise InputError(f"is larger than {MAX_BYTES} bytes")
        if time.monotonic() > until:
            raise TimeoutError("took too long")
        parts.append(part)
    return b"".join(parts)


def keep_data(path: Path, raw: bytes) -> None:
    """Replace the kept file, as a whole or not at all.

    Raises:
        OSError: it cannot be written; what was there is unchanged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def kept_data(settings: RefreshSettings, floor: Floor) -> BookData | None:
    """The last good data of an earlier run; None where there is none that can be used."""
    if settings.source == "off" or not settings.keep:
        return None
    path = Path(settings.keep)
    try:
        as_of_s = path.stat().st_mtime
        return parse_data(fetch_data(settings.keep, settings.timeout_s), floor, settings.sha256, as_of_s)
    except FileNotFoundError:
        return None
    except (OSError, InputError) as error:
        _logger.warning("otel-llmcost: %s: kept price data is not used: %s", path, _told(error))
        return None


class Refresher:
    """Looks for newer data in the background and hands it to `use`. Never raises, never blocks its host."""

    def __init__(
        self,
        settings: RefreshSettings,
        floor: Floor,
        use: Callable[[BookData], None],
        count: Callable[[str], None] = lambda _result: None,
    ) -> None:
        """`count` is told the result of each look: `new`, `unchanged` or `failed`."""
        self._settings = settings
        self._floor = floor
        self._use = use
        self._count = count
        self.results: Counter[str] = Counter()
        self._version = ""
        self._failing = False
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        after_fork = weakref.WeakMethod(self._restart)
        os.register_at_fork(after_in_child=lambda: (restart := after_fork()) and restart())

    def start(self) -> None:
        """Begin to look, at once and then every `interval_s`."""
        self._thread = threading.Thread(target=self._run, args=(self._stopped,), name="llmcost-prices", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End; a look under way is not waited for longer than a moment."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(STOP_WAIT_S)
            self._thread = None

    def _restart(self) -> None:
        """In a forked child, where no thread of the parent lives on."""
        running = self._thread is not None and not self._stopped.is_set()
        self._stopped = threading.Event()
        self._thread = None
        if running:
            self.start()

    def _run(self, stopped: threading.Event) -> None:
        while not stopped.is_set():
            self.look()
            stopped.wait(self._settings.interval_s)

    def look(self) -> str:
        """Look once; the result is also counted."""
        try:
            result = self._take()
            self._failing = False
        except Exception as error:  # noqa: BLE001 - the book in use stays, whatever a source does
            result = "failed"
            self._complain(error)
        self.results[result] += 1
        self._count(result)
        return result

    def _take(self) -> str:
        raw = fetch_data(self._settings.source, self._settings.timeout_s)
        data = parse_data(raw, self._floor, self._settings.sha256, time.time())
        known = data.version == self._version
        if self._settings.keep and not known:
            keep_data(Path(self._settings.keep), raw)
        elif self._settings.keep:
            os.utime(self._settings.keep)  # known to be right as of now
        self._use(data)
        self._version = data.version
        return "unchanged" if known else "new"

    def _complain(self, error: Exception) -> None:
        if not self._failing:
            _logger.warning(
                "otel-llmcost: prices could not be refreshed, the last good ones stay in use: prices.refresh.source %s."
                " Until it works again, failures are counted, not logged.",
                _told(error),
            )
        self._failing = True


def _told(error: Exception) -> str:
    """What went wrong, without the source: a URL may hold a password."""
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, urllib.error.HTTPError):
        return f"answered HTTP {error.code}"
    cause: Any = error.reason if isinstance(error, urllib.error.URLError) else error
    return f"cannot be read: {type(cause).__name__}"
