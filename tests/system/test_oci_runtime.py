"""runc in the place of our own launcher, held against it: what is seen from inside, what it may, and how it ends."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest

Account = Any
"""`conftest.Account`; conftest can't be imported by name."""

LOOK = r"""
import json, os, resource
status = dict(line.split(":\t") for line in open("/proc/self/status").read().splitlines())
names = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Uid", "Gid", "Groups")
mounts = {}
for line in open("/proc/self/mountinfo"):
    words = line.split()
    rights = set(words[5].split(",")) & {"ro", "rw", "nosuid", "nodev", "noexec"}
    mounts.setdefault(words[4], []).append(sorted(rights))
print(json.dumps({
    **{name: status[name].split() for name in names},
    "mounts": {path: found[-1] for path, found in mounts.items()},
    "env": dict(sorted(os.environ.items())),
    "cwd": os.getcwd(),
    "host": os.uname().nodename,
    "files": resource.getrlimit(resource.RLIMIT_NOFILE),
    "umask": os.umask(0),
    "devices": sorted(os.listdir("/dev")),
    "own": [os.path.exists(path) for path in ("/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware/acpi")],
}))
"""
FLAGS = [
    [],
    ["--network", "none", "-u", "0:0", "-w", "/var", "-e", "A=b", "-h", "named"],
    ["--cap-drop", "ALL", "--cap-add", "CHOWN", "--security-opt", "seccomp=unconfined", "--read-only"],
    ["--memory", "64m", "--pids-limit", "50", "--ulimit", "nofile=100:100", "--tmpfs", "/x:size=1m,noexec"],
    ["--security-opt", "no-new-privileges=false", "--privileged"],
]
_THEIRS = ("/proc/acpi", "/proc/asound", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap")
"""Folders that runc masks with a filesystem of its own, whose options are its own too."""


@pytest.fixture(autouse=True)
def runc() -> None:
    if shutil.which("runc", path=f"{os.environ['PATH']}:/usr/sbin") is None:
        pytest.skip("no runc here: apt-get install runc")


def run(account: Account, *argv: str, runtime: str = "runc") -> subprocess.CompletedProcess[str]:
    found: subprocess.CompletedProcess[str] = account.airdock("container", "run", "--rm", "--runtime", runtime, *argv)
    return found


@pytest.mark.parametrize("flags", FLAGS, ids=" ".join)
def test_the_inside_is_the_same(account: Account, flags: list[str], unchanged_machine: Callable[[], None]) -> None:
    seen = {}
    for runtime in ("airdock", "runc"):
        ended = run(account, *flags, "--hostname", "same", "host", "python3", "-c", LOOK, runtime=runtime)
        assert ended.returncode == 0, ended.stderr
        seen[runtime] = _parsed(ended.stdout)
    ours, theirs = seen["airdock"], seen["runc"]
    assert ours["mounts"].keys() == theirs["mounts"].keys()
    # Ours are without devices even in /dev and /, where root without a user namespace could make some.
    ignored = {"/", "/dev", *_THEIRS}
    for path in ours["mounts"].keys() - ignored:
        assert ours["mounts"][path] == theirs["mounts"][path], path
    for name in ours.keys() - {"mounts"}:
        assert ours[name] == theirs[name], name


def _parsed(text: str) -> dict[str, Any]:

    found: dict[str, Any] = json.loads(text)
    return found


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["true"], 0),
        (["false"], 1),
        (["sh", "-c", "exit 42"], 42),
        (["/etc/passwd"], 126),
        (["no-such-command"], 127),
        (["sh", "-c", "sh -c 'kill -9 $$'"], 137),
        (["sh", "-c", "sh -c 'kill -15 $$'"], 143),
    ],
    ids=str,
)
def test_exit_codes_are_the_same(
    account: Account, command: list[str], code: int, unchanged_machine: Callable[[], None]
) -> None:
    for runtime in ("airdock", "runc"):
        ended = run(account, "host", *command, runtime=runtime)
        assert ended.returncode == code, f"{runtime}: {ended.stderr}"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 5)])
def test_signals_reach_the_command(
    root_account: Account, number: int, code: int, unchanged_machine: Callable[[], None]
) -> None:
    script = "trap 'exit 143' TERM; trap 'exit 5' INT; echo ready; while :; do sleep 0.1; done"
    for runtime in ("airdock", "runc"):
        argv = [root_account.python, "-m", "airdock", "container", "run", "--rm", "--runtime", runtime, "host"]
        running = subprocess.Popen(
            [*argv, "sh", "-c", script],
            env=dict(root_account.environment),
            cwd=root_account.home,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        running.send_signal(number)
        assert running.wait(30) == code
        running.stdout.close()


def test_it_can_be_listed_entered_and_killed(root_account: Account, unchanged_machine: Callable[[], None]) -> None:
    account = root_account
    made = run(account, "-d", "--name", "other", "host", "sleep", "1000")
    assert made.returncode == 0, made.stderr
    try:
        assert "other" in account.airdock("container", "ps").stdout
        inside = account.airdock(
            "container", "exec", "other", "sh", "-c", "cat /proc/1/comm; grep Seccomp: /proc/self/status"
        )
        assert inside.stdout.split() == ["sleep", "Seccomp:", "2"], inside.stderr
        assert account.airdock("container", "kill", "other").returncode == 0
    finally:
        account.airdock("container", "rm", "-f", "other")
    for _ in range(50):
        if not account.airdock("container", "ps", "-aq").stdout.strip():
            break
        time.sleep(0.1)


def test_one_that_is_missing_is_named(root_account: Account) -> None:
    ended = run(root_account, "host", "true", runtime="no-such-runtime")
    assert ended.returncode == 125
    assert "no-such-runtime" in ended.stderr
