"""Attribution rules → tags: who pays for a call.

The rules of `llmcost.yaml` are compiled once; applying them is a pure function of the call and of what the span and
its resource say.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from otel_llmcost import semconv as sc
from otel_llmcost.call import LLMCall
from otel_llmcost.dialects.read import text
from otel_llmcost.errors import ConfigError
from otel_llmcost.settings import AttributionSettings, Rule
from otel_llmcost.span import Attributes

CALL_FIELDS: Final = ("service", "environment", "provider", "model", "requested_model", "operation", "host")
WHO_FIELDS: Final = ("user", "session", "agent", "workflow", "run")
"""Dimensions that are fields of the record; every other one is a tag."""

_PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class Facts:
    """What rules may look at. `found` holds the dimensions that earlier rules set."""

    call: LLMCall
    span: Attributes
    resource: Attributes
    found: dict[str, str]


Lookup = Callable[[Facts], str]


@dataclass(frozen=True, slots=True)
class _CompiledRule:
    when: tuple[tuple[Lookup, str], ...]
    values: tuple[tuple[str, Lookup], ...]

    def apply(self, facts: Facts) -> None:
        if all(fnmatchcase(lookup(facts), pattern) for lookup, pattern in self.when):
            facts.found.update({name: value for name, lookup in self.values if (value := lookup(facts))})


class Attribution:
    """Sets the dimensions of calls by the configured rules.

    Before the rules, a dimension has the value of the resource attribute of its name (`team=search` in
    `OTEL_RESOURCE_ATTRIBUTES`) or, stronger, of the span attribute of its name (where baggage processors leave
    entries), or of the span attribute `llmcost.tag.<name>`.
    """

    def __init__(self, settings: AttributionSettings) -> None:
        """
        Raises:
            ConfigError: a rule names something that does not exist.
        """
        self.dimensions = tuple(settings.dimensions)
        self._tag_keys = tuple((name, sc.TAG_PREFIX + name) for name in self.dimensions)
        self.unattributed = settings.unattributed
        self._rules = tuple(_compile(rule, self.dimensions) for rule in settings.rules)

    def of(self, call: LLMCall, span: Attributes, resource: Attributes) -> dict[str, str]:
        """Dimension → value, tags and who-fields together; a dimension that nothing set has `unattributed`."""
        found = dict(call.tags)
        for name, tag_key in self._tag_keys:
            value = text(span, tag_key, name) if tag_key in span or name in span else ""
            if not value and name not in found and name in resource:
                value = text(resource, name)
            if value:
                found[name] = value
        if self._rules:
            facts = Facts(call, span, resource, found)
            for rule in self._rules:
                rule.apply(facts)
        for name in self.dimensions:
            found.setdefault(name, self.unattributed)
        return found


def baggage_keys(settings: AttributionSettings) -> tuple[str, ...]:
    """Baggage entries that some rule reads, to be copied to spans as they start."""
    return tuple(dict.fromkeys(name for rule in settings.rules for name in rule.from_baggage))


def _compile(rule: Rule, dimensions: tuple[str, ...]) -> _CompiledRule:
    known = (*dimensions, *WHO_FIELDS)
    for name in (*rule.set, *rule.from_baggage):
        if name not in known:
            raise ConfigError(
                f"attribution.rules: {name!r} is no dimension; known: {', '.join(known)}"
                " (add yours to attribution.dimensions)"
            )
    when = tuple((_lookup(name, dimensions), pattern) for name, pattern in rule.when.items())
    from_baggage = tuple((name, _from_span(name)) for name in rule.from_baggage)
    templates = tuple((name, _template(value, dimensions)) for name, value in rule.set.items())
    return _CompiledRule(when, (*from_baggage, *templates))


def _lookup(name: str, dimensions: tuple[str, ...]) -> Lookup:
    if name.startswith("resource."):
        return _from_resource(name.removeprefix("resource."))
    if name.startswith("span."):
        return _from_span(name.removeprefix("span."))
    if name in CALL_FIELDS:
        return lambda facts: str(getattr(facts.call, name))
    if name in WHO_FIELDS:
        return lambda facts: facts.found.get(name) or str(getattr(facts.call, name))
    if name in dimensions:
        return lambda facts: facts.found.get(name, "")
    known = ", ".join((*CALL_FIELDS, *WHO_FIELDS, *dimensions))
    raise ConfigError(f"attribution.rules: {name!r} is unknown; use resource.<key>, span.<key> or one of {known}")


def _from_span(key: str) -> Lookup:
    return lambda facts: text(facts.span, key)


def _from_resource(key: str) -> Lookup:
    return lambda facts: text(facts.resource, key)


def _template(value: str, dimensions: tuple[str, ...]) -> Lookup:
    """A value with `{placeholders}`; empty, and so not set, where one of them has no value."""
    lookups = {name: _lookup(name, dimensions) for name in _PLACEHOLDER.findall(value)}

    def render(facts: Facts) -> str:
        values: Mapping[str, str] = {name: lookup(facts) for name, lookup in lookups.items()}
        if not all(values.values()):
            return ""
        return _PLACEHOLDER.sub(lambda match: values[match[1]], value)

    return render
