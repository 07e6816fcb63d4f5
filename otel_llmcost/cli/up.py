"""`otel-llmcost up`: take OTLP, write bill lines, answer SQL."""

import argparse
import asyncio
import signal
from contextlib import AsyncExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from os import environ
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from otel_llmcost.cli.addresses import is_loopback, port_of
from otel_llmcost.cli.ledger import add_ledger_options, settings_with_ledger
from otel_llmcost.errors import ConfigError, MissingExtraError
from otel_llmcost.settings import Settings

if TYPE_CHECKING:
    from otel_llmcost.exporters import Sink
    from otel_llmcost.pricing.configured import HasBook
    from otel_llmcost.processors.ledger_writer import SetAside

NAME: Final = "up"
HELP: Final = "receive OTLP traces, write bill lines, and answer SQL for an embedded ledger"

DRAIN_S: Final = 20
"""Longest wait for requests under way when the command is told to end."""
SQL_SCHEMES: Final = ("clickhouse", "clickhouses", "chdb")

_EPILOG: Final = """\
A request is acknowledged once its lines are in the ledger. With an embedded ledger (chdb://), this process is the only
one that can open it, and answers dashboards, scripts and the other commands at the ClickHouse port instead.

environment:
  CLICKHOUSE_PASSWORD   the password of the ClickHouse port (user: default); needed for any --host but loopback

examples:
  otel-llmcost up --ledger chdb:///var/lib/llmcost
  otel-llmcost up --ledger clickhouse://llmcost@ch.internal:8123/llmcost --config llmcost.yaml
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    parser.epilog = _EPILOG
    add_ledger_options(parser)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; default 127.0.0.1")
    for name, port in (("grpc", 4317), ("http", 4318), ("clickhouse", 8123)):
        what = {"grpc": "OTLP/gRPC", "http": "OTLP/HTTP", "clickhouse": "ClickHouse's HTTP interface"}[name]
        help_text = f"port of {what}; default {port}, 0 takes a free one"
        parser.add_argument(f"--{name}-port", metavar="PORT", type=port_of, default=port, help=help_text)
    parser.add_argument(
        "--clickhouse-password-file", metavar="FILE", type=Path, help="file with the password of the ClickHouse port"
    )
    parser.add_argument("--writable", action="store_true", help="let the ClickHouse port take INSERT too")


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT, then drain; 0 where nothing was lost."""
    settings = settings_with_ledger(args)
    if settings.ledger.partition("://")[0] not in SQL_SCHEMES:
        raise ConfigError("--ledger: up writes to ClickHouse: clickhouse://…, clickhouses://… or chdb:///path")
    if any(find_spec(package) is None for package in ("grpc", "starlette", "uvicorn")):
        raise MissingExtraError("otel-llmcost up", "stage")
    asyncio.run(serve(settings, _options(args, settings)))
    return 0


@dataclass(frozen=True, slots=True)
class Options:
    """Where to listen, and who may ask. `password` is empty for none."""

    host: str
    grpc_port: int
    http_port: int
    clickhouse_port: int
    password: str = ""
    writable: bool = False


def _options(args: argparse.Namespace, settings: Settings) -> Options:
    embedded = settings.ledger.startswith("chdb:")
    password = _password(args.clickhouse_password_file) if embedded else ""
    if embedded and not password and not is_loopback(args.host):
        raise ConfigError(
            f"--host {args.host}: everybody who reaches this address could read the ledger:"
            " set CLICKHOUSE_PASSWORD or --clickhouse-password-file"
        )
    return Options(args.host, args.grpc_port, args.http_port, args.clickhouse_port, password, args.writable)


def _password(file: Path | None) -> str:
    if file is None:
        return environ.get("CLICKHOUSE_PASSWORD", "")
    try:
        password = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--clickhouse-password-file {file}: cannot be read: {type(error).__name__}") from None
    if not password:
        raise ConfigError(f"--clickhouse-password-file {file}: is empty")
    return password


async def serve(settings: Settings, options: Options) -> None:
    """Start everything, serve until a signal, and stop in the order in which nothing is lost."""
    from otel_llmcost.pipeline import Pipeline
    from otel_llmcost.pricing.configured import refreshing
    from otel_llmcost.processors.gate import Gate
    from otel_llmcost.processors.grpc_server import grpc_server
    from otel_llmcost.processors.http_app import http_app
    from otel_llmcost.processors.intake import TraceIntake, kinship_of
    from otel_llmcost.processors.ledger_writer import LedgerWriter
    from otel_llmcost.processors.serving import shown, start_grpc

    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with AsyncExitStack() as stack:  # what starts last stops first: the servers, the intake, then the sink
        endpoints = [await _start_sql(stack, settings, options)] if settings.ledger.startswith("chdb:") else []
        pipeline = Pipeline.from_settings(settings)
        writer = LedgerWriter(*_sink_and_aside(settings, pipeline))
        stack.push_async_callback(asyncio.to_thread, writer.close)
        refresher = refreshing(pipeline, settings)
        if refresher is not None:
            refresher.start()
            stack.push_async_callback(asyncio.to_thread, refresher.stop)
        _start_keepers(stack, settings)
        gate = Gate()
        intake = TraceIntake(pipeline, writer, kinship_of(settings.identity))
        stack.callback(intake.close)
        stack.push_async_callback(gate.drain)
        intakes = {"traces": intake}
        host = options.host
        http_port = await _start_http(stack, http_app(intakes, gate), host, options.http_port, "--http-port")
        server = grpc_server(intakes, gate)
        grpc_port = await start_grpc(stack, server, host, options.grpc_port, "--grpc-port", DRAIN_S)
        endpoints = [
            ("OTLP/gRPC", f"http://{shown(host)}:{grpc_port}"),
            ("OTLP/HTTP", f"http://{shown(host)}:{http_port}/v1/traces"),
            *endpoints,
        ]
        print(_banner(endpoints, settings, options), flush=True)
        await stopped.wait()
        print("otel-llmcost: draining", flush=True)
    print("otel-llmcost: stopped", flush=True)


