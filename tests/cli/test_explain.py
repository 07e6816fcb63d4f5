"""`otel-llmcost explain`: of spans in a file, and of lines in a ledger."""

import json
import os
from typing import Any

import pytest

from otel_llmcost.call import Source
from otel_llmcost.cli import main
from otel_llmcost.exporters import open_sink
from otel_llmcost.kinship import Kinship
from otel_llmcost.pipeline import Pipeline
from otel_llmcost.processors.otlp import decode_json, genai_spans
from otel_llmcost.processors.tree import seen_genai
from otel_llmcost.same_call import with_claims
from otel_llmcost.settings import Settings

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
OUTER, AGENT, INNER = "00f067aa0ba902b7", "00f067aa0ba902b6", "00f067aa0ba902b8"
RESPONSE = "chatcmpl-CkQ8yZ3bXnT5Lr2mVw9sA7dE1fGhJ"


def otlp_span(span_id: str, parent: str, attributes: dict[str, str | int]) -> dict[str, Any]:
    values = [
        {"key": key, "value": {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}}
        for key, value in attributes.items()
    ]
    ids = {"traceId": TRACE, "spanId": span_id, "parentSpanId": parent, "name": "a call"}
    return {**ids, "startTimeUnixNano": str(10**18), "endTimeUnixNano": str(10**18 + 9), "attributes": values}


FRAMEWORK = {
    "openinference.span.kind": "LLM",
    "llm.model_name": "gpt-4o",
    "llm.provider": "openai",
    "llm.token_count.prompt": 1_200,
    "llm.token_count.completion": 300,
    "llm.token_count.prompt_details.cache_read": 1_024,
}
SDK = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.response.id": RESPONSE,
    "gen_ai.usage.input_tokens": 1_200,
    "gen_ai.usage.output_tokens": 300,
    "gen_ai.usage.cache_read.input_tokens": 1_024,
}
MESSAGE = {
    "resourceSpans": [
        {
            "resource": {"attributes": [{"key": "team", "value": {"stringValue": "cx"}}]},
            "scopeSpans": [
                {
                    "scope": {"name": "openinference.instrumentation.langchain"},
                    "spans": [
                        otlp_span(OUTER, "", FRAMEWORK),
                        otlp_span(AGENT, "", {"openinference.span.kind": "AGENT"}),
                    ],
                },
                {
                    "scope": {"name": "opentelemetry.instrumentation.openai.v1"},
                    "spans": [otlp_span(INNER, OUTER, SDK)],
                },
            ],
        }
    ]
}


@pytest.fixture(autouse=True)
def _no_configuration(monkeypatch) -> None:
    for name in [name for name in os.environ if name.startswith("OTEL_LLMCOST_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def spans(tmp_path) -> str:
    file = tmp_path / "spans.json"
    file.write_text(json.dumps(MESSAGE, indent=1))
    return str(file)


@pytest.fixture
def ledger(tmp_path) -> str:
    """A ledger that got the same spans."""
    pipeline = Pipeline.from_settings(Settings())
    found = genai_spans(decode_json(json.dumps(MESSAGE).encode()), pytest.fail)
    seen = [seen_genai(span, pipeline.process_span(span, Source.OTLP)) for span in found]
    sink = open_sink(f"chdb://{tmp_path / 'ledger'}")
    sink.write(list(with_claims(Kinship(100, names_unseen=True).meet(seen))))
    sink.close()
    return f"chdb://{tmp_path / 'ledger'}"


def explain(capsys, *argv: str) -> list[dict[str, dict[str, tuple[str, ...]]]]:
    """Per span or line: title → first cell → the other cells."""
    assert 0 == main(["explain", *argv, "--json"])
    told = json.loads(capsys.readouterr().out)
    return [
        {
            section["title"]: {cells[0]: cells[1:] for cells in map(tuple, map(dict.values, section["rows"]))}
            for section in one
        }
        for one in told
    ]


def test_a_span_that_is_a_line_tells_dialect_rule_buckets_price_and_twins(capsys, spans: str) -> None:
    """All that a person needs to trust it; the arithmetic is spelled out."""
    (told,) = explain(capsys, spans, "--span", INNER)
    assert "openllmetry" == told["The span"]["dialect"][0]
    assert "yes" == told["The span"]["bill line"][0]
    assert ("1024", "cache_read") == told["Usage, every token in one bucket"]["cache_read"]
    assert "openllmetry:cache_inside" == told["Usage, every token in one bucket"]["rule"][0]
    assert OUTER == told["Which call it is"]["same call"][0]
    assert ("176 at 2.5 USD per million", "0.00044 USD") == told["What it cost"]["input"]
    assert ("1024 at 1.25 USD per million", "0.00128 USD") == told["What it cost"]["cache_read"]
    assert ("", "0.00472 USD") == told["What it cost"]["charged"]
    assert ("cx",) == told["Who pays"]["team"]


def test_a_span_that_is_no_line_tells_why(capsys, spans: str) -> None:
    """One repeats the call below it, one is an agent."""
    outer, agent, _ = explain(capsys, spans, "--trace", TRACE)
    assert "no" == outer["The span"]["bill line"][0]
    assert "repeats the call" in outer["The span"]["bill line"][1]
    assert ("no", "it stands around calls: openinference.span.kind = 'AGENT'") == agent["The span"]["bill line"]


def test_messages_one_a_line_are_read_together(capsys, tmp_path) -> None:
    """As the Collector's file exporter writes them; the twin is found across messages."""
    file = tmp_path / "spans.jsonl"
    first, second = MESSAGE["resourceSpans"][0]["scopeSpans"]
    lines = [json.dumps({"resourceSpans": [{"scopeSpans": [scope]}]}) for scope in (second, first)]
    file.write_text("\n".join(lines))
    inner, *_ = explain(capsys, str(file))
    assert OUTER == inner["Which call it is"]["same call"][0]


@pytest.mark.parametrize("by", ["--trace", "--span", "--call"])
def test_a_line_of_the_ledger_is_found_by_any_of_its_ids(capsys, ledger: str, spans: str, by: str) -> None:
    """It tells its buckets, what each part cost per million, its versions, and what it hides."""
    (from_file,) = explain(capsys, spans, "--span", INNER)
    call = from_file["Which call it is"]["call id"][0]
    value = {"--trace": TRACE, "--span": INNER, "--call": call}[by]
    (told,) = explain(capsys, by, value, "--ledger", ledger)
    assert (call,) == told["The line"]["call_id"]
    assert ("0.00044", "2.5 per million") == told["What it cost"]["input_cost_usd"]
    assert ("0.00128", "1.25 per million") == told["What it cost"]["cache_read_cost_usd"]
    assert "0.00472" == told["What it cost"]["cost_usd"][0]
    assert ["the line"] == [row[-1] for row in told["Its versions"].values()]
    assert told["The same call, told elsewhere and hidden"]


def test_what_is_not_there_and_what_is_no_id_are_told(capsys, spans: str, tmp_path) -> None:
    """Exit codes and one text on stderr."""
    assert 3 == main(["explain", str(tmp_path / "nothing.json")])
    assert "cannot be read" in capsys.readouterr().err
    assert 3 == main(["explain", spans, "--span", "ff" * 8])
    assert "nothing is there" in capsys.readouterr().err
    assert 2 == main(["explain"])
    assert "--trace, --span or --call" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["explain", "--span", "' OR 1=1"])
    assert "must be 16 hex digits" in capsys.readouterr().err
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    assert 3 == main(["explain", str(broken)])
