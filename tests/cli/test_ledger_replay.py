"""`otel-llmcost ledger replay`: refused and left lines reach a real ledger, once, and nothing vanishes on the way."""

from pathlib import Path

import pytest

from factories import make_call
from otel_llmcost.cli import main
from otel_llmcost.exporters.clickhouse.client import Ledger
from otel_llmcost.exporters.dead_letters import DeadLetters, Letter
from otel_llmcost.exporters.line_codec import LineCodec
from otel_llmcost.exporters.safekeeping import folder_of
from otel_llmcost.exporters.spool import Spool

ROOM = 1 << 30
DENIED = "ClickHouse at h:8123: ACCESS_DENIED (code 497)"


@pytest.fixture
def ledger(tmp_path, monkeypatch) -> str:
    """A ledger, and a configuration that keeps refused lines in `kept`."""
    monkeypatch.setenv("OTEL_LLMCOST_DELIVERY_SPOOL", str(tmp_path / "kept"))
    return f"chdb://{tmp_path / 'ledger'}"


@pytest.fixture
def folder(tmp_path, ledger) -> Path:
    return tmp_path / "kept" / folder_of(ledger)


def lines(*numbers: int, **fields: object) -> list[bytes]:
    return [LineCodec().encode(make_call(number, **fields)) for number in numbers]


def refused(folder: Path, records: list[bytes], reason: str = DENIED, kind: str = "line") -> DeadLetters:
    letters = DeadLetters(folder, ROOM)
    letters.add([Letter(kind, record, reason) for record in records])
    return letters


def left_behind(folder: Path, records: list[bytes]) -> None:
    spool = Spool(folder, ROOM)
    spool.append(records)
    spool.release()


def replay(ledger: str, *options: str) -> int:
    return main(["ledger", "replay", "--ledger", ledger, *options])


def stored(ledger: str) -> tuple[int, str]:
    with Ledger.open(ledger, read_only=True) as opened:
        return tuple(opened.query("SELECT count(), toString(sum(cost_usd)) FROM calls").rows[0])


def test_refused_lines_and_those_left_in_the_spool_reach_the_ledger(ledger, folder, capsys) -> None:
    """Each once, though some lie in both places; nothing is left on disk."""
    refused(folder, lines(1, 2, 3))
    left_behind(folder, lines(3, 4))
    assert 0 == replay(ledger)
    assert (4, "0.0172") == stored(ledger)
    assert [] == list(folder.iterdir())
    out = capsys.readouterr().out
    assert DENIED in out
    assert ["in", "the", "ledger", "5"] in [line.split() for line in out.splitlines()]
    assert 0 == replay(ledger)
    assert "nothing to replay" in capsys.readouterr().out


def test_a_dry_run_shows_what_there_is_and_touches_nothing(ledger, folder, capsys) -> None:
    """Neither the files nor the ledger."""
    refused(folder, lines(1, 2))
    left_behind(folder, lines(3))
    before = sorted(path.name for path in folder.iterdir())
    assert 0 == replay(ledger, "--dry-run")
    out = capsys.readouterr().out
    assert ["2", "1"] == [line.split()[0] for line in out.splitlines()[3:]][::-1]
    assert before == sorted(path.name for path in folder.iterdir())
    assert not Path(ledger.removeprefix("chdb://")).exists()


def test_a_reason_chooses(ledger, folder) -> None:
    """Lines of other reasons, also in the same file, stay."""
    letters = refused(folder, lines(1))
    letters.add([Letter("line", lines(2)[0], DENIED), Letter("line", lines(3)[0], "DECIMAL_OVERFLOW")])
    left_behind(folder, lines(4))
    assert 0 == replay(ledger, "--reason", "ACCESS_DENIED")
    assert (2, "0.0086") == stored(ledger)
    assert ["DECIMAL_OVERFLOW"] == [letter.reason for file in letters.files() for letter in file.letters]
    assert 1 == len(list(folder.glob("*.spool")))


def test_what_the_ledger_refuses_again_stays_with_the_newest_reason(ledger, folder, capsys) -> None:
    """Exit code 4; the lines beside it are in."""
    letters = refused(folder, lines(1) + lines(2, call_id=b"short"))
    assert 4 == replay(ledger)
    assert (1, "0.0043") == stored(ledger)
    (kept,) = [letter for file in letters.files() for letter in file.letters]
    assert "without a 16-byte call_id" in kept.reason
    assert "refused, kept: a call without a 16-byte call_id" in capsys.readouterr().out


def test_what_cannot_be_read_stays_and_is_told(ledger, folder) -> None:
    """Exit code 3; the rest is in."""
    letters = refused(folder, [*lines(1), b'{"from":"the future"}'])
    letters.add([Letter("raw", b"0123 torn", "cut off while it was written")])
    left_behind(folder, [*lines(2), b"{}"])
    assert 3 == replay(ledger)
    assert (2, "0.0086") == stored(ledger)
    kept = {letter.record for file in letters.files() for letter in file.letters}
    assert {b'{"from": "the future"}', b"0123 torn", b"{}"} == kept
    assert [] == list(folder.glob("*.spool"))


def test_a_ledger_that_is_not_ready_costs_nothing(folder, tmp_path, capsys) -> None:
    """Exit code 4 and a reason; all is where it was."""
    away = "clickhouse://user:pa55word@127.0.0.1:9/llmcost"
    place = tmp_path / "kept" / folder_of(away)
    letters = refused(place, lines(1))
    left_behind(place, lines(2))
    assert 4 == replay(away, "--directory", str(tmp_path / "kept"))
    assert [lines(1)] == [
        [LineCodec().encode(LineCodec().decode(x.record)) for x in f.letters] for f in letters.files()
    ]
    assert [lines(2)] == [segment.read().records for segment in Spool(place, ROOM).abandoned()]
    assert "pa55word" not in "".join(capsys.readouterr())


def test_the_spool_of_a_living_process_is_left_alone(ledger, folder, capsys) -> None:
    """It delivers itself."""
    spool = Spool(folder, ROOM)
    spool.append(lines(1))
    assert 0 == replay(ledger)
    assert "nothing to replay" in capsys.readouterr().out
    assert 1 == len(list(folder.glob("*.spool")))
    spool.release()


def test_a_folder_can_be_named_to_send_its_lines_to_another_ledger(ledger, tmp_path, capsys) -> None:
    """Where the ledger moved; the root alone is not enough, for its lines are meant for another one."""
    moved = tmp_path / "kept" / folder_of("clickhouse://old/llmcost")
    refused(moved, lines(1))
    assert 2 == replay(ledger, "--directory", str(tmp_path / "kept"))
    assert moved.name in capsys.readouterr().err
    assert 0 == replay(ledger, "--directory", str(moved))
    assert (1, "0.0043") == stored(ledger)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--directory", "/nonexistent"], "there is no such directory"),
        (["--config", "/nonexistent.yaml"], "cannot be read"),
    ],
)
def test_a_wrong_command_line_is_told(ledger, options: list[str], message: str, capsys) -> None:
    """Exit code 2."""
    assert 2 == replay(ledger, *options)
    assert message in capsys.readouterr().err


def test_without_a_place_for_lines_there_is_nothing_to_replay(ledger, monkeypatch, capsys) -> None:
    """The text says which setting names it."""
    monkeypatch.delenv("OTEL_LLMCOST_DELIVERY_SPOOL")
    assert 2 == replay(ledger)
    assert "delivery.dead_letters" in capsys.readouterr().err
