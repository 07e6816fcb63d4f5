"""Mistakes in price files: where, what, and what to do; the archive; changes of the past."""

import json
from datetime import date
from pathlib import Path

import pytest
from overlay_books import DIMENSIONS, fx_of, overlays_in

from otel_llmcost.errors import ConfigError
from otel_llmcost.pricing.overlays import from_document, overlays_of
from otel_llmcost.pricing.overlays.checks import changes_of_the_past, problems_of, unknown_names
from otel_llmcost.pricing.overlays.document import schema_text
from otel_llmcost.pricing.overlays.files import archived_entries, entries_of
from otel_llmcost.pricing.overlays.fx import Fx
from otel_llmcost.settings import Settings, load_settings
from otel_llmcost.yaml_file import YamlFile

ROOT = Path(__file__).parents[2]
OFF = "discounts:\n  - {id: a, from: 2026-01-01, when: {provider: openai}, percent_off: 10}\n"


def entries(text: str, name: str = "p.yaml"):
    return entries_of(YamlFile.parse(text, name))


def _volume(tiers: str) -> str:
    return f"volume: {{by: usd, apply: graduated, expected_per_month: 1, tiers: [{tiers}]}}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            OFF.replace("percent_off", "percentoff"),
            "1.yaml:2: discounts.0.percentoff: unknown key; did you mean 'percent",
        ),
        (OFF.replace("discounts", "discount"), "1.yaml:1: discount: unknown key; did you mean 'discounts'?"),
        (OFF.replace("id: a", "id: A b"), "1.yaml:2: discounts.0.id: 'A b' is no id"),
        (OFF.replace("10}", "110}"), "1.yaml:2: discounts.0.percent_off: Input should be less than or equal to 100"),
        (OFF.replace("10}", ".nan}"), "1.yaml:2: discounts.0.percent_off: must be a finite number"),
        (OFF.replace("10}", "ten}"), "1.yaml:2: discounts.0.percent_off: must be a number"),
        (OFF.replace("2026-01-01", "2026-01-01T00:00:00"), "1.yaml:2: discounts.0.from: must be a day like 2026-01-31"),
        (OFF.replace("2026-01-01", "2026-13-01"), "1.yaml:2: discounts.0.from: must be a day like 2026-01-31"),
        (OFF.replace("id: a", "id: a, until: 2025-12-31"), "1.yaml:2: discounts.0: until 2025-12-31 must come after"),
        (
            OFF.replace("percent_off: 10", "rates: {inptu: 1}"),
            "discounts.0.rates: 'inptu' is no bucket; did you mean 'in",
        ),
        (
            OFF.replace("10}", "10, rates: {input: 1}}"),
            "discounts.0: must say exactly one of percent_off, rates, volume",
        ),
        (
            OFF.replace("10}", "10, parts: [outputs]}"),
            "discounts.0.parts: 'outputs' is unknown; did you mean 'output'?",
        ),
        (
            OFF.replace("percent_off: 10", _volume("{above: 0, percent_off: 1}, {above: 1, rates: {input: 1}}")),
            "discounts.0.volume: tiers must all say percent_off, or all name the same rates",
        ),
        (
            OFF.replace("percent_off: 10", _volume("{above: 1, rates: {input: 1}}")),
            "discounts.0.volume: graduated rates must begin with a tier `above: 0`",
        ),
        (OFF.replace("id: a", "id: a, currency: Euro"), "discounts.0.currency: must be the three capital letters"),
        ("models: [{id: m, from: 2026-01-01, provider: x, model: y}]", "models.0: must say either gpu, or one or more"),
        ("credits: [{id: c, from: 2026-01-01, amount: 5, expected_per_month: 1}]", "credits.0: must say until"),
        ("free: [{id: f, from: 2026-01-01, tokens_per_month: 5}]", "free.0.expected_per_month: Field required"),
    ],
)
def test_a_mistake_in_an_entry_names_its_line_and_what_to_do(text: str, message: str) -> None:
    """The nearest right name where one is near."""
    with pytest.raises(ConfigError) as error:
        overlays_in(text)
    assert message in str(error.value)


