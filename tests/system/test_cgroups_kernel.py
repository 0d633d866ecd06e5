"""Cgroups on the real kernel: limits that hold, use that is counted, kills, and nothing left behind."""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from airdock.errors import ContainerError, IsolationError
from airdock.model.mount import Mount
from airdock.model.usage import Resources, UsageSource
from airdock.runtime.cgroup_v2 import CgroupV2, UnifiedTree
from airdock.runtime.cgroups import Cgroup, Cgroups, open_cgroup, parse_mounts
from airdock.runtime.launcher import Bundle, Launcher
from airdock.runtime.spec import make_config

EAT = (
    "import os, sys; sys.stdin.read(1); block = bytearray(int(sys.argv[1])); block[::4096] = b'x' * len(block[::4096])"
)
SPIN = "import sys, time; sys.stdin.read(1); end = time.process_time() + 0.2\nwhile time.process_time() < end: pass"
FORK = """
import os, sys, time
sys.stdin.read(1)
count = 0
while count < 50:
    try:
        if os.fork() == 0:
            time.sleep(60)
    except OSError as error:
        print(count, error.errno)
        break
    count += 1
"""
BOMB = """
import os, sys, time
sys.stdin.read(1)
for _ in range(5):
    os.fork()
print(os.getpid(), flush=True)
time.sleep(60)
"""


@pytest.fixture
def cgroups() -> Cgroups:
    found = Cgroups.detect()
    if not {"memory", "cpu", "pids"} <= found.controllers:
        pytest.skip(f"needs cgroups that can be limited: {found.reason}")
    return found


@pytest.fixture
def make(cgroups: Cgroups, unchanged_machine: object) -> Iterator[Callable[[Resources], Cgroup]]:
    made: list[Cgroup] = []

    def create(resources: Resources) -> Cgroup:
        made.append(cgroups.create(f"{os.getpid()}-{len(made)}", resources))
        return made[-1]

    yield create
    for cgroup in made:
        cgroup.kill()
        cgroup.remove()
    cgroups.close()


def start(cgroup: Cgroup, script: str, *arguments: str) -> subprocess.Popen[bytes]:
    """A Python program that waits for a byte, and is in the cgroup before it gets it."""
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", script, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    cgroup.attach(process.pid)
    return process


def finish(process: subprocess.Popen[bytes]) -> bytes:
    said, _ = process.communicate(b"g", timeout=30)
    return said


def test_memory_is_limited_and_the_kill_is_told(make: Callable[[Resources], Cgroup]) -> None:
    cgroup = make(Resources(memory_bytes=64 << 20))
    assert (cgroup.limits, cgroup.lacking) == (Resources(memory_bytes=64 << 20), "")
    process = start(cgroup, EAT, str(128 << 20))
    finish(process)
    usage = cgroup.usage()
    assert usage is not None
    assert (process.returncode, cgroup.oom_killed()) == (-signal.SIGKILL, True)
    assert (60 << 20) < usage.memory_peak_bytes <= (64 << 20)


def test_use_is_counted(make: Callable[[Resources], Cgroup]) -> None:
    cgroup = make(Resources())
    finish(start(cgroup, EAT, str(40 << 20)))
    finish(start(cgroup, SPIN))
    usage = cgroup.usage()
    assert usage is not None
    assert usage.source is UsageSource.CGROUP
    assert usage.memory_peak_bytes > 40 << 20
    assert 0.2 <= usage.cpu_s < 10
    assert not cgroup.oom_killed()


def test_processes_are_limited(make: Callable[[Resources], Cgroup]) -> None:
    cgroup = make(Resources(pids=5))
    process = start(cgroup, FORK)
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(b"g")
    process.stdin.close()
    assert process.stdout.readline().split() == [b"4", b"11"]
    assert len(cgroup.processes()) >= 4
    cgroup.kill()
    process.wait()
    process.stdout.close()
    cgroup.remove()


def test_processors_are_limited(make: Callable[[Resources], Cgroup]) -> None:
    cgroup = make(Resources(cpus=0.25))
    assert cgroup.limits == Resources(cpus=0.25)
    begun = time.monotonic()
    finish(start(cgroup, SPIN))
    assert time.monotonic() - begun > 0.4  # 0.2 s of work at a quarter of a processor


def test_limits_can_be_changed_both_ways(make: Callable[[Resources], Cgroup]) -> None:
    cgroup = make(Resources(memory_bytes=64 << 20, cpus=0.5, pids=10))
    for factor in (4, 1, 2):
        wanted = Resources(memory_bytes=factor * (32 << 20), cpus=factor * 0.5, pids=factor * 10)
        cgroup.limit(wanted)
        assert (cgroup.limits, cgroup.lacking) == (wanted, "")


