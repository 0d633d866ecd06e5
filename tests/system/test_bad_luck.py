"""What goes wrong on real machines: killed processes, full disks, broken files, tasks that behave badly.

Each time there is one clear message or the run goes on, and nothing is left behind.
"""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

NAP = """
from airdock.sdk import DAG, task

with DAG("nap", schedule=None):
    @task
    def nap():
        import os, time
        path = os.path.join(os.environ["AIRDOCK_WORKSPACE"], "began")
        if not os.path.exists(path):
            open(path, "w").close()
            time.sleep(60)
        return "rested"
    nap()
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder for DAG files that everybody can enter."""
    for folder in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        folder.chmod(0o755)
    return tmp_path


def write(folder: Path, text: str) -> Path:
    file = folder / "dag.py"
    file.write_text(text)
    return file


def begin(account: Any, home: Path, *arguments: str) -> subprocess.Popen[str]:
    """A command that goes on by itself; what it says is on stdout."""
    return subprocess.Popen(
        [*account.become, account.python, "-m", "airdock", *arguments],
        env={**account.environment, "AIRDOCK_HOME": str(home)},
        cwd=account.home,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for(look: Callable[[], Any]) -> Any:
    """What `look` gives, once that is something."""
    for _ in range(600):
        if found := look():
            return found
        time.sleep(0.05)
    raise AssertionError("it never came")


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_killed_launcher_is_replaced_and_its_tasks_run_again(
    account: Any, place: Path, unchanged_machine: Callable[[], None]
) -> None:
    home = account.home / "launcher-killed"
    running = begin(account, home, "run", str(write(place, NAP)))
    try:
        wait_for(lambda: list((home / "workspaces").glob("*/*/began")))
        (launcher,) = children(running.pid)
        os.kill(launcher, signal.SIGKILL)
        said, _ = running.communicate(timeout=60)
    finally:
        running.kill()
    assert running.returncode == 0, said
    assert "success (try 2)" in said
    assert [list((home / "run" / name).iterdir()) for name in ("containers", "tries", "outcomes", "loads")] == [[]] * 4
    unchanged_machine()


DOCKERFILE = """\
FROM host
RUN head -c 8000000 /dev/urandom > /one
COPY . /context
RUN head -c 8000000 /dev/urandom > /two; sleep 0.2
"""


def test_a_build_that_is_killed_at_any_time_leaves_nothing_half(
    account: Any, place: Path, unchanged_machine: Callable[[], None]
) -> None:
    home = account.home / "build-killed"
    (place / "Dockerfile").write_text(DOCKERFILE)
    (place / "data").write_bytes(os.urandom(8_000_000))
    for delay_s in (0.3, 0.5, 0.7, 0.9, 1.1, 1.3):
        building = begin(account, home, "image", "build", "-t", "built", str(place))
        time.sleep(delay_s)
        building.kill()
        building.communicate()
    built = account.airdock("image", "build", "-t", "built", str(place), env={"AIRDOCK_HOME": str(home)})
    assert built.returncode == 0, built.stdout + built.stderr
    command = ["container", "run", "--rm", "built", "sh", "-c", "wc -c < /one; wc -c < /two; wc -c < /context/data"]
    ran = account.airdock(*command, env={"AIRDOCK_HOME": str(home)})
    assert ran.stdout.split() == ["8000000"] * 3, ran.stdout + ran.stderr
    assert list((home / "run/containers").iterdir()) == []
    assert list(home.rglob(".tmp-*")) == []
    unchanged_machine()


FILL = """
from airdock.sdk import DAG, task

with DAG("fill", schedule=None):
    @task
    def fills():
        import os
        with open(os.path.join(os.environ["AIRDOCK_WORKSPACE"], "big"), "wb", buffering=0) as file:
            while True:
                file.write(b"x" * 100_000)

    @task(trigger_rule="all_done")
    def says(_):
        print("done")
    says(fills())
"""


@pytest.fixture
def small_disk(root_account: Any, tmp_path: Path) -> Iterator[Path]:
    """A disk of 12 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip(f"a disk to be filled needs mount: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_run_waits_for_room_on_a_full_disk_and_goes_on(
    root_account: Any, place: Path, small_disk: Path, unchanged_machine: Callable[[], None]
) -> None:
    """Or it ends with the reason, where the database itself lacks the room, and goes on when it is resumed."""
    home = small_disk / "home"
    file = write(place, FILL)
    running = begin(root_account, home, "run", str(file))
    assert running.stdout is not None
    said = ""
    for line in running.stdout:
        said += line
        if "says has to wait: [Errno 28] No space left on device" in line:
            break
    else:
        assert "error: the metadata database refused: database or disk is full" in said, said
        assert "do: make room there" in said
    (big,) = home.glob("workspaces/*/*/big")
    big.unlink()
    file.write_text(FILL.replace("while True:", "for _ in range(3):"))
    rest, _ = running.communicate(timeout=60)
    assert "Traceback" not in said + rest
    assert "has to wait" not in rest, "it is said once"
    run = big.parent.name
    if running.returncode != 0:
        assert running.returncode == 1
        running = begin(root_account, home, "run", str(file), "--resume", run)
        rest, _ = running.communicate(timeout=60)
    assert running.returncode == 0, rest
    listed = root_account.airdock("tasks", "states", run, "--json", env={"AIRDOCK_HOME": str(home)})
    first, last = (each["state"] for each in json.loads(listed.stdout))
    assert (first in {"failed", "success"}, last) == (True, "success")
    unchanged_machine()


def test_where_the_disk_is_full_to_the_brim_a_run_says_so_at_once_and_with_room_it_goes_on(
    root_account: Any, place: Path, small_disk: Path, unchanged_machine: Callable[[], None]
) -> None:
    home = small_disk / "home"
    file = write(place, FILL.replace("while True:", "for _ in range(3):"))
    assert root_account.airdock("run", str(file), env={"AIRDOCK_HOME": str(home)}).returncode == 0
    with (small_disk / "filler").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
        while True:
            filler.write(b"x" * 4096)
    refused = root_account.airdock("run", str(file), env={"AIRDOCK_HOME": str(home)}, timeout_s=60)
    assert refused.returncode == 1, refused.stdout + refused.stderr
    assert "Traceback" not in refused.stdout + refused.stderr
    assert "error: " in refused.stderr
    assert "full" in refused.stderr or "No space left" in refused.stderr
    assert "do: make room there" in refused.stderr
    (small_disk / "filler").unlink()
    assert root_account.airdock("run", str(file), env={"AIRDOCK_HOME": str(home)}).returncode == 0
    unchanged_machine()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("airdock.db", "not a database, " * 1000, "error: the metadata database refused: file is not a database"),
        ("images/index.json", '{"manifests"', "error: expected index.json to be JSON"),
    ],
)
def test_a_broken_file_is_named_and_can_be_moved_away(
    root_account: Any, place: Path, name: str, content: str, said: str
) -> None:
    home = place / "home"
    file = write(place, NAP.replace("sleep(60)", "sleep(0)"))
    assert root_account.airdock("run", str(file), env={"AIRDOCK_HOME": str(home)}).returncode == 0
    (home / name).write_text(content)
    for beside in home.glob(f"{name}-*"):
        beside.unlink()
    broken = root_account.airdock("run", str(file), env={"AIRDOCK_HOME": str(home)})
    assert (broken.returncode, broken.stdout) == (1, "")
    assert broken.stderr.startswith(said)
    assert f"where: {home / name}" in broken.stderr
    assert "do: move it away" in broken.stderr
    (home / name).unlink()
    mended = root_account.airdock("run", str(file), env={"AIRDOCK_HOME": str(home)})
    assert mended.returncode == 0, mended.stdout + mended.stderr


def test_a_home_that_cannot_be_written_is_named(root_account: Any, place: Path, small_disk: Path) -> None:
    home = small_disk / "home"
    home.mkdir()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    for arguments in (["run", str(write(place, NAP))], ["container", "run", "--rm", "host", "true"]):
        ended = root_account.airdock(*arguments, env={"AIRDOCK_HOME": str(home)})
        assert ended.returncode in {1, 125}
        assert ended.stderr.startswith(f"error: Read-only file system\n  where: {home}")
        assert "AIRDOCK_HOME" in ended.stderr


FORBIDDEN = """
import os, sys
from airdock.runtime.seccomp import ARCHES, install
from airdock.runtime.seccomp_bpf import ALLOW, EPERM, compile_arch, compile_filter, refuse
from airdock.runtime.seccomp_numbers import load_numbers

names = ["unshare", "setns", "mount", "umount2", "pivot_root", "fsopen", "fsmount", "open_tree", "move_mount"]
parts = {}
for table, audit in ARCHES[os.uname().machine].items():
    answers = {number: ALLOW for number in load_numbers(table).values()}
    answers |= {load_numbers(table)[name]: refuse(EPERM) for name in names}
    parts[audit] = compile_arch(answers)
install(compile_filter(parts))
os.execv(sys.executable, [sys.executable, "-m", "airdock", *sys.argv[1:]])
"""
"""Airdock in a container that forbids namespaces, as Docker's do."""

PLAIN = """
import os, time
from airdock.operators.bash import BashOperator
from airdock.sdk import DAG, task

if os.fork() == 0:
    time.sleep(1000)
with DAG("plain", schedule=None):
    @task(requirements=["six==1.16.0"])
    def needs():
        import six
        if os.fork() == 0:
            os.setsid()
            time.sleep(1000)
        return six.__version__
    needs() >> BashOperator(task_id="leaves", bash_command="(setsid sleep 1000 >&- 2>&- &); echo left")
"""


def test_where_namespaces_are_forbidden_the_switch_is_named_and_plain_processes_work(account: Any, place: Path) -> None:
    home = account.home / "forbidden"
    file = write(place, PLAIN)

    def airdock(*arguments: str) -> subprocess.CompletedProcess[str]:
        done: subprocess.CompletedProcess[str] = account.run(
            account.python, "-c", FORBIDDEN, *arguments, env={"AIRDOCK_HOME": str(home)}
        )
        return done

    for arguments in (["run", str(file)], ["container", "run", "--rm", "host", "true"], ["image", "build", str(place)]):
        (place / "Dockerfile").write_text("FROM host\nRUN true\n")
        refused = airdock(*arguments)
        assert refused.returncode == 125, refused.stdout + refused.stderr
        assert "seccomp filter, as of a container around us" in refused.stderr
        assert "isolation = 'process'" in refused.stderr
    assert [list(home.glob(f"run/{name}/*")) for name in ("containers", "loads")] == [[], []]
    ran = airdock("run", "--isolation", "process", str(file))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "isolation: process. Tasks ran as plain processes of this account, because you said so" in ran.stdout
    assert processes_of(home) == []


def processes_of(home: Path) -> list[str]:
    """What still runs with this AIRDOCK_HOME in its environment."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if f"AIRDOCK_HOME={home}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                found.append((entry / "cmdline").read_text())
        except OSError:
            continue
    return found


MISCHIEF = """
import os, signal, sys, time
from airdock.operators.bash import BashOperator
from airdock.sdk import DAG, task

with DAG("mischief", schedule=None, default_args={"retries": 0}):
    BashOperator(task_id="binary", bash_command="head -c 1000000 /dev/urandom")
    BashOperator(task_id="one_line", bash_command="head -c 20000000 /dev/zero | tr '\\\\0' x; echo; echo end")
    BashOperator(task_id="kills_its_parent", bash_command="kill -9 $PPID; sleep 5")
    BashOperator(task_id="kills_pid_1", bash_command="kill -9 1; echo alive")

    @task
    def closes_everything():
        os.closerange(0, 100)
        return 1
    closes_everything()

    @task
    def becomes_another():
        os.execvp("echo", ["echo", "hi"])
    becomes_another()

    @task
    def leaves_a_daemon():
        if os.fork() == 0:
            os.setsid()
            time.sleep(1000)
        return 1
    leaves_a_daemon()

    @task
    def returns_much():
        return "x" * 60_000_000
    returns_much()

    @task
    def returns_too_much():
        return "x" * 70_000_000
    returns_too_much()

    @task
    def talks_nonsense():
        for descriptor in range(3, 20):
            try:
                os.write(descriptor, b"\\xff" * 100)
            except OSError:
                pass
        return 1
    talks_nonsense()

    @task
    def half_a_character():
        raise ValueError("\\udcff")
    half_a_character()

    @task
    def cannot_be_said():
        class SilentError(Exception):
            def __str__(self):
                raise RuntimeError
        raise SilentError
    cannot_be_said()
"""

ENDS = {
    "binary": "success",
    "one_line": "success",
    "kills_its_parent": "failed: killed by SIGKILL before it reported a result",
    "kills_pid_1": "success",
    "closes_everything": "failed: exited with code 120 before it reported a result",
    "becomes_another": "failed: exited with code 0 before it reported a result",
    "leaves_a_daemon": "success",
    "returns_much": "success",
    "returns_too_much": "failed: expected a value of at most 67108864 bytes as JSON, found 70000073",
    "talks_nonsense": "failed: the runner broke the channel's contract",
    "half_a_character": "failed: ValueError: ?",
    "cannot_be_said": "failed: cannot_be_said.<locals>.SilentError: (and RuntimeError",
}


@pytest.mark.parametrize("kind", ["root_account", "plain_account"])
def test_whatever_a_task_does_the_others_go_on_and_it_is_said(
    kind: str, place: Path, request: pytest.FixtureRequest, unchanged_machine: Callable[[], None]
) -> None:
    account = request.getfixturevalue(kind)
    home = account.home / "mischief"
    ran = account.airdock("run", "--json", str(write(place, MISCHIEF)), env={"AIRDOCK_HOME": str(home)})
    assert ran.returncode == 1, ran.stderr
    summary = json.loads(ran.stdout.splitlines()[-1])
    ends = {each["task_id"]: f"{each['state']}: {each['reason']}" for each in summary["tasks"]}
    assert {name: end[: len(ENDS[name])] for name, end in ends.items()} == ENDS
    assert [list((home / "run" / name).iterdir()) for name in ("containers", "tries", "outcomes", "loads")] == [[]] * 4
    unchanged_machine()
