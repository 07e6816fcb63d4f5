"""Refreshed data of the price book, from a server that may do anything."""

import copy
import hashlib
import json
import logging
import os
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from overlay_books import a_call, mtok

from otel_llmcost.call import Bucket
from otel_llmcost.errors import InputError
from otel_llmcost.exporters.metrics import CallMetrics
from otel_llmcost.pipeline import Pipeline
from otel_llmcost.pricing import price_call
from otel_llmcost.pricing import refresh as refresh_module
from otel_llmcost.pricing.configured import as_of_s, configured_book, refreshing
from otel_llmcost.pricing.refresh import Floor, Refresher, data_as_of_s, fetch_data, kept_data, parse_data
from otel_llmcost.settings import PriceSettings, RefreshSettings, Settings


def model(name: str, usd: float, **more: object) -> dict[str, object]:
    return {"id": name, "match": {"equals": name}, "prices": {"input_mtok": usd, "output_mtok": 2 * usd}, **more}


DATA = [
    {"id": "openai", "name": "OpenAI", "api_pattern": "api.openai.com", "models": [model("gpt-4o", 7.5), model("x", 1)]}
]
RAW = json.dumps(DATA).encode()
FLOOR = Floor(models=2)

Answer = Callable[[BaseHTTPRequestHandler], None]


@pytest.fixture
def answers() -> Iterator[tuple[str, list[Answer]]]:
    """A server's URL, and what it answers: the last of the list."""
    scripted: list[Answer] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            scripted[-1](self)

        def log_message(self, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            pass  # the client went away, as it should

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=socketserver.BaseServer.serve_forever, args=(server, 0.02))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/data.json", scripted
    server.shutdown()
    server.server_close()
    thread.join()


def body(raw: bytes, status: int = 200, length: int | None = None) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(raw) if length is None else length))
        handler.end_headers()
        handler.wfile.write(raw)

    return answer


def drip(handler: BaseHTTPRequestHandler) -> None:
    """A byte now and then, for ever."""
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.05)


def hang(handler: BaseHTTPRequestHandler) -> None:
    """Nothing at all."""
    time.sleep(3)


def flood(handler: BaseHTTPRequestHandler) -> None:
    """More than anybody wants."""
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(b" " * 1_000_000)


def test_new_data_is_used_and_kept(answers, tmp_path) -> None:
    """Prices change at once, with the overlay as it was; the next start begins with them."""
    url, scripted = answers
    scripted.append(body(RAW))
    overlay = tmp_path / "p.yaml"
    overlay.write_text("discounts: [{id: d, from: 2026-01-01, percent_off: 50}]")
    keep = tmp_path / "kept" / "data.json"
    prices = PriceSettings(
        overlays=[str(overlay)], refresh=RefreshSettings(source=url, keep=str(keep), min_models_percent=1)
    )
    pipeline = Pipeline.from_settings(Settings(prices=prices))
    call = a_call({Bucket.INPUT: 1_000})
    assert mtok("1.25", 1_000) == price_call(call, pipeline.book).effective.total_usd
    refresher = Refresher(prices.refresh, FLOOR, refreshing(pipeline, Settings(prices=prices))._use)
    assert "new" == refresher.look()
    cost = price_call(call, pipeline.book)
    assert mtok("3.75", 1_000) == cost.effective.total_usd
    assert cost.price_book.startswith(f"genai-prices-data-{hashlib.sha256(RAW).hexdigest()[:12]}+overlays-")
    assert RAW == keep.read_bytes()
    assert [keep] == list(keep.parent.iterdir())
    assert "unchanged" == refresher.look()
    kept = kept_data(prices.refresh, FLOOR)
    assert pipeline.book.version.startswith(kept.version)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (body(b"{not json"), "is no JSON"),
        (body(RAW[:-20]), "is no JSON"),
        (body(RAW[:-20], length=len(RAW)), "source"),
        (body(b"[]"), "has 0 models; fewer than 2"),
        (body(b'{"error": "no"}'), "is no list of sellers"),
        (body(b'[{"id": 1}]'), "is not the data of a price book"),
        (body(RAW.replace(b"7.5", b"-7.5")), "holds a price that is none"),
        (body(RAW, 500), "answered HTTP 500"),
        (body(b"<html>", 404), "answered HTTP 404"),
        (flood, "is larger than"),
        (drip, "cannot be read: TimeoutError"),
        (hang, "cannot be read"),
    ],
)
def test_whatever_goes_wrong_the_last_good_data_stays(answers, tmp_path, monkeypatch, caplog, answer, says) -> None:
    """Half a file, an error page, an emptied list, a hanging or flooding server: said once, counted each time."""
    url, scripted = answers
    monkeypatch.setattr(refresh_module, "MAX_BYTES", 5_000_000)
    settings = RefreshSettings(source=url, keep=str(tmp_path / "kept.json"), timeout_s=1)
    used: list[str] = []
    refresher = Refresher(settings, FLOOR, lambda data: used.append(data.version))
    scripted.append(body(RAW))
    assert "new" == refresher.look()
    scripted.append(answer)
    with caplog.at_level(logging.WARNING):
        assert ["failed", "failed"] == [refresher.look(), refresher.look()]
    (record,) = caplog.records
    assert says in record.message
    assert url not in record.message
    assert (1, RAW, 2) == (len(used), (tmp_path / "kept.json").read_bytes(), refresher.results["failed"])
    scripted.append(body(RAW))
    assert "unchanged" == refresher.look()


