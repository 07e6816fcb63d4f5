"""`otel-llmcost watch`: alerts without Grafana."""

import argparse
import getpass
import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Final

from otel_llmcost.cli.ledger import add_ledger_options, open_ledger, settings_with_ledger
from otel_llmcost.cli.table import printable
from otel_llmcost.cli.times import parse_moment, parse_span
from otel_llmcost.errors import ConfigError, DeliveryError, nearest
from otel_llmcost.settings import Settings

if TYPE_CHECKING:
    from otel_llmcost.exporters.clickhouse.client import Ledger
    from otel_llmcost.watching.channels import Alertmanager, Channel
    from otel_llmcost.watching.stores import Store
    from otel_llmcost.watching.watcher import Round, Watcher

NAME: Final = "watch"
HELP: Final = "evaluate alert rules on the ledger every minute, and tell Alertmanager, webhooks, Slack, …"

FIRING: Final = 6
"""Exit code of `--once` where something fires."""
NOT_TOLD: Final = 7
"""Exit code of `--once` where a channel did not take a message, or a rule could not be evaluated."""

_EPILOG: Final = """\
The rules are those of Grafana (docs/alerts.md). Each alert is told once and once when it is over; what is part of an
anomaly is told with it. The state is kept in the ledger, or in --state FILE where the ledger is read-only (the SQL port
of `otel-llmcost up`). Several watchers of one ledger tell once: the others stand by.

Addresses with secrets stand in the environment or in files: --notify and --webhook take the NAME of a variable; with
NAME_FILE set, the address is read from that file. A webhook's bearer is in NAME_TOKEN.

exit codes of --once:
  0    nothing fires, or another watcher leads
  6    something fires
  7    a channel did not take a message (it is tried again), or a rule could not be evaluated

examples:
  otel-llmcost watch --ledger clickhouse://llmcost@ch.internal:8123/llmcost --alertmanager http://127.0.0.1:9093
  SLACK=slack://TokenA/TokenB/TokenC/#llm-cost otel-llmcost watch --notify SLACK
  otel-llmcost watch --once --dry-run --ledger chdb:///var/lib/llmcost --state /var/lib/llmcost-watch.json
  otel-llmcost watch ack llmcost-spend-rate --label series=team=cx --for 4h --why "load test"
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the options, and the action `ack`."""
    parser.epilog = _EPILOG
    _add_common(parser)
    parser.add_argument("--interval", metavar="SECONDS", type=int, default=60, help="time between rounds; default 60")
    parser.add_argument("--once", action="store_true", help="one round, for cron; the exit code says what was found")
    parser.add_argument("--dry-run", action="store_true", help="print what would be told; nobody is, nothing is stored")
    parser.add_argument("--only", metavar="ALERT", action="append", default=[], help="only this rule; may be repeated")
    parser.add_argument("--alertmanager", metavar="URL", action="append", default=[], help="may be repeated")
    parser.add_argument(
        "--webhook", metavar="NAME", action="append", default=[], help="variable with an address that takes JSON"
    )
    parser.add_argument(
        "--notify", metavar="NAME", action="append", default=[], help="variable with a URL of apprise ([watch] extra)"
    )
    parser.add_argument("--no-detect", action="store_true", help="anomalies are looked for by somebody else")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", title="actions", required=False)
    text = "know of an alert: nobody is told in that time"
    ack = actions.add_parser("ack", help=text, description=f"{text[0].upper()}{text[1:]}.")
    ack.add_argument("alert", metavar="ALERT", help="the rule, such as llmcost-spend-rate")
    ack.add_argument("--label", metavar="NAME=VALUE", action="append", default=[], help="only alerts with this label")
    until = ack.add_mutually_exclusive_group(required=True)
    until.add_argument("--until", metavar="TIME", type=parse_moment, help="2026-11-20T14:00; UTC")
    until.add_argument("--for", dest="span", metavar="SPAN", type=parse_span, help="30m, 12h, 7d, 2w")
    ack.add_argument("--why", required=True, help="for whoever looks later")
    _add_common(ack)


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--state", metavar="FILE", type=Path, help="keep the state in this file, not in the ledger")
    add_ledger_options(parser)


def run(args: argparse.Namespace) -> int:
    """Watch, or acknowledge."""
    settings = settings_with_ledger(args)
    if args.action == "ack":
        return _acknowledge(args, settings)
    if args.interval < 1:
        raise ConfigError("--interval: at least 1 second")
    channels, alertmanagers = _channels(args)
    if not channels and not alertmanagers and not args.dry_run:
        raise ConfigError("nobody to tell: give --alertmanager, --webhook or --notify, or --dry-run to look")
    from otel_llmcost.watching.rules import rules
    from otel_llmcost.watching.watcher import Watcher

    for name in args.only:
        _check_alert(name)
    with open_ledger(settings, read_only=args.state is not None or args.dry_run) as ledger:
        watcher = Watcher(rules(), _store(args, ledger), channels, alertmanagers, args.interval, args.only)
        detect = bool(settings.storage.detect_interval_s) and not (args.no_detect or args.state or args.dry_run)
        try:
            return _once(watcher, ledger, args, detect) if args.once else _watch(watcher, ledger, args, detect)
        finally:
            if not args.dry_run:
                watcher.store.leave()


