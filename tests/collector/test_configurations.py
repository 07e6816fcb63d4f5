"""Every configuration in a real Collector: the recorded spans in, what each of its outputs gets out.

`collector-config/input.json` goes in, `collector-config/<name>/expected.json` has to come out. LLMCOST_UPDATE=1 writes
the expected files anew; look at what changed.
"""

import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

from collector.processes import (
    CONFIG_DIRECTORY,
    SETTLED_S,
    Sink,
    clean_environment,
    free_port,
    path_with_python,
    running,
    running_stage,
    serving,
)
from collector.traces_table import PASSWORD, running_clickhouse
from collector.traces_table import variables as clickhouse_variables
from otel_llmcost.pricing import PriceBook
from polling import wait_until
from up_process import Up, connect

INPUT = CONFIG_DIRECTORY / "input.json"
CONFIGS = sorted(path.parent.name for path in CONFIG_DIRECTORY.glob("*/config.yaml"))
OUTPUTS = ("BACKEND_ENDPOINT", "LLMCOST_ENDPOINT", "GATEWAY_ENDPOINT")
"""Variables that name where a configuration sends to."""
PORTS = ("OTLP_GRPC_ENDPOINT", "OTLP_HTTP_ENDPOINT", "HEALTH_ENDPOINT", "METRICS_PORT")
"""Variables that name where it listens."""


