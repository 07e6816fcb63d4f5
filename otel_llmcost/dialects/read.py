"""The one reader of span attributes: a `Span` and the emitter's row → `LLMCall`, without id and price."""

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Final

from otel_llmcost import semconv as sc
from otel_llmcost.call import (
    CACHE_READ_BUCKETS,
    CACHE_WRITE_BUCKETS,
    INPUT_BUCKETS,
    NO_ID,
    OUTPUT_BUCKETS,
    Bucket,
    CallDraft,
    LLMCall,
    Outcome,
    Source,
    Usage,
)
from otel_llmcost.dialects import details
from otel_llmcost.dialects.fields import COUNTS, FIELD_OF, INPUT, KEYS_OF, LONG, OUTPUT, TEXTS, TOTAL, UNCACHED
from otel_llmcost.dialects.kinds import is_genai, operation_of
from otel_llmcost.dialects.selling import host_of, seller_of
from otel_llmcost.dialects.table import NESTED, WIRE, Dialect, dialect_of
from otel_llmcost.providers.generate_content import read_usage as read_gemini_usage
from otel_llmcost.providers.messages import read_usage as read_messages_usage
from otel_llmcost.providers.openai_usage import read_usage as read_provider_usage
from otel_llmcost.span import Attributes, Span
from otel_llmcost.usage import MAX_COUNT, UNREADABLE, CountError, Side, exclusive_usage, parse_count
from otel_llmcost.wire.reading import Reading

MAX_TEXT: Final = 1_024
"""Longest text taken from an attribute; names and ids are far shorter, and rows stay bounded."""

_CACHED: Final = CACHE_READ_BUCKETS | CACHE_WRITE_BUCKETS
_dialect_of: Final = lru_cache(maxsize=1_024)(dialect_of)  # an application has few scopes; hostile ones come and go

Told = dict[str, Any]
"""Field (dialects/fields.py) → what the span tells."""
Counts = dict[str, int]
"""Field or bucket → count."""


def read_span(span: Span, source: Source) -> LLMCall | None:
    """The provider call a span stands for; None where it is no inference span (agent, tool, anything else)."""
    attributes = span.attributes
    operation = operation_of(attributes)
    if operation is None or (not operation and not is_genai(attributes)):
        return None
    dialect = _dialect_of(span.scope)
    if dialect is not WIRE and attributes.get(sc.USAGE_AT_WIRE) is True:
        return None
    told, counts, flags = tell(attributes)
    get = told.get
    requested = get("requested_model", "")
    provider, host, found_by = get("provider", ""), get("host", ""), ""
    if dialect is not WIRE:
        host = host_of(host)
        provider, found_by = seller_of(provider, host, requested)
    model = get("model") or requested
    usage = _usage(told, counts, flags, dialect, model, provider)
    if not usage.known and (
        (not operation and not requested)
        or (dialect.tells_streams_after and "response_id" not in told and not span.failed)
    ):
        return None
    if found_by:
        usage = Usage(usage.buckets, usage.known, f"{usage.rule}:provider_by_{found_by}", usage.flags)
    error_type = get("error_type", "")
    resource = span.resource
    draft = CallDraft(
        call_id=NO_ID,  # the pipeline's next step
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_span_id=span.parent_span_id,
        source=Source.WIRE if dialect is WIRE else source,
        emitter=span.scope[:MAX_TEXT],
        service=text(resource, sc.SERVICE_NAME),
        environment=text(resource, sc.DEPLOYMENT_ENVIRONMENT, sc.OLD_DEPLOYMENT_ENVIRONMENT),
        start_ns=span.start_ns,
        end_ns=span.end_ns,
        ttft_ns=_first_chunk_ns(told, dialect),
        provider=provider,
        host=host,
        operation=operation,
        requested_model=requested,
        model=model,
        response_id=get("response_id", ""),
        streaming=get("stream") is True,
        service_tier=get("service_tier", ""),
        price_context={"speed": told["speed"]} if "speed" in told else {},
        outcome=_outcome(span, error_type),
        http_status=_count_or_none(get("http_status")),
        error_type=error_type,
        finish_reason=_first_text(get("finish_reasons")),
        attempt=(_count_or_none(get("resends")) or 0) + 1,
        usage=usage,
        reported_usd=_reported_usd(told) if "reported_amount" in told else None,
        user=get("user", ""),
        session=get("session", ""),
        agent=get("agent", ""),
        workflow=get("workflow", ""),
        run=get("run", ""),
    )
    call: LLMCall = draft.frozen()
    return call


