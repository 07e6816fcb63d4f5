"""Spans that the emitters' own packages made of calls whose numbers are known; `generate/` made them.

A line's truth is what the provider sold. What an emitter tells nowhere is in `untold` (a part stays in its total) and
`lost` (it is in no total either); `told_wrong` is what it miscounts.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from identity.deliveries import CLIENT, INTERNAL, SERVER, Told, billed
from otel_llmcost.call import LLMCall, Source
from otel_llmcost.pipeline import Pipeline
from otel_llmcost.settings import Settings
from otel_llmcost.span import Span

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.json"))
WHOLE = {"cache_read": "input", "cache_write": "input", "reasoning": "output"}
WHO = ("user", "session", "agent", "workflow", "run")
BEGAN_NS = 1_795_392_000 * 10**9
KINDS = {"INTERNAL": INTERNAL, "SERVER": SERVER, "CLIENT": CLIENT}

UNRECOGNISED = {
    "openinference-langchain-and-openai": "the two spans are in two traces and tell no response id",
}

"""Calls that are told twice, and that nothing shows to be one: docs/dialects.md says what to do."""

golden = pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return Pipeline.from_settings(Settings())


def spans_of(document: Mapping[str, Any]) -> Iterator[Span]:
    for raw in document["spans"]:
        ids = (bytes.fromhex(raw[key]) for key in ("trace_id", "span_id", "parent_id"))
        times = (raw["start_ns"], raw["end_ns"])
        yield Span(raw["name"], *ids, *times, raw["attributes"], document["resource"], raw["scope"], raw["failed"])


def delivered(raw: Mapping[str, Any]) -> Told:
    """The span as it is exported."""
    trace, span, parent = (int(raw[key] or "0", 16) for key in ("trace_id", "span_id", "parent_id"))
    start_s, end_s = ((raw[key] - BEGAN_NS) / 1e9 for key in ("start_ns", "end_ns"))
    times = {"start_s": start_s, "end_s": end_s}
    kind = KINDS[raw["kind"]]
    return Told(span, raw["attributes"], parent, trace, raw["scope"], "shop", **times, kind=kind, failed=raw["failed"])


def told(line: Mapping[str, Any]) -> dict[str, int]:
    """The buckets as far as the emitter tells them apart."""
    buckets: dict[str, int] = {}
    for name, count in line["buckets"].items():
        whole = WHOLE[name] if name in line["untold"] else name
        buckets[whole] = buckets.get(whole, 0) + count
    return buckets | line.get("told_wrong", {})


def read(pipeline: Pipeline, path: Path) -> tuple[dict[str, Any], dict[int, LLMCall]]:
    document = json.loads(path.read_text())
    calls = [pipeline.identified(span, Source.OTLP) for span in spans_of(document)]
    return document, {index: call for index, call in enumerate(calls) if call is not None}


@golden
def test_a_recording_reads_as_what_the_provider_sold(pipeline: Pipeline, path: Path) -> None:
    """Provider, model, id and every bucket, once; nothing is contradicted."""
    document, calls = read(pipeline, path)
    assert document["lines"]
    for line in document["lines"]:
        call = calls[line["span"]]
        assert (line["provider"], told(line), ()) == (call.provider, dict(call.usage.buckets), call.usage.flags)
        assert "" == call.error_type
        for name in {"model", "response_id"} - set(line["untold"]):
            assert line[name] == getattr(call, name)


@golden
def test_a_recording_makes_as_many_lines_as_there_were_calls(path: Path) -> None:
    """Agents, chains, tools and HTTP spans around a call make none, and a call that is told twice makes one."""
    document = json.loads(path.read_text())
    spans = [delivered(raw) for raw in document["spans"]]
    expected = sorted(sum(told(line).values()) for line in document["lines"])
    if path.stem in UNRECOGNISED:
        expected = sorted([*expected, *expected])
    for batches in ([spans], [[span] for span in spans], [[span] for span in reversed(spans)]):
        lines = billed(batches).lines
        assert expected == sorted(line.usage.input_tokens + line.usage.output_tokens for line in lines)


@golden
def test_a_recording_tells_whose_call_it_was(pipeline: Pipeline, path: Path) -> None:
    """User, session, agent, workflow and run, where the scenario set them and the emitter tells them on the call."""
    document, calls = read(pipeline, path)
    for line in document["lines"]:
        found = {name: getattr(calls[line["span"]], name) for name in WHO if name in line}
        assert {name: line[name] for name in WHO if name in line} == found


@golden
def test_the_time_to_the_first_chunk_is_within_the_call(pipeline: Pipeline, path: Path) -> None:
    """Emitters tell it in seconds and in milliseconds, some under the same name."""
    document, calls = read(pipeline, path)
    for line in document["lines"]:
        call = calls[line["span"]]
        if call.ttft_ns is not None:
            assert 1_000_000 <= call.ttft_ns <= call.duration_ns + 2_000_000  # recorded times are whole milliseconds


def test_every_recording_is_one_of_its_own_emitter() -> None:
    """A golden file names its package and version, or says that a person wrote it from the package's source."""
    assert GOLDEN
    for path in GOLDEN:
        document = json.loads(path.read_text())
        assert path.stem == f"{document['emitter']}-{document['scenario']}"
        assert isinstance(document["hand_built"], bool)
        assert document["package"]
