from datetime import UTC, datetime
from pathlib import Path

import pytest

from airdock.clock import ManualClock
from airdock.model.keys import TryKey
from airdock.runner.logs import LogFile, LogStream, log_path, run_folder, tail

CLOCK = ManualClock(at=datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC))
STAMP = "2026-01-02T03:04:05.678Z "


def written(path: Path, *pieces: bytes, limit: int = 1000) -> list[str]:
    log = LogFile(path, CLOCK)
    stream = LogStream(log, limit=limit)
    for piece in pieces:
        stream.feed(piece)
    stream.finish()
    log.close()
    lines = path.read_text().splitlines()
    assert all(line.startswith(STAMP) for line in lines)
    return [line.removeprefix(STAMP) for line in lines]


@pytest.mark.parametrize(
    ("pieces", "lines"),
    [
        ([b"one\ntwo\n"], ["one", "two"]),
        ([b"o", b"ne\r\nt", b"wo"], ["one", "two"]),
        ([b"\n\n"], ["", ""]),
        ([b""], []),
        ([b"x" * 25], ["x" * 10, "x" * 10, "x" * 5]),
        ([b"x" * 9, b"x" * 9 + b"\ny"], ["x" * 10, "x" * 8, "y"]),
    ],
)
def test_lines(tmp_path: Path, pieces: list[bytes], lines: list[str]) -> None:
    assert written(tmp_path / "log", *pieces, limit=10) == lines


def test_a_line_is_in_the_file_as_soon_as_it_is_whole(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "log", CLOCK)
    stream = LogStream(log)
    stream.feed(b"one\ntw")
    assert (tmp_path / "log").read_text() == f"{STAMP}one\n"
    assert stream.last_line == b"one"
    stream.finish()
    assert stream.last_line == b"tw"
    log.close()


def test_what_is_written_after_the_end_is_dropped(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "log", CLOCK)
    log.note("killed\nfor a reason")
    log.close()
    log.close()
    log.note("too late")
    assert (tmp_path / "log").read_text() == f"{STAMP}airdock: killed\n{STAMP}airdock: for a reason\n"


@pytest.mark.parametrize(
    ("ids", "path"),
    [
        ({}, "dag/run/task/1.log"),
        ({"map_index": 3, "try_number": 2}, "dag/run/task/3/2.log"),
        ({"run_id": "manual__2026-01-01T00:00:00+00:00"}, "dag/manual__2026-01-01T00:00:00+00:00/task/1.log"),
        ({"run_id": "../../etc", "task_id": ".."}, "dag/..%2F..%2Fetc/%2E%2E/1.log"),
        ({"task_id": "a/b%"}, "dag/run/a%2Fb%25/1.log"),
    ],
)
def test_where_a_log_lies(ids: dict, path: str) -> None:
    key = TryKey(**{"dag_id": "dag", "run_id": "run", "task_id": "task", **ids})
    assert str(log_path(Path("/logs"), key)) == f"/logs/{path}"


@pytest.mark.parametrize("lines", [0, 1, 5, 9_999, 20_000])
def test_tail(tmp_path: Path, lines: int) -> None:
    path = tmp_path / "log"
    everything = [f"{number} {'x' * (number % 50)}" for number in range(10_000)]
    path.write_text("".join(f"{line}\n" for line in everything))
    assert tail(path, lines) == (everything[-lines:] if lines else [])


def test_tail_of_nothing(tmp_path: Path) -> None:
    assert tail(tmp_path / "none", 5) == []
    (tmp_path / "empty").write_bytes(b"")
    assert tail(tmp_path / "empty", 5) == []


def test_tail_of_what_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"a\xff\n\nb")
    assert tail(tmp_path / "log", 3) == ["a�", "", "b"]


def test_a_run_has_a_folder_of_its_own_whatever_its_names(tmp_path: Path) -> None:
    names = ["..", ".", "a/../..", "\0", "ü" * 250, "ü" * 249 + "u", "x" * 250, "x" * 1000]
    folders = [run_folder(tmp_path, name, name) for name in names]
    for folder in folders:
        folder.mkdir(parents=True)
        assert folder.resolve().parent.parent == tmp_path.resolve()
    assert len(set(folders)) == len(names)
    assert folders[6] == tmp_path / names[6] / names[6]
