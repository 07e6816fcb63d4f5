"""The spool: what was appended is there once more after any crash, and nothing else is."""

import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_llmcost.exporters import spool as spool_module
from otel_llmcost.exporters.spool import Spool, SpoolFullError, framed, unframed, used_bytes

ROOM = 1 << 30

RECORDS = st.lists(st.binary(max_size=60).map(lambda data: data.replace(b"\n", b"")), max_size=8)


def records_of(spool: Spool) -> list[bytes]:
    return [record for segment in spool.adopt() for record in segment.read().records]


def crash(spool: Spool) -> None:
    """What the kernel does for a process that is gone: its descriptors are closed, nothing else happens."""
    spool._leave_to_parent()


@given(RECORDS, st.data())
def test_a_file_that_is_cut_anywhere_gives_whole_records_only(records: list[bytes], data: st.DataObject) -> None:
    """Those before the cut, and the rest of the one it went through is told apart."""
    whole = framed(records)
    cut = data.draw(st.integers(0, len(whole)))
    found = unframed(whole[:cut])
    assert records[: len(found.records)] == found.records
    assert len(framed(found.records)) + sum(len(raw) for raw, _ in found.damaged) == cut
    assert len(found.damaged) <= 1


@given(RECORDS.filter(bool), st.data())
def test_a_changed_byte_costs_the_record_it_is_in(records: list[bytes], data: st.DataObject) -> None:
    """Its neighbours are read; nothing that was never written is."""
    whole = bytearray(framed(records))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    found = unframed(bytes(whole))
    assert not Counter(found.records) - Counter(records)
    assert len(found.records) >= len(records) - 2  # a lost line break joins two
    assert found.damaged


class Crashing:
    """Writers that come, append, are cut off and die in any order; beside it, what must be there."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.spool = Spool(directory, ROOM, sync=False)
        self.durable: list[bytes] = []
        self.delivered: list[bytes] = []
        self.number = 0

    def append(self, count: int) -> None:
        records = [b"%d" % (self.number + i) for i in range(count)]
        self.number += count
        self.spool.append(records)
        self.durable += records

    def deliver(self, *, removed: bool) -> None:
        """`removed`: else the writer dies between the ledger's acknowledgement and the removal."""
        segment = self.spool.seal()
        if segment is not None:
            self.delivered += segment.read().records
            if removed:
                segment.remove()

    def die(self, torn: int) -> None:
        """In the middle of an append, of which `torn` bytes came to the disk."""
        path = self.spool._open.path if self.spool._open else None
        crash(self.spool)
        if path is not None:
            with path.open("ab") as file:
                file.write(framed([b"never acknowledged"])[:torn])
        self.spool = Spool(self.directory, ROOM, sync=False)

    def adopt(self, *, removed: bool) -> None:
        for segment in self.spool.adopt():
            self.delivered += segment.read().records
            if removed:
                segment.remove()


ACTIONS = st.one_of(
    st.tuples(st.just("append"), st.integers(1, 5)),
    st.tuples(st.just("deliver"), st.booleans()),
    st.tuples(st.just("die"), st.integers(0, 25)),
    st.tuples(st.just("adopt"), st.booleans()),
)


@settings(max_examples=80, deadline=None)
@given(st.lists(ACTIONS, max_size=30))
def test_any_order_of_appends_deliveries_deaths_and_adoptions_loses_nothing(
    actions: list[tuple[str, int | bool]],
) -> None:
    """Everything that append returned for is delivered, at least once; nothing that it did not return for is."""
    with tempfile.TemporaryDirectory() as directory:
        world = Crashing(Path(directory))
        for name, value in actions:
            if name == "append":
                world.append(int(value))
            elif name == "deliver":
                world.deliver(removed=bool(value))
            elif name == "die":
                world.die(int(value))
            else:
                world.adopt(removed=bool(value))
        world.die(0)
        world.adopt(removed=True)
        assert set(world.durable) == set(world.delivered)
        world.spool.release()
        assert 0 == used_bytes(Path(directory))


def test_a_living_writers_segments_are_its_own(tmp_path) -> None:
    """Its open one, and those that wait for the ledger."""
    first, second = Spool(tmp_path, ROOM), Spool(tmp_path, ROOM)
    first.append([b"1"])
    first.seal()
    first.append([b"2"])
    assert [] == second.adopt()
    crash(first)
    assert [b"1", b"2"] == records_of(second)


