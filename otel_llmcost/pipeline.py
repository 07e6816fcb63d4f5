"""The way of the data, and the one place that composes its steps.

capture       normalise        identify          price           attribute        deliver
───────       ─────────        ────────          ─────           ─────────        ───────
instrumen-    dialects/        identity.py       pricing/        attribution.py   exporters/
tation/    →  Span →        →  one id per     →  book * usage →  rules → tags  →  ClickHouse, OTLP,
wire/         LLMCall          call                                               metrics
providers/

host                      feeds                         through
the application           ended spans                   processors/sdk.py
the OTLP receiver, the    spans of a message            processors/intake.py
  stage of a Collector
rotel                     spans of a resource           processors/rotel.py
the command line          rows of a file                importing
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, Final

from otel_llmcost import semconv as sc
from otel_llmcost.attribution import WHO_FIELDS, Attribution
from otel_llmcost.call import AGENT_RULE, CACHE_HIT_RULE, Amounts, Cost, LLMCall, Source, Status
from otel_llmcost.dialects import is_genai, is_inference, read_span
from otel_llmcost.dialects.kinds import KINDS
from otel_llmcost.dialects.read import text
from otel_llmcost.errors import InputError
from otel_llmcost.identity import agent_key, call_id, digest
from otel_llmcost.lineage import WHO_KEYS
from otel_llmcost.money import ZERO
from otel_llmcost.pricing import PriceBook, price_call
from otel_llmcost.pricing.configured import configured_book
from otel_llmcost.same_call import Facts, trace_ids
from otel_llmcost.settings import IdentitySettings, Settings
from otel_llmcost.span import Attributes, Span

AGGREGATED: Final = "gen_ai.aggregated_usage."
USAGE: Final = "gen_ai.usage."
NOT_AGENTS: Final = frozenset({"execute_tool", "tool", "retriever", "retrieval", "guardrail", "create_agent"})
"""Kinds of spans that stand for no agent, in any dialect."""
_KIND_KEYS: Final = tuple(key for key, _ in KINDS)
MAX_INNER: Final = 32
"""Records of inner spans that a span carries and that are read at most."""
CACHE_HIT: Final = "local_cache_hit"
"""Reason of a line whose answer came from a cache in front of the provider."""


class Pipeline:
    """Turns spans and unpriced calls into bill lines. Pure: no I/O, no clock, no environment."""

    def __init__(self, book: PriceBook, attribution: Attribution, identity: IdentitySettings | None = None) -> None:
        self.book = book
        self.attribution = attribution
        self.identity = identity or IdentitySettings()
        self._trusted = frozenset(self.identity.gateway_hosts)
        self._cache_keys = tuple(self.identity.cache_hit_attributes)
        self._is_gateway = _matcher(self.identity.gateways)
        self._is_closed = _matcher(self.identity.closed_frameworks)

    @classmethod
    def from_settings(cls, settings: Settings) -> "Pipeline":
        """
        Raises:
            ConfigError: an attribution rule names something that does not exist, or a price file is wrong.
        """
        return cls(configured_book(settings), Attribution(settings.attribution), settings.identity)

    def process_span(self, span: Span, source: Source) -> LLMCall | None:
        """The bill line of a span; None where the span is no inference call.

        A record with `duplicate_of` repeats a call that another span tells: it is no line, and hides the one that may
        be stored under its own id.

        Raises:
            InputError: this span can never be read; the spans beside it can.
        """
        try:
            call = self.identified(span, source)
            return None if call is None else self._finish(call, span.attributes, span.resource)
        except Exception as error:
            # Input is hostile, and one span must not sink the batch it came in. The type only: a text may hold content.
            raise InputError(f"the span cannot be read: {type(error).__name__}") from error

    def process_call(self, call: LLMCall) -> LLMCall:
        """The bill line of a call that comes from elsewhere than a span, such as a row of a file."""
        return self._finish(replace(call), {}, {})

    def identified(self, span: Span, source: Source) -> LLMCall | None:
        """The call a span stands for, with its id and not priced yet."""
        call = read_span(span, source)
        if call is None:
            return self._closed_framework(span, source) if self.identity.closed_frameworks else None
        attributes = span.attributes
        if self._is_cache_hit(attributes):
            usage = replace(call.usage, rule=CACHE_HIT_RULE + call.usage.rule)
            _fill(call, call_id=digest(b"cache", call.trace_id, call.span_id), usage=usage)
            return call
        object.__setattr__(call, "call_id", call_id(call, self._trusted))
        if self._is_gateway(call.service) or attributes.get(sc.USAGE_GATEWAY) is True:
            _fill(call, at_gateway=True, covers=trace_ids(call))
        inner = attributes.get(sc.USAGE_INNER)
        if inner is not None and isinstance(inner, Sequence):
            _settle(call, inner)
        return call

    def _closed_framework(self, span: Span, source: Source) -> LLMCall | None:
        """An agent that is configured to be counted, where no call is told below it."""
        attributes = span.attributes
        if not is_genai(attributes) or is_inference(attributes) or attributes.get(sc.USAGE_CALLS_BELOW) is True:
            return None
        kinds = {str(attributes[key]).lower() for key in _KIND_KEYS if key in attributes}
        agent = text(attributes, *WHO_KEYS["agent"])
        if kinds & NOT_AGENTS or not (self._is_closed(span.scope) or self._is_closed(agent)):
            return None
        call = read_span(replace(span, attributes=_as_inference(attributes)), source)
        if call is None or not call.usage.known:
            return None
        usage = replace(call.usage, rule=AGENT_RULE + call.usage.rule)
        operation = text(attributes, sc.OPERATION_NAME) or "invoke_agent"
        _fill(call, call_id=agent_key(call.trace_id, call.span_id), operation=operation, usage=usage)
        return call

    def _is_cache_hit(self, attributes: Attributes) -> bool:
        for key in self._cache_keys:  # noqa: SIM110 - on the path of every call; any() takes four times as long
            if attributes.get(key) is True:
                return True
        return False

    def _finish(self, call: LLMCall, span: Attributes, resource: Attributes) -> LLMCall:
        """Price and attribute a record that nobody else has seen yet.

        It is frozen for everybody after us and filled in place here: a second record of forty fields costs half as
        much as all the rest of the way.
        """
        found = self.attribution.of(call, span, resource)
        for name in WHO_FIELDS:
            if name in found:
                object.__setattr__(call, name, found.pop(name))
        object.__setattr__(call, "tags", found)
        object.__setattr__(call, "cost", cost_of(call, self.book))
        return call


def cost_of(call: LLMCall, book: PriceBook) -> Cost:
    """What the bill line of a call says: what the call cost, and nothing where the answer came from a cache."""
    cost = price_call(call, book)
    return _avoided(cost) if call.usage.rule.startswith(CACHE_HIT_RULE) else cost


def _as_inference(attributes: Attributes) -> Attributes:
    """The attributes of an agent's span as those of a call; Pydantic AI has names of its own for sums."""
    kept = {key: value for key, value in attributes.items() if key not in _KIND_KEYS}
    sums = {key.replace(AGGREGATED, USAGE, 1): value for key, value in kept.items() if AGGREGATED in key}
    return {**kept, **sums, sc.OPERATION_NAME: "chat"}