def tell(attributes: Attributes) -> tuple[Told, Counts, list[str]]:
    """What a span's attributes tell, by field: values, counts, and a flag for each count that can be none.

    One pass, whatever the emitter. Texts are bounded and never empty.
    """
    told: Told = {}
    counts: Counts = {}
    flags: list[str] = []
    for key, value in attributes.items():
        field = FIELD_OF.get(key)
        if field is None or value is None or value == "":
            continue
        if field in COUNTS:
            if type(value) is int and field not in counts and 0 <= value <= MAX_COUNT:  # as nearly always
                counts[field] = value
            elif field not in counts or _is_first(key, field, attributes):
                _count(counts, field, key, value, flags)
        elif field not in told or _is_first(key, field, attributes):
            if isinstance(value, str):
                told[field] = value if len(value) <= MAX_TEXT or field in LONG else value[:MAX_TEXT]
            elif field not in TEXTS:
                told[field] = value
            elif written := _written(value):
                told[field] = written
    return told, counts, flags


def _is_first(key: str, field: str, attributes: Attributes) -> bool:
    """Whether no name before this one tells the same field: of several, the order in fields.py decides."""
    return key == next(each for each in KEYS_OF[field] if attributes.get(each) not in (None, ""))


def _count(counts: Counts, field: str, key: str, value: object, flags: list[str]) -> None:
    counts.pop(field, None)
    try:
        counts[field] = parse_count(value)
    except CountError as error:
        flags.append(f"{UNREADABLE}{key}: {error}")


def _usage(  # noqa: PLR0913, PLR0917 - what is told and by whom
    told: Told, counts: Counts, flags: list[str], dialect: Dialect, model: str, provider: str
) -> Usage:
    """The exclusive buckets that a span tells; what cannot be a count is flagged and left out."""
    if "flags" in told:
        flags += _strings(told["flags"])
    rule = told.get("rule") or dialect.name
    if "usage_details" in told:
        found = details.parse_details(told["usage_details"])
        if found is None:
            flags.append(f"{UNREADABLE}usage_details")
        elif details.are_disjoint(found):
            return _disjoint_usage(found, rule, flags)
        elif found:
            usage = _provider_usage(found, rule, provider, model)
            if usage.known:
                return usage
    if "provider_metadata" in told and (found := details.gemini_usage(told["provider_metadata"])):
        usage = read_gemini_usage(found)
        if usage.known:
            return Usage(usage.buckets, True, f"{rule}:provider_usage:{usage.rule}", usage.flags)
    _add_nested(told, counts, flags)
    return _exclusive(counts, dialect, provider, rule, flags)


def _provider_usage(found: Mapping[str, Any], rule: str, provider: str, model: str) -> Usage:
    """The provider's own usage object, as the wire would have told it."""
    rule = f"{rule}:provider_usage"
    if details.is_messages_usage(found):
        usage = read_messages_usage(found)
        return Usage(usage.buckets, usage.known, f"{rule}:{usage.rule}", usage.flags)
    return read_provider_usage(found, Reading(provider=provider, model=model), rule)


def _add_nested(told: Told, counts: Counts, flags: list[str]) -> None:
    """The counts that stand in structured values, where no attribute of their own tells them."""
    if "usage_metadata" in told and (found := details.parse_details(told["usage_metadata"])):
        for side, name in (("input_details", "input_token_details"), ("output_details", "output_token_details")):
            if name in found:
                told.setdefault(side, found[name])
    for side, inside in (("input_details", details.INSIDE_INPUT), ("output_details", details.INSIDE_OUTPUT)):
        if side in told:
            _add_details(counts, told[side], inside, side, flags)
    if "provider_metadata" in told and (found := details.parse_details(told["provider_metadata"])):
        for bucket, (name, count) in details.metadata_counts(found).items():
            if bucket not in counts:
                _count(counts, bucket, f"providerMetadata.{name}", count, flags)


def _exclusive(known: Counts, dialect: Dialect, provider: str, rule: str, flags: list[str]) -> Usage:
    input_total, output_total = known.pop(INPUT, None), known.pop(OUTPUT, None)
    total, uncached = known.pop(TOTAL, None), known.pop(UNCACHED, None)
    input_parts: dict[Bucket, int] = {}
    output_parts: dict[Bucket, int] = {}
    other: dict[Bucket, int] = {}
    for bucket, count in known.items():
        if count:
            parts = input_parts if bucket in INPUT_BUCKETS else output_parts if bucket in OUTPUT_BUCKETS else other
            parts[bucket] = count  # type: ignore[index]
    if len(input_parts) > 1:
        flags.extend(_unnest(input_parts))
    reasoning = output_parts.get(Bucket.REASONING, 0)
    if reasoning and (
        provider in dialect.reasoning_beside or total == (input_total or 0) + (output_total or 0) + reasoning
    ):
        output_total = (output_total or 0) + reasoning
    inside = True
    cached = sum([count for bucket, count in input_parts.items() if bucket in _CACHED])
    if cached and dialect is not WIRE:
        inside, why = _is_cache_inside(dialect, provider, input_total or 0, output_total or 0, total, uncached, cached)
        rule = f"{rule}:{why}"
        if not inside:
            input_total = (input_total or 0) + cached
    return exclusive_usage(
        Side(input_total, input_parts), Side(output_total, output_parts), other=other, rule=rule, flags=tuple(flags)
    )


