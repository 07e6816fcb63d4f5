"""The section `stage` of llmcost.yaml: the OTLP stage between two hops of a pipeline of telemetry."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator

from otel_llmcost.config_types import Section

Port = Annotated[int, Field(ge=0, le=65_535)]


def _check_url(url: str) -> str:
    if not url:
        return url
    try:
        parts = urlsplit(url)
        port_ok = parts.port is None or parts.port > 0
    except ValueError:
        raise ValueError("is no URL") from None
    if parts.scheme not in ("otlp", "otlps", "http", "https"):
        raise ValueError("must start with otlp:// or otlps:// (OTLP/gRPC), http:// or https:// (OTLP/HTTP)")
    if not parts.hostname or not port_ok:
        raise ValueError(f"names no host: {parts.scheme}://host:port")
    if parts.username or parts.password:
        raise ValueError("must hold no credentials: they belong in headers_file")
    return url


OtlpUrl = Annotated[str, AfterValidator(_check_url)]


class TlsServerSettings(Section):
    """Encryption of the OTLP ports."""

    cert_file: str = ""
    """File with our certificates (PEM); empty: the ports are not encrypted."""
    key_file: str = ""
    """File with the key, where it is not in the same file."""
    client_ca_file: str = ""
    """File with the authority (PEM) whose certificates senders must show (mTLS); empty: they need none."""


class TlsClientSettings(Section):
    """Encryption towards the next hop; of `otlps://` and `https://`."""

    ca_file: str = ""
    """File with the authority (PEM) of the next hop; empty: those of the system."""
    cert_file: str = ""
    """File with our certificates (PEM), for a next hop that asks for them (mTLS)."""
    key_file: str = ""
    """File with their key, where it is not in the same file."""


class NextHopSettings(Section):
    """Where telemetry goes on to."""

    url: OtlpUrl = ""
    """`otlp://host:4317` or `otlps://…` (OTLP/gRPC), `http://host:4318` or `https://…` (OTLP/HTTP; `/v1/traces` and so
    on are appended); empty: spans go nowhere, lines to the ledger."""
    headers: dict[str, SecretStr] = Field(default_factory=dict)
    """Headers of every request."""
    headers_file: str = ""
    """File with more headers, a `name: value` a line, for those that are secret; read at start-up."""
    compression: Literal["none", "gzip"] = "none"
    """Of what is sent. gzip takes more CPU than all the rest of the stage."""
    timeout_s: Annotated[float, Field(gt=0, le=600)] = 10.0
    """Longest wait for an acknowledgement; the sender is then told to send again."""
    max_message_bytes: Annotated[int, Field(ge=65_536, le=1 << 30)] = 4 * 1024 * 1024
    """Largest message that the next hop takes (a Collector: 4 MiB unless told otherwise). Enriched messages that are
    larger go on in parts."""
    tls: TlsClientSettings = Field(default_factory=TlsClientSettings)


class TenantSettings(Section):
    """Who may send, and how much."""

    name: str
    """Name in metrics and messages."""
    token_file: str = ""
    """File with the bearer token."""
    token_env: str = ""
    """Environment variable with the bearer token."""
    trusted: Annotated[bool, Field(strict=False)] = False
    """True: `llmcost.*` on its spans is believed, such as `llmcost.tag.team`; false: it is taken off."""
    requests_per_s: Annotated[float, Field(ge=0)] = 0.0
    """Requests a second, on average over some seconds; 0: as many as come."""
    bytes_per_s: Annotated[float, Field(ge=0)] = 0.0
    """Bytes a second, decompressed; 0: as many as come."""

    @model_validator(mode="after")
    def _has_one_token(self) -> "TenantSettings":
        if bool(self.token_file) == bool(self.token_env):
            raise ValueError("needs token_file or token_env")
        return self


class AnonymousSettings(Section):
    """Senders without a token."""

    allowed: Annotated[bool | None, Field(strict=False)] = None
    """Whether they may send; by default as long as there are no tenants."""
    trusted: Annotated[bool, Field(strict=False)] = False
    """As of a tenant: for a port that only your own Collectors reach."""
    requests_per_s: Annotated[float, Field(ge=0)] = 0.0
    """As of a tenant, for all of them together."""
    bytes_per_s: Annotated[float, Field(ge=0)] = 0.0
    """As of a tenant, for all of them together."""


class StageMetricsSettings(Section):
    """Where the metrics of the stage go, beside `/metrics`."""

    otlp: Literal["next_hop", "off"] = "off"
    """`next_hop`: as OTLP metrics to the next hop, from every worker."""
    interval_s: Annotated[int, Field(ge=1, le=3_600)] = 60
    """Seconds between two of those messages."""


class StageSettings(Section):
    """`otel-llmcost stage`."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    grpc_port: Port = 4317
    """Port of OTLP/gRPC; 0 takes a free one."""
    http_port: Port = 4318
    """Port of OTLP/HTTP; 0 takes a free one."""
    admin_host: str = ""
    """Address of the port for health and metrics; by default as `host`."""
    admin_port: Port = 9464
    """Port of `/healthz`, `/readyz` and `/metrics`; 0 takes a free one."""
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    """Processes that share the ports. With more than one, the ledger must be a server."""
    reads: Literal["genai", "all"] = "genai"
    """`genai`: messages without a GenAI span pass on unread. `all`: they are read for what they tell of the tree, such
    as the session of a call whose spans come in another message."""
    max_message_bytes: Annotated[int, Field(ge=65_536, le=1 << 30)] = 16 * 1024 * 1024
    """Largest message that is taken, decompressed."""
    max_in_flight_requests: Annotated[int, Field(ge=1, le=65_536)] = 256
    """Requests that a worker has under way at most; more are told to come again."""
    max_in_flight_bytes: Annotated[int, Field(ge=1_048_576, le=1 << 40)] = 128 * 1024 * 1024
    """Bytes of messages, decompressed, that a worker has under way at most. Its memory is a few times that."""
    max_connections: Annotated[int, Field(ge=1, le=65_536)] = 512
    """Connections of the HTTP port, per worker."""
    read_timeout_s: Annotated[float, Field(gt=0, le=600)] = 30.0
    """Longest time for a request to come in whole."""
    drain_s: Annotated[int, Field(ge=0, le=600)] = 20
    """Longest wait for requests under way when the stage is told to end."""
    tls: TlsServerSettings = Field(default_factory=TlsServerSettings)
    tenants: list[TenantSettings] = Field(default_factory=list)
    """Senders with a token of their own; where there are any, others need `anonymous.allowed`."""
    anonymous: AnonymousSettings = Field(default_factory=AnonymousSettings)
    next_hop: NextHopSettings = Field(default_factory=NextHopSettings)
    metrics: StageMetricsSettings = Field(default_factory=StageMetricsSettings)