def test_overlapping_entries_are_named_with_both_lines() -> None:
    """In two files, for the days on which both hold."""
    other = OFF.replace("id: a", "id: b").replace("2026-01-01", "2026-06-01, until: 2026-09-01")
    with pytest.raises(ConfigError) as error:
        overlays_in(OFF, "# comment\n" + other)
    assert (
        "prices/2.yaml:3: discounts 'b': overlaps 'a' (prices/1.yaml:2) from 2026-06-01 until 2026-09-01: both hold for"
        " the same calls (provider=openai; provider=openai)"
    ) in str(error.value)


@pytest.mark.parametrize(
    ("first", "second", "overlaps"),
    [
        ("{model: gpt-4o}", "{customer: acme}", True),
        ("{model: gpt-4o}", "{model: gpt-4o, customer: acme}", False),
        ("{model: gpt-*}", "{model: '*-mini'}", True),
        ("{model: gpt-*}", "{model: gpt-4*}", False),
        ("{provider: openai}", "{provider: azure}", False),
        ("{provider: azure}", "{provider: azure.ai.openai}", True),
        ("{team: [a, b]}", "{team: [b, c]}", True),
        ("{team: [a, b]}", "{team: b}", False),
        ("{}", "{team: b}", False),
        ("{}", "{team: '*'}", True),
    ],
)
def test_entries_overlap_where_a_call_can_meet_both_and_neither_is_more_specific(
    first: str, second: str, overlaps: bool
) -> None:
    """Names, patterns, several of them, aliases of sellers."""
    text = "discounts:\n" + "".join(
        f"  - {{id: {name}, from: 2026-01-01, when: {when}, percent_off: 1}}\n"
        for name, when in (("a", first), ("b", second))
    )
    assert overlaps == bool(list(problems_of(entries(text), Fx({}), DIMENSIONS)))


def test_discounts_of_different_parts_do_not_overlap() -> None:
    """Nor do those of different days."""
    text = OFF + OFF.replace("discounts:\n", "").replace("id: a", "id: b")
    apart = text.replace("id: a", "id: a, parts: [input]").replace("id: b", "id: b, parts: [output, cache_read]")
    assert [] == list(problems_of(entries(apart), Fx({}), DIMENSIONS))
    days = text.replace("id: a", "id: a, until: 2026-02-01").replace("id: b, from: 2026-01", "id: b, from: 2026-02")
    assert [] == list(problems_of(entries(days), Fx({}), DIMENSIONS))


def test_a_gap_between_two_entries_is_told() -> None:
    """For a private model it is a mistake, for calls would have no price; for a discount it can be meant."""
    model = "  - {{id: {}, from: {}, provider: x, model: y, rates: {{input: 1}}}}\n"
    models = "models:\n" + model.format("a", "2026-01-01, until: 2026-02-01") + model.format("b", "2026-02-03")
    (problem,) = problems_of(entries(models), Fx({}))
    assert (
        "p.yaml:3: models 'b': leaves a gap after 'a' (p.yaml:2): nothing holds for model=y, provider=x from 2026-02-01"
        " until 2026-02-03"
    ) == str(problem)
    off = OFF.replace("id: a", "id: a, until: 2026-02-01") + OFF.split("\n")[1].replace(
        "id: a, from: 2026-01", "id: b, from: 2026-03"
    )
    (problem,) = problems_of(entries(off), Fx({}))
    assert problem.warning
    assert str(problem).startswith("p.yaml:3: warning: discounts 'b': leaves a gap after 'a' (p.yaml:2)")


