"""The same through the real engine: its view `calls` hides what the model of it hides."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from deliveries import INTERNAL, Ledger, Process, Told
from emitters import ANSWER, CALL, FRAMEWORKS, ID, INPUT, OUTPUT, SDK_LEVEL, USAGE
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scenarios import deliveries, pasts

from factories import make_call
from otel_llmcost.exporters import Sink, open_sink
from otel_llmcost.exporters.clickhouse.client import Ledger as Reader

EXAMPLES = int(os.environ.get("LLMCOST_ENGINE_EXAMPLES", "15"))


class RealLedger:
    """The embedded engine behind the writer that applications use."""

    def __init__(self, directory: Path) -> None:
        self.url = f"chdb://{directory}/ledger"
        self.sink: Sink = open_sink(self.url)
        self.model = Ledger()

    def write(self, calls: list[Any]) -> None:
        self.sink.write(calls)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        self.sink.close()  # one process opens the engine once
        with Reader.open(self.url) as reader:
            return [tuple(row) for row in reader.query(sql).rows]


class Both:
    """Writes to the engine and to the model of it."""

    def __init__(self, real: RealLedger, model: Ledger) -> None:
        self.real, self.model = real, model

    def write(self, calls: list[Any]) -> None:
        self.real.write(calls)
        self.model.write(calls)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[RealLedger]:
    found = RealLedger(tmp_path)
    yield found
    found.sink.close()


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_the_engine_shows_the_lines_of_the_model(ledger: RealLedger, data: st.DataObject) -> None:
    """Any mix, order and repetition, two processes; what earlier examples wrote stays, in the engine and the model."""
    model = ledger.model
    if not model.rows:
        Both(ledger, model).write([make_call()])  # a ledger is made with its first line
    processes = [Process(Both(ledger, model)) for _ in range(2)]
    for place, batch in enumerate(data.draw(deliveries(data.draw(pasts())))):
        processes[place % 2].take(*batch)
    hidden = {row.call_id.hex(): row.duplicate_of.hex() for row in model.duplicates}
    shown = {line.call_id.hex(): (line.usage.input_tokens, line.agent) for line in model.lines}
    ids = ", ".join(f"'{key}'" for key in [*shown, *hidden, "-"])
    rows = ledger.query(f"SELECT call_id, input_tokens, agent FROM calls WHERE call_id IN ({ids})")
    assert len(rows) == len({row[0] for row in rows})
    found = ledger.query(f"SELECT call_id, duplicate_of FROM duplicates WHERE call_id IN ({ids})")
    assert hidden.keys() == {row[0] for row in found}
    assert shown == {key: (tokens, agent) for key, tokens, agent in rows}


def test_cost_per_session_run_and_agent_is_one_group_by(ledger: RealLedger) -> None:
    """Ids that only ancestors tell, calls told twice, an agent within an agent; a run that nothing names is a trace."""
    agent = {"gen_ai.operation.name": "invoke_agent", "gen_ai.conversation.id": "c-1"}
    spans = [
        Told(1, {"user.id": "u-1"}, kind=INTERNAL),
        Told(2, agent | {"gen_ai.agent.name": "planner"}, parent=1, kind=INTERNAL),
        Told(3, FRAMEWORKS["no id"][1], parent=2, scope=FRAMEWORKS["no id"][0]),
        Told(4, SDK_LEVEL["no id"][1], parent=3, scope=SDK_LEVEL["no id"][0]),
        Told(5, {"gen_ai.operation.name": "execute_tool"}, parent=2, kind=INTERNAL),
        Told(6, agent | {"gen_ai.agent.name": "searcher"}, parent=5, kind=INTERNAL),
        Told(7, {**CALL, **ANSWER, **USAGE}, parent=6),
        Told(8, {**CALL, **ANSWER, **USAGE, **ID}, trace=8),
    ]
    process = Process(ledger)
    for span in reversed(spans):
        process.take(span)
    tokens = INPUT + OUTPUT
    by_agent = "SELECT agent, count(), sum(input_tokens + output_tokens) FROM calls GROUP BY agent ORDER BY agent"
    assert [("", 1, tokens), ("planner", 1, tokens), ("searcher", 1, tokens)] == ledger.query(by_agent)
    by_session = "SELECT session, user, count() FROM calls GROUP BY session, user ORDER BY session"
    assert [("", "", 1), ("c-1", "u-1", 2)] == ledger.query(by_session)
    by_run = "SELECT run, count() FROM calls GROUP BY run ORDER BY run"
    assert [(f"{7:032x}", 2), (f"{8:032x}", 1)] == ledger.query(by_run)
    per_run = "SELECT toString(max(usd)) FROM (SELECT sum(cost_usd) AS usd FROM calls GROUP BY run)"
    total = "SELECT toString(sum(cost_usd)) FROM calls WHERE session = 'c-1'"
    assert ledger.query(per_run) == ledger.query(total)
    assert [(FRAMEWORKS["no id"][0], INPUT)] == ledger.query(
        "SELECT emitter, input_tokens FROM duplicates WHERE emitter != ''"
    )
