"""Pausing and looking on pretended cgroups: pure v2, hybrid, v1 and none; and what /proc says where nobody counts."""

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from airdock.errors import ContainerError
from airdock.model.usage import Resources
from airdock.runtime.cgroup_v2 import weight_of
from airdock.runtime.cgroups import Cgroups, open_cgroup
from airdock.runtime.freeze import freeze, is_frozen, thaw
from airdock.runtime.processes import processes_of, read_stats
from airdock.runtime.state import ContainerState, process_start
from airdock.runtime.usage import Stats

ME = 4242


def test_v2_freezes_and_counts(tree: Any) -> None:
    made = Cgroups(version="v2", own={"unified": str(tree.root)}, mount=str(tree.root), tree=tree).create("1-1", LIMITS)
    folder = Path(made.folders["unified"])
    (folder / "cgroup.freeze").write_text("0")
    assert made.freeze()
    assert made.is_frozen()
    made.thaw()
    assert not made.is_frozen()
    (folder / "memory.current").write_text("5000\n")
    (folder / "memory.stat").write_text("anon 1\ninactive_file 1000\n")
    (folder / "cpu.stat").write_text("usage_usec 2500000\n")
    (folder / "io.stat").write_text("8:0 rbytes=10 wbytes=20 rios=1\n8:16 rbytes=1 wbytes=2\n")
    (folder / "pids.current").write_text("3\n")
    assert made.stats() == Stats(
        memory_bytes=4000,
        memory_limit_bytes=1 << 26,
        cpu_s=2.5,
        read_bytes=11,
        written_bytes=22,
        pids=3,
        pids_limit=9,
    )


LIMITS = Resources(memory_bytes=1 << 26, pids=9)


def test_hybrid_gathers_processes_in_the_unified_hierarchy(tmp_path: Path) -> None:
    for name in ("memory", "cpuacct", "unified"):
        (tmp_path / name).mkdir()
    own = {name: str(tmp_path / name) for name in ("memory", "cpuacct", "unified")}
    made = Cgroups(version="hybrid", own=own).create("1-1", Resources())
    freezer = Path(made.places["freezer"])
    assert not freezer.exists()  # a start doesn't pay for it
    for folder in made.folders.values():
        Path(folder, "cgroup.procs").write_text(f"{ME}\n")
    freezer.mkdir()
    (freezer / "cgroup.procs").write_text("")
    (freezer / "cgroup.freeze").write_text("0")
    again = open_cgroup(made.places)
    assert again.freeze()
    assert (freezer / "cgroup.procs").read_text() == str(ME)
    assert again.is_frozen()
    assert again.thaw()


def test_v1_alone_does_not_freeze(tmp_path: Path) -> None:
    """What its freezer holds can't be killed, so signals are used."""
    (tmp_path / "memory").mkdir()
    made = Cgroups(version="v1", own={"memory": str(tmp_path / "memory")}).create("1-1", Resources())
    assert not made.freeze()
    assert not made.is_frozen()


def test_without_cgroups_signals_stop_every_process() -> None:
    argv = ["sh", "-c", "sleep 100 & echo; wait"]
    with subprocess.Popen(argv, start_new_session=True, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        running.stdout.readline()  # a shell that only begins has next to no memory to count
        state = ContainerState(
            id="x" * 12,
            folder="/",
            status="running",
            pid=running.pid,
            pid_start=process_start(running.pid),
            command_pid=running.pid,
        )
        try:
            freeze(state)
            assert is_frozen(state)
            thaw(state)
            assert not is_frozen(state)
            assert running.pid in processes_of(state)
            counted = read_stats(state)
            assert counted.pids
            assert counted.memory_bytes
        finally:
            os.killpg(running.pid, signal.SIGKILL)


def test_whoever_asks_is_never_stopped() -> None:
    ours = os.getpid()
    state = ContainerState(
        id="x" * 12, folder="/", status="running", pid=ours, pid_start=process_start(ours), command_pid=ours
    )
    with pytest.raises(ContainerError, match="found ours in it"):
        freeze(state)


def test_shares_as_weights() -> None:
    assert [weight_of(shares) for shares in (2, 1024, 262_144, 1_000_000)] == [1, 39, 10_000, 10_000]
