"""Between the application and the ledger with a spool: nothing is lost, memory is bounded, refused lines are kept."""

import logging
import os
import time
from collections import Counter
from pathlib import Path

import pytest
from keeping_ledger import URL, Ledger, delivery, files_in, kept, until

from factories import make_call
from otel_llmcost.exporters import spooled as spooled_module
from otel_llmcost.exporters.dead_letters import DeadLetters, LetterFile
from otel_llmcost.exporters.outlet import PATIENCE
from otel_llmcost.exporters.safekeeping import folder_of
from otel_llmcost.exporters.salvage import RefusesEverythingError
from otel_llmcost.exporters.spool import framed


@pytest.fixture(autouse=True)
def _fast(monkeypatch) -> None:
    monkeypatch.setattr(spooled_module, "FIRST_RETRY_S", 0.005)
    monkeypatch.setattr(spooled_module, "LONGEST_RETRY_S", 0.02)


def calls(*numbers: int) -> list:
    return [make_call(number) for number in numbers]


def dead(root: Path) -> list[LetterFile]:
    return list(DeadLetters(root / folder_of(URL), 1 << 30).files())


def test_what_is_written_reaches_the_ledger_and_leaves_no_file(tmp_path) -> None:
    """In batches of the ledger's pace, not of the writer's."""
    ledger = Ledger()
    sink = kept(ledger, delivery(tmp_path, flush_interval_ms=200))
    for number in range(40):
        sink.write(calls(number))
    assert sink.flush(5_000)
    sink.close()
    assert (list(range(40)), [], 1) == (ledger.numbers, files_in(tmp_path), ledger.closed)
    assert ledger.attempts <= 5
    assert [make_call(number) for number in range(40)] == ledger.calls


def test_an_outage_is_sat_out_on_disk_and_memory_is_freed(tmp_path, caplog) -> None:
    """Logged once when it begins, and when it is over; nothing is counted as lost."""
    ledger = Ledger()
    ledger.down = True
    sink = kept(ledger, delivery(tmp_path))
    with caplog.at_level(logging.WARNING):
        for number in range(1_000):
            sink.write(calls(number))
            if number == 100:
                until(lambda: ledger.attempts)
        waiting = list(sink._waiting)
        assert sum(len(batch.items or ()) for batch in waiting) <= 2 * 50
        assert len(files_in(tmp_path, "*.spool")) >= 1_000 // 50
        ledger.down = False
        assert sink.flush(10_000)
    sink.close()
    assert (list(range(1_000)), Counter(), []) == (ledger.numbers, ledger.counts, files_in(tmp_path))
    assert 1 == caplog.text.count("not reachable")
    assert 1 == caplog.text.count("takes lines again")


def test_what_a_process_leaves_is_delivered_by_the_next_one(tmp_path, caplog) -> None:
    """Without a call of its own, and without waiting long at the exit of the first."""
    away, back = Ledger(), Ledger()
    away.down = True
    sink = kept(away, delivery(tmp_path, shutdown_timeout_ms=60_000))
    sink.write(calls(1, 2, 3))
    started = time.monotonic()
    with caplog.at_level(logging.WARNING):
        sink.close()
    assert time.monotonic() - started < 5
    assert "the next start delivers them" in caplog.text
    heir = kept(back, delivery(tmp_path))
    until(lambda: len(back.calls) == 3)
    heir.close()
    assert ([1, 2, 3], []) == (back.numbers, files_in(tmp_path))


def test_a_ledger_that_hangs_does_not_hold_the_exit(tmp_path) -> None:
    """Its lines are still on disk, and it is not closed, which would wait too."""
    ledger = Ledger()
    ledger.write = lambda _calls: time.sleep(30)
    sink = kept(ledger, delivery(tmp_path, shutdown_timeout_ms=50))
    sink.write(calls(1))
    until(lambda: sink._in_hand)
    started = time.monotonic()
    sink.close()
    assert (True, 0) == (time.monotonic() - started < 2, ledger.closed)
    assert 1 == len(files_in(tmp_path, "*.spool"))


