"""`otel-llmcost stage`: between two hops of a pipeline of telemetry, price what passes."""

import argparse
import asyncio
import os
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, Final

from pydantic import ValidationError

from otel_llmcost.cli.addresses import is_loopback, port_of
from otel_llmcost.cli.ledger import add_ledger_options, settings_with_ledger
from otel_llmcost.errors import ConfigError, MissingExtraError
from otel_llmcost.settings import Settings
from otel_llmcost.stage_settings import StageSettings

NAME: Final = "stage"
HELP: Final = "take OTLP from Collectors and SDKs, price GenAI spans, pass everything on and write bill lines"

_EPILOG: Final = """\
Spans go on to --next-hop with `llmcost.*` added, bill lines go to --ledger; at least one of the two is needed. A
request is acknowledged once both have it. Logs, metrics and requests without GenAI spans pass on as they are. All
options, and TLS, tenants and limits, are keys of `stage:` in llmcost.yaml: see docs/stage.md.

examples:
  otel-llmcost stage --next-hop otlp://127.0.0.1:4327 --ledger clickhouse://llmcost@ch.internal:8123/llmcost
  otel-llmcost stage --next-hop otlp://collector:4317 --workers 4 --host 0.0.0.0
  OTEL_LLMCOST_STAGE_NEXT_HOP_URL=https://otlp.example.com otel-llmcost stage --config llmcost.yaml
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the options; each is a key of the configuration too."""
    parser.epilog = _EPILOG
    add_ledger_options(parser)
    parser.add_argument("--next-hop", metavar="URL", help="otlp://host:4317, otlps://…, http://host:4318 or https://…")
    parser.add_argument("--host", help="address to listen on; default 127.0.0.1")
    for name, what, port in (
        ("grpc", "OTLP/gRPC", 4317),
        ("http", "OTLP/HTTP", 4318),
        ("admin", "/healthz, /readyz and /metrics", 9464),
    ):
        help_text = f"port of {what}; default {port}, 0 takes a free one"
        parser.add_argument(f"--{name}-port", metavar="PORT", type=port_of, help=help_text)
    parser.add_argument("--workers", metavar="N", type=int, help="processes that share the ports; default 1")


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT, then drain; 0 where nothing was lost."""
    settings = _settings(args)
    if any(find_spec(package) is None for package in ("grpc", "starlette", "uvicorn", "httpx")):
        raise MissingExtraError("otel-llmcost stage", "stage")
    from otel_llmcost.processors.stage.run import check, serve
    from otel_llmcost.processors.stage.workers import serve_with_workers

    check(settings)

    def ready(urls: Sequence[tuple[str, str]]) -> None:
        print(_banner(settings, urls), flush=True)

    if settings.stage.workers > 1:
        serve_with_workers(settings, ready)
    else:
        asyncio.run(serve(settings, ready))
    print("otel-llmcost: stopped", flush=True)
    return 0


def _settings(args: argparse.Namespace) -> Settings:
    """The configuration with what the command line says."""
    settings = settings_with_ledger(args, needed=False)
    names = ("host", "grpc_port", "http_port", "admin_port", "workers")
    said: dict[str, Any] = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    stage = settings.stage
    if args.next_hop is not None:
        said["next_hop"] = stage.next_hop.model_dump() | {"url": args.next_hop}
    if not said:
        return settings
    try:
        stage = StageSettings.model_validate(stage.model_dump() | said)
    except ValidationError as error:
        mistake = error.errors(include_url=False)[0]
        option = "--" + str(mistake["loc"][0]).replace("_", "-")
        raise ConfigError(f"{option}: {mistake['msg'].removeprefix('Value error, ')}") from None
    return settings.model_copy(update={"stage": stage})


def _banner(settings: Settings, urls: Sequence[tuple[str, str]]) -> str:
    stage = settings.stage
    lines = ["otel-llmcost stage is up"]
    lines += [f"  {name:<12}{address}" for name, address in urls]
    lines.append(f"  {'next hop':<12}{stage.next_hop.url or 'none: spans end here'}")
    lines.append(f"  {'ledger':<12}{_ledger(settings)}")
    if not stage.tenants and not stage.tls.cert_file and not is_loopback(stage.host):
        lines.append("  OTLP is open to everybody who reaches this address: see tenants and tls in docs/stage.md")
    lines.append("otel-llmcost: ready")
    return "\n".join(lines)


def _ledger(settings: Settings) -> str:
    if settings.ledger == "off":
        return "off: no bill lines are written"
    if settings.ledger.startswith("otlp"):
        return settings.ledger
    from otel_llmcost.exporters.clickhouse.client import LedgerUrl

    return LedgerUrl.parse(settings.ledger, os.environ).address