def _fill(call: LLMCall, **fields: Any) -> None:
    for name, value in fields.items():
        object.__setattr__(call, name, value)


def _matcher(patterns: Sequence[str]) -> Callable[[str], bool]:
    """Whether a name matches one of the patterns; a process sees few names, hostile ones come and go."""

    @lru_cache(maxsize=1_024)
    def matches(name: str) -> bool:
        return bool(name) and any(fnmatchcase(name, pattern) for pattern in patterns)

    return matches


def _settle(call: LLMCall, told: Sequence[object]) -> None:
    """See which of the records of inner spans are the same call, and which id stands for it."""
    mine = Facts.of(call)
    inner = [facts for facts in map(Facts.decoded, told[:MAX_INNER]) if facts is not None]
    if any(facts.call_id == mine.call_id and not mine.lends_to(facts) for facts in inner):
        _fill(call, covers=(*call.covers, mine.call_id))
    same = [facts for facts in inner if facts.call_id != mine.call_id and mine.is_same_call(facts)]
    _fill(call, covers=(*call.covers, *(facts.call_id for facts in same if not mine.yields_to(facts))))
    surer = [facts for facts in same if mine.yields_to(facts)]
    if not surer:
        return
    best = max(surer, key=lambda facts: (facts.level, facts.call_id))
    if mine.lends_to(best):
        _fill(call, call_id=best.call_id, covers=(*call.covers, mine.call_id))
    else:
        _fill(call, duplicate_of=best.call_id)


def _avoided(cost: Cost) -> Cost:
    """The cost of an answer from a cache: nothing, and what the call would have cost as savings."""
    saved = cost.effective.total_usd if cost.effective is not None else ZERO
    return replace(
        cost,
        status=Status.EXACT,
        reason=CACHE_HIT,
        list=Amounts(),
        effective=Amounts(),
        cache_savings_usd=saved,
        reported_usd=None,
    )