def test_another_ledgers_lines_are_left_alone(tmp_path) -> None:
    """One spool may serve applications with different ledgers."""
    away, other = Ledger(), Ledger()
    away.down = True
    first = kept(away, delivery(tmp_path))
    first.write(calls(1))
    first.close()
    second = kept(other, delivery(tmp_path), "clickhouse://user@elsewhere/llmcost")
    second.write(calls(2))
    assert second.flush(5_000)
    second.close()
    assert [2] == other.numbers
    assert 1 == len(files_in(tmp_path, "*.spool"))


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("clickhouse://a:secret@h/llmcost", "clickhouse://b:other@h:8123/"),
        ("clickhouses://h", "clickhouses://h:8443/llmcost"),
        ("otlp://h", "otlp://h:4317"),
    ],
)
def test_a_ledger_keeps_its_folder_whatever_its_credentials(one: str, two: str) -> None:
    """They change, and belong into no file name."""
    assert folder_of(one) == folder_of(two)
    assert "secret" not in folder_of(one)


def test_ledgers_apart_have_folders_apart() -> None:
    """Also where their names differ in characters that no file name may have."""
    urls = ("clickhouse://h/a", "clickhouse://h/b", "clickhouse://i/a", "chdb:///a/b", "chdb:///a_b", "otlp://h")
    assert len(urls) == len({folder_of(url) for url in urls})


def test_lines_that_the_ledger_refuses_are_kept_with_the_reason(tmp_path, caplog) -> None:
    """The others of their batch go through; a dead letter is counted apart, for it is not lost."""
    ledger = Ledger()
    ledger.refuses = lambda call: call.call_id[-1] in (7, 23)
    sink = kept(ledger, delivery(tmp_path))
    with caplog.at_level(logging.ERROR):
        sink.write(calls(*range(30)))
        assert sink.flush(5_000)
    sink.close()
    assert sorted(set(range(30)) - {7, 23}) == ledger.numbers
    assert Counter({"set aside": 2}) == ledger.counts
    (file,) = dead(tmp_path)
    assert ["DECIMAL_OVERFLOW (code 407)"] * 2 == [letter.reason for letter in file.letters]
    assert "2 calls are set aside" in caplog.text
    assert "pa55word" not in caplog.text + file.path.read_text()


def test_a_ledger_that_refuses_everything_is_at_fault_itself(tmp_path) -> None:
    """A wrong password costs no line: they stay in the spool, and go through once it is right."""
    ledger = Ledger()
    ledger.refuses = lambda _call: True
    sink = kept(ledger, delivery(tmp_path))
    sink.write(calls(*range(40)))
    until(lambda: ledger.attempts > 40)
    assert ([], Counter()) == (dead(tmp_path), ledger.counts)
    ledger.refuses = lambda _call: False
    assert sink.flush(5_000)
    sink.close()
    assert list(range(40)) == ledger.numbers


def test_a_lone_bad_line_is_set_aside_once_others_go_through(tmp_path) -> None:
    """It keeps nobody: batches take turns."""
    ledger = Ledger()
    ledger.refuses = lambda call: call.call_id[-1] == 0
    sink = kept(ledger, delivery(tmp_path))
    sink.write(calls(0))
    until(lambda: ledger.attempts >= 2)
    sink.write(calls(1))
    until(lambda: ledger.counts["set aside"])
    sink.close()
    assert [1] == ledger.numbers
    assert 1 == len(dead(tmp_path))


def test_damaged_records_are_set_aside_and_the_rest_goes_through(tmp_path) -> None:
    """A torn tail, a flipped bit, a line of another version."""
    away, back = Ledger(), Ledger()
    away.down = True
    sink = kept(away, delivery(tmp_path))
    sink.write(calls(1, 2, 3))
    sink.close()
    (segment,) = files_in(tmp_path, "*.spool")
    data = segment.read_bytes()
    segment.write_bytes(data.replace(b"u-17", b"u-18", 1) + framed([b'{"call_id":"x"}']) + b"0123abcd {torn")
    heir = kept(back, delivery(tmp_path))
    until(lambda: len(back.calls) == 2)
    heir.close()
    (file,) = dead(tmp_path)
    assert [2, 3] == back.numbers
    assert Counter({"set aside": 3}) == back.counts
    assert {"line", "raw"} == {letter.kind for letter in file.letters}
    assert b"0123abcd {torn" in [letter.record for letter in file.letters]