def _is_cache_inside(  # noqa: PLR0913, PLR0917 - the numbers that decide
    dialect: Dialect,
    provider: str,
    input_total: int,
    output_total: int,
    total: int | None,
    uncached: int | None,
    cached: int,
) -> tuple[bool, str]:
    """Whether cached tokens are part of the input that is told, and what says so."""
    if uncached is not None and input_total in (uncached, uncached + cached):
        return input_total != uncached, "cache_by_uncached"
    if dialect.cache_beside is not None:
        beside = provider in dialect.cache_beside
        return not beside, "cache_beside" if beside else "cache_inside"
    if total is not None and total in (input_total + output_total, input_total + output_total + cached):
        inside = total == input_total + output_total
        return inside, "cache_inside_by_total" if inside else "cache_beside_by_total"
    if cached > input_total:
        return False, "cache_beside_by_size"
    return True, "cache_inside"


def _disjoint_usage(found: Mapping[str, Any], rule: str, flags: list[str]) -> Usage:
    counts: Counts = {}
    for field, (name, value) in details.disjoint_counts(found).items():
        _count(counts, field, name, value, flags)
    parts = [
        {bucket: count for bucket, count in counts.items() if bucket in side and count}
        for side in (INPUT_BUCKETS, OUTPUT_BUCKETS)
    ]
    flags += _unnest(parts[0])  # type: ignore[arg-type]
    totals = [counts.get(name, 0) + sum(side.values()) for name, side in zip((INPUT, OUTPUT), parts, strict=True)]
    return exclusive_usage(
        Side(totals[0], parts[0]),  # type: ignore[arg-type]
        Side(totals[1], parts[1]),  # type: ignore[arg-type]
        rule=f"{rule}:disjoint",
        flags=tuple(flags),
    )


def _add_details(counts: Counts, value: object, inside: Mapping[str, Bucket], side: str, flags: list[str]) -> None:
    found = details.parse_details(value)
    if found is None:
        flags.append(f"{UNREADABLE}{side}")
        return
    for name, count in details.with_all_written(found).items():
        bucket = inside.get(name)
        if bucket is not None and bucket not in counts and count is not None:
            _count(counts, bucket, f"{side}.{name}", count, flags)


def _unnest(parts: dict[Bucket, int]) -> list[str]:
    """Take the counts that attributes tell twice out of the outer one, in place; a flag for each contradiction."""
    flags = []
    for outer, inner in NESTED.items():
        if outer not in parts:
            continue
        inside = sum([parts.get(bucket, 0) for bucket in inner])
        if not inside:
            continue
        if inside > parts[outer]:
            flags.append(f"{outer}: parts {inside} exceed total {parts[outer]}")
        else:
            parts[outer] -= inside
    return flags


def text(attributes: Attributes, *keys: str) -> str:
    """The first of the keys that holds text (a number is written out); empty where none does."""
    for key in keys:
        value = attributes.get(key)
        if value is None:
            continue
        found = value[:MAX_TEXT] if isinstance(value, str) else _written(value)
        if found:
            return found
    return ""


def _written(value: object) -> str:
    """A number as text; nothing else is written out."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def _outcome(span: Span, error_type: str) -> Outcome:
    if error_type == sc.ERROR_ABORTED:
        return Outcome.ABORTED
    return Outcome.ERROR if error_type or span.failed else Outcome.OK


def _count_or_none(value: object) -> int | None:
    if value is None:
        return None
    try:
        return parse_count(value)
    except CountError:
        return None


def _first_chunk_ns(told: Told, dialect: Dialect) -> int | None:
    if "first_chunk_s" in told:
        return _nanoseconds(told["first_chunk_s"], 1_000_000_000)
    if "first_chunk_ms" in told:
        return _nanoseconds(told["first_chunk_ms"], 1_000_000)
    return _nanoseconds(told["first_token"], dialect.first_token_unit_ns) if "first_token" in told else None


def _nanoseconds(value: object, unit_ns: int) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value * unit_ns < 1e18:
        return None
    return round(value * unit_ns)


def _reported_usd(told: Told) -> Decimal | None:
    """What the provider itself said the call cost; a cost that somebody computed is not believed."""
    if told.get("reported_source") != "provider" or told.get("reported_currency") != "USD":
        return None
    try:
        amount = Decimal(str(told["reported_amount"]))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and 0 <= amount < 1_000_000 else None


def _first_text(value: object) -> str:
    return next(iter(_strings(value)), "")


def _strings(value: object) -> list[str]:
    if value is None:
        return []
    if isinstance(value, str):
        return [value[:MAX_TEXT]]
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [item[:MAX_TEXT] for item in value if isinstance(item, str)]
    return []
