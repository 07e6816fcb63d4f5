"""Listening sockets and ASGI servers inside an event loop that is ours: no signal handlers, no access log."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import uvicorn

from otel_llmcost.errors import ConfigError

MAX_CONNECTIONS: Final = 256
MAX_HEAD_BYTES: Final = 512 * 1024
"""Request line and headers: a query may stand in the URL."""


def listen(host: str, port: int, option: str) -> socket.socket:
    """A bound socket; port 0 takes a free one.

    Raises:
        ConfigError: the address cannot be had; the text names the option that changes it.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        bound = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise ConfigError(f"{host}: no address to listen on: {error.strerror}") from None
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise ConfigError(f"{host}:{port}: {error.strerror}; choose another port with {option}") from None
    return bound


class HttpServer:
    """An ASGI application on a bound socket."""

    def __init__(self, app: Any, bound: socket.socket, drain_s: int) -> None:
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            http="h11",
            ws="none",
            server_header=False,
            limit_concurrency=MAX_CONNECTIONS,
            h11_max_incomplete_event_size=MAX_HEAD_BYTES,
            timeout_graceful_shutdown=drain_s,
        )
        self._server = _Server(config)
        self._bound = bound
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return once it answers."""
        self._task = asyncio.create_task(self._server.serve(sockets=[self._bound]))
        await self._server.listening.wait()

    async def stop(self) -> None:
        """Take no more requests and finish those under way."""
        self._server.should_exit = True
        if self._task is not None:
            with suppress(asyncio.CancelledError):
                await self._task
        self._bound.close()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the command's: it drains all servers together."""
        yield
