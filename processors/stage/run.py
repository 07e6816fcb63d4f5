"""One process of the stage: everything started, served until a signal, and stopped in the order that loses nothing."""

import asyncio
import gc
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from os import environ
from pathlib import Path
from time import time
from typing import Any

from starlette.applications import Starlette

from otel_llmcost.errors import ConfigError
from otel_llmcost.exporters.metrics import CallMetrics
from otel_llmcost.pipeline import Pipeline
from otel_llmcost.pricing.configured import as_of_s, refreshing
from otel_llmcost.processors.enriching import Enricher
from otel_llmcost.processors.gate import Gate, Intake, Tenant, Tenants, TokenBucket
from otel_llmcost.processors.grpc_server import Limits, grpc_server
from otel_llmcost.processors.http_app import http_app
from otel_llmcost.processors.intake import NextHop, PassIntake, TraceIntake, kinship_of
from otel_llmcost.processors.ledger_writer import LedgerWriter
from otel_llmcost.processors.serving import HttpServer, Tls, listen, shown, start_grpc, start_http
from otel_llmcost.processors.signals import LOGS, METRICS
from otel_llmcost.processors.stage.admin import admin_app
from otel_llmcost.processors.stage.metrics import StageMetrics, otlp_reader
from otel_llmcost.processors.stage.next_hop import next_hop_of
from otel_llmcost.settings import Settings
from otel_llmcost.stage_settings import NextHopSettings, StageSettings, TenantSettings

Ready = Callable[[Sequence[tuple[str, str]]], None]
"""Is told once, when requests are taken: name and URL of every port."""


def urls(stage: StageSettings, grpc_port: int, http_port: int) -> list[tuple[str, str]]:
    """Name and URL of the OTLP ports."""
    base = f"{'https' if stage.tls.cert_file else 'http'}://{shown(stage.host)}"
    return [("OTLP/gRPC", f"{base}:{grpc_port}"), ("OTLP/HTTP", f"{base}:{http_port}/v1/traces")]


class Lifecycle:
    """How far one process of the stage is (`admin.State`)."""

    def __init__(self) -> None:
        self.phase = "starting"

    def unhealthy(self) -> str:
        """Answering is all the proof there is: what fails behind us is told to senders, and ends with the fault."""
        return ""

    def unready(self) -> str:
        return "" if self.phase == "ready" else self.phase


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


async def serve(settings: Settings, ready: Ready) -> None:
    """Serve with this process until SIGTERM or SIGINT, then finish what is under way."""
    stopped = stop_signals()
    lifecycle = Lifecycle()
    async with AsyncExitStack() as stack:  # what starts last stops first: servers, what is under way, hops, ledger
        metrics = StageMetrics(settings.metrics.dimensions, settings.identity.remembered_spans)
        admin_url = await start_admin(settings.stage, admin_app(lifecycle, metrics.families), stack)
        ports = await start(settings, metrics, stack)
        lifecycle.phase = "ready"
        spare_collections()
        ready([*urls(settings.stage, *ports), ("health", admin_url)])
        await stopped.wait()
        lifecycle.phase = "draining"
        print("otel-llmcost: draining", flush=True)


def spare_collections() -> None:
    """Have the garbage collector leave alone what is there to stay, such as the price book, and look less often.

    Spans make many objects and no cycles: looking for some is a fifth of the work on a message otherwise.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)


def stop_signals() -> asyncio.Event:
    """Set once SIGTERM or SIGINT comes."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    return stopped


async def start_admin(stage: StageSettings, app: Starlette, stack: AsyncExitStack) -> str:
    """Start the port for health and metrics; its URL."""
    host = stage.admin_host or stage.host
    bound = listen(host, stage.admin_port, "--admin-port")
    return f"http://{shown(host)}:{await start_http(stack, HttpServer(app, bound, 1))}"


