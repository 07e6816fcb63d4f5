"""Delivery: bounded, retried, counted."""

import logging
import os
import threading
import time
from collections import Counter

import pytest

from otel_llmcost.errors import PermanentError, RetryableError
from otel_llmcost.exporters import delivery as delivery_module
from otel_llmcost.exporters.delivery import Delivery
from otel_llmcost.settings import DeliverySettings


class Ledger:
    """Takes batches; `failures` are raised in their turn first."""

    def __init__(self, *failures: Exception) -> None:
        self.batches: list[list[int]] = []
        self.attempts = 0
        self.dropped: Counter[str] = Counter()
        self._failures = list(failures)

    def handle(self, batch: list[int]) -> None:
        self.attempts += 1
        if self._failures:
            raise self._failures.pop(0)
        self.batches.append(list(batch))

    def on_dropped(self, count: int, reason: str) -> None:
        self.dropped[reason] += count

    @property
    def items(self) -> list[int]:
        return [item for batch in self.batches for item in batch]


@pytest.fixture(autouse=True)
def _fast_retries(monkeypatch) -> None:
    monkeypatch.setattr(delivery_module, "FIRST_RETRY_S", 0.001)
    monkeypatch.setattr(delivery_module, "LONGEST_RETRY_S", 0.01)


def make(ledger: Ledger, **settings: int) -> Delivery[int]:
    defaults = {"flush_interval_ms": 5, "batch_size": 10, "shutdown_timeout_ms": 2_000}
    return Delivery(ledger.handle, DeliverySettings(**{**defaults, **settings}), ledger.on_dropped)


def test_items_arrive_once_in_order_and_in_batches() -> None:
    """Nothing more than the batch size at a time."""
    ledger = Ledger()
    delivery = make(ledger)
    for item in range(95):
        delivery.put(item)
    delivery.shutdown()
    assert list(range(95)) == ledger.items
    assert max(len(batch) for batch in ledger.batches) <= 10


def test_a_lone_item_is_delivered_within_the_flush_interval() -> None:
    """Without a full batch, without a flush."""
    ledger = Ledger()
    delivery = make(ledger)
    delivery.put(1)
    deadline = time.monotonic() + 5
    while not ledger.items and time.monotonic() < deadline:
        time.sleep(0.005)
    assert [1] == ledger.items
    delivery.shutdown()


def test_a_transient_error_is_retried_with_the_same_batch(caplog) -> None:
    """Logged once, nothing dropped."""
    ledger = Ledger(*[RetryableError("down")] * 5)
    delivery = make(ledger)
    with caplog.at_level(logging.ERROR):
        for item in range(25):
            delivery.put(item)
        delivery.shutdown()
    assert (list(range(25)), Counter()) == (ledger.items, ledger.dropped)
    assert 1 == len(caplog.records)


def test_a_refused_batch_is_counted_and_the_next_one_goes_through(caplog) -> None:
    """A permanent error, or one that nobody expected."""
    ledger = Ledger(PermanentError("no such column"), ValueError("a secret prompt"))
    delivery = make(ledger)
    with caplog.at_level(logging.ERROR):
        for item in range(30):
            delivery.put(item)
        delivery.shutdown()
    assert (list(range(20, 30)), Counter(refused=10, failed=10)) == (ledger.items, ledger.dropped)
    assert "no such column" in caplog.text
    assert "secret" not in caplog.text


def test_a_full_queue_counts_what_it_cannot_keep_and_never_blocks(caplog) -> None:
    """The application goes on at its own pace."""
    release = threading.Event()
    ledger = Ledger()
    handle = ledger.handle
    ledger.handle = lambda batch: (release.wait(5), handle(batch))
    delivery = make(ledger, queue_size=20)
    with caplog.at_level(logging.ERROR):
        for item in range(100):
            delivery.put(item)
    release.set()
    delivery.shutdown()
    assert 100 == len(ledger.items) + ledger.dropped["queue_full"]
    assert ledger.dropped["queue_full"] >= 60
    assert 1 == len(caplog.records)


def test_a_ledger_that_stays_away_ends_with_the_application_and_a_count() -> None:
    """Shutdown waits as long as it is told to, not longer; every item is accounted for."""
    ledger = Ledger(*[RetryableError("down")] * 100_000)
    delivery = make(ledger, shutdown_timeout_ms=100)
    for item in range(35):
        delivery.put(item)
    started = time.monotonic()
    delivery.shutdown()
    assert time.monotonic() - started < 2
    assert ([], 35) == (ledger.items, sum(ledger.dropped.values()))


def test_a_batch_that_the_ledger_never_answers_for_is_counted() -> None:
    """Shutdown does not wait for it, and says that the ledger is not at rest."""
    release = threading.Event()
    ledger = Ledger()
    ledger.handle = lambda _batch: release.wait(30)
    delivery = make(ledger, shutdown_timeout_ms=50)
    for item in range(7):
        delivery.put(item)
    assert not delivery.shutdown()
    assert Counter(shut_down=7) == ledger.dropped
    release.set()


def test_after_shutdown_items_are_counted_as_dropped() -> None:
    """And a second shutdown does nothing."""
    ledger = Ledger()
    delivery = make(ledger)
    delivery.shutdown()
    delivery.put(1)
    delivery.shutdown()
    assert Counter(shut_down=1) == ledger.dropped


def test_flush_waits_for_what_is_queued() -> None:
    """True when all is delivered, False when the time ran out."""
    release = threading.Event()
    ledger = Ledger()
    handle = ledger.handle
    ledger.handle = lambda batch: (release.wait(5), handle(batch))
    delivery = make(ledger, flush_interval_ms=60_000)
    delivery.put(1)
    assert not delivery.flush(30)
    release.set()
    assert delivery.flush(5_000)
    assert [1] == ledger.items
    delivery.shutdown()


def test_a_forked_child_delivers_its_own_items_only(tmp_path) -> None:
    """What waited at the fork is the parent's; the child has a thread of its own."""
    ledger = Ledger()
    delivery = make(ledger, flush_interval_ms=60_000)
    delivery.put(1)
    report = tmp_path / "child"
    child = os.fork()
    if child == 0:
        delivery.put(2)
        delivery.shutdown()
        report.write_text(repr(ledger.items))
        os._exit(0)
    os.waitpid(child, 0)
    delivery.shutdown()
    assert ("[2]", [1]) == (report.read_text(), ledger.items)


def test_many_threads_lose_nothing() -> None:
    """Every item once, whoever put it."""
    ledger = Ledger()
    delivery = make(ledger, batch_size=100)
    threads = [
        threading.Thread(target=lambda base=base: [delivery.put(base + i) for i in range(1_000)])
        for base in range(0, 8_000, 1_000)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    delivery.shutdown()
    assert list(range(8_000)) == sorted(ledger.items)
