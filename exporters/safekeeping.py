"""How lines are kept until the ledger has them, as the configuration says: on disk, or in memory only."""

import re
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Final, Protocol, TypeVar
from urllib.parse import urlsplit

from otel_llmcost.exporters.dead_letters import DeadLetters
from otel_llmcost.exporters.outlet import Codec, DirectSink, LossCounts, Outlet
from otel_llmcost.exporters.spool import Spool
from otel_llmcost.exporters.spooled import SpooledSink
from otel_llmcost.settings import DeliverySettings

_DEFAULTS: Final = {
    "clickhouse": (8123, "llmcost"),
    "clickhouses": (8443, "llmcost"),
    "otlp": (4317, ""),
    "otlps": (4317, ""),
}
_NO_FILE_NAME: Final = re.compile(r"[^A-Za-z0-9.-]+")

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)


class KeepingSink(Protocol[T_contra]):
    """A sink that keeps or settles all it is given."""

    def write(self, items: Sequence[T_contra]) -> None:
        """
        Raises:
            RetryableError: not now.
        """

    def flush(self, timeout_ms: int) -> bool: ...
    def close(self) -> None: ...


def keeping(
    ledger_url: str,
    settings: DeliverySettings,
    codec: Codec[T],
    ledger: tuple[Callable[[Sequence[T]], None], Callable[[], None]],
    counts: LossCounts,
) -> KeepingSink[T]:
    """The sink in front of a ledger, which is given as its `write` and `close`."""
    write, close = ledger
    outlet = Outlet(write, codec, counts, dead_letters(ledger_url, settings))
    if not settings.spool:
        return DirectSink(outlet, close)
    spool = Spool(spool_of(ledger_url, settings), settings.spool_max_bytes, sync=settings.spool_sync)
    sink = SpooledSink(spool, outlet, close, settings)
    if ledger_url.startswith("clickhouse"):
        # An embedded engine or a gRPC channel that is opened here, maybe before a fork, could not be used after it.
        sink.start_for_leftovers()
    return sink


def spool_of(ledger_url: str, settings: DeliverySettings) -> Path:
    """The folder of a ledger in the spool."""
    return Path(settings.spool, folder_of(ledger_url))


def dead_letters(ledger_url: str, settings: DeliverySettings) -> DeadLetters | None:
    """Where refused lines of a ledger are kept; None where they are not."""
    root = settings.dead_letters or settings.spool
    return DeadLetters(Path(root, folder_of(ledger_url)), settings.spool_max_bytes) if root else None


def folder_of(ledger_url: str) -> str:
    """The name of a ledger's own folder: nobody's lines may go to another's ledger. It tells no credentials."""
    parts = urlsplit(ledger_url)
    port, path = _DEFAULTS.get(parts.scheme, (0, ""))
    name = parts.path if parts.scheme == "chdb" else f"{parts.hostname}:{parts.port or port}"
    if path:
        name += f"/{parts.path.strip('/') or path}"
    return f"{_NO_FILE_NAME.sub('_', name)[-60:]}-{blake2b(name.encode(), digest_size=4).hexdigest()}"
