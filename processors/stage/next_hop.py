"""Where messages go on to, over gRPC or HTTP. What comes back is what the sender is told (`answers`)."""

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import grpc
import grpc.aio

from otel_llmcost.content_encoding import codecs
from otel_llmcost.errors import ConfigError
from otel_llmcost.processors.answers import (
    DETAILS,
    RefusedError,
    refusal_of_grpc,
    refusal_of_http,
    retry_delay_s,
)
from otel_llmcost.processors.signals import Signal
from otel_llmcost.stage_settings import NextHopSettings, TlsClientSettings

if TYPE_CHECKING:
    from otel_llmcost.processors.intake import NextHop

MAX_ANSWER_BYTES: Final = 64 * 1024


def next_hop_of(settings: NextHopSettings) -> "NextHop":
    """The next hop of a configuration; nothing is connected before the first message.

    Raises:
        ConfigError: a file of the configuration cannot be read.
    """
    headers = {name.lower(): value.get_secret_value() for name, value in settings.headers.items()}
    headers |= _headers_in(settings.headers_file)
    if urlsplit(settings.url).scheme in ("otlp", "otlps"):
        return GrpcNextHop(settings, headers)
    return HttpNextHop(settings, headers)


class GrpcNextHop:
    """An OTLP/gRPC receiver."""

    def __init__(self, settings: NextHopSettings, headers: Mapping[str, str]) -> None:
        parts = urlsplit(settings.url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        target = f"{host}:{parts.port or 4317}"
        compression = grpc.Compression.Gzip if settings.compression == "gzip" else grpc.Compression.NoCompression
        options = [("grpc.max_reconnect_backoff_ms", 5_000), ("grpc.keepalive_time_ms", 60_000)]
        if parts.scheme == "otlps":
            credentials = grpc.ssl_channel_credentials(*_tls_files(settings.tls))
            self._channel = grpc.aio.secure_channel(target, credentials, options, compression)
        else:
            self._channel = grpc.aio.insecure_channel(target, options, compression)
        self._metadata = tuple(headers.items())
        self._timeout_s = settings.timeout_s
        self.max_message_bytes = settings.max_message_bytes
        self._methods: dict[str, Any] = {}

    async def export(self, signal: Signal, body: bytes) -> bytes:
        """
        Raises:
            RefusedError: not acknowledged.
        """
        method = self._methods.get(signal.name)
        if method is None:
            method = self._methods[signal.name] = self._channel.unary_unary(signal.method)
        try:
            answer: bytes = await method(body, timeout=self._timeout_s, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            details = next((value for key, value in error.trailing_metadata() or () if key == DETAILS), b"")
            delay_s = retry_delay_s(details) if isinstance(details, bytes) else None
            raise RefusedError(refusal_of_grpc(error.code(), error.details() or "", delay_s)) from None
        return answer

    async def close(self) -> None:
        await self._channel.close()


class HttpNextHop:
    """An OTLP/HTTP receiver; messages go there as protobuf."""

    def __init__(self, settings: NextHopSettings, headers: Mapping[str, str]) -> None:
        import httpx

        self._url = settings.url.rstrip("/")
        self._gzip = settings.compression == "gzip"
        encoding = {"content-encoding": "gzip"} if self._gzip else {}
        self._client = httpx.AsyncClient(
            headers={**headers, "content-type": "application/x-protobuf", **encoding},
            timeout=settings.timeout_s,
            verify=_tls_context(settings.tls) if self._url.startswith("https:") else False,
            trust_env=False,
        )
        self._failed = httpx.HTTPError
        self.max_message_bytes = settings.max_message_bytes

    async def export(self, signal: Signal, body: bytes) -> bytes:
        """
        Raises:
            RefusedError: not acknowledged.
        """
        content = codecs()["gzip"].compress(body) if self._gzip else body
        answer = bytearray()
        try:
            async with self._client.stream("POST", self._url + signal.path, content=content) as response:
                async for chunk in response.aiter_bytes():
                    answer += chunk
                    if len(answer) > MAX_ANSWER_BYTES:
                        break
        except self._failed as error:
            raise RefusedError(refusal_of_http(503, type(error).__name__, None)) from None
        if response.status_code != 200:
            raise RefusedError(refusal_of_http(response.status_code, "", _seconds(response.headers)))
        return bytes(answer)

    async def close(self) -> None:
        await self._client.aclose()


def _seconds(headers: Mapping[str, str]) -> float | None:
    """`Retry-After` in seconds; None where it is missing or a date."""
    text = headers.get("retry-after", "").strip()
    return float(text) if text.isdecimal() and len(text) < 7 else None


def _read(path: str, what: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"stage.next_hop.{what}: {path}: {error.strerror}") from None


def _headers_in(path: str) -> dict[str, str]:
    """Lines of `name: value`."""
    if not path:
        return {}
    lines = [line for line in _read(path, "headers_file").decode("utf-8", "replace").splitlines() if line.strip()]
    pairs = [line.partition(":") for line in lines if not line.startswith("#")]
    if not all(separator and name.strip() for name, separator, _ in pairs):
        raise ConfigError(f"stage.next_hop.headers_file: {path}: each line must be `name: value`")
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _tls_files(tls: TlsClientSettings) -> tuple[bytes | None, bytes | None, bytes | None]:
    """Authorities, key and certificates, in the order of `ssl_channel_credentials`."""
    ca = _read(tls.ca_file, "tls.ca_file") if tls.ca_file else None
    certificate = _read(tls.cert_file, "tls.cert_file") if tls.cert_file else None
    key = _read(tls.key_file or tls.cert_file, "tls.key_file") if tls.cert_file else None
    return ca, key, certificate


def _tls_context(tls: TlsClientSettings) -> ssl.SSLContext:
    _tls_files(tls)  # says which file cannot be read
    try:
        context = ssl.create_default_context(cafile=tls.ca_file or None)
        if tls.cert_file:
            context.load_cert_chain(tls.cert_file, tls.key_file or None)
    except ssl.SSLError as error:
        raise ConfigError(f"stage.next_hop.tls: {error.reason or error}") from None
    return context