def test_a_missing_exchange_rate_names_the_gap() -> None:
    """No rate at all, or none before a day."""
    text = "currency: EUR\n" + OFF.replace("percent_off: 10", "rates: {input: 1}")
    (none,) = problems_of(entries(text), fx_of(EUX=[("2026-01-01", "1")]))
    assert "amounts in EUR from 2026-01-01, but prices.fx has no EUR; did you mean 'EUX'?" in str(none)
    (late,) = problems_of(entries(text), fx_of(EUR=[("2026-02-01", "1")]))
    assert "but prices.fx.EUR has no rate from 2026-01-01 until 2026-02-01" in str(late)
    assert [] == list(problems_of(entries(text), fx_of(EUR=[("2025-02-01", "1")])))


def test_unknown_dimensions_and_ids_used_twice_are_mistakes() -> None:
    """The dimensions are those of the attribution, and what every line has."""
    text = OFF.replace("provider: openai", "custmer: acme")
    (problem,) = problems_of(entries(text), Fx({}), DIMENSIONS)
    assert "when: 'custmer' is no dimension; did you mean 'customer'?" in str(problem)
    twice = entries(OFF) + entries(
        OFF.replace("2026-01-01", "2026-01-01, until: 2026-01-02").replace("openai", "groq"), "q.yaml"
    )
    (problem,) = problems_of(twice, Fx({}), DIMENSIONS)
    assert "q.yaml:2: discounts 'a': the id is used twice, first by discounts 'a' at p.yaml:2" == str(problem)


def test_names_that_match_nothing_are_told_with_the_nearest() -> None:
    """A misspelt model would silently have no discount."""
    rows = {"gpt-4o-2024-08-06": "gpt-4o"}
    known = {"openai": ["gpt-4o", "gpt-5"], "anthropic": ["claude-sonnet-4-5"]}
    text = """\
discounts:
  - {id: a, from: 2026-01-01, when: {provider: openai, model: gpt-4oo}, percent_off: 1}
  - {id: b, from: 2026-01-01, when: {provider: antropic}, percent_off: 1}
  - {id: c, from: 2026-01-01, when: {provider: openai, model: [gpt-4o, gpt-6*]}, percent_off: 1}
deployments:
  - {id: d, from: 2026-01-01, model: prod, provider: openai, base_model: gpt-4}
  - {id: e, from: 2026-01-01, model: prod-2, provider: openai, base_model: gpt-4o-2024-08-06}
commitments:
  - {id: f, from: 2026-01-01, when: {model: gpt-4o-2024-08-06}, per_month: 1, expected_per_month: 1}
"""
    texts = [str(problem) for problem in unknown_names(entries(text), known, lambda seller, model: rows.get(model, ""))]
    assert 5 == len(texts)
    assert "'gpt-4oo' matches no model of the book; did you mean 'gpt-4o'?" in texts[1]
    assert "warning: discounts 'b': no seller is called antropic; did you mean 'anthropic'?" in texts[2]
    assert "warning: discounts 'c': 'gpt-6*' matches no model" in texts[3]
    assert "'gpt-4' matches no model of the book; did you mean 'gpt-4o'?" in texts[0]
    assert "commitments 'f': 'gpt-4o-2024-08-06' is priced as 'gpt-4o': name that, or write a pattern" in texts[4]


TODAY = date(2026, 6, 1)


@pytest.mark.parametrize(
    ("now", "message"),
    [
        (OFF, ""),
        (OFF.replace("id: a", "id: a, note: signed"), ""),
        (OFF.replace("id: a", "id: a, until: 2026-06-01"), ""),
        (OFF.replace("id: a", "id: a, until: 2026-05-31"), "until: days before 2026-06-01 are past"),
        (OFF.replace("10}", "11}"), "has begun on 2026-01-01 and cannot change any more (percent_off)"),
        (OFF.replace("10}", "10.0}"), ""),
        (OFF.replace("id: a", "id: b"), "has begun on 2026-01-01 and is gone"),
        (OFF.replace("openai", "groq"), "cannot change any more (when)"),
        (OFF + "  - {id: n, from: 2026-06-01, when: {provider: groq}, percent_off: 1}\n", ""),
        (
            OFF + "  - {id: n, from: 2026-05-31, when: {provider: groq}, percent_off: 1}\n",
            "warning: discounts 'n': is new",
        ),
    ],
)
def test_the_past_cannot_be_changed(now: str, message: str) -> None:
    """An entry that has begun may be ended from today on; a correction is a new entry."""
    found = [str(problem) for problem in changes_of_the_past(entries(now), entries(OFF), TODAY)]
    assert bool(message) == bool(found)
    assert any(message in text for text in found) or not message


