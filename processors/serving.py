"""Listening sockets and ASGI servers inside an event loop that is ours: no signal handlers, no access log."""

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
import grpc.aio
import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from otel_llmcost.errors import ConfigError

MAX_CONNECTIONS: Final = 256
HEAD_TIMEOUT_S: Final = 30.0
MAX_HEAD_BYTES: Final = 512 * 1024
"""Request line and headers: a query may stand in the URL."""


@dataclass(frozen=True, slots=True)
class Tls:
    """Certificates of a server (PEM). `client_ca_file`: the authority whose certificates senders must show; empty for
    none."""

    cert_file: str
    key_file: str = ""
    client_ca_file: str = ""

    def grpc_credentials(self) -> grpc.ServerCredentials:
        """
        Raises:
            ConfigError: a file cannot be read.
        """
        certificate, key = _pem(self.cert_file), _pem(self.key_file or self.cert_file)
        ca = _pem(self.client_ca_file) if self.client_ca_file else None
        return grpc.ssl_server_credentials([(key, certificate)], ca, ca is not None)

    def uvicorn_options(self) -> dict[str, Any]:
        """The same for uvicorn."""
        options: dict[str, Any] = {"ssl_certfile": self.cert_file, "ssl_keyfile": self.key_file or None}
        if self.client_ca_file:
            options |= {"ssl_ca_certs": self.client_ca_file, "ssl_cert_reqs": ssl.CERT_REQUIRED}
        return options


def _pem(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None


def listen(host: str, port: int, option: str, *, share: bool = False) -> socket.socket:
    """A bound socket; port 0 takes a free one. `share`: other processes may listen on it too.

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
        if share:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise ConfigError(f"{host}:{port}: {error.strerror}; choose another port with {option}") from None
    return bound


class HttpServer:
    """An ASGI application on a bound socket."""

    def __init__(  # noqa: PLR0913, PLR0917 - what a server is bounded by
        self,
        app: Any,
        bound: socket.socket,
        drain_s: int,
        tls: Tls | None = None,
        max_connections: int = MAX_CONNECTIONS,
        head_timeout_s: float = HEAD_TIMEOUT_S,
    ) -> None:
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            http=type("Protocol", (_TimedHead,), {"head_timeout_s": head_timeout_s}),
            ws="none",
            server_header=False,
            limit_concurrency=max_connections,
            h11_max_incomplete_event_size=MAX_HEAD_BYTES,
            timeout_graceful_shutdown=drain_s,
            **(tls.uvicorn_options() if tls else {}),
        )
        self._server = _Server(config)
        self._bound = bound
        self._task: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        return int(self._bound.getsockname()[1])

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


class _TimedHead(H11Protocol):
    """Closes connections whose request line and headers do not come in time: uvicorn times idle ones only."""

    head_timeout_s = HEAD_TIMEOUT_S
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._timer = self.loop.call_later(self.head_timeout_s, transport.abort)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop_timer()
        elif self._timer is None:  # the next request of a connection began
            self._timer = self.loop.call_later(self.head_timeout_s, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


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


async def start_http(stack: AsyncExitStack, server: HttpServer) -> int:
    """Start it and have `stack` stop it; its port."""
    stack.push_async_callback(server.stop)
    await server.start()
    return server.port


async def start_grpc(  # noqa: PLR0913, PLR0917 - where to listen, and what to say where that fails
    stack: AsyncExitStack,
    server: grpc.aio.Server,
    host: str,
    port: int,
    option: str,
    drain_s: int,
    *,
    tls: Tls | None = None,
    share: bool = False,
) -> int:
    """Start it and have `stack` stop it; its port.

    Raises:
        ConfigError: the address cannot be had; the text names the option that changes it.
    """
    # Tried first with a plain socket, whose error says why an address cannot be had; gRPC's does not.
    with listen(host, port, option, share=share):
        pass
    address = f"{shown(host)}:{port}"
    try:
        credentials = tls.grpc_credentials() if tls else None
        taken = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    except RuntimeError:
        raise ConfigError(f"{host}:{port}: cannot be had; choose another {option}") from None
    stack.push_async_callback(server.stop, drain_s)
    await server.start()
    return int(taken)


def shown(host: str) -> str:
    """A host as it stands in a URL."""
    return f"[{host}]" if ":" in host else host
