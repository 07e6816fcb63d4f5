"""What a person needs to trust or to dispute a bill line: what was read, which rules fired, which price, which twins.

Pure: spans and lines in, tables out. The command `otel-llmcost explain` finds them and prints.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from otel_llmcost import semconv as sc
from otel_llmcost.call import BUCKETS, CACHE_HIT_RULE, LLMCall
from otel_llmcost.dialects.fields import COUNTS, FIELD_OF
from otel_llmcost.dialects.kinds import KINDS, is_genai, operation_of
from otel_llmcost.dialects.read import MAX_TEXT, tell
from otel_llmcost.dialects.table import dialect_of
from otel_llmcost.identity import response_key, trace_key
from otel_llmcost.pricing.book import PriceBook
from otel_llmcost.pricing.quote import billed
from otel_llmcost.pricing.rates import NoPrice
from otel_llmcost.span import Span

PER_MILLION: Final = 1_000_000

Row = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """One table of an explanation."""

    title: str
    header: Row
    rows: Sequence[Row]


_FACTS: Final = ("what", "is", "because")


def explain_span(span: Span, call: LLMCall | None, book: PriceBook, twins: Iterable[LLMCall] = ()) -> list[Section]:
    """A span and the record it gave, priced and attributed; None where it gave none.

    `twins`: other records of the same spans that are the same call.
    """
    sections = [_of_span(span, call), _read(span)]
    if call is not None:
        sections += [_usage(call), _identity(span, call, twins), _price(call, book), *_who(call)]
    return sections


def _of_span(span: Span, call: LLMCall | None) -> Section:
    rows: list[Row] = [
        ("span", span.span_id.hex(), f"{span.name[:MAX_TEXT]!r} in trace {span.trace_id.hex()}"),
        ("started", _time(span.start_ns), ""),
        ("dialect", dialect_of(span.scope).name, f"scope {span.scope[:MAX_TEXT]!r}"),
        ("bill line", *_verdict(span, call)),
    ]
    return Section("The span", _FACTS, rows)


def _verdict(span: Span, call: LLMCall | None) -> tuple[str, str]:
    if call is not None:
        if call.duplicate_of:
            return "no", f"it repeats the call {call.duplicate_of.hex()}"
        return "yes", f"operation {call.operation or 'not told'}"
    if not is_genai(span.attributes):
        return "no", "no attribute of a GenAI call"
    if operation_of(span.attributes) is None:
        told = [f"{key} = {span.attributes[key]!r}"[:MAX_TEXT] for key, _ in KINDS if span.attributes.get(key)]
        return "no", f"it stands around calls: {', '.join(told) or 'attributes of an agent or a tool'}"
    if span.attributes.get(sc.USAGE_AT_WIRE) is True:
        return "no", "the wire below it tells every attempt of the call"
    return "no", "it names neither model nor usage"


def _read(span: Span) -> Section:
    """The attributes that were read; every other one was not looked at."""
    rows = [
        (key, str(value)[:MAX_TEXT], ("count: " if field in COUNTS else "") + str(field))
        for key, value in span.attributes.items()
        if (field := FIELD_OF.get(key)) is not None
    ]
    return Section("Attributes read", ("attribute", "value", "as"), rows)


def _usage(call: LLMCall) -> Section:
    usage = call.usage
    rows: list[Row] = [
        (bucket.value, str(count), BUCKETS[bucket].part.value) for bucket, count in usage.buckets.items()
    ]
    rows.append(("all input", str(usage.input_tokens), "sum"))
    rows.append(("all output", str(usage.output_tokens), "sum"))
    rows.append(("rule", usage.rule, "" if usage.known else "nobody told the usage"))
    rows += [("flag", flag, "") for flag in usage.flags]
    return Section("Usage, every token in one bucket", ("bucket", "count", "charged to"), rows)


def _known_by(call: LLMCall) -> str:
    if call.usage.rule.startswith(CACHE_HIT_RULE):
        return "by its span: an answer from a cache is no call of the provider's"
    if call.response_id and call.call_id == response_key(call.provider, call.response_id):
        return "by its response id in the world: the seller's ids are unique"
    if call.response_id and call.call_id == trace_key(call.response_id, call.trace_id):
        return "by its response id within the trace: the id is no seller's own"
    return "by its span: no response id that could name it elsewhere"


def _identity(span: Span, call: LLMCall, twins: Iterable[LLMCall]) -> Section:
    told = str(tell(span.attributes)[0].get("provider", ""))
    found = call.usage.rule.rpartition(":provider_by_")[2] if ":provider_by_" in call.usage.rule else ""
    rows: list[Row] = [
        ("seller", call.provider or "unknown", f"found by its {found}" if found else f"told: {told or 'nothing'}"),
        ("call id", call.call_id.hex(), _known_by(call)),
        ("response id", call.response_id or "none", f"host {call.host or 'not told'}"),
    ]
    if call.at_gateway:
        rows.append(("gateway", "yes", "made inside a gateway, nearest to the provider"))
    rows += [("same call", twin.span_id.hex(), f"told by {twin.emitter!r}, no line of its own") for twin in twins]
    rows += [("covers", covered.hex(), "an id that the same call may have been told under") for covered in call.covers]
    return Section("Which call it is", _FACTS, rows)


def _price(call: LLMCall, book: PriceBook) -> Section:
    cost = call.cost
    assert cost is not None
    rows: list[Row] = []
    price = book.price_of(call) if call.usage.known else NoPrice("")
    if cost.list is not None and not isinstance(price, NoPrice):
        level = price.level(call.usage.input_tokens)
        for bucket, count in billed(call.usage.buckets, price).items():
            rate = price.rates.by_bucket[bucket].at(call.usage.input_tokens)
            usd = Decimal(level.charge(bucket, count)).scaleb(-12)
            how = f"{count} at {_amount(rate * PER_MILLION)} USD per million"
            rows.append((bucket.value, how, f"{_amount(usd)} USD"))
        per_call = price.rates.per_call(call, call.usage.input_tokens)
        if per_call:
            rows.append(("the call", f"{_amount(per_call)} USD", f"{_amount(per_call)} USD"))
    for name, amounts in (("at list price", cost.list), ("charged", cost.effective)):
        rows.append((name, "", "unknown" if amounts is None else f"{_amount(amounts.total_usd)} USD"))
    if cost.reported_usd is not None:
        rows.append(("the provider says", "", f"{_amount(cost.reported_usd)} USD"))
    rows.append(("status", cost.status.value, cost.reason))
    rows.append(("price", cost.price_id or "none", cost.price_book))
    return Section("What it cost", ("what", "how", "amount"), rows)


def _who(call: LLMCall) -> list[Section]:
    ids = {name: getattr(call, name) for name in ("service", "user", "session", "agent", "workflow", "run")}
    told = {**{name: value for name, value in ids.items() if value}, **call.tags}
    return [Section("Who pays", ("dimension", "value"), list(told.items()))] if told else []


def explain_line(
    line: Mapping[str, Any], versions: Sequence[Mapping[str, Any]], twins: Sequence[Mapping[str, Any]]
) -> list[Section]:
    """A stored line, by the columns of `calls`; its versions; the rows that repeat it."""
    return [_stored(line), _stored_usage(line), _stored_money(line), *_stored_versions(versions, twins)]


_LINE: Final = (
    *("ts", "service", "environment", "provider", "host", "model", "requested_model", "operation", "source"),
    *("emitter", "outcome", "http_status", "error_type", "attempt", "response_id", "team", "feature", "customer"),
    *("user", "session", "agent", "workflow", "run"),
)


def _stored(line: Mapping[str, Any]) -> Section:
    rows = [(name, _plain(line[name])) for name in _LINE if name in line and line[name] not in (None, "")]
    ids = [(name, str(line[name])) for name in ("call_id", "trace_id", "span_id", "parent_span_id") if line.get(name)]
    return Section("The line", ("column", "value"), [*ids, *rows])


def _stored_usage(line: Mapping[str, Any]) -> Section:
    rows: list[Row] = [(str(bucket), str(count)) for bucket, count in dict(line.get("buckets") or {}).items()]
    rows += [(name, str(line[name])) for name in ("input_tokens", "output_tokens")]
    rows.append(("rule", str(line.get("usage_rule", ""))))
    rows += [("flag", str(flag)) for flag in line.get("usage_flags") or ()]
    return Section("Usage, every token in one bucket", ("bucket", "count"), rows)


_PARTS: Final = {
    "input_cost_usd": ("input_tokens", ("cache_read_tokens", "cache_write_tokens")),
    "output_cost_usd": ("output_tokens", ()),
    "cache_read_cost_usd": ("cache_read_tokens", ()),
    "cache_write_cost_usd": ("cache_write_tokens", ()),
    "other_cost_usd": ("", ()),
}


def _stored_money(line: Mapping[str, Any]) -> Section:
    rows: list[Row] = []
    for name, (of, without) in _PARTS.items():
        usd = line.get(name)
        if usd:
            tokens = line[of] - sum(line[other] for other in without) if of else 0
            rows.append((name, _amount(usd), f"{_amount(usd / tokens * PER_MILLION)} per million" if tokens else ""))
    for name in ("cost_usd", "list_cost_usd", "reported_cost_usd", "cache_savings_usd"):
        if line.get(name) is not None:
            rows.append((name, _amount(line[name]), ""))
    rows.append(("status", str(line["status"]), str(line["reason"])))
    rows.append(("price", str(line["price_id"]) or "none", str(line["price_book"])))
    return Section("What it cost", ("what", "USD", "that is"), rows)


def _stored_versions(versions: Sequence[Mapping[str, Any]], twins: Sequence[Mapping[str, Any]]) -> list[Section]:
    """The records of the call that are still stored (merges drop all but the highest), and what they hide."""
    current = max((row["version"] for row in versions), default=None)
    rows = []
    for row in versions:
        standing = "the line" if row["version"] == current else "older"
        rows.append((str(row["version"]), _plain(row["ts"]), str(row["span"]), standing))
    found = [Section("Its versions", ("version", "ts", "span", "is"), rows)]
    if twins:
        hidden = [tuple(_plain(row[name]) for name in ("call_id", "span_id", "emitter", "ts")) for row in twins]
        found.append(Section("The same call, told elsewhere and hidden", ("call id", "span", "emitter", "ts"), hidden))
    return found


def _time(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns // 1_000_000_000, UTC).isoformat()


def _amount(usd: Decimal) -> str:
    text = f"{usd:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