def test_nobody_listens(caplog) -> None:
    """Nor a file that is not there."""
    for source in ("http://127.0.0.1:9/x.json", "/nonexistent/prices.json"):
        assert "failed" == Refresher(RefreshSettings(source=source, timeout_s=1), FLOOR, pytest.fail).look()
    assert 2 == len(caplog.records)


def test_a_file_is_a_source_too(tmp_path) -> None:
    """A copy that someone brings."""
    (tmp_path / "data.json").write_bytes(RAW)
    assert RAW == fetch_data(str(tmp_path / "data.json"), 1)


def test_only_the_data_that_was_pinned_is_taken() -> None:
    """By its SHA-256."""
    digest = hashlib.sha256(RAW).hexdigest()
    assert f"genai-prices-data-{digest[:12]}" == parse_data(RAW, FLOOR, digest, 0).version
    with pytest.raises(InputError, match=f"has SHA-256 {digest}, not the one"):
        parse_data(RAW, FLOOR, "0" * 64, 0)


def test_old_data_does_not_replace_newer() -> None:
    """A copy that nobody renewed, or one kept from before an upgrade."""
    newer = copy.deepcopy(DATA)
    dated = [{"prices": {"input_mtok": 1}}, {"constraint": {"start_date": "2026-05-01"}, "prices": {"input_mtok": 2}}]
    newer[0]["models"][0]["prices"] = dated
    data = parse_data(json.dumps(newer).encode(), FLOOR, "", 0)
    now_s = data_as_of_s(data.snapshot, 1_790_000_000)
    assert 1_777_593_600 == now_s  # 2026-05-01
    floor = Floor.of(data.snapshot, RefreshSettings(), 1_790_000_000)
    assert 1 == floor.models
    with pytest.raises(InputError, match="is older than the data in use"):
        parse_data(RAW, floor, "", 0)


def test_kept_data_that_is_broken_is_told_and_not_used(tmp_path, caplog) -> None:
    """The bundled book is used then; a file that is not there is no news."""
    keep = tmp_path / "kept.json"
    settings = Settings(prices=PriceSettings(refresh=RefreshSettings(source="genai-prices", keep=str(keep))))
    assert configured_book(settings).version.startswith("genai-prices-0")
    assert [] == caplog.records
    keep.write_bytes(b"[")
    assert configured_book(settings).version.startswith("genai-prices-0")
    assert "kept price data is not used: is no JSON" in caplog.text


def wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_it_looks_in_the_background_and_in_a_forked_child(tmp_path) -> None:
    """The thread of the parent is not in the child; its own is."""
    source = tmp_path / "data.json"
    source.write_bytes(RAW)
    refresher = Refresher(RefreshSettings(source=str(source)), FLOOR, lambda data: None)
    refresher.start()
    wait_until(lambda: refresher.results["new"] == 1)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            wait_until(lambda: refresher.results["unchanged"] == 1)
            code = 0
        finally:
            os._exit(code)
    assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    began = time.monotonic()
    refresher.stop()
    assert time.monotonic() - began < 1
    assert 1 == refresher.results.total()


def test_stopping_does_not_wait_for_a_hanging_server(answers, monkeypatch) -> None:
    """The thread is a daemon and is left behind."""
    monkeypatch.setattr(refresh_module, "STOP_WAIT_S", 0.1)
    url, scripted = answers
    scripted.append(hang)
    refresher = Refresher(RefreshSettings(source=url, timeout_s=2), FLOOR, lambda data: None)
    refresher.start()
    began = time.monotonic()
    refresher.stop()
    assert time.monotonic() - began < 1


def test_the_age_of_the_book_and_failed_looks_are_metrics() -> None:
    """llmcost.price_book.age in seconds; llmcost.price_book.refreshes by result."""
    reader = InMemoryMetricReader()
    metrics = CallMetrics((), MeterProvider([reader]))
    book = configured_book(Settings())
    now_s = time.time()
    metrics.watch_price_book(lambda: now_s - as_of_s(book, now_s))
    metrics.refreshed("failed")
    found = {
        metric.name: (metric.unit, point.value, dict(point.attributes))
        for resource in reader.get_metrics_data().resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
    }
    assert ("s", now_s - data_as_of_s(book.snapshot, now_s), {}) == found["llmcost.price_book.age"]
    assert ("{refresh}", 1, {"result": "failed"}) == found["llmcost.price_book.refreshes"]
    book.as_of_s = now_s - 60
    assert 60 == now_s - as_of_s(book, now_s)


@pytest.mark.parametrize("source", ["ftp://host/x", "file:///etc/passwd", ""])
def test_other_schemes_are_no_source(source: str) -> None:
    """http and https, or a path."""
    with pytest.raises(ValueError, match="must be off, genai-prices"):
        RefreshSettings(source=source)


def test_refreshing_is_off_by_default() -> None:
    """Nothing is fetched that nobody asked for."""
    pipeline = Pipeline.from_settings(Settings())
    assert refreshing(pipeline, Settings()) is None
