"""Records the spans that an emitter makes of calls to the loopback provider, as a golden file."""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from provider import ANSWER, PROMPT, Provider, Sale
from wire_server import serving

GOLDEN = Path(__file__).parents[1] / "golden"
BEGAN_NS = 1_795_392_000 * 10**9
"""When the first span of every recording starts."""
CONTENT = "[content]"
MAX_TEXT = 400
"""A longer text is content; usage details and ids are shorter."""
RESOURCE = {"service.name": "shop"}

Raw = dict[str, Any]
"""A span as its SDK gave it: scope, name, kind, trace_id, span_id, parent_id, start_ns, end_ns, failed, attributes."""


class Recorder:
    """One per process: a tracer provider with its spans in memory, and the provider that is called."""

    def __init__(self) -> None:
        from opentelemetry import trace
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        self.server = Provider()
        self.exporter = InMemorySpanExporter()
        self.tracing = TracerProvider(resource=Resource(RESOURCE))
        self.nowhere = InMemorySpanExporter()
        self.processor = SimpleSpanProcessor(self.exporter)
        self.tracing.add_span_processor(self.processor)
        trace.set_tracer_provider(self.tracing)

    @property
    def origin(self) -> str:
        return self.server.origin

    @contextmanager
    def scenario(
        self, emitter: str, package: str, name: str, line: str | Callable[[Raw], bool], **truth: Any
    ) -> Iterator[None]:
        """Record what happens in the block. `line`: the name of the spans that are lines, as a pattern, or a test.

        `truth`: see `write`.
        """
        self.exporter.clear()
        self.server.sales.clear()
        self.server.seed = f"{emitter} {name}"
        yield
        self.tracing.force_flush()
        spans = [_raw(span) for span in self.exporter.get_finished_spans()]
        package = f"{package}=={version(package)}"
        write(emitter, package, name, line, spans, self.server.sales, self.server.server_port, **truth)


@contextmanager
def recording() -> Iterator[Recorder]:
    recorder = Recorder()
    with serving(recorder.server):
        yield recorder


def write(
    emitter: str,
    package: str,
    scenario: str,
    line: str | Callable[[Raw], bool],
    spans: Sequence[Raw],
    sales: Sequence[Sale],
    port: int,
    *,
    lost: Sequence[str] = (),
    who: Mapping[str, str] | None = None,
    **truth: Any,
) -> None:
    """Write the golden file. `lost`: buckets that the emitter drops from its totals; `who`: ids of every line.

    What else a line does not tell is seen from its attributes: the counts, models and ids are all different. `truth`
    overrides what the sales say; `told_wrong`: buckets that the emitter miscounts, as it tells them.
    """
    spans = _normalised(f"{emitter} {scenario}", spans, port)
    is_line = line if callable(line) else lambda span: re.fullmatch(line, span["name"]) is not None
    told = [index for index, span in enumerate(spans) if is_line(span)]
    if len(told) != len(sales):
        names = [(span["scope"], span["name"], span["attributes"]) for span in spans]
        raise SystemExit(
            f"{emitter} {scenario}: {len(told)} lines for {len(sales)} sales\n{json.dumps(names, indent=1)}"
        )
    lines = [_line(index, spans[index], sale, lost, truth) for index, sale in zip(told, sales, strict=True)]
    document = {
        "emitter": emitter,
        "package": package,
        "hand_built": False,
        "scenario": scenario,
        "lines": [each | dict(who or {}) for each in lines],
        "resource": RESOURCE,
        "spans": spans,
    }
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    for word in (ANSWER, PROMPT, "/tmp/", "/root", "site-packages"):
        if word in text:
            raise SystemExit(f"{emitter} {scenario}: {word!r} is in the recording")
    GOLDEN.mkdir(exist_ok=True)
    (GOLDEN / f"{emitter}-{scenario}.json").write_text(text)
    print(f"{emitter}-{scenario}: {len(spans)} spans, {len(lines)} lines, untold {[each['untold'] for each in lines]}")


def _line(index: int, span: Raw, sale: Sale, lost: Sequence[str], truth: Mapping[str, Any]) -> dict[str, Any]:
    text = json.dumps(span["attributes"])
    untold = [name for name in ("model", "response_id") if getattr(sale, name) and getattr(sale, name) not in text]
    untold += [name for name, count in sale.buckets.items() if name in _SPLIT and not re.search(rf"\b{count}\b", text)]
    return {
        "span": index,
        "provider": sale.provider,
        "model": sale.model,
        "response_id": sale.response_id,
        "buckets": {name: count for name, count in sale.buckets.items() if name not in lost},
        "untold": [name for name in untold if name not in lost],
        "lost": list(lost),
    } | dict(truth)


_SPLIT = ("cache_read", "cache_write", "reasoning")
"""Parts that an emitter may leave in the total."""


def _raw(span: Any) -> Raw:
    context = span.get_span_context()
    return {
        "scope": span.instrumentation_scope.name,
        "name": span.name,
        "kind": span.kind.name,
        "trace_id": f"{context.trace_id:032x}",
        "span_id": f"{context.span_id:016x}",
        "parent_id": f"{span.parent.span_id:016x}" if span.parent else "",
        "start_ns": span.start_time,
        "end_ns": span.end_time,
        "failed": span.status.status_code.name == "ERROR",
        "attributes": dict(span.attributes or {}),
    }


def _normalised(seed: str, spans: Sequence[Raw], port: int) -> list[Raw]:
    """In order of their start, with ids and times that do not change from recording to recording, without content."""
    spans = sorted(spans, key=lambda span: (span["start_ns"], -span["end_ns"]))
    first_ns = min((span["start_ns"] for span in spans), default=0)
    ids: dict[str, str] = {"": ""}
    for span in spans:
        for key in ("trace_id", "span_id", "parent_id"):
            ids.setdefault(span[key], hashlib.sha256(f"{seed} {len(ids)}".encode()).hexdigest()[: len(span[key])])
    found = []
    for span in spans:
        times = {key: BEGAN_NS + (span[key] - first_ns) // 1_000_000 * 1_000_000 for key in ("start_ns", "end_ns")}
        named = {key: ids[span[key]] for key in ("trace_id", "span_id", "parent_id")}
        attributes = {key: _clean(value, port, key) for key, value in sorted(span["attributes"].items())}
        found.append({**span, **named, **times, "name": _clean(span["name"], port), "attributes": attributes})
    return found


def _clean(value: Any, port: int, key: str = "") -> Any:
    """The value without content, and without the port of this run."""
    if isinstance(value, list | tuple):
        return [_clean(item, port) for item in value]
    if isinstance(value, str):
        hidden = (len(value) > MAX_TEXT and "usage" not in key) or any(word in value for word in (PROMPT, ANSWER))
        return CONTENT if hidden else value.replace(f"127.0.0.1:{port}", "127.0.0.1:8000")
    return 8000 if value == port and not isinstance(value, bool) else value