@pytest.mark.parametrize("resources", [Resources(), Resources(pids=1000)])
def test_kill_reaches_everybody(make: Callable[[Resources], Cgroup], resources: Resources) -> None:
    cgroup = make(resources)
    process = start(cgroup, BOMB)
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(b"g")
    process.stdin.close()
    pids = [int(process.stdout.readline()) for _ in range(32)]
    assert set(pids) <= set(cgroup.processes())
    open_cgroup(cgroup.folders).kill()  # as a process that finds it by what was written down
    process.wait()
    process.stdout.close()
    cgroup.remove()
    assert not any(Path(folder).exists() for folder in cgroup.folders.values())


def test_what_a_killed_launcher_left_is_swept(cgroups: Cgroups, unchanged_machine: object) -> None:
    gone = subprocess.Popen(["/bin/true"])
    gone.wait()
    left = cgroups.create(f"{gone.pid}-1", Resources(pids=5))
    mine = cgroups.create(f"{os.getpid()}-1", Resources())
    assert set(cgroups.sweep()) == set(left.folders.values())
    assert all(Path(folder).exists() for folder in mine.folders.values())
    mine.remove()
    cgroups.close()


def test_version_2_kills_and_tells_when_it_is_empty(unchanged_machine: object) -> None:
    mounts = [mount for mount in parse_mounts(Path("/proc/self/mountinfo").read_text()) if mount.unified]
    tree = UnifiedTree()
    if not mounts or not tree.is_writable(mounts[0].folder):
        pytest.skip("needs a mount of cgroup v2 that we may write to")
    folder = f"{mounts[0].folder}/airdock-{os.getpid()}-v2"
    tree.make(folder)
    cgroup = CgroupV2(folders={"unified": folder}, tree=tree)
    try:
        process = start(cgroup, BOMB)
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(b"g")
        process.stdin.close()
        for _ in range(32):
            process.stdout.readline()
        assert len(cgroup.processes()) == 32
        cgroup.kill()
        cgroup.remove()  # waits for the last of them by cgroup.events
        process.wait()
        process.stdout.close()
        assert not Path(folder).exists()
    finally:
        cgroup.kill()
        cgroup.remove()


def test_without_cgroup_kill_everybody_is_frozen_first(unchanged_machine: object) -> None:
    mounts = [mount for mount in parse_mounts(Path("/proc/self/mountinfo").read_text()) if mount.unified]

    class Older(UnifiedTree):
        def write(self, path: str, text: str) -> None:
            if path.endswith("cgroup.kill"):
                raise FileNotFoundError(2, "No such file or directory")
            super().write(path, text)

    tree = Older()
    if not mounts or not tree.is_writable(mounts[0].folder):
        pytest.skip("needs a mount of cgroup v2 that we may write to")
    cgroup = CgroupV2(folders={"unified": f"{mounts[0].folder}/airdock-{os.getpid()}-old"}, tree=tree)
    tree.make(cgroup.folder)
    try:
        process = start(cgroup, BOMB)
        finish_line = process.stdout
        assert process.stdin is not None and finish_line is not None
        process.stdin.write(b"g")
        process.stdin.close()
        finish_line.readline()
        cgroup.kill()
        process.wait()
        finish_line.close()
        assert cgroup.processes() == []
    finally:
        cgroup.kill()
        cgroup.remove()


def test_the_next_launcher_sweeps_what_a_killed_one_left(
    cgroups: Cgroups, tmp_path: Path, unchanged_machine: object
) -> None:
    first = Launcher(folder=tmp_path / "first")
    layer = tmp_path / "layer"
    layer.mkdir()
    (layer / "bin").symlink_to("usr/bin")
    for name in ("lib", "lib64"):
        (layer / name).symlink_to(f"usr/{name}")
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    config = make_config(argv=["/bin/sleep", "60"], binds=(Mount(source="/usr", target="/usr"),))
    bundle = Bundle(id="left", config=config, layers=(layer,), folder=tmp_path / "first/left")
    with open("/dev/null", "r+b") as null:
        first.start()
        try:
            container = first.run(bundle, stdin=null.fileno(), stdout=null.fileno(), stderr=null.fileno())
        except IsolationError as error:
            pytest.skip(f"this machine forbids containers: {error}")
        ended = os.pidfd_open(container.pid)
        os.kill(first.pid, signal.SIGKILL)
        first.join()
    select.select([ended], [], [], 30)
    os.close(ended)
    # Where it would be frozen is made when it is.
    folders = [folder for name, folder in container.state.cgroups.items() if name != "freezer"]
    assert all(Path(folder).exists() for folder in folders)
    second = Launcher(folder=tmp_path / "second")
    second.start()
    try:
        assert second.mapping
        assert not any(Path(folder).exists() for folder in folders)
    finally:
        second.stop()
        second.join()
        with contextlib.suppress(ContainerError):  # its launcher is gone
            container.remove()
        first.stop()
