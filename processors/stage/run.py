"""One process of the stage: everything started, served until a signal, and stopped in the order that loses nothing."""

import asyncio
import ipaddress
import signal
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from os import environ
from pathlib import Path
from typing import Any

from otel_llmcost.errors import ConfigError
from otel_llmcost.exporters.metrics import CallMetrics
from otel_llmcost.pipeline import Pipeline
from otel_llmcost.pricing.configured import refreshing
from otel_llmcost.processors.enriching import Enricher
from otel_llmcost.processors.gate import Gate, Tenant, Tenants, TokenBucket
from otel_llmcost.processors.grpc_server import Limits, grpc_server
from otel_llmcost.processors.http_app import http_app
from otel_llmcost.processors.intake import Intake, NextHop, PassIntake, TraceIntake, kinship_of
from otel_llmcost.processors.ledger_writer import LedgerWriter
from otel_llmcost.processors.serving import HttpServer, Tls, listen, shown, start_grpc, start_http
from otel_llmcost.processors.signals import LOGS, METRICS
from otel_llmcost.processors.stage.next_hop import next_hop_of
from otel_llmcost.settings import Settings
from otel_llmcost.stage_settings import NextHopSettings, StageSettings, TenantSettings


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the stage listens."""

    host: str
    grpc_port: int
    http_port: int
    encrypted: bool = False

    def shown(self) -> list[tuple[str, str]]:
        """Name and URL of each."""
        scheme = "https" if self.encrypted else "http"
        return [
            ("OTLP/gRPC", f"{scheme}://{shown(self.host)}:{self.grpc_port}"),
            ("OTLP/HTTP", f"{scheme}://{shown(self.host)}:{self.http_port}/v1/traces"),
        ]

    @property
    def loopback(self) -> bool:
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def check(settings: Settings) -> None:
    """
    Raises:
        ConfigError: what the settings say cannot be.
    """
    stage = settings.stage
    if not stage.next_hop.url and settings.ledger == "off":
        raise ConfigError("the stage needs a next hop, a ledger or both: --next-hop otlp://host:4317, --ledger …")
    if stage.workers > 1 and settings.ledger.startswith("chdb:"):
        raise ConfigError(
            f"stage.workers: {stage.workers} processes cannot share an embedded ledger (chdb://): run"
            " `otel-llmcost up` and name it as the ledger (otlp://host:4317), use a ClickHouse server, or --workers 1"
        )
    tenants_of(stage)
    tls_of(stage)


def tls_of(stage: StageSettings) -> Tls | None:
    """The certificates of the OTLP ports; None where they are not encrypted."""
    tls = stage.tls
    if not tls.cert_file:
        if tls.client_ca_file or tls.key_file:
            raise ConfigError("stage.tls: needs cert_file")
        return None
    found = Tls(tls.cert_file, tls.key_file, tls.client_ca_file)
    found.grpc_credentials()
    return found


def tenants_of(stage: StageSettings) -> Tenants:
    """Who may send.

    Raises:
        ConfigError: a token cannot be had.
    """
    by_token = [(_token(each), _tenant(each.name, each, stage.workers)) for each in stage.tenants]
    if len({token for token, _ in by_token}) < len(by_token):
        raise ConfigError("stage.tenants: two tenants have the same token")
    allowed = stage.anonymous.allowed
    if allowed is None:
        allowed = not by_token
    return Tenants(by_token, _tenant("", stage.anonymous, stage.workers) if allowed else None)


def _tenant(name: str, limits: Any, workers: int) -> Tenant:
    """Of a limit each worker has its part: the kernel spreads connections over them."""
    requests = TokenBucket(limits.requests_per_s / workers) if limits.requests_per_s else None
    volume = TokenBucket(limits.bytes_per_s / workers) if limits.bytes_per_s else None
    return Tenant(name, limits.trusted, requests, volume)


def _token(tenant: TenantSettings) -> bytes:
    where = f"stage.tenants: {tenant.name}: "
    if tenant.token_env:
        token = environ.get(tenant.token_env, "").strip().encode()
        if not token:
            raise ConfigError(f"{where}{tenant.token_env} is not set")
        return token
    try:
        token = Path(tenant.token_file).read_bytes().strip()
    except OSError as error:
        raise ConfigError(f"{where}{tenant.token_file}: cannot be read: {error.strerror}") from None
    if not token:
        raise ConfigError(f"{where}{tenant.token_file} is empty")
    return token


async def serve(settings: Settings, ready: Callable[[Addresses], None]) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is under way."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with AsyncExitStack() as stack:  # what starts last stops first: servers, what is under way, hops, ledger
        ready(await start(settings, stack))
        await stopped.wait()
        print("otel-llmcost: draining", flush=True)


async def start(settings: Settings, stack: AsyncExitStack) -> Addresses:
    """Start everything, and have `stack` stop it."""
    stage = settings.stage
    pipeline = Pipeline.from_settings(settings)
    refresher = refreshing(pipeline, settings)
    if refresher is not None:
        refresher.start()
        stack.push_async_callback(asyncio.to_thread, refresher.stop)
    gate = Gate(tenants_of(stage), stage.max_in_flight_requests, stage.max_in_flight_bytes)
    intakes = _intakes(settings, pipeline, stack)
    stack.push_async_callback(gate.drain)
    limits = Limits(stage.max_message_bytes, stage.read_timeout_s)
    tls, share = tls_of(stage), stage.workers > 1
    bound = listen(stage.host, stage.http_port, "--http-port", share=share)
    over_http = HttpServer(http_app(intakes, gate, limits), bound, stage.drain_s, tls, stage.max_connections)
    http_port = await start_http(stack, over_http)
    over_grpc = grpc_server(intakes, gate, limits, share_port=share)
    grpc_port = await start_grpc(
        stack, over_grpc, stage.host, stage.grpc_port, "--grpc-port", stage.drain_s, tls=tls, share=share
    )
    return Addresses(stage.host, grpc_port, http_port, encrypted=tls is not None)


def _intakes(settings: Settings, pipeline: Pipeline, stack: AsyncExitStack) -> Mapping[str, Intake]:
    """What is taken, by the name of the signal."""
    next_hop = _hop(settings.stage.next_hop, stack)
    otlp_ledger = writer = None
    if settings.ledger.startswith("otlp"):
        otlp_ledger = _hop(NextHopSettings(url=settings.ledger, max_message_bytes=1 << 30), stack)
    elif settings.ledger != "off":
        writer = _writer(settings, pipeline)
        stack.push_async_callback(asyncio.to_thread, writer.close)
    traces = TraceIntake(
        pipeline,
        writer,
        kinship_of(settings.identity),
        next_hop=next_hop,
        otlp_ledger=otlp_ledger,
        enricher=Enricher(usage_cost=settings.usage_cost_attribute),
        reads_all=settings.stage.reads == "all" or next_hop is None,
    )
    stack.callback(traces.close)
    if next_hop is None:
        return {"traces": traces}
    return {"traces": traces, "logs": PassIntake(LOGS, next_hop), "metrics": PassIntake(METRICS, next_hop)}


def _hop(settings: NextHopSettings, stack: AsyncExitStack) -> NextHop | None:
    if not settings.url:
        return None
    hop = next_hop_of(settings)
    stack.push_async_callback(hop.close)
    return hop


def _writer(settings: Settings, pipeline: Pipeline) -> LedgerWriter:
    """The ledger behind a spool where one is configured: what is in the spool is durable."""
    from otel_llmcost.exporters import open_sink
    from otel_llmcost.exporters.line_codec import LineCodec
    from otel_llmcost.exporters.outlet import Outlet
    from otel_llmcost.exporters.safekeeping import dead_letters, keeping

    sink = open_sink(settings.ledger, pipeline)
    counts = CallMetrics(settings.metrics.dimensions)
    if settings.delivery.spool:
        return LedgerWriter(keeping(settings.ledger, settings.delivery, LineCodec(), (sink.write, sink.close), counts))
    letters = dead_letters(settings.ledger, settings.delivery)
    set_aside = Outlet(sink.write, LineCodec(), counts, letters).set_aside if letters else None
    return LedgerWriter(sink, set_aside)
