"""What is true after faults: states, tries and ledger as they'd be without them, and nothing that stays."""

import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from dag_files import TRIES, DagFile

from airdock.model.outcome import Failed, Lost, Succeeded
from airdock.store.base import ACTIVE
from airdock.store.records import Run, Try
from airdock.store.sql import SqlStore

__all__ = ["age", "judge_run", "left_behind"]

_NO_ROOM = ("No space left", "No usable temporary directory")
_RUN = {
    "bell",
    "containers",
    "empty",
    "loads",
    "mounts",
    "names",
    "outcomes",
    "recover.lock",
    "runner.pyz",
    "tmp",
    "tries",
}
"""What is below AIRDOCK_HOME/run after a scheduler that nobody disturbed."""


def judge_run(
    store: SqlStore,
    run: Run,
    file: DagFile,
    *,
    struck: Mapping[str, set[int]],
    home: Path,
    tries: Counter[str],
) -> Iterator[str]:
    """What is wrong with a run; `struck` are tries of which a process was killed. Counts its tries."""
    if str(run.state) != file.state or run.owner:
        yield f"{file.dag_id} is {run.state}, not {file.state}, and is owned by {run.owner!r}"
    instances = store.list_instances(run.key)
    found = {row.key.label: str(row.state) for row in instances}
    for label in sorted(found.keys() | file.states.keys()):
        if found.get(label) != file.states.get(label):
            yield f"{file.dag_id} {label} is {found.get(label)}, not {file.states.get(label)}"
    if taken := [row.key.label for row in instances if row.state in ACTIVE]:
        yield f"{file.dag_id} has slots taken: {taken}"
    by_label: dict[str, list[Try]] = {}
    for each in store.list_tries(run.key):
        by_label.setdefault(each.key.task.label, []).append(each)
        tries[type(each.outcome.ending).__name__ if each.outcome else "none"] += 1
    said = read_ledger(home / "workspaces" / file.dag_id / run.key.run_id / "ledger")
    for label, own in by_label.items():
        lines = {number: what for (name, number), what in said.items() if name == label}
        for wrong in _judge_tries(own, lines, file.failing.get(label, 0), struck.get(label, set())):
            yield f"{file.dag_id} {label}: {wrong}"


def read_ledger(path: Path) -> dict[tuple[str, int], Counter[str]]:
    """How often each try said what; an instance by its label."""
    said: dict[tuple[str, int], Counter[str]] = {}
    for line in path.read_text().splitlines() if path.exists() else []:
        name, number, what, _at, _pid = line.split()
        said.setdefault((name, int(number)), Counter())[what] += 1
    return said


def _judge_tries(tries: list[Try], said: Mapping[int, Counter[str]], failing: int, struck: set[int]) -> Iterator[str]:
    """Each try ran once at most, alone; only those fail that are to fail, or of which a process was killed."""
    for each in tries:
        number = each.key.try_number
        words = said.get(number, Counter())
        ending = each.outcome.ending if each.outcome else None
        if words["twice"]:
            yield f"try {number} ran beside another"
        if words["begin"] > 1 or words["end"] > 1:
            yield f"try {number} ran more than once: {dict(words)}"
        match ending:
            case Succeeded() if number > failing and words["begin"] == words["end"] == 1:
                pass
            case Failed() if "SIGKILL" in ending.reason and number in struck:
                pass
            case Failed() if any(words in ending.reason for words in _NO_ROOM):
                pass  # what a task itself writes to a full disk is its own
            case Failed() if number <= failing and words["end"]:
                pass
            case Lost():
                pass
            case other:
                yield f"try {number} ended as {other}, its ledger has {dict(words)}"
    if numbers := said.keys() - {each.key.try_number for each in tries}:
        yield f"tries {sorted(numbers)} ran and are not known"
    failed = sum(isinstance(each.outcome.ending, Failed) for each in tries if each.outcome)
    if failing > TRIES and failed != TRIES:
        yield f"{failed} tries failed, not {TRIES}"


def age(home: Path) -> None:
    """Let an hour pass for what was left by the killed: some of it is cleared up only when nobody can be at it."""
    for folder in ("containers", "loads", "outcomes", "names"):
        for path in (home / "run" / folder).glob("*"):
            os.utime(path, (time.time() - 3600,) * 2, follow_symlinks=False)


def left_behind(home: Path, launchers: set[int]) -> Iterator[str]:
    """Mounts, cgroups, processes and files that stay where no scheduler runs any more."""
    if mounts := [line.split()[4] for line in _lines(Path("/proc/self/mountinfo")) if f"{home}/" in line]:
        yield f"mounts stay: {mounts}"
    if cgroups := [
        folder
        for folder, _, _ in os.walk("/sys/fs/cgroup")
        if (name := Path(folder).name).startswith("airdock-") and name.split("-")[1] in {str(pid) for pid in launchers}
    ]:
        yield f"cgroups stay: {cgroups}"
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and any(f"{home}/" in line for line in _lines(entry / "mountinfo")):
            yield f"process {entry.name} stays: {_lines(entry / 'status')[:1]}"
    run = home / "run"
    if more := {path.name for path in run.iterdir()} - _RUN:
        yield f"files stay below run: {sorted(more)}"
    for name in ("containers", "names", "mounts", "empty", "tries", "outcomes", "loads", "tmp"):
        if more := {path.name for path in (run / name).iterdir()} if (run / name).exists() else set():
            yield f"files stay below run/{name}: {sorted(more)}"
    if temporary := [str(path) for path in home.rglob(".tmp-*")]:
        yield f"temporary files stay: {temporary}"


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError:
        return []