class Running:
    """A configuration that runs, and its surroundings."""

    def __init__(self, outputs: dict[str, Sink], ports: dict[str, int], up: Up | None) -> None:
        self.outputs = outputs
        self.ports = ports
        self.up = up

    def take(self, document: bytes) -> None:
        """Send as OTLP/JSON."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.ports['OTLP_HTTP_ENDPOINT']}/v1/traces",
            document,
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            assert 200 == response.status

    def told(self) -> dict[str, list[Any]]:
        """What came out, by output; `otel_traces` is the table that the ClickHouse exporter writes to."""
        found = {name: readable(sink.received) for name, sink in self.outputs.items()}
        if self.up is not None:
            found["otel_traces"] = self.rows()
        return found

    def count(self) -> dict[str, int]:
        return {name: len(entries) for name, entries in self.told().items()}

    def rows(self) -> list[Any]:
        assert self.up is not None
        sql = (
            "SELECT ServiceName, SpanName, SpanAttributes['llmcost.cost.usd'], SpanAttributes['llmcost.cost.status']"
            " FROM otel.otel_traces ORDER BY ALL"
        )
        with connect(self.up, password=PASSWORD) as client:
            return [list(row) for row in client.query(sql).result_rows]


@contextmanager
def configured(command: Sequence[object], config: Path, directory: Path, **environ: str) -> Iterator[Running]:
    """A Collector with a configuration of ours, every endpoint on a port of this test, the stage where it has one."""
    text = config.read_text()
    with ExitStack() as stack:
        up = None
        outputs = {variable: Sink() for variable in OUTPUTS if variable in text}
        variables = {v: f"127.0.0.1:{stack.enter_context(serving(sink))}" for v, sink in outputs.items()}
        ports = {variable: free_port() for variable in PORTS if variable in text}
        variables |= {v: str(port) if v.endswith("PORT") else f"127.0.0.1:{port}" for v, port in ports.items()}
        for variable in ("QUEUE_DIRECTORY", "LLMCOST_QUEUE_DIRECTORY"):
            variables[variable] = str(directory / "queue")
        if "STAGE_ENDPOINT" in text:
            priced = free_port()
            stage = stack.enter_context(running_stage(directory, "--next-hop", f"otlp://127.0.0.1:{priced}"))
            variables |= {"STAGE_ENDPOINT": f"127.0.0.1:{stage}", "PRICED_ENDPOINT": f"127.0.0.1:{priced}"}
        if "CLICKHOUSE_ENDPOINT" in text:
            up = stack.enter_context(running_clickhouse(directory))
            variables |= clickhouse_variables(up)
        stack.enter_context(
            running(command, directory / "otelcol.log", [*ports.values()], clean_environment(**(variables | environ)))
        )
        yield Running(outputs, ports, up)


def readable(received: list[ResourceSpans]) -> list[Any]:
    """What came, in an order of its own: one entry per span, with its resource and scope."""
    found = []
    for resource_spans in received:
        resource = _plain(MessageToDict(resource_spans.resource))
        for scope_spans in resource_spans.scope_spans:
            scope = _plain(MessageToDict(scope_spans.scope))
            for span in scope_spans.spans:
                fields = _plain(MessageToDict(span)) | {"traceId": span.trace_id.hex(), "spanId": span.span_id.hex()}
                if span.parent_span_id:
                    fields["parentSpanId"] = span.parent_span_id.hex()
                found.append({"resource": resource, "scope": scope, "span": fields})
    return sorted(found, key=lambda entry: (entry["span"]["traceId"], entry["span"]["spanId"]))


def _plain(message: Any) -> Any:
    """Attributes as a mapping; the version of the price book, which changes with every release, as a word."""
    if isinstance(message, dict):
        pairs = message.pop("attributes", None)
        plain = {key: _plain(value) for key, value in message.items()}
        if pairs is not None:
            plain["attributes"] = dict(sorted((pair["key"], _value(pair["value"])) for pair in pairs))
        return plain
    if isinstance(message, list):
        return [_plain(item) for item in message]
    return "(the book's version)" if message == PriceBook.bundled().version else message


def _value(value: dict[str, Any]) -> Any:
    ((kind, plain),) = value.items()
    if kind == "arrayValue":
        return [_value(item) for item in plain.get("values", [])]
    return int(plain) if kind == "intValue" else _plain(plain)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_configuration_is_valid_as_it_stands(otelcol: Path, name: str) -> None:
    """With every default, and nothing to warn of."""
    command = [otelcol, "validate", "--config", CONFIG_DIRECTORY / name / "config.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=clean_environment())

    assert (0, "") == (done.returncode, done.stderr)


@pytest.mark.parametrize("name", CONFIGS)
def test_what_comes_out_is_what_is_expected(otelcol: Path, name: str, tmp_path: Path) -> None:
    """Every span of every output, field by field."""
    config = CONFIG_DIRECTORY / name / "config.yaml"
    # Every trace is judged at once, and those that are kept by chance are the same in every run.
    environ = {"SAMPLING_WAIT": "1s", "SPAN_METRICS_INTERVAL": "500ms"}
    with configured([otelcol, "--config", config], config, tmp_path, **environ) as collector:
        check(collector, config.parent / "expected.json")
        if "span_metrics" in config.read_text():
            spans = INPUT.read_text().count('"spanId"')
            total = collector.outputs["BACKEND_ENDPOINT"].metrics.total
            wait_until(lambda: total("llm.calls") == spans)  # all of them, whatever was sampled out


def test_what_comes_out_of_rotel_is_what_is_expected(rotel_agent: Path, tmp_path: Path) -> None:
    """Started as its script starts it."""
    script = CONFIG_DIRECTORY / "rotel" / "start.sh"
    environ = {"ROTEL_AGENT": str(rotel_agent), "PID_FILE": str(tmp_path / "pid"), "PATH": path_with_python()}
    with configured([script], script, tmp_path, **environ) as collector:
        check(collector, script.parent / "expected.json")


def check(collector: Running, path: Path) -> None:
    """Send the recorded spans, and compare what comes out with the file, or write it."""
    update = os.environ.get("LLMCOST_UPDATE") == "1"
    collector.take(INPUT.read_bytes())
    if update:
        time.sleep(5)
        path.write_text(json.dumps(collector.told(), indent=1, sort_keys=True) + "\n")
    expected = json.loads(path.read_text())
    counts = {output: len(entries) for output, entries in expected.items()}
    with suppress(TimeoutError):  # what is missing shows below
        wait_until(lambda: collector.count() == counts, 15)
    time.sleep(SETTLED_S)
    assert expected == collector.told()