async def start(settings: Settings, metrics: StageMetrics, stack: AsyncExitStack) -> tuple[int, int]:
    """Start the servers and all that is behind them, and have `stack` stop it; the ports of gRPC and HTTP."""
    stage = settings.stage
    pipeline = Pipeline.from_settings(settings)
    refresher = refreshing(pipeline, settings)
    if refresher is not None:
        refresher.start()
        stack.push_async_callback(asyncio.to_thread, refresher.stop)
    metrics.calls.watch_price_book(lambda: time() - as_of_s(pipeline.book, time()))
    gate = Gate(tenants_of(stage), stage.max_in_flight_requests, stage.max_in_flight_bytes, metrics.answered)
    metrics.watch(gate)
    intakes = _intakes(settings, pipeline, metrics, stack)
    stack.push_async_callback(gate.drain, stage.drain_s)
    limits = Limits(stage.max_message_bytes, stage.read_timeout_s)
    tls, share = tls_of(stage), stage.workers > 1
    bound = listen(stage.host, stage.http_port, "--http-port", share=share)
    over_http = HttpServer(
        http_app(intakes, gate, limits), bound, stage.drain_s, tls, stage.max_connections, stage.read_timeout_s
    )
    http_port = await start_http(stack, over_http)
    over_grpc = grpc_server(intakes, gate, limits, share_port=share)
    grpc_port = await start_grpc(
        stack, over_grpc, stage.host, stage.grpc_port, "--grpc-port", stage.drain_s, tls=tls, share=share
    )
    return grpc_port, http_port


def _intakes(
    settings: Settings, pipeline: Pipeline, metrics: StageMetrics, stack: AsyncExitStack
) -> Mapping[str, Intake]:
    """What is taken, by the name of the signal."""
    next_hop = _hop(settings.stage.next_hop, stack)
    otlp_ledger = writer = None
    if settings.ledger.startswith("otlp"):
        otlp_ledger = _hop(NextHopSettings(url=settings.ledger, max_message_bytes=1 << 30), stack)
    elif settings.ledger != "off":
        writer = _writer(settings, pipeline, metrics.calls)
        stack.push_async_callback(asyncio.to_thread, writer.close)
    traces = TraceIntake(
        pipeline,
        writer,
        kinship_of(settings.identity),
        next_hop=next_hop,
        otlp_ledger=otlp_ledger,
        enricher=Enricher(usage_cost=settings.usage_cost_attribute),
        reads_all=settings.stage.reads == "all" or next_hop is None,
        watcher=metrics,
    )
    stack.callback(traces.close)
    if next_hop is not None and settings.stage.metrics.otlp == "next_hop":
        metrics.add_reader(otlp_reader(next_hop, settings.stage.metrics.interval_s))
        stack.push_async_callback(asyncio.to_thread, metrics.close)
    if next_hop is None:
        return {"traces": traces}
    return {"traces": traces, "logs": PassIntake(LOGS, next_hop), "metrics": PassIntake(METRICS, next_hop)}


def _hop(settings: NextHopSettings, stack: AsyncExitStack) -> NextHop | None:
    if not settings.url:
        return None
    hop = next_hop_of(settings)
    stack.push_async_callback(hop.close)
    return hop


def _writer(settings: Settings, pipeline: Pipeline, counts: CallMetrics) -> LedgerWriter:
    """The ledger behind a spool where one is configured: what is in the spool is durable."""
    from otel_llmcost.exporters import open_sink
    from otel_llmcost.exporters.line_codec import LineCodec
    from otel_llmcost.exporters.outlet import Outlet
    from otel_llmcost.exporters.safekeeping import dead_letters, keeping

    sink = open_sink(settings.ledger, pipeline)
    if settings.delivery.spool:
        return LedgerWriter(keeping(settings.ledger, settings.delivery, LineCodec(), (sink.write, sink.close), counts))
    letters = dead_letters(settings.ledger, settings.delivery)
    set_aside = Outlet(sink.write, LineCodec(), counts, letters).set_aside if letters else None
    return LedgerWriter(sink, set_aside)
