"""`otel-llmcost explain`: why a span is or is no bill line, and how its amount came about."""

import argparse
import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from otel_llmcost.cli.ledger import add_ledger_options, open_ledger, settings_with_ledger
from otel_llmcost.cli.table import print_table, printable
from otel_llmcost.errors import ConfigError, InputError, MissingExtraError
from otel_llmcost.explaining import Section, explain_line, explain_span
from otel_llmcost.settings import load_settings

if TYPE_CHECKING:
    from otel_llmcost.call import LLMCall
    from otel_llmcost.exporters.clickhouse.client import Ledger
    from otel_llmcost.kinship import Seen
    from otel_llmcost.span import Span

NAME: Final = "explain"
HELP: Final = "show how a span or a bill line was read, identified and priced"

MAX_BYTES: Final = 64 * 1024 * 1024
MAX_LINES: Final = 100
_HEX: Final = re.compile(r"[0-9a-f]+")

_EPILOG: Final = """\
FILE is OTLP as JSON: one message, or one a line as the Collector's file exporter writes them; - reads standard input.
All its spans are read together, so that the same call told by several spans is recognised. Without FILE, the line is
looked up in the ledger by --trace, --span or --call.

examples:
  otel-llmcost explain spans.json
  otel-llmcost explain spans.json --span 00f067aa0ba902b7
  otel-llmcost explain --trace 4bf92f3577b34da6a3ce929d0e0e4736 --ledger chdb:///var/lib/llmcost
  otel-llmcost explain --call 9f86d081884c7d659a2feaa0c55ad015 --json
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    parser.epilog = _EPILOG
    parser.add_argument("file", metavar="FILE", nargs="?", help="spans as OTLP JSON; default: look in the ledger")
    parser.add_argument("--trace", metavar="ID", type=_hex_of(16), help="only this trace: 32 hex digits")
    parser.add_argument("--span", metavar="ID", type=_hex_of(8), help="only this span: 16 hex digits")
    parser.add_argument("--call", metavar="ID", type=_hex_of(16), help="only this bill line: 32 hex digits")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    add_ledger_options(parser)


def run(args: argparse.Namespace) -> int:
    """Print one explanation after the other."""
    explained = list(_in_file(args) if args.file else _in_ledger(args))
    if not explained:
        raise InputError(f"{args.file or 'the ledger'}: nothing is there under these ids")
    if args.json:
        print(json.dumps([[_as_object(section) for section in sections] for sections in explained], indent=1))
        return 0
    for sections in explained:
        for section in sections:
            if section.rows:
                print(f"\n{printable(section.title)}")
                print_table(section.header, section.rows, sys.stdout)
    return 0


def _hex_of(size: int) -> Any:
    def identifier(text: str) -> bytes:
        digits = text.strip().lower()
        if len(digits) != 2 * size or not _HEX.fullmatch(digits):
            raise argparse.ArgumentTypeError(f"must be {2 * size} hex digits")
        return bytes.fromhex(digits)

    return identifier


def _as_object(section: Section) -> dict[str, Any]:
    return {"title": section.title, "rows": [dict(zip(section.header, row, strict=True)) for row in section.rows]}


def _in_file(args: argparse.Namespace) -> Iterator[list[Section]]:
    from otel_llmcost.pipeline import Pipeline

    pipeline = Pipeline.from_settings(load_settings(os.environ, args.config))
    spans, calls = _records(args.file, pipeline)
    for span in spans:
        call = calls.get((span.trace_id, span.span_id))
        if not _is_asked_for(args, span, call):
            continue
        twins = [] if call is None else [each for each in calls.values() if each.duplicate_of == call.call_id]
        yield explain_span(span, call, pipeline.book, twins)


def _is_asked_for(args: argparse.Namespace, span: "Span", call: "LLMCall | None") -> bool:
    return (
        args.trace in (None, span.trace_id)
        and args.span in (None, span.span_id)
        and (args.call is None or (call is not None and args.call == call.call_id))
    )


def _records(file: str, pipeline: Any) -> tuple[list["Span"], dict[tuple[bytes, bytes], "LLMCall"]]:
    """The GenAI spans of a file, and the records they give once all of them are known."""
    try:
        from otel_llmcost.processors.intake import kinship_of
        from otel_llmcost.processors.otlp import decode_json, genai_spans, seen_plain
        from otel_llmcost.processors.tree import seen_genai
    except ImportError:
        raise MissingExtraError("explaining spans of a file", "stage") from None
    from otel_llmcost.call import Source

    spans: list[Span] = []
    seen: list[Seen] = []
    refused: list[str] = []
    for body in _messages(file):
        for span in genai_spans(decode_json(body), refused.append, lambda other: seen.append(seen_plain(other))):
            spans.append(span)
            seen.append(seen_genai(span, pipeline.process_span(span, Source.OTLP)))
    for reason in sorted(set(refused)):
        print(f"otel-llmcost: {refused.count(reason)} spans can never be lines: {reason}", file=sys.stderr)
    rows = kinship_of(pipeline.identity).meet(seen)
    return spans, {(row.trace_id, row.span_id): row for row in rows if row.span_id}


def _messages(file: str) -> list[bytes]:
    """The OTLP messages of a file: the whole of it, or one a line.

    Raises:
        InputError: it cannot be read.
    """
    try:
        body = sys.stdin.buffer.read(MAX_BYTES + 1) if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror}") from None
    if len(body) > MAX_BYTES:
        raise InputError(f"{file}: longer than {MAX_BYTES // 2**20} MiB; take the part with the span in question")
    lines = [line for line in body.splitlines() if line.strip()]
    return lines if len(lines) > 1 and all(line.startswith(b"{") and line.endswith(b"}") for line in lines) else [body]


def _in_ledger(args: argparse.Namespace) -> Iterator[list[Section]]:
    asked = {"trace_id": args.trace, "span_id": args.span, "call_id": args.call}
    ids = {column: value.hex() for column, value in asked.items() if value is not None}
    if not ids:
        raise ConfigError("name a FILE of spans, or the line: --trace, --span or --call")
    with open_ledger(settings_with_ledger(args), read_only=True) as ledger:
        stored = " AND ".join(f"{column} = unhex('{value}')" for column, value in ids.items())
        (times,) = _rows(ledger, _TIMES + stored)
        told = " AND ".join(f"{column} = '{value}'" for column, value in ids.items())
        period = f"ts BETWEEN fromUnixTimestamp64Nano({times['first']}) AND fromUnixTimestamp64Nano({times['last']})"
        for line in _rows(ledger, f"SELECT * FROM calls WHERE {period} AND {told} ORDER BY ts LIMIT {MAX_LINES}"):  # noqa: S608 - hex digits
            versions = _rows(ledger, _VERSIONS + f"call_id = unhex('{line['call_id']}') ORDER BY version")
            twins = _rows(ledger, _TWINS + f"duplicate_of = '{line['call_id']}' LIMIT {MAX_LINES}")
            yield explain_line(line, versions, twins)


_TIMES: Final = (
    "SELECT toUnixTimestamp64Nano(min(ts)) AS first, toUnixTimestamp64Nano(max(ts)) AS last"
    " FROM call_versions WHERE shadow = 0 AND "
)
"""When what the ids name was: the view finds it faster where it knows the time."""
_VERSIONS: Final = "SELECT version, ts, lower(hex(span_id)) AS span FROM call_versions WHERE shadow = 0 AND "
_TWINS: Final = "SELECT call_id, span_id, emitter, ts FROM duplicates WHERE "


def _rows(ledger: "Ledger", sql: str) -> list[dict[str, Any]]:
    found = ledger.query(sql)
    rows: Sequence[Sequence[Any]] = found.rows
    return [dict(zip(found.columns, row, strict=True)) for row in rows]