def _sink_and_aside(settings: Settings, prices: "HasBook") -> tuple["Sink", "SetAside | None"]:
    """The ledger, and where the lines go that it refuses for good."""
    from otel_llmcost.exporters import open_sink
    from otel_llmcost.exporters.line_codec import LineCodec
    from otel_llmcost.exporters.metrics import CallMetrics
    from otel_llmcost.exporters.outlet import Outlet
    from otel_llmcost.exporters.safekeeping import dead_letters

    sink = open_sink(settings.ledger, prices)
    letters = dead_letters(settings.ledger, settings.delivery)
    if letters is None:
        return sink, None
    return sink, Outlet(sink.write, LineCodec(), CallMetrics(settings.metrics.dimensions), letters).set_aside


def _start_keepers(stack: AsyncExitStack, settings: Settings) -> None:
    """What keeps totals and anomalies up to date."""
    from otel_llmcost.detection.detector import Detector
    from otel_llmcost.exporters.clickhouse.settler import Settler

    storage = settings.storage
    for keeper, interval_s in ((Settler, storage.settle_interval_s), (Detector, storage.detect_interval_s)):
        if interval_s:
            running = keeper(settings.ledger, interval_s)
            running.start()
            stack.push_async_callback(asyncio.to_thread, running.stop)


async def _start_http(stack: AsyncExitStack, app: Any, host: str, port: int, option: str) -> int:
    from otel_llmcost.processors.serving import HttpServer, listen, start_http

    return await start_http(stack, HttpServer(app, listen(host, port, option), DRAIN_S))


async def _start_sql(stack: AsyncExitStack, settings: Settings, options: Options) -> tuple[str, str]:
    from otel_llmcost.exporters.clickhouse.embedded import EmbeddedSql
    from otel_llmcost.exporters.clickhouse.http import Access, SqlEndpoint
    from otel_llmcost.processors.serving import shown

    path = await asyncio.to_thread(_prepare_ledger, settings.ledger)
    sql = EmbeddedSql(path, writable=options.writable)
    stack.callback(sql.close)
    endpoint = SqlEndpoint(sql, Access(options.password))
    stack.push_async_callback(asyncio.to_thread, endpoint.close)
    port = await _start_http(stack, endpoint.app(), options.host, options.clickhouse_port, "--clickhouse-port")
    return "ClickHouse", f"http://{shown(options.host)}:{port}"


def _prepare_ledger(url: str) -> Path:
    """Create what the ledger lacks, so that dashboards and alerts find its tables before the first line comes."""
    from otel_llmcost.detection.run import create
    from otel_llmcost.exporters.clickhouse.client import Ledger, LedgerUrl
    from otel_llmcost.exporters.clickhouse.migrations import prepare

    with Ledger.connect(LedgerUrl.parse(url, environ), read_only=False) as ledger:
        prepare(ledger)
        create(ledger)
        return Path(ledger.url.path)


def _banner(endpoints: list[tuple[str, str]], settings: Settings, options: Options) -> str:
    from otel_llmcost.exporters.clickhouse.client import LedgerUrl

    lines = ["otel-llmcost is up", f"  {'ledger':<12}{LedgerUrl.parse(settings.ledger, environ).address}"]
    lines += [f"  {name:<12}{address}" for name, address in endpoints]
    notes = []
    if len(endpoints) > 2:
        notes.append("reads and INSERT" if options.writable else "read-only")
        notes.append("password needed" if options.password else "no password, this machine only")
        lines[-1] += f"  ({', '.join(notes)})"
    if not is_loopback(options.host):
        lines.append("  OTLP is open to everybody who reaches this address: keep it inside a trusted network")
    ledger = endpoints[0][1].replace("http://", "otlp://")
    lines += [
        "next: run an application, or send it the traces of a collector (collector-config/):",
        f"  OTEL_PYTHON_DISTRO=llmcost OTEL_LLMCOST_LEDGER={ledger} opentelemetry-instrument python app.py",
    ]
    return "\n".join(lines)
