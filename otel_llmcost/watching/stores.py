"""Where a watcher keeps its state: in the ledger, for watchers on several machines, or in a file."""

import fcntl
import json
import os
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, Protocol

from otel_llmcost.errors import ConfigError, InputError
from otel_llmcost.watching.state import Acknowledged, State

if TYPE_CHECKING:
    from otel_llmcost.exporters.clickhouse.client import Ledger

NAME: Final = "watch"
CLAIM_S: Final = 1.0
"""How long a watcher waits before it believes that it is the first: what others wrote before is there then."""


@dataclass(frozen=True, slots=True)
class Note:
    """Who acknowledged, and why."""

    window: Acknowledged
    who: str
    why: str


class Store(Protocol):
    """A place for the state. Of several watchers, one leads."""

    def lead(self) -> bool: ...
    def leave(self) -> None: ...
    def load(self) -> State: ...
    def save(self, state: State) -> None: ...
    def acknowledge(self, note: Note) -> None: ...
    def acknowledged(self, now_s: int) -> list[Acknowledged]: ...


class FileStore:
    """`path` holds the state, `path.acks` the windows, a line each, `path.lock` is held by who leads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._acks = path.with_name(path.name + ".acks")
        self._lock: IO[str] | None = None

    def lead(self) -> bool:
        """
        Raises:
            ConfigError: the directory cannot be written to.
        """
        if self._lock is not None:
            return True
        try:
            lock = self._path.with_name(self._path.name + ".lock").open("w")
        except OSError as error:
            raise ConfigError(f"--state {self._path}: cannot be written: {type(error).__name__}") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            return False
        self._lock = lock
        return True

    def leave(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def load(self) -> State:
        """
        Raises:
            InputError: the file is none of ours.
        """
        if not self._path.exists():
            return State()
        try:
            return State.from_json(json.loads(self._path.read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"--state {self._path}: cannot be read: {type(error).__name__}") from None

    def save(self, state: State) -> None:
        beside = self._path.with_name(self._path.name + ".new")
        with beside.open("w", encoding="utf-8") as out:
            json.dump(state.as_json(), out)
            out.flush()
            os.fsync(out.fileno())
        beside.replace(self._path)

    def acknowledge(self, note: Note) -> None:
        window = note.window
        row = {
            "alert": window.alert,
            "labels": dict(window.labels),
            "from_s": window.from_s,
            "until_s": window.until_s,
            "who": note.who,
            "why": note.why,
        }
        with self._acks.open("a", encoding="utf-8") as out:
            out.write(json.dumps(row) + "\n")

    def acknowledged(self, now_s: int) -> list[Acknowledged]:
        if not self._acks.exists():
            return []
        rows = [json.loads(line) for line in self._acks.read_text(encoding="utf-8").splitlines() if line]
        windows = [Acknowledged(row["alert"], row["labels"], row["from_s"], row["until_s"]) for row in rows]
        return [window for window in windows if window.until_s > now_s]


class LedgerStore:
    """Tables of the ledger. Of watchers that were alive within `lease_s`, the one that began first leads."""

    def __init__(self, ledger: "Ledger", lease_s: int) -> None:
        self._ledger = ledger
        self._lease_s = lease_s
        self._id = uuid.uuid4().hex
        self._started = ""
        self._alive = False

    def lead(self) -> bool:
        """
        Raises:
            DeliveryError: the ledger refused.
        """
        if not self._started:
            self._started = str(self._ledger.query("SELECT toString(now64(6))").rows[0][0])
            self._beat(gone=False)
            self._alive = True
            time.sleep(CLAIM_S)
        self._beat(gone=False)
        rows = self._ledger.query(
            "SELECT id FROM (SELECT id, min(w.started_at) AS since, max(w.seen_at) AS last,"
            " argMax(w.gone, w.seen_at) AS left_it FROM watchers AS w WHERE name = {name:String} GROUP BY id)"
            " WHERE NOT left_it AND last >= now64(6) - toIntervalSecond({lease:UInt32}) ORDER BY since, id LIMIT 1",
            {"name": NAME, "lease": self._lease_s},
        ).rows
        return rows == [(self._id,)]

    def leave(self) -> None:
        if self._alive:
            self._beat(gone=True)
            self._started, self._alive, self._id = "", False, uuid.uuid4().hex

    def load(self) -> State:
        """
        Raises:
            InputError: another version wrote it.
            DeliveryError: the ledger did not answer.
        """
        rows = self._ledger.query(
            "SELECT argMax(w.document, w.written_at) FROM watch_states AS w WHERE name = {name:String} GROUP BY name",
            {"name": NAME},
        ).rows
        return State.from_json(json.loads(rows[0][0])) if rows else State()

    def save(self, state: State) -> None:
        self._insert("watch_states", {"name": NAME, "document": json.dumps(state.as_json())})

    def acknowledge(self, note: Note) -> None:
        window = note.window
        row = {
            "alert": window.alert,
            "labels": dict(window.labels),
            "starts_at": window.from_s,
            "ends_at": window.until_s,
            "who": note.who,
            "why": note.why,
        }
        self._insert("alert_acknowledgements", row)

    def acknowledged(self, now_s: int) -> list[Acknowledged]:
        rows = self._ledger.query(
            "SELECT alert, labels, toUnixTimestamp(starts_at), toUnixTimestamp(ends_at) FROM alert_acknowledgements"
            " WHERE ends_at > {now:DateTime('UTC')}",
            {"now": _moment(now_s)},
        ).rows
        return [Acknowledged(*row) for row in rows]

    def _beat(self, *, gone: bool) -> None:
        self._insert("watchers", {"name": NAME, "id": self._id, "started_at": self._started, "gone": gone})

    def _insert(self, table: str, row: Mapping[str, Any]) -> None:
        self._ledger.insert(table, list(row), json.dumps(row).encode(), "JSONEachRow", once=False)


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
