"""A real `airdock scheduler` in a process of its own, and everything that it starts."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Container", "Served", "is_alive", "start_of"]


def start_of(pid: int) -> int | None:
    """When the process was started, in ticks since boot; None where there is none that can still do anything."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def is_alive(pid: int, start: int) -> bool:
    return start_of(pid) == start


def children(pid: int) -> Iterator[int]:
    """All that descend from the process."""
    for thread in _list(Path(f"/proc/{pid}/task")):
        try:
            found = [int(each) for each in (thread / "children").read_text().split()]
        except OSError:
            continue
        for each in found:
            yield each
            yield from children(each)


def _list(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


@dataclass(frozen=True, kw_only=True)
class Container:
    """A container of a try, as its record has it: `pid` is its first process, `command` its runner's."""

    dag_id: str
    label: str
    try_number: int
    pid: int
    command: int
    command_start: int


class Served:
    """Started by `start`; every process that is seen below it is remembered in `seen`, by pid and start."""

    def __init__(
        self, home: Path, *, argv: list[str] | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        self.home = home
        self.seen: dict[int, int] = {}
        self.launchers: set[int] = set()
        self._argv = argv or [sys.executable, "-m", "airdock", "scheduler"]
        self._environment = environment or {}
        self._process: subprocess.Popen[bytes] | None = None
        self.log = home.parent / f"{home.name}.log"

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    def start(self, *, kill_at: str = "") -> None:
        environment = {**os.environ, "AIRDOCK_HOME": str(self.home), "AIRDOCK__DEBUG__KILL_AT": kill_at}
        with self.log.open("ab") as log:
            log.write(f"--- started, to be killed at {kill_at or 'no point'}\n".encode())
            log.flush()
            self._process = subprocess.Popen(
                self._argv, stdout=log, stderr=log, env={**environment, **self._environment, "PYTHONFAULTHANDLER": "1"}
            )

    def returned(self) -> int | None:
        """Its exit code, once it has ended."""
        return self._process.poll() if self._process else 0

    def look(self) -> None:
        """Remember what runs now."""
        for pid in [self.pid, *children(self.pid)]:
            if (start := start_of(pid)) is not None:
                self.seen[pid] = start
        self.launchers |= set(self.launcher_pids())

    def kill(self) -> int:
        self.look()
        return self._end(signal.SIGKILL, 20)

    def stop(self, timeout_s: float = 60) -> int:
        """SIGTERM, and the exit code it ends with."""
        return self._end(signal.SIGTERM, timeout_s)

    def _end(self, number: int, timeout_s: float) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGABRT)  # its log has what each thread is at
            self._process.wait(timeout_s)
            raise

    def launcher_pids(self) -> list[int]:
        """Its children that call themselves launchers; the containers' own are children of those."""
        found = []
        for pid in (
            int(each) for thread in _list(Path(f"/proc/{self.pid}/task")) for each in _read(thread / "children").split()
        ):
            if "launcher" in _read(Path(f"/proc/{pid}/comm")) or "launcher" in _read(Path(f"/proc/{pid}/cmdline")):
                found.append(pid)
        return found

    def containers(self) -> list[Container]:
        """Those of tries that run now, from the records below its home."""
        known = set(children(self.pid))
        return [
            each
            for path in _list(self.home / "run/containers")
            if (each := self._read_container(path)) and each.pid in known
        ]

    def _read_container(self, folder: Path) -> Container | None:
        try:
            state = json.loads((folder / "state.json").read_text())
            trial = "-".join(state["name"].rsplit("-", 3)[1:])
            key = json.loads((self.home / "run/tries" / trial / "try.json").read_text())["key"]
        except (OSError, ValueError, KeyError):
            return None
        index = key.get("map_index", -1)
        return Container(
            dag_id=key["dag_id"],
            label=key["task_id"] if index < 0 else f"{key['task_id']}[{index}]",
            try_number=key["try_number"],
            pid=state["pid"],
            command=state["command_pid"],
            command_start=state["command_start"],
        )

    def await_gone(self, timeout_s: float = 15) -> list[int]:
        """Wait until nothing that was seen is alive; returns what still is."""
        deadline = time.monotonic() + timeout_s
        while left := [pid for pid, start in self.seen.items() if is_alive(pid, start)]:
            if time.monotonic() > deadline:
                return left
            time.sleep(0.02)
        self.seen.clear()
        return []


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
