"""`otel-llmcost prices show`: one model with all its prices, and what a call of a customer pays."""

import argparse
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from otel_llmcost.call import Bucket, LLMCall, Source, Usage
from otel_llmcost.cli.ledger import add_config_option
from otel_llmcost.cli.prices_list import add_at_option, at_ns, rates_of
from otel_llmcost.cli.table import print_table
from otel_llmcost.errors import ConfigError, InputError, nearest
from otel_llmcost.pricing.book import PriceBook
from otel_llmcost.pricing.catalog import PriceRow, models_by_seller, price_rows, sellers_of
from otel_llmcost.pricing.compiled import Price
from otel_llmcost.pricing.rates import NoPrice, Rates
from otel_llmcost.providers.sellers import canonical_seller

NAME: Final = "show"
HELP: Final = "explain one model's prices: dates, tiers, contexts, and what your price files make of them"

_EPILOG: Final = """\
SELLER/MODEL as bill lines name them; an alias, a dated snapshot or a deployment of your own is resolved. `--set` says
who calls, so that negotiated prices and mark-ups for a customer or team are seen.

examples:
  otel-llmcost prices show openai/gpt-5
  otel-llmcost prices show azure.ai.openai/prod-chat --host contoso.openai.azure.com --at 2026-03-01
  otel-llmcost prices show anthropic/claude-sonnet-4-5 --set customer=acme --set service_tier=batch --json
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    parser.epilog = _EPILOG
    parser.add_argument("model", metavar="SELLER/MODEL", help="which model")
    parser.add_argument("--host", default="", help="the host that the call went to, for deployments")
    parser.add_argument(
        "--set", metavar="NAME=VALUE", action="append", default=[], help="a dimension, or service_tier; may be repeated"
    )
    add_at_option(parser)
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    add_config_option(parser)


def run(args: argparse.Namespace) -> int:
    """Print what there is to know."""
    from otel_llmcost.pricing.configured import configured_book
    from otel_llmcost.settings import load_settings

    book = configured_book(load_settings(os.environ, args.config))
    call = _call(args)
    context = {"service_tier": call.service_tier} if call.service_tier else {}
    rates = book.rates(call.provider, call.model, call.start_ns, context, call.host)
    if isinstance(rates, NoPrice):
        raise InputError(f"{args.model}: {rates.reason}{_hint(book, call)}")
    listed = _listed(book, rates.price_id)
    effect = _effective(book, call, rates)
    if args.json:
        print(json.dumps({**_summary(book, rates), "prices": [_as_json(row) for row in listed], **effect}, indent=1))
        return 0
    for name, value in _summary(book, rates).items():
        print(f"{name:<10} {value if isinstance(value, str) else json.dumps(value)}")
    if listed:
        print()
        _print_prices(listed)
    if effect["effective"]:
        print()
        print(f"{'overlay':<10} {effect['overlay']}")
        print_table(["charge", "list", "effective"], [list(row.values()) for row in effect["effective"]], sys.stdout)
    return 0


def _call(args: argparse.Namespace) -> LLMCall:
    provider, slash, model = args.model.partition("/")
    if not slash or not model:
        raise ConfigError(f"{args.model!r} is no SELLER/MODEL, such as openai/gpt-5")
    said = dict(_assignment(text) for text in args.set)
    known: dict[str, Any] = {name: value for name, value in said.items() if name in _SETTABLE}
    time_ns = at_ns(args.at)
    call = LLMCall(
        call_id=bytes(16),
        source=Source.IMPORT,
        start_ns=time_ns,
        end_ns=time_ns,
        provider=canonical_seller(provider),
        model=model,
        host=args.host,
        usage=Usage(buckets={}),
        tags={name: value for name, value in said.items() if name not in known},
    )
    return replace(call, **known)


_SETTABLE: Final = frozenset(
    ("service", "environment", "operation", "service_tier", "user", "session", "agent", "workflow", "run")
)


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ConfigError(f"--set {text!r}: write NAME=VALUE, such as customer=acme")
    return name, value


def _hint(book: PriceBook, call: LLMCall) -> str:
    close = book.suggest(call.provider, call.model)
    if close:
        return f"; did you mean {close[0]!r}?"
    models = models_by_seller(book.snapshot)
    if call.provider not in models:
        return nearest(call.provider, sorted(models))
    return f"; see otel-llmcost prices list --seller {call.provider}"


def _listed(book: PriceBook, price_id: str) -> list[PriceRow]:
    """All prices of the row that a call is priced by; none where it is an entry of a price file."""
    provider, _, row = price_id.partition("/")
    seller = sellers_of(book.snapshot).get(provider)
    if seller is None or "#" in row:
        return []
    info = seller.find_model(row.rpartition("@")[0], all_providers=book.snapshot.providers)
    return list(price_rows(info)) if info else []


def _summary(book: PriceBook, rates: Rates) -> dict[str, Any]:
    return {"price": rates.price_id, "reason": rates.reason or "-", "book": book.version, "rates": rates_of(rates)}


def _as_json(row: PriceRow) -> Mapping[str, object]:
    return {"from": row.begins, "context": row.context, "rates": row.rates}


def _print_prices(rows: list[PriceRow]) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row.rates))
    cells = [[row.begins, row.context, *(row.rates.get(name, "") for name in names)] for row in rows]
    print_table(["from", "context", *names], cells, sys.stdout)


def _effective(book: PriceBook, call: LLMCall, rates: Rates) -> dict[str, Any]:
    """The rates that this caller pays, beside the list's."""
    own = book.overlay.own_price(call, Price(rates)) if book.overlay else None
    if own is None:
        return {"effective": [], "overlay": ""}
    listed, pays = rates_of(rates), rates_of(own.price.rates)
    charges = [*(bucket.value for bucket in Bucket), "request", "second"]
    rows = [
        {"charge": charge, "list": listed.get(charge, ""), "effective": pays.get(charge, "")}
        for charge in charges
        if charge in listed or charge in pays
    ]
    return {"effective": rows, "overlay": own.reason}
