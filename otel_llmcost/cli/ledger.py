"""The options `--ledger` and `--config`, the same for every command that needs a ledger."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from otel_llmcost.errors import ConfigError
from otel_llmcost.settings import LedgerUrl, Settings, load_settings

if TYPE_CHECKING:
    from otel_llmcost.exporters.clickhouse.client import Ledger


def add_ledger_options(parser: argparse.ArgumentParser) -> None:
    """Add both options."""
    parser.add_argument(
        "--ledger",
        metavar="URL",
        help="clickhouse://user@host:8123/llmcost, clickhouses://… or chdb:///path; default: `ledger` of the"
        " configuration",
    )
    add_config_option(parser)


def add_config_option(parser: argparse.ArgumentParser) -> None:
    """Add `--config`."""
    parser.add_argument(
        "--config", metavar="FILE", type=Path, help="configuration file; default: the one OTEL_LLMCOST_CONFIG names"
    )


def settings_with_ledger(args: argparse.Namespace, *, needed: bool = True) -> Settings:
    """The configuration, with the ledger of `--ledger` where given.

    Raises:
        ConfigError: the configuration is wrong, or there is no ledger and one is `needed`.
    """
    settings = load_settings(os.environ, args.config)
    if args.ledger is not None:
        try:
            url = TypeAdapter[str](LedgerUrl).validate_python(args.ledger)
        except ValidationError as error:
            message = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
            raise ConfigError(f"--ledger: {message}") from None
        settings = settings.model_copy(update={"ledger": url})
    if needed and settings.ledger == "off":
        raise ConfigError(
            "no ledger: give one with --ledger chdb:///path or --ledger clickhouse://user@host:8123/llmcost,"
            " or set OTEL_LLMCOST_LEDGER"
        )
    return settings


def open_ledger(settings: Settings, *, read_only: bool) -> "Ledger":
    """The ledger of the configuration. An embedded one must be there: the engine would make an empty one.

    Raises:
        ConfigError: there is no ledger.
        DeliveryError: it cannot be reached, or somebody else holds it.
    """
    from otel_llmcost.exporters.clickhouse.client import Ledger, LedgerUrl

    url = LedgerUrl.parse(settings.ledger, os.environ)
    if url.path and not Path(url.path).is_dir():
        raise ConfigError(f"{url.path}: there is no ledger")
    return Ledger.connect(url, read_only=read_only)
