"""Many detached containers with `sleep`: starting, listing and stopping them, and what one of them takes of memory."""

import json
import time
from pathlib import Path

from ground import Ground
from measure import Figure, Samples

__all__ = ["NAME", "measure"]

NAME = "many"
FEW, MANY = 20, 1000
_KIB = 1024
_AT_A_TIME = 50


def measure(ground: Ground) -> list[Figure]:
    count = MANY if ground.large else FEW
    image = ground.image
    began = time.perf_counter()
    names = [f"many-{number}" for number in range(count)]
    try:
        for name in names:
            ground.run_airdock("container", "run", "--detach", "--name", name, image, "sleep", "3600")
        started = time.perf_counter()
        listed = ground.run_airdock("container", "ps", "--quiet").split()
        looked = time.perf_counter()
        assert len(listed) == count, f"expected {count} containers, found {len(listed)}"
        each = _memory_of(ground.home) / count / 2**20
    finally:
        stopping = time.perf_counter()
        for first in range(0, count, _AT_A_TIME):
            ground.run_airdock("container", "rm", "--force", *names[first : first + _AT_A_TIME])
        stopped = time.perf_counter()
    notes = [
        f"{count} started one by one in {started - began:.1f} s, listed in {looked - started:.2f} s, removed by force "
        f"in {stopped - stopping:.1f} s",
        "memory is PSS: the command, the container's first process, its launcher and its monitor, shared pages divided",
    ]
    return [
        Figure(title=f"memory of one in {count} containers", unit="MiB", ours=Samples((each,)), notes=notes),
        Figure(
            title=f"start of one in {count} containers",
            unit="ms",
            ours=Samples(((started - began) / count * 1000,)),
        ),
    ]


def _memory_of(home: Path) -> int:
    """Bytes of all processes of containers below `home`: PSS, as proc_pid_smaps_rollup(5) counts it."""
    total = 0
    for pid in _processes(home):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        total += sum(int(line.split()[1]) * _KIB for line in lines if line.startswith("Pss:"))
    return total


def _processes(home: Path) -> set[int]:
    """Of each container its command, its first process, and the two above: launcher and monitor."""
    found: set[int] = set()
    for record in (home / "run/containers").glob("*/state.json"):
        state = json.loads(record.read_text())
        launcher = _parent(state["pid"])
        found |= {state["command_pid"], state["pid"], launcher, _parent(launcher)}
    return found


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
