"""The one reader of span attributes: a `Span` and the emitter's row → `LLMCall`, not priced yet."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Final

from otel_llmcost import semconv as sc
from otel_llmcost.call import NO_ID, Bucket, LLMCall, Outcome, Source, Usage
from otel_llmcost.dialects.table import INFERENCE_OPERATIONS, NESTED, WIRE, Dialect, Keys, dialect_of
from otel_llmcost.providers.sellers import seller_named
from otel_llmcost.span import Attributes, Span
from otel_llmcost.usage import UNREADABLE, CountError, Side, exclusive_usage, parse_count

MAX_TEXT: Final = 1_024
"""Longest text taken from an attribute; names and ids are far shorter, and rows stay bounded."""

_dialect_of: Final = lru_cache(maxsize=1_024)(dialect_of)  # an application has few scopes; hostile ones come and go

_GENAI_KEYS: Final = (sc.REQUEST_MODEL, sc.RESPONSE_MODEL, sc.PROVIDER_NAME, sc.OLD_SYSTEM, sc.OPERATION_NAME)


def is_genai(attributes: Iterable[str] | Mapping[str, object]) -> bool:
    """Whether a span may stand for a GenAI call, from the keys of its attributes; cheap, for filters."""
    keys = attributes if isinstance(attributes, Mapping) else frozenset(attributes)
    for key in _GENAI_KEYS:  # noqa: SIM110 - on the path of every span; any() over a generator takes four times as long
        if key in keys:
            return True
    return False


def is_inference(attributes: Mapping[str, object]) -> bool:
    """Whether a span stands for a GenAI call and for nothing around it, such as an agent or a tool."""
    operation = attributes.get(sc.OPERATION_NAME)
    return is_genai(attributes) and (
        not operation or (isinstance(operation, str) and operation in INFERENCE_OPERATIONS)
    )


def read_span(span: Span, source: Source) -> LLMCall | None:
    """The provider call a span stands for; None where it is no inference span (agent, tool, anything else)."""
    attributes = span.attributes
    dialect = _dialect_of(span.scope)
    if not is_inference(attributes) or (dialect is not WIRE and attributes.get(sc.USAGE_AT_WIRE) is True):
        return None
    operation = text(attributes, sc.OPERATION_NAME)
    usage = read_usage(attributes, dialect)
    if not operation and not usage.known and not text(attributes, sc.REQUEST_MODEL):
        return None
    provider = _provider(attributes)
    host = text(attributes, sc.SERVER_ADDRESS)
    response_id = text(attributes, sc.RESPONSE_ID)
    requested = text(attributes, sc.REQUEST_MODEL)
    error_type = text(attributes, sc.ERROR_TYPE)
    return LLMCall(
        call_id=NO_ID,  # the pipeline's next step
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_span_id=span.parent_span_id,
        source=Source.WIRE if dialect is WIRE else source,
        emitter=span.scope[:MAX_TEXT],
        service=text(span.resource, sc.SERVICE_NAME),
        environment=text(span.resource, sc.DEPLOYMENT_ENVIRONMENT, sc.OLD_DEPLOYMENT_ENVIRONMENT),
        start_ns=span.start_ns,
        end_ns=span.end_ns,
        ttft_ns=_nanoseconds(attributes.get(sc.RESPONSE_TIME_TO_FIRST_CHUNK)),
        provider=provider,
        host=host,
        operation=operation,
        requested_model=requested,
        model=text(attributes, sc.RESPONSE_MODEL) or requested,
        response_id=response_id,
        streaming=attributes.get(sc.REQUEST_STREAM) is True,
        service_tier=text(attributes, sc.OPENAI_SERVICE_TIER, sc.OLD_OPENAI_SERVICE_TIER),
        price_context=_price_context(attributes),
        outcome=_outcome(span, error_type),
        http_status=_count_or_none(attributes.get(sc.HTTP_STATUS)),
        error_type=error_type,
        finish_reason=_first_text(attributes.get(sc.RESPONSE_FINISH_REASONS)),
        attempt=(_count_or_none(attributes.get(sc.HTTP_RESEND_COUNT)) or 0) + 1,
        usage=usage,
        reported_usd=_reported_usd(attributes),
        user=text(attributes, sc.USER_ID),
        session=text(attributes, sc.CONVERSATION_ID, sc.SESSION_ID),
        agent=text(attributes, sc.AGENT_NAME),
        workflow=text(attributes, sc.WORKFLOW_NAME),
    )


def read_usage(attributes: Attributes, dialect: Dialect) -> Usage:
    """The exclusive buckets that the attributes tell; what cannot be a count is flagged and left out."""
    flags = list(_strings(attributes.get(sc.USAGE_FLAGS)))
    input_parts = _counts(attributes, dialect.input_parts, flags)
    output_parts = _counts(attributes, dialect.output_parts, flags)
    if len(input_parts) > 1:
        flags.extend(_unnest(input_parts))
    return exclusive_usage(
        Side(_count(attributes, dialect.input_total, flags), input_parts, dialect.input_inside),
        Side(_count(attributes, dialect.output_total, flags), output_parts, dialect.output_inside),
        other=_counts(attributes, dialect.other, flags),
        rule=text(attributes, sc.USAGE_RULE) or dialect.name,
        flags=tuple(flags),
    )


def _count(attributes: Attributes, keys: Keys, flags: list[str]) -> int | None:
    """The count under the first key that is present; one that cannot be a count is flagged and left out."""
    for key in keys:
        value = attributes.get(key)
        if value is not None:
            try:
                return parse_count(value)
            except CountError as error:
                flags.append(f"{UNREADABLE}{key}: {error}")
                return None
    return None


def _counts(attributes: Attributes, keys_of: Mapping[Bucket, Keys], flags: list[str]) -> dict[Bucket, int]:
    """The counts that are present and not 0."""
    found = {}
    for bucket, keys in keys_of.items():
        for key in keys:
            if attributes.get(key) is not None:  # nearly all are absent, and cost no more than this look
                count = _count(attributes, keys, flags)
                if count:
                    found[bucket] = count
                break
    return found


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
        if isinstance(value, str):
            if value:
                return value[:MAX_TEXT]
        elif isinstance(value, int | float) and not isinstance(value, bool):
            return str(value)
    return ""


def _provider(attributes: Attributes) -> str:
    name = text(attributes, sc.PROVIDER_NAME, sc.OLD_SYSTEM)
    seller = seller_named(name)
    return seller.name if seller else name


def _outcome(span: Span, error_type: str) -> Outcome:
    if error_type == sc.ERROR_ABORTED:
        return Outcome.ABORTED
    return Outcome.ERROR if error_type or span.failed else Outcome.OK


def _price_context(attributes: Attributes) -> dict[str, str]:
    """What selects a variant of the price beside the service tier."""
    speed = text(attributes, sc.USAGE_SPEED)
    return {"speed": speed} if speed else {}


def _count_or_none(value: object) -> int | None:
    if value is None:
        return None
    try:
        return parse_count(value)
    except CountError:
        return None


def _nanoseconds(seconds: object) -> int | None:
    if seconds is None or isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < 1e9:
        return None
    return round(seconds * 1e9)


def _reported_usd(attributes: Attributes) -> Decimal | None:
    """What the provider itself said the call cost; a cost that somebody computed is not believed."""
    if attributes.get(sc.USAGE_COST_SOURCE) != "provider" or attributes.get(sc.USAGE_COST_CURRENCY) != "USD":
        return None
    try:
        amount = Decimal(str(attributes.get(sc.USAGE_COST_AMOUNT)))
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
