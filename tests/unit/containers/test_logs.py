import json
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest

from airdock.containers.log_read import LogReader
from airdock.containers.log_write import LogOptions, LogWriter, parse_log_options
from airdock.errors import ContainerError


def writer(path: Path, **options: int | str) -> LogWriter:
    seconds = count()
    start = datetime(2026, 1, 1, 12, tzinfo=UTC)
    return LogWriter(path, LogOptions(**options), now=lambda: start + timedelta(seconds=next(seconds)))


def texts(path: Path, tail: int | None = None, **stretch: str) -> list[str]:
    with closing(LogReader(path, **stretch)) as reader:
        return [entry.text for entry in reader.read(tail)]


def test_lines_are_entries_and_streams_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = writer(path)
    assert log.write("stdout", b"one\ntw")
    assert log.write("stderr", b"err\n")
    assert not log.write("stdout", b"o")
    log.write("stdout", b"\nend")
    log.close()
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {"log": "one\n", "stream": "stdout", "time": "2026-01-01T12:00:00Z"},
        {"log": "err\n", "stream": "stderr", "time": "2026-01-01T12:00:01Z"},
        {"log": "two\n", "stream": "stdout", "time": "2026-01-01T12:00:02Z"},
        {"log": "end", "stream": "stdout", "time": "2026-01-01T12:00:03Z"},
    ]


def test_long_lines_are_cut(tmp_path: Path) -> None:
    log = writer(tmp_path / "log")
    log.write("stdout", b"x" * 40_000)
    log.write("stdout", b"\n")
    log.close()
    pieces = texts(tmp_path / "log")
    assert [len(piece) for piece in pieces] == [16_384, 16_384, 7_233]
    assert "".join(pieces) == "x" * 40_000 + "\n"


def test_files_are_rotated_and_read_as_one(tmp_path: Path) -> None:
    log = writer(tmp_path / "log", max_bytes=300, max_files=3)
    for number in range(20):
        log.write("stdout", f"line {number}\n".encode())
    log.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "log.1", "log.2"]
    assert all(path.stat().st_size <= 300 for path in tmp_path.iterdir())
    found = texts(tmp_path / "log")
    assert found == [f"line {number}\n" for number in range(20 - len(found), 20)]
    assert texts(tmp_path / "log", 6) == found[-6:]


def test_one_file_is_begun_again(tmp_path: Path) -> None:
    log = writer(tmp_path / "log", max_bytes=200, max_files=1)
    for number in range(9):
        log.write("stdout", f"line {number}\n".encode())
    log.close()
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


@pytest.mark.parametrize("tail", [0, 1, 3, 100])
def test_the_last_lines(tmp_path: Path, tail: int) -> None:
    log = writer(tmp_path / "log")
    for number in range(50):
        log.write("stdout", f"{number}\n".encode())
    log.close()
    expected = [f"{number}\n" for number in range(50)][50 - tail :] if tail < 50 else [f"{n}\n" for n in range(50)]
    assert texts(tmp_path / "log", tail) == expected


def test_what_follows_a_rotation_included(tmp_path: Path) -> None:
    log = writer(tmp_path / "log", max_bytes=300, max_files=5)
    log.write("stdout", b"first\n")
    reader = LogReader(tmp_path / "log")
    seen = [entry.text for entry in reader.read()]
    for number in range(4):
        log.write("stdout", f"line {number}\n".encode())
        seen += [entry.text for entry in reader.more()]
    log.close()
    reader.close()
    assert seen == ["first\n", "line 0\n", "line 1\n", "line 2\n", "line 3\n"]


def test_a_stretch_of_time(tmp_path: Path) -> None:
    log = writer(tmp_path / "log")
    for number in range(10):
        log.write("stdout", f"{number}\n".encode())
    log.close()
    stretch = {"since": "2026-01-01T12:00:03Z", "until": "2026-01-01T12:00:05Z"}
    assert texts(tmp_path / "log", **stretch) == ["3\n", "4\n", "5\n"]


def test_half_a_line_and_what_is_no_entry_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "log").write_text('nonsense\n{"log": "a\\n", "stream": "stdout", "time": "t"}\n{"log": "b')
    assert texts(tmp_path / "log") == ["a\n"]
    assert texts(tmp_path / "absent") == []


def test_no_log(tmp_path: Path) -> None:
    log = writer(tmp_path / "log", driver="none")
    assert not log.write("stdout", b"a\n")
    log.close()
    assert not list(tmp_path.iterdir())


def test_options_are_read() -> None:
    assert parse_log_options("", {}) == LogOptions()
    assert parse_log_options("json-file", {"max-size": "10m", "max-file": "3"}) == LogOptions(
        max_bytes=10 << 20, max_files=3
    )
    assert parse_log_options("none", {}) == LogOptions(driver="none")


@pytest.mark.parametrize(
    ("driver", "options"),
    [
        ("syslog", {}),
        ("", {"tag": "x"}),
        ("", {"max-size": "ten"}),
        ("", {"max-size": "1m", "max-file": "0"}),
        ("", {"max-file": "3"}),
    ],
)
def test_other_options_are_refused(driver: str, options: dict[str, str]) -> None:
    with pytest.raises(ContainerError, match="expected"):
        parse_log_options(driver, options)