def test_a_spool_that_cannot_be_written_is_passed_by(tmp_path, caplog) -> None:
    """Lines go to the ledger at once; while it is down too, the caller keeps them."""
    (tmp_path / "spool").write_text("no directory")
    ledger = Ledger()
    sink = kept(ledger, delivery(tmp_path / "spool"))
    with caplog.at_level(logging.ERROR):
        sink.write(calls(1))
        sink.write(calls(2))
    assert [1, 2] == ledger.numbers
    assert 1 == caplog.text.count("the spool takes no lines")
    ledger.down = True
    with pytest.raises(Exception, match="nobody there"):
        sink.write(calls(3))
    sink.close()


def test_a_full_spool_is_passed_by_too(tmp_path) -> None:
    """It goes on once there is room."""
    ledger = Ledger()
    sink = kept(ledger, delivery(tmp_path, spool_max_bytes=1 << 20, flush_interval_ms=3_600_000, batch_size=5_000))
    for number in range(0, 4_000, 100):
        sink.write(calls(*range(number, number + 100)))
    assert ledger.calls
    assert sum(path.stat().st_size for path in files_in(tmp_path)) <= 1 << 20
    assert sink.flush(5_000)
    sink.close()
    assert list(range(4_000)) == ledger.numbers


def test_a_forked_child_delivers_its_own_and_the_parent_its_own(tmp_path) -> None:
    """Each line once, though both had the sink."""
    ledger = Ledger()
    sink = kept(ledger, delivery(tmp_path, flush_interval_ms=3_600_000))
    sink.write(calls(1))
    report = tmp_path / "child"
    child = os.fork()
    if child == 0:
        sink.write(calls(2))
        sink.close()
        report.write_text(repr(ledger.numbers))
        os._exit(0)
    os.waitpid(child, 0)
    sink.close()
    assert ("[2]", [1]) == (report.read_text(), ledger.numbers)


def test_a_child_that_is_killed_leaves_its_lines_to_its_siblings(tmp_path, monkeypatch) -> None:
    """Within the interval in which a process looks around, without a restart."""
    monkeypatch.setattr(spooled_module, "ADOPT_EVERY_S", 0.05)
    ledger = Ledger()
    sink = kept(ledger, delivery(tmp_path))
    child = os.fork()
    if child == 0:
        ledger.down = True
        sink.write(calls(2))
        os.kill(os.getpid(), 9)
    os.waitpid(child, 0)
    sink.write(calls(1))
    until(lambda: len(ledger.calls) == 2)
    sink.close()
    assert [1, 2] == ledger.numbers


def test_without_a_spool_refused_lines_are_dropped_with_a_count_or_kept(tmp_path) -> None:
    """The good lines of their batch go through in both cases."""
    ledger = Ledger()
    ledger.refuses = lambda call: call.call_id[-1] == 1
    kept(ledger, delivery()).write(calls(1, 2))
    assert ([2], Counter(refused=1)) == (ledger.numbers, ledger.counts)
    kept(ledger, delivery(dead_letters=str(tmp_path))).write(calls(1, 3))
    assert ([2, 3], Counter({"refused": 1, "set aside": 1})) == (ledger.numbers, ledger.counts)
    assert 1 == len(dead(tmp_path))


def test_without_a_spool_a_ledger_that_refuses_everything_is_asked_again_before_it_is_believed() -> None:
    """A password that was just changed costs no line; a bad line does not keep the others for ever."""
    ledger = Ledger()
    ledger.refuses = lambda _call: True
    sink = kept(ledger, delivery())
    for _ in range(PATIENCE):
        with pytest.raises(RefusesEverythingError):
            sink.write(calls(*range(40)))
    ledger.refuses = lambda _call: False
    sink.write(calls(*range(40)))
    assert (list(range(40)), Counter()) == (ledger.numbers, ledger.counts)
    ledger.refuses = lambda _call: True
    for _ in range(PATIENCE):
        with pytest.raises(RefusesEverythingError):
            sink.write(calls(50))
    sink.write(calls(50))
    assert Counter(refused=1) == ledger.counts