def test_what_has_not_begun_may_change() -> None:
    """It was in force on no day."""
    future = OFF.replace("2026-01-01", "2026-06-01")
    assert [] == list(changes_of_the_past([], entries(future), TODAY))


def test_the_archive_gives_back_the_same_prices() -> None:
    """Same version after JSON, whatever files and order the entries came in."""
    other = "models: [{id: m, from: 2026-01-01, provider: x, model: [b, a], rates: {input: 1.10}, currency: EUR}]"
    fx = fx_of(EUR=[("2026-01-01", "1.10")], GBP=[("2026-01-01", "1.3")])
    overlays = overlays_in(OFF, other, fx=fx)
    document = json.loads(json.dumps(overlays.to_document()))
    assert overlays.version == from_document(document).version
    assert overlays.to_document() == from_document(document).to_document()
    spelt = other.replace("[b, a]", "[a, b, a]").replace("1.10", "'1.1'")
    assert overlays.version == overlays_in(spelt, OFF, fx=fx).version
    assert overlays.version != overlays_in(OFF, other.replace("1.10", "1.11"), fx=fx).version
    assert {"EUR"} == set(document["fx"])
    assert ["a", "m"] == sorted(placed.entry.id for placed in archived_entries(document))


def test_an_archive_of_a_later_format_is_refused() -> None:
    """Rather than read in part."""
    with pytest.raises(ConfigError, match="format 2 is unknown"):
        from_document({"format": 2})


def test_price_files_are_found_beside_the_configuration(tmp_path) -> None:
    """A pattern that matches nothing is a mistake, and so is what is in a file."""
    (tmp_path / "prices").mkdir()
    (tmp_path / "prices" / "a.yaml").write_text(OFF)
    config = tmp_path / "llmcost.yaml"
    config.write_text("prices: {overlays: [prices/*.yaml], fx: {EUR: [{from: 2026-01-01, rate: 1.09}]}}\n")
    settings = load_settings({}, config)
    assert [str(tmp_path / "prices/*.yaml")] == settings.prices.overlays
    assert overlays_of(settings).version == overlays_in(OFF).version
    (tmp_path / "prices" / "a.yaml").write_text(OFF.replace("openai", "openai, teem: x"))
    with pytest.raises(
        ConfigError, match=r"a\.yaml:2: discounts 'a': when: 'teem' is no dimension; did you mean 'team'"
    ):
        overlays_of(settings)
    (tmp_path / "prices" / "a.yaml").unlink()
    with pytest.raises(ConfigError, match="no file matches"):
        overlays_of(settings)
    assert overlays_of(Settings()) is None


def test_rates_of_exchange_are_exact_and_checked(tmp_path) -> None:
    """1.09 in the file is 1.09, not the double beside it."""
    config = tmp_path / "llmcost.yaml"
    config.write_text("prices: {fx: {EUR: [{from: 2026-01-01, rate: 1.09}]}}\n")
    assert "1.09" == str(load_settings({}, config).prices.fx["EUR"][0].rate)
    config.write_text("prices:\n  fx: {EUR: [{from: 2026-01-01, rat: 1.09}]}\n")
    with pytest.raises(ConfigError) as error:
        load_settings({}, config)
    assert "llmcost.yaml:2: prices.fx.EUR.0.rat: unknown key; did you mean 'rate'?" in str(error.value)


def test_the_schema_for_editors_is_the_format() -> None:
    """docs/prices.schema.json is what `prices check --schema` prints."""
    assert schema_text() == (ROOT / "docs" / "prices.schema.json").read_text()
