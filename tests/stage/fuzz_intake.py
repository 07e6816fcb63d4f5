"""A coverage-guided fuzzer of the way of a message: the long form of the tests with mutated messages.

    pip install atheris
    PYTHONPATH=tests python tests/stage/fuzz_intake.py -max_total_time=600 [FOLDER OF FOUND INPUTS]

Starts from the golden spans of all emitters and from hostile messages. Whatever comes, the intake answers or raises
InputError; what goes on has as many spans as came, and what outsiders may not say is on none of them.
"""

import asyncio
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["otel_llmcost"]):
    from otel_llmcost.errors import InputError
    from otel_llmcost.pipeline import Pipeline
    from otel_llmcost.processors.enriching import Enricher
    from otel_llmcost.processors.gate import ANYBODY
    from otel_llmcost.processors.intake import TraceIntake, kinship_of
    from otel_llmcost.processors.otlp import count_spans, decode_protobuf, key_of
    from otel_llmcost.semconv import is_believed
    from otel_llmcost.settings import Settings

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.golden_spans import documents, message_of
from stage.running_stage import request
from up_process import GENAI


class Hop:
    """Keeps what went on. Small, so that messages are split too."""

    max_message_bytes = 4_096

    def __init__(self) -> None:
        self.got: list[bytes] = []

    async def export(self, _signal: object, body: bytes) -> bytes:
        self.got.append(body)
        return b""

    async def close(self) -> None: ...


SETTINGS = Settings()
HOP = Hop()
INTAKE = TraceIntake(
    Pipeline.from_settings(SETTINGS),
    kinship=kinship_of(SETTINGS.identity),
    next_hop=HOP,
    enricher=Enricher(usage_cost=True),
    reads_all=False,
)
LOOP = asyncio.new_event_loop()


def take(body: bytes) -> None:
    """One message."""
    HOP.got.clear()
    try:
        LOOP.run_until_complete(INTAKE.take(body, ANYBODY))
    except InputError:
        return
    assert count_spans(body) == sum(map(count_spans, HOP.got))
    if HOP.got == [body]:
        return
    for part in HOP.got:
        for resource_spans in decode_protobuf(part).resource_spans:
            for data in resource_spans.resource.attributes:
                assert is_believed(key_of(data).decode("utf-8", "replace")), data


def seeds(folder: Path) -> None:
    """Messages to begin with."""
    messages = [ExportTraceServiceRequest(resource_spans=message_of(each)).SerializeToString() for each in documents()]
    messages.append(request(GENAI | {"llmcost.cost.usd": 0.0, "llmcost.usage.rule": "x"}, {"k": 1}).SerializeToString())
    for number, body in enumerate(messages):
        (folder / f"seed-{number}").write_bytes(body)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as found:
        seeds(Path(found))
        atheris.Setup([*sys.argv, "-max_len=16384", found], take)
        atheris.Fuzz()
