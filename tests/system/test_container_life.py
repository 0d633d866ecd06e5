"""Containers that outlive the command that started them, by every kind of account."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Account = Any
"""`conftest.Account`; conftest can't be imported by name."""

pytestmark = pytest.mark.usefixtures("unchanged_machine", "no_containers")


@pytest.fixture
def no_containers(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a test leaves is removed after it."""
    account = request.getfixturevalue("account" if "account" in request.fixturenames else "root_account")
    yield
    left = account.airdock("container", "ps", "-aq", "--no-trunc").stdout.split()
    if left:
        removed = account.airdock("container", "rm", "-f", *left)
        assert removed.returncode == 0, removed.stderr


def said(account: Account, *argv: str, code: int = 0) -> str:
    ended = account.airdock("container", *argv)
    assert ended.returncode == code, ended.stderr
    return str(ended.stdout)


def inspected(account: Account, name: str) -> dict[str, Any]:
    [document] = json.loads(said(account, "inspect", name))
    return dict(document)


def folder_of(account: Account, name: str) -> Path:
    return Path(account.home, ".airdock/run/containers", inspected(account, name)["Id"])


def status(account: Account, name: str) -> str:
    return said(account, "inspect", "-f", "{{.State.Status}}", name).strip()


def until(condition: Callable[[], bool], *, timeout_s: float = 20) -> None:
    """Wait for what another process does."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it didn't come about"
        time.sleep(0.02)


def test_a_detached_container_is_kept_and_its_output_too(account: Account) -> None:
    script = "echo out; echo err >&2; read -r never; exit 7"
    container_id = said(account, "run", "-d", "--name", "job", "host", "sh", "-c", script + "; :").strip()
    assert re.fullmatch("[0-9a-f]{64}", container_id)
    assert said(account, "wait", "job").strip() == "7"
    logs = account.airdock("container", "logs", "job")
    assert (logs.stdout, logs.stderr) == ("out\n", "err\n")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z out\n", said(account, "logs", "-t", "job"))
    row = said(account, "ps", "-a", "--format", "{{.ID}} {{.Names}} {{.Image}} {{.State}} {{.Status}}")
    assert row.startswith(f"{container_id[:12]} job host exited Exited (7) ")
    assert said(account, "ps", "-q") == ""
    assert said(account, "rm", "job") == "job\n"
    assert said(account, "ps", "-aq") == ""


def test_what_it_wrote_is_there_when_it_starts_again(account: Account) -> None:
    script = "cat /var/kept 2>/dev/null; echo more >> /var/kept"
    said(account, "create", "--name", "kept", "host", "sh", "-c", script)
    assert status(account, "kept") == "created"
    assert said(account, "start", "-a", "kept") == ""
    assert said(account, "start", "-a", "kept") == "more\n"
    assert said(account, "restart", "kept") == "kept\n"
    said(account, "wait", "kept")
    assert said(account, "logs", "kept") == "more\nmore\nmore\n"
    assert inspected(account, "kept")["State"]["ExitCode"] == 0


def test_stopping_uses_the_signal_and_the_grace(root_account: Account) -> None:
    trap = "trap 'echo asked; exit 5' USR1; echo ready; while :; do sleep 0.05; done"
    said(root_account, "run", "-d", "--name", "kind", "--stop-signal", "USR1", "host", "sh", "-c", trap)
    deaf = "trap '' TERM; echo ready; while :; do sleep 0.05; done"
    said(root_account, "run", "-d", "--name", "deaf", "--stop-timeout", "1", "host", "sh", "-c", deaf)
    until(lambda: "ready" in said(root_account, "logs", "kind") and "ready" in said(root_account, "logs", "deaf"))
    assert said(root_account, "stop", "kind", "deaf") == "kind\ndeaf\n"
    assert said(root_account, "wait", "kind", "deaf") == "5\n137\n"
    assert said(root_account, "logs", "kind") == "ready\nasked\n"


def test_it_starts_again_as_its_policy_says(root_account: Account) -> None:
    said(
        root_account,
        "run",
        "-d",
        "--name",
        "failing",
        "--restart",
        "on-failure:2",
        "host",
        "sh",
        "-c",
        "echo run; exit 3",
    )
    assert said(root_account, "wait", "failing") == "3\n"
    assert said(root_account, "logs", "failing") == "run\n" * 3
    assert inspected(root_account, "failing")["RestartCount"] == 2
    said(root_account, "run", "-d", "--name", "always", "--restart", "always", "host", "sh", "-c", "exit 0")
    until(lambda: inspected(root_account, "always")["RestartCount"] > 0)
    said(root_account, "stop", "always")
    assert status(root_account, "always") == "exited"


def test_health_is_shown(account: Account) -> None:
    flags = ("--health-cmd", "test -e /var/well", "--health-interval", "100ms", "--health-retries", "2")
    said(account, "run", "-d", "--name", "patient", *flags, "host", "sleep", "1000")
    until(lambda: "(unhealthy)" in said(account, "ps", "--format", "{{.Status}}"))
    assert said(account, "exec", "patient", "touch", "/var/well") == ""
    until(lambda: "(healthy)" in said(account, "ps", "--format", "{{.Status}}"))
    assert said(account, "ps", "-q", "--filter", "health=healthy")
    assert inspected(account, "patient")["State"]["Health"]["FailingStreak"] == 0


def test_pausing_stops_every_process_and_top_and_stats_show_them(account: Account) -> None:
    script = "while :; do date +%s%N > /var/now; sleep 0.02; done"
    said(account, "run", "-d", "--name", "busy", "host", "sh", "-c", script)
    assert "while :" in said(account, "top", "busy")
    row = json.loads(said(account, "stats", "--no-stream", "--format", "json", "busy"))
    assert row["Name"] == "busy" and row["PIDs"] != "--"
    said(account, "pause", "busy")
    assert "(Paused)" in said(account, "ps", "--format", "{{.Status}}")
    said(account, "unpause", "busy")
    assert status(account, "busy") == "running"
    said(account, "pause", "busy")
    said(account, "stop", "-t", "1", "busy")
    assert status(account, "busy") == "exited"


def test_ps_is_right_after_a_kill_of_the_monitor(account: Account, unchanged_machine: Callable[[], None]) -> None:
    _kill_and_look(account, "monitor")
    unchanged_machine()


@pytest.mark.parametrize("victim", ["launcher", "pid 1", "command"])
def test_ps_is_right_after_a_kill_of_anybody(
    root_account: Account, victim: str, unchanged_machine: Callable[[], None]
) -> None:
    _kill_and_look(root_account, victim)
    unchanged_machine()


def _kill_and_look(account: Account, victim: str) -> None:
    said(account, "run", "-d", "--name", "target", "host", "sleep", "1000")
    folder = folder_of(account, "target")
    life = json.loads(account.run("cat", str(folder / "life.json")).stdout)
    state = json.loads(account.run("cat", str(folder / "state.json")).stdout)
    parent = int(Path(f"/proc/{state['pid']}/stat").read_text().rpartition(")")[2].split()[1])
    pids = {"monitor": life["monitor"], "launcher": parent, "pid 1": state["pid"], "command": state["command_pid"]}
    os.kill(pids[victim], signal.SIGKILL)
    until(lambda: said(account, "ps", "-q") == "")
    until(lambda: status(account, "target") == ("dead" if victim == "monitor" else "exited"))
    assert said(account, "wait", "target") == "137\n"
    assert said(account, "start", "target") == "target\n"
    assert status(account, "target") == "running"
    said(account, "rm", "-f", "target")


def test_one_run_with_rm_is_gone_with_its_end(account: Account) -> None:
    said(account, "run", "-d", "--rm", "--name", "brief", "host", "sleep", "1000")
    said(account, "stop", "-t", "0", "brief")
    assert said(account, "ps", "-aq") == ""
    assert said(account, "run", "--rm", "-t", "host", "sh", "-c", "exit 4", code=4) == ""
    assert said(account, "ps", "-aq") == ""
    assert "brief" not in account.run("ls", ".airdock/run/names").stdout.split()


def test_what_can_not_start_says_why_and_stays(root_account: Account) -> None:
    ended = root_account.airdock("container", "run", "--name", "wrong", "host", "no-such-command")
    assert ended.returncode == 127
    assert "no-such-command" in ended.stderr
    assert status(root_account, "wrong") == "created"
    detached = root_account.airdock("container", "run", "-d", "--rm", "host", "/etc/passwd")
    assert detached.returncode == 126
    assert said(root_account, "ps", "-aq").split() == [inspected(root_account, "wrong")["Id"][:12]]


def test_names_are_given_once_and_can_be_changed(root_account: Account) -> None:
    said(root_account, "create", "--name", "first", "host", "true")
    clash = root_account.airdock("container", "create", "--name", "first", "host", "true")
    assert clash.returncode == 125
    assert "expected a name that isn't taken" in clash.stderr
    said(root_account, "rename", "first", "second")
    said(root_account, "create", "--name", "first", "host", "true")
    assert said(root_account, "ps", "-a", "--format", "{{.Names}}") == "first\nsecond\n"
    assert (
        said(root_account, "ps", "-aq", "--filter", "name=^second$")
        == inspected(root_account, "second")["Id"][:12] + "\n"
    )


def test_what_is_typed_goes_in_and_output_comes_out(root_account: Account) -> None:
    ended = root_account.airdock("container", "run", "-i", "--name", "echo", "host", "cat", input="typed\n")
    assert (ended.returncode, ended.stdout) == (0, "typed\n")
    assert said(root_account, "logs", "echo") == "typed\n"


def test_of_many_at_once_with_one_name_one_gets_it(root_account: Account) -> None:
    argv = [*root_account.become, root_account.python, "-m", "airdock", "container", "run", "-d", "--name", "one"]
    racers = [
        subprocess.Popen([*argv, "host", "sleep", "1000"], env=dict(root_account.environment), stderr=subprocess.PIPE)
        for _ in range(6)
    ]
    codes = []
    for racer in racers:
        racer.communicate()
        codes.append(racer.returncode)
    assert sorted(codes) == [0, *[125] * 5]
    assert len(said(root_account, "ps", "-aq").split()) == 1


def test_what_is_started_while_it_is_removed_is_one_of_both(root_account: Account) -> None:
    said(root_account, "create", "--name", "torn", "host", "sleep", "1000")
    lock = folder_of(root_account, "torn") / "lock"
    verbs = [[root_account.python, "-m", "airdock", "container", verb, "torn"] for verb in ("start", "rm")]
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        racers = []
        for count, verb in enumerate(verbs, 1):  # both have seen that it doesn't run when they get at it
            racers.append(subprocess.Popen(verb, env=dict(root_account.environment), stderr=subprocess.PIPE))
            until(lambda count=count: _waiting(lock) == count)
    for racer in racers:
        racer.communicate()
    started, removed = (racer.returncode == 0 for racer in racers)
    assert started != removed
    assert len(said(root_account, "ps", "-q").split()) == started


def _waiting(lock: Path) -> int:
    """How many processes wait for a lock: proc_locks(5)."""
    number = f":{lock.stat().st_ino} "
    return sum("->" in line and number in line for line in Path("/proc/locks").read_text().splitlines())


def test_a_full_disk_keeps_nobody_from_looking_stopping_and_removing(root_account: Account, tmp_path: Path) -> None:
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(tmp_path)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip(f"a small disk can't be made: {mounted.stderr.decode().strip()}")
    home = {"AIRDOCK_HOME": str(tmp_path / "home")}

    def ended(*argv: str) -> tuple[int, str]:
        run = root_account.airdock("container", *argv, env=home)
        return run.returncode, run.stdout if run.returncode == 0 else run.stderr

    try:
        assert ended("create", "--name", "late", "host", "true")[0] == 0
        fill = "dd if=/dev/zero of=/big bs=1M count=20 2>/dev/null; touch /tmp/full; exec sleep 1000"
        assert ended("run", "-d", "--name", "f", "--tmpfs", "/tmp", "host", "sh", "-c", fill)[0] == 0
        until(lambda: ended("exec", "f", "ls", "/tmp/full")[0] == 0)
        code, told = ended("start", "late")
        assert (code, "No space left" in told) == (1, True)
        assert ended("stop", "-t", "1", "f") == (0, "f\n")
        assert ended("ps", "-a", "--format", "{{.Names}}") == (0, "f\nlate\n")
        assert ended("rm", "f", "late") == (0, "f\nlate\n")
        assert ended("run", "--rm", "host", "echo", "room")[1] == "room\n"
    finally:
        ended("rm", "-f", "f", "late")
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_twenty_at_once(root_account: Account) -> None:
    argv = [root_account.python, "-m", "airdock", "container", "run"]
    runs = [
        subprocess.Popen(
            [*argv, "host", "sh", "-c", f"echo {number}; exit {number}"],
            env=dict(root_account.environment),
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(20)
    ]
    for number, run in enumerate(runs):
        assert run.communicate()[0] == f"{number}\n"
        assert run.returncode == number
    assert len(said(root_account, "ps", "-aq").split()) == 20
    pruned = root_account.airdock("container", "prune", "-f")
    assert pruned.stdout.count("\n") >= 22
    assert said(root_account, "ps", "-aq") == ""


def test_logs_are_followed_to_the_end(root_account: Account) -> None:
    script = "for i in 1 2 3 4 5; do echo line $i; sleep 0.05; done"
    said(root_account, "run", "-d", "--name", "talk", "host", "sh", "-c", script)
    assert said(root_account, "logs", "-f", "talk") == "".join(f"line {number}\n" for number in range(1, 6))
    assert said(root_account, "logs", "--tail", "2", "talk") == "line 4\nline 5\n"


def test_logs_are_rotated(root_account: Account) -> None:
    options = ("--log-opt", "max-size=1k", "--log-opt", "max-file=3")
    said(root_account, "run", *options, "--name", "chatty", "host", "sh", "-c", "for i in $(seq 100); do echo $i; done")
    log = Path(inspected(root_account, "chatty")["LogPath"])
    assert sorted(path.name for path in log.parent.glob("*-json.log*")) == [log.name, f"{log.name}.1", f"{log.name}.2"]
    assert said(root_account, "logs", "chatty").splitlines()[-3:] == ["98", "99", "100"]


class Pty:
    """A command of ours in a terminal of its own."""

    def __init__(self, account: Account, *argv: str) -> None:
        self.pid, self.outside = pty.fork()
        if self.pid == 0:
            os.execve(account.python, [account.python, "-m", "airdock", "container", *argv], dict(account.environment))

    def expect(self, text: str) -> str:
        seen = ""
        while text not in seen:
            ready, _, _ = select.select([self.outside], [], [], 20)
            assert ready, f"expected {text!r}, found {seen!r}"
            seen += os.read(self.outside, 4096).decode()
        return seen

    def type(self, text: str) -> None:
        os.write(self.outside, text.encode())

    def wait(self) -> int:
        _, waited = os.waitpid(self.pid, 0)
        os.close(self.outside)
        return os.waitstatus_to_exitcode(waited)


def test_a_terminal_is_left_and_found_again(root_account: Account) -> None:
    first = Pty(root_account, "run", "-it", "--name", "shell", "host", "sh")
    first.expect("# ")
    first.type("A=kept; echo $((1+1))x\n")
    first.expect("2x\r\n")
    first.type("\x10\x11")
    assert first.wait() == 0
    assert status(root_account, "shell") == "running"
    both = [Pty(root_account, "attach", "--detach-keys", "ctrl-a,d", "shell") for _ in range(2)]
    for attached in both:
        until(lambda attached=attached: _reacts(attached))
    both[0].type("echo $A-$((40+2))\n")
    for attached in both:
        attached.expect("kept-42\r\n")
    both[1].type("\x01d")
    assert both[1].wait() == 0
    both[0].type("exit 6\n")
    assert both[0].wait() == 6


def _reacts(attached: Pty) -> bool:
    attached.type("\n")
    ready, _, _ = select.select([attached.outside], [], [], 0.5)
    return bool(ready) and "#" in os.read(attached.outside, 4096).decode()


def test_the_size_of_a_terminal_is_followed(root_account: Account) -> None:
    shell = Pty(root_account, "run", "--rm", "-it", "host", "sh")
    shell.expect("# ")
    fcntl.ioctl(shell.outside, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 99, 0, 0))
    until(lambda: _has_size(shell, "33 99"))
    shell.type("exit\n")
    assert shell.wait() == 0


def _has_size(shell: Pty, size: str) -> bool:
    shell.type("stty size; echo =$((1+1))=\n")
    return size in shell.expect("=2=\r\n")


def test_the_terminal_that_started_it_may_hang_up(root_account: Account) -> None:
    shell = Pty(root_account, "run", "-it", "--name", "left", "host", "sh")
    shell.expect("# ")
    os.close(shell.outside)
    os.waitpid(shell.pid, 0)
    assert status(root_account, "left") == "running"


def test_signals_are_passed_on_or_leave_it(root_account: Account) -> None:
    argv = [root_account.python, "-m", "airdock", "container"]
    script = "trap 'exit 9' INT; echo ready; while :; do sleep 0.05; done"
    run = subprocess.Popen(
        [*argv, "run", "--name", "sig", "host", "sh", "-c", script],
        env=dict(root_account.environment),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert run.stdout is not None
    assert run.stdout.readline() == "ready\n"
    attached = subprocess.Popen([*argv, "attach", "--no-sig-proxy", "sig"], env=dict(root_account.environment))
    time.sleep(0.5)
    attached.send_signal(signal.SIGINT)
    assert attached.wait() in (0, 130)
    assert status(root_account, "sig") == "running"
    run.send_signal(signal.SIGINT)
    run.communicate()
    assert run.returncode == 9