def test_a_writer_whose_lock_file_was_cleaned_away_keeps_its_open_segment(tmp_path) -> None:
    """Else what it appends next would vanish with the file that another one delivers."""
    first, second = Spool(tmp_path, ROOM), Spool(tmp_path, ROOM)
    first.append([b"1"])
    next(tmp_path.glob("*.lock")).unlink()
    assert [] == second.adopt()
    first.append([b"2"])
    crash(first)
    assert [b"1", b"2"] == records_of(second)


def test_a_dead_writers_segments_are_adopted_by_one_of_many(tmp_path) -> None:
    """Eight processes at once; every segment has one of them as its owner."""
    for _ in range(20):
        dead = Spool(tmp_path, ROOM, sync=False)
        dead.append([os.urandom(4).hex().encode()])
        crash(dead)
    code = (
        "import sys; from pathlib import Path; from otel_llmcost.exporters.spool import Spool\n"
        "spool = Spool(Path(sys.argv[1]), 1 << 30); print('ready', flush=True); input()\n"
        "print(*(s.read().records[0].decode() for s in spool.adopt()), flush=True); input()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    pipe = subprocess.PIPE
    adopters = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(8)]
    for adopter in adopters:
        adopter.stdout.readline()
    for adopter in adopters:
        print(file=adopter.stdin, flush=True)
    found = [record for adopter in adopters for record in adopter.stdout.readline().split()]
    for adopter in adopters:
        adopter.communicate("\n")
    assert (20, 20) == (len(found), len(set(found)))


def test_a_forked_child_has_a_segment_of_its_own_and_keeps_no_lock_of_its_parent(tmp_path) -> None:
    """When the parent is gone its lines are adopted, whatever became of the child."""
    spool = Spool(tmp_path, ROOM)
    spool.append([b"parent"])
    (read, write), (ready, tell) = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.close(write)
        spool.append([b"child"])
        os.write(tell, b"!")
        os.read(read, 1)  # lives until the pipe is closed
        os._exit(0)
    os.read(ready, 1)
    crash(spool)
    heir = Spool(tmp_path, ROOM)
    assert [b"parent"] == records_of(heir)
    os.close(write)
    os.waitpid(child, 0)
    assert [b"child"] == records_of(heir)


def test_a_full_spool_takes_nothing_until_there_is_room(tmp_path) -> None:
    """It says so, and never holds more bytes than it may."""
    spool = Spool(tmp_path, 1_000)
    spool.append([b"x" * 800])
    with pytest.raises(SpoolFullError, match="full"):
        spool.append([b"y" * 800])
    segment = spool.seal()
    assert [b"x" * 800] == segment.read().records
    segment.remove()
    spool.append([b"y" * 800])
    assert [b"y" * 800] == spool.seal().read().records


def test_a_disk_that_fails_in_the_middle_leaves_no_half_record(tmp_path, monkeypatch) -> None:
    """What was written of it is cut off again; the next append is whole."""
    spool = Spool(tmp_path, ROOM)
    spool.append([b"before"])
    write = os.write

    def no_space(file: int, data: bytes) -> int:
        monkeypatch.setattr(spool_module.os, "write", lambda *_: (_ for _ in ()).throw(OSError(28, "no space")))
        return write(file, bytes(data)[:5])

    monkeypatch.setattr(spool_module.os, "write", no_space)
    with pytest.raises(OSError, match="no space"):
        spool.append([b"lost"])
    monkeypatch.undo()
    spool.append([b"after"])
    found = spool.seal().read()
    assert ([b"before", b"after"], []) == (found.records, found.damaged)


def test_nobody_else_may_read_it(tmp_path) -> None:
    """Bill lines name users and customers."""
    spool = Spool(tmp_path / "spool", ROOM)
    spool.append([b"1"])
    modes = {path.stat().st_mode & 0o077 for path in (tmp_path / "spool", *(tmp_path / "spool").iterdir())}
    assert {0} == modes
    spool.release()


def test_release_leaves_nothing_where_all_is_delivered(tmp_path) -> None:
    """And everything where it is not."""
    spool = Spool(tmp_path, ROOM)
    spool.append([b"1"])
    spool.seal().remove()
    spool.release()
    assert [] == list(tmp_path.iterdir())
    spool.append([b"2"])
    spool.release()
    assert [b"2"] == records_of(Spool(tmp_path, ROOM))
