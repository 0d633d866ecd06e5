"""Kills one scheduler again and again while it works off DAG files, and judges what it made of them."""

import os
import random
import signal
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from dag_files import DagFile, make_dag_file
from disks import filled, mount_small
from judging import age, judge_run, left_behind
from serving import Served, is_alive
from tests.contract.postgres import Postgres, find_programs

from airdock.model.states import RUN_FINISHED
from airdock.store.records import Run
from airdock.store.sql import SqlStore

__all__ = ["Campaign", "Fault", "plan_kills"]

POINT_S = 12.0
"""How long a scheduler may take to reach the point where it is to die; then it is killed where it is."""
WORK_S = 240.0
"""How long all may take to end that isn't disturbed any more."""
_OFTEN = {"queue", "submit", "start", "end", "ack", "keep", "launch", "clean"}
"""What happens for each task; the rest happens once in a run."""
_TOLD_EARLY = (-signal.SIGTERM, 128 + signal.SIGTERM)
"""How a scheduler ends that is told to stop before it serves."""
AT_ONCE = 3
MOST_WRONG = 3
"""How often the scheduler may end by itself before this is given up."""
"""DAG runs that go on side by side."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """`what` is a point's name with its count, or scheduler, launcher, runner or container.

    What kills nobody: `lock:S` keeps the database locked for so many seconds, `full:S` the disk of the home full,
    `away:S` stops the database, which is PostgreSQL then, and `clock:S` sets the scheduler's clock by so many.
    """

    what: str

    @property
    def kind(self) -> str:
        name, _, _ = self.what.partition(":")
        return "point" if "." in name else name

    @property
    def seconds(self) -> float:
        """How long a disturbance lasts, or by how much a clock is set."""
        return float(self.what.partition(":")[2])


def plan_kills(points: tuple[str, ...], count: int, rng: random.Random) -> list[Fault]:
    """Half of them at points, each in its turn, the others at random moments; in random order."""
    order = [points[number % len(points)] for number in rng.sample(range(len(points)), len(points))]
    at_points = [order[number % len(order)] for number in range(count // 2)]
    chosen = [
        Fault(what=f"{point}:{rng.choice((1, 2, 5) if point.split('.')[0] in _OFTEN else (1,))}") for point in at_points
    ]
    kinds = ("scheduler", "launcher", "runner", "container")
    chosen += [Fault(what=kinds[number % len(kinds)]) for number in range(count - len(chosen))]
    rng.shuffle(chosen)
    return chosen


@dataclass(kw_only=True)
class Report:
    kills: Counter[str] = field(default_factory=Counter)
    points: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    instances: int = 0
    tries: Counter[str] = field(default_factory=Counter)
    others: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def lines(self) -> Iterator[str]:
        yield f"{'kill -9 of':<24}{'times':>6}"
        for name, count in sorted(self.kills.items()):
            yield f"{name:<24}{count:>6}"
        yield f"{'all':<24}{self.kills.total():>6}"
        yield ""
        yield f"{'at the point':<24}{'times':>6}"
        for name, count in sorted(self.points.items()):
            yield f"{name:<24}{count:>6}"
        yield from (f"{name:<24}{count:>6}" for name, count in sorted(self.others.items()))
        if self.missed:
            yield "not reached in time, killed where it was: " + ", ".join(f"{k} {v}" for k, v in self.missed.items())
        yield ""
        yield f"{self.instances} task instances, tries: " + ", ".join(f"{k} {v}" for k, v in sorted(self.tries.items()))
        yield f"{self.seconds:.0f} s"
        yield from (f"WRONG: {line}" for line in self.wrong)
        yield "all as it should be" if not self.wrong else f"{len(self.wrong)} things are wrong"


class Campaign:
    """Files are put into the folder as runs end, so that some are always going on, until kills and tasks are done."""

    def __init__(
        self, folder: Path, *, kills: list[Fault], tasks: int, rng: random.Random, tell: Callable[[str], None] = print
    ) -> None:
        self.home = folder / "home"
        self.clock = folder / "clock"
        self.clock.write_text("0")
        self.home.mkdir()
        if any(kill.kind == "full" for kill in kills):
            mount_small(self.home)
            (folder / "workspaces").mkdir()
            (self.home / "workspaces").symlink_to(folder / "workspaces")  # the ledger must not be what has no room
        (self.home / "dags").mkdir()
        self._postgres = self._make_postgres(folder) if any(kill.kind == "away" for kill in kills) else None
        environment = {"AIRDOCK__DATABASE__URL": self._postgres.url} if self._postgres else {}
        sets_clock = any(kill.kind == "clock" for kill in kills)
        argv = [sys.executable, str(Path(__file__).with_name("set_clock.py")), str(self.home), str(self.clock)]
        self._served = Served(self.home, argv=argv if sets_clock else None, environment=environment)
        self._kills, self._tasks, self._rng, self._tell = kills, tasks, rng, tell
        self._files: dict[str, DagFile] = {}
        self._struck: dict[tuple[str, str], set[int]] = {}
        self._ended: set[str] = set()
        self._is_through = False
        self._store: SqlStore | None = None
        self.report = Report()

    def run(self) -> Report:
        began = time.monotonic()
        try:
            for number, kill in enumerate(self._kills):
                self._tell(f"{time.monotonic() - began:6.1f} s  kill {number + 1} of {len(self._kills)}: {kill.what}")
                self._do(kill)
            self._is_through = True
            self._finish()
            self._judge()
        finally:
            if self._served.returned() is None:
                self._served.kill()
            if self._store is not None:
                self._store.close()
            if self._postgres is not None:
                self._postgres.stop()
        self.report.seconds = time.monotonic() - began
        return self.report

    @staticmethod
    def _make_postgres(folder: Path) -> Postgres:
        folder.chmod(0o755)  # whose server is another account
        place = folder / "postgres"
        place.mkdir()
        made = Postgres(place, find_programs(), is_crashing=True)
        made.start()
        return made

    # Work

    def _feed(self) -> None:
        """Put files into the folder so that enough is going on."""
        self._served.look()
        going_on = len(self._files) - len(self._find_ended())
        while going_on < AT_ONCE and (not self._is_through or self._count() < self._tasks):
            file = make_dag_file(len(self._files), self._rng)
            self._files[file.dag_id] = file
            partial = self.home / f".{file.dag_id}"
            partial.write_text(file.text)
            partial.rename(self.home / "dags" / f"{file.dag_id}.py")
            going_on += 1

    def _count(self) -> int:
        return sum(len(file.states) for file in self._files.values())

    def _find_ended(self) -> set[str]:
        self._ended |= {run.key.dag_id for run in self._runs() if run.state in RUN_FINISHED}
        return self._ended

    def _runs(self) -> list[Run]:
        if self._store is None:
            if self._postgres is not None:
                self._store = SqlStore(url=self._postgres.url)
            elif not (self.home / "airdock.db").exists():
                return []
            else:
                self._store = SqlStore(path=self.home / "airdock.db")
        return self._store.list_runs(limit=10_000)

    # Kills

    def _do(self, kill: Fault) -> None:
        match kill.kind:
            case "point":
                self._die_at(kill.what)
            case "lock" | "full":
                self._begin()
                self._work(1.0)
                with self._locked() if kill.kind == "lock" else filled(self.home):
                    self._outlast(kill.seconds)
                self._work(1.0)
                self.report.others[kill.what] += 1
            case "away":
                self._begin()
                self._work(1.0)
                with self._away():
                    self._outlast(kill.seconds)
                self._work(1.0)
                self.report.others[kill.what] += 1
            case "clock":
                self._begin()
                self._work(1.0)
                self.clock.write_text(str(self._clock_s() + kill.seconds))
                self._work(1.5)
                self.report.others[kill.what] += 1
            case "scheduler":
                self._begin()
                self._work(self._rng.uniform(0.3, 2.5))
                self._end(self._served.kill(), -signal.SIGKILL)
                self.report.kills["scheduler, any time"] += 1
            case kind:
                self._begin()
                self._strike(kind)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Nobody else may write to the database, or read what isn't in its journal yet."""
        holder = sqlite3.connect(self.home / "airdock.db", isolation_level=None, timeout=60)
        try:
            holder.execute("BEGIN EXCLUSIVE").close()
            yield
            holder.execute("ROLLBACK").close()
        finally:
            holder.close()

    @contextmanager
    def _away(self) -> Iterator[None]:
        """The database's server is stopped."""
        assert self._postgres is not None
        if self._store is not None:
            self._store.close()
            self._store = None
        self._postgres.stop()
        try:
            yield
        finally:
            self._postgres.start()

    def _outlast(self, seconds: float) -> None:
        """The scheduler is to live through this."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self._served.returned() is not None:
                self._end(self._served.returned(), 0)
                self._served.start()
            self._served.look()
            time.sleep(0.1)

    def _clock_s(self) -> float:
        return float(self.clock.read_text())

    def _begin(self, kill_at: str = "") -> None:
        if self._served.returned() is not None or not self._served.pid:
            self._served.start(kill_at=kill_at)
        elif kill_at:
            self._end(self._served.stop(), 0)
            self._served.start(kill_at=kill_at)
        self._feed()

    def _work(self, seconds: float) -> None:
        """Let it work, and see to it that it has something to do."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0 and self._served.returned() is None:
            self._feed()
            time.sleep(min(left, 0.1))

    def _die_at(self, point: str) -> None:
        self._begin(point)
        self._work(POINT_S)
        if self._served.returned() is None:
            self.report.missed[point] += 1
            self._end(self._served.kill(), -signal.SIGKILL)
        else:
            self.report.points[point.partition(":")[0]] += 1
            self._end(self._served.returned(), -signal.SIGKILL)
        self.report.kills["scheduler, at a point"] += 1

    def _end(self, code: int | None, expected: int) -> None:
        if code != expected and not (expected == 0 and code in _TOLD_EARLY):
            self.report.wrong.append(f"the scheduler ended with {code}, not {expected}; see its log")
            if len(self.report.wrong) > MOST_WRONG:
                raise RuntimeError("\n".join(self.report.wrong))
        if left := self._served.await_gone():
            self.report.wrong.append(f"processes outlive their scheduler: {left}")
            self._served.seen.clear()

    def _strike(self, kind: str) -> None:
        """Kill a launcher, or a process of a container, of the scheduler that goes on."""
        deadline = time.monotonic() + POINT_S
        self._work(self._rng.uniform(0.0, 0.6))
        while time.monotonic() < deadline:
            if self._served.returned() is not None:
                return self._end(self._served.returned(), 0)
            if self._strike_one(kind):
                self.report.kills[kind] += 1
                return None
            self._work(0.02)
        return self.report.missed.update([kind])

    def _strike_one(self, kind: str) -> bool:
        if kind == "launcher":
            pids = self._served.launcher_pids()
            return bool(pids) and _kill(self._rng.choice(pids))
        places = [each for each in self._served.containers() if (each.dag_id, each.label) not in self._struck]
        if not places:
            return False
        place = self._rng.choice(sorted(places, key=lambda each: (each.dag_id, each.label)))
        self._struck.setdefault((place.dag_id, place.label), set()).add(place.try_number)
        if kind == "container":
            return _kill(place.pid)
        return is_alive(place.command, place.command_start) and _kill(place.command)

    # The end

    def _finish(self) -> None:
        self._begin()
        self._await_all()
        self._end(self._served.stop(), 0)
        age(self.home)
        self._served.start()
        self._tasks = self._count() + 1
        self._feed()
        self._await_all()
        self._end(self._served.stop(), 0)

    def _await_all(self) -> None:
        deadline = time.monotonic() + WORK_S
        while len(self._find_ended()) < len(self._files) or self._count() < self._tasks:
            if self._served.returned() is not None:
                self._end(self._served.returned(), 0)
                self._begin()
            if time.monotonic() > deadline:
                self.report.wrong.append(f"never ended: {sorted(self._files.keys() - self._ended)}")
                break
            self._work(0.2)

    def _judge(self) -> None:
        assert self._store is not None
        runs = {run.key.dag_id: run for run in self._runs()}
        for dag_id, file in self._files.items():
            if dag_id not in runs:
                self.report.wrong.append(f"{dag_id} has no run")
                continue
            struck = {label: tries for (of, label), tries in self._struck.items() if of == dag_id}
            self.report.instances += len(file.states)
            self.report.wrong += judge_run(
                self._store, runs[dag_id], file, struck=struck, home=self.home, tries=self.report.tries
            )
        self.report.wrong += left_behind(self.home, self._served.launchers)


def _kill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True
