"""Attribution rules."""

import pytest

from otel_llmcost.attribution import Attribution, baggage_keys
from otel_llmcost.call import LLMCall, Source
from otel_llmcost.errors import ConfigError
from otel_llmcost.settings import AttributionSettings

CALL = LLMCall(
    call_id=bytes(16), source=Source.WIRE, start_ns=0, end_ns=0, provider="openai", service="support-bot", user="u-1"
)


def tags(*rules: dict, span: dict | None = None, resource: dict | None = None, **more) -> dict[str, str]:
    settings = AttributionSettings.model_validate({"rules": list(rules), **more})
    return Attribution(settings).of(CALL, span or {}, resource or {})


def test_a_dimension_that_nothing_sets_is_unattributed() -> None:
    """With the configured name."""
    assert {"team": "(none)", "feature": "(none)", "customer": "(none)"} == tags()
    assert {"team": "?", "tier": "?"} == tags(dimensions=["team", "tier"], unattributed="?")


def test_resource_attributes_of_a_dimensions_name_count_without_a_rule() -> None:
    """`OTEL_RESOURCE_ATTRIBUTES=team=search` is enough; a tag on the span is stronger."""
    assert "search" == tags(resource={"team": "search"})["team"]
    assert "shop" == tags(resource={"team": "search"}, span={"team": "shop"})["team"]
    assert "ads" == tags(resource={"team": "search"}, span={"team": "shop", "llmcost.tag.team": "ads"})["team"]


def test_later_rules_override_earlier_ones() -> None:
    """General first, particular last."""
    rules = (
        {"set": {"team": "{resource.k8s.namespace.name}"}},
        {"when": {"service": "support-*"}, "set": {"team": "cx", "feature": "support"}},
        {"when": {"service": "other"}, "set": {"team": "nobody"}},
    )
    found = tags(*rules, resource={"k8s.namespace.name": "shop"})
    assert ("cx", "support") == (found["team"], found["feature"])


def test_a_template_with_a_missing_value_sets_nothing() -> None:
    """Half a value would be a wrong one."""
    rules = ({"set": {"team": "base"}}, {"set": {"team": "{resource.a}-{resource.b}"}})
    assert "base" == tags(*rules, resource={"a": "x"})["team"]
    assert "x-y" == tags(*rules, resource={"a": "x", "b": "y"})["team"]


def test_baggage_is_read_from_the_attributes_that_it_was_copied_to() -> None:
    """And the keys to copy are those the rules name."""
    rule = {"from_baggage": ["customer", "session"]}
    found = tags(rule, span={"customer": "acme", "session": "s-1"})
    assert ("acme", "s-1") == (found["customer"], found["session"])
    assert ("customer", "session") == baggage_keys(AttributionSettings.model_validate({"rules": [rule, rule]}))


def test_conditions_see_the_call_the_span_the_resource_and_earlier_dimensions() -> None:
    """All of them must hold."""
    rule = {
        "when": {"provider": "openai", "user": "u-*", "team": "search", "span.http.route": "/chat", "resource.az": "?"},
        "set": {"feature": "{provider}/{user}"},
    }
    facts = {"span": {"http.route": "/chat"}, "resource": {"team": "search", "az": "b"}}
    assert "openai/u-1" == tags(rule, **facts)["feature"]
    assert "(none)" == tags(rule, **{**facts, "span": {}})["feature"]


@pytest.mark.parametrize(
    ("rule", "name"),
    [
        ({"set": {"teem": "x"}}, "teem"),
        ({"from_baggage": ["custommer"]}, "custommer"),
        ({"when": {"servise": "x"}, "set": {"team": "x"}}, "servise"),
        ({"set": {"team": "{namespace}"}}, "namespace"),
    ],
)
def test_a_rule_that_names_what_does_not_exist_is_an_error_at_start(rule: dict, name: str) -> None:
    """With the names that do exist."""
    with pytest.raises(ConfigError, match=rf"'{name}'.*customer"):
        tags(rule)