def _watch(watcher: "Watcher", ledger: "Ledger", args: argparse.Namespace, detect: bool) -> int:
    """Round after round until a signal; a ledger that does not answer is asked again."""
    stopped = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    print(
        f"otel-llmcost watches {ledger.url.address}: {len(args.only or watcher.rules)} rules every {args.interval} s",
        flush=True,
    )
    while True:
        try:
            _round(watcher, ledger, args, detect)
        except DeliveryError as error:
            print(f"otel-llmcost: {error}", file=sys.stderr, flush=True)
        if stopped.wait(args.interval):
            return 0


def _once(watcher: "Watcher", ledger: "Ledger", args: argparse.Namespace, detect: bool) -> int:
    done = _round(watcher, ledger, args, detect)
    if done is None:
        print("another watcher leads")
        return 0
    if done.failures:
        return NOT_TOLD
    return FIRING if done.firing else 0


def _round(watcher: "Watcher", ledger: "Ledger", args: argparse.Namespace, detect: bool) -> "Round | None":
    """What was found; None where another watcher leads."""
    from otel_llmcost.watching.watcher import printed

    if not args.dry_run and not _lead(watcher.store):
        return None
    if detect:
        _detect(ledger)
    done = watcher.round(ledger, datetime.now(UTC), dry=args.dry_run)
    for message in done.messages:
        print("\n".join(printable(line) for line in printed(message, watcher.rules).splitlines()), flush=True)
    for text in watcher.new_failures(done):
        print(f"otel-llmcost: {printable(text)}", file=sys.stderr, flush=True)
    return done


def _lead(store: "Store") -> bool:
    try:
        return store.lead()
    except DeliveryError as error:
        raise type(error)(
            f"{error}; where the ledger is read-only, or older than this version, keep the state in --state FILE"
        ) from None


def _detect(ledger: "Ledger") -> None:
    from otel_llmcost.detection.run import create, update

    create(ledger)
    update(ledger, datetime.now(UTC))


def _check_alert(name: str) -> None:
    from otel_llmcost.watching.rules import rules

    if name not in rules():
        raise ConfigError(f"no such alert: {name!r}{nearest(name, rules())}")


def _store(args: argparse.Namespace, ledger: "Ledger") -> "Store":
    from otel_llmcost.watching.stores import FileStore, LedgerStore

    if args.state is not None:
        return FileStore(args.state)
    return LedgerStore(ledger, 180 if args.action == "ack" else max(180, 3 * args.interval))


def _channels(args: argparse.Namespace) -> "tuple[dict[str, Channel], list[Alertmanager]]":
    from otel_llmcost.watching.channels import Alertmanager, Apprise, Webhook, check_url

    channels: dict[str, Channel] = {}
    for name in args.webhook:
        token = _secret(f"{name}_TOKEN", needed=False)
        channels[f"webhook {name}"] = Webhook(name, check_url(name, _secret(name)), token)
    for name in args.notify:
        service = Apprise(name, _secret(name))
        service.check()
        channels[f"apprise {name}"] = service
    return channels, [Alertmanager("alertmanager", check_url("alertmanager", url)) for url in args.alertmanager]


def _secret(name: str, *, needed: bool = True) -> str:
    """The value of a variable, or of the file that NAME_FILE names."""
    value = os.environ.get(name, "")
    file = os.environ.get(f"{name}_FILE", "")
    if not value and file:
        try:
            value = Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{name}_FILE: cannot be read: {type(error).__name__}") from None
    if needed and not value:
        raise ConfigError(f"the variable {name} is not set: it holds the address, or {name}_FILE names a file with it")
    return value


def _acknowledge(args: argparse.Namespace, settings: Settings) -> int:
    from otel_llmcost.watching.state import Acknowledged
    from otel_llmcost.watching.stores import FileStore, Note

    _check_alert(args.alert)
    now = datetime.now(UTC)
    until = args.until or now + args.span
    if until <= now:
        raise ConfigError(f"--until {until:%Y-%m-%dT%H:%M}: is over")
    labels = dict(_label(text) for text in args.label)
    note = Note(Acknowledged(args.alert, labels, int(now.timestamp()), int(until.timestamp())), _who(), args.why)
    if args.state is not None:
        FileStore(args.state).acknowledge(note)
    else:
        with open_ledger(settings, read_only=False) as ledger:
            _store(args, ledger).acknowledge(note)
    print(f"{args.alert}: nobody is told until {until:%Y-%m-%d %H:%M} UTC")
    return 0


def _label(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise ConfigError(f"--label {text!r}: write NAME=VALUE")
    return name, value


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""
