"""`airdock image` and `airdock container` as people type them, by every kind of account, with real containers."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

Account = Any
"""`conftest.Account`; conftest can't be imported by name."""

pytestmark = pytest.mark.usefixtures("unchanged_machine")


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (["host", "true"], 0),
        (["host", "sh", "-c", "exit 7"], 7),
        (["host", "sh", "-c", "kill -9 $$"], 137),
        (["host", "no-such-command"], 127),
        (["host", "/etc/passwd"], 126),
        (["no-such-image", "true"], 125),
        (["--no-such-flag", "host", "true"], 125),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_exit_codes_are_dockers(account: Account, argv: list[str], code: int) -> None:
    ended = account.airdock("container", "run", "--rm", *argv)
    assert ended.returncode == code, ended.stderr
    assert (ended.stderr.startswith("error: ")) == (code in (125, 126, 127))


def test_flags_reach_the_container(account: Account, tmp_path: Path) -> None:
    shared = account.home / "shared"
    account.run("mkdir", "-p", str(shared))
    script = "echo $A:$B; pwd; hostname; echo written > /data/out; touch /usr/x 2>/dev/null || echo refused"
    ended = account.airdock(
        *("container", "run", "--rm", "-e", "A=1", "-e", "B", "-v", f"{shared}:/data", "-w", "/tmp", "-h", "me"),
        *("host", "sh", "-c", script),
        env={"B": "ours"},
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines() == ["1:ours", "/tmp", "me", "refused"]
    assert (shared / "out").read_text() == "written\n"


def test_a_read_only_volume_cannot_be_written(account: Account) -> None:
    account.run("mkdir", "-p", "given")
    ended = account.airdock("container", "run", "--rm", "-v", "./given:/data:ro", "host", "touch", "/data/x")
    assert ended.returncode == 1
    assert "Read-only file system" in ended.stderr


def test_stdin_is_given_only_where_it_is_asked_for(account: Account) -> None:
    assert account.airdock("container", "run", "--rm", "-i", "host", "cat", input="typed").stdout == "typed"
    assert account.airdock("container", "run", "--rm", "host", "cat", input="typed").stdout == ""


def test_a_terminal_without_anything_to_type(account: Account) -> None:
    ended = account.airdock("container", "run", "--rm", "-t", "host", "sh", "-c", "tty; exit 4")
    assert (ended.returncode, ended.stdout, ended.stderr) == (4, "/dev/pts/0\n", "")


def test_without_a_network_there_is_only_loopback(account: Account) -> None:
    listed = account.airdock("container", "run", "--rm", "--network", "none", "host", "cat", "/proc/net/dev")
    names = re.findall(r"^ *(\w+):", listed.stdout, re.MULTILINE)
    assert names == ["lo"]


def test_the_entrypoint_is_replaced_and_arguments_are_its_own(account: Account) -> None:
    dockerfile = 'FROM host\nENTRYPOINT ["echo", "image"]\nCMD ["default"]\n'
    built = account.airdock("image", "build", "-q", "-t", "entry", "-", input=dockerfile)
    assert built.returncode == 0, built.stderr
    run = lambda *argv: account.airdock("container", "run", "--rm", *argv).stdout  # noqa: E731 - said once, used thrice
    assert run("entry") == "image default\n"
    assert run("entry", "-n", "given") == "image -n given\n"
    assert run("--entrypoint", "printf", "entry", "mine\\n") == "mine\n"


def test_limits_that_can_not_be_set_are_told(account: Account) -> None:
    checks = json.loads(account.airdock("doctor", "--json").stdout)["checks"]
    [limits] = [check for check in checks if check["name"] == "limits"]
    ended = account.airdock("container", "run", "--rm", "-m", "64m", "--cpus", "0.5", "host", "true")
    assert ended.returncode == 0
    assert ended.stderr.startswith(f"warning: limits don't hold: {limits['found']}") == (not limits["ok"])
    assert account.airdock("container", "run", "--rm", "host", "true").stderr == ""


def test_what_was_not_removed_is_listed_and_can_be(account: Account) -> None:
    ended = account.airdock("container", "run", "--name", "kept", "host", "sh", "-c", "exit 3")
    assert ended.returncode == 3
    listed = account.airdock("container", "ps", "-a", "--format", "json").stdout
    (row,) = [json.loads(line) for line in listed.splitlines()]
    assert (row["Names"], row["Image"], row["State"]) == ("kept", "host", "exited")
    assert row["Status"].startswith("Exited (3) ")
    assert account.airdock("container", "ps", "-q").stdout == ""
    assert account.airdock("container", "rm", "kept").stdout == "kept\n"
    assert account.airdock("container", "ps", "-aq").stdout == ""
    again = account.airdock("container", "rm", "kept")
    assert (again.returncode, again.stderr.splitlines()[0]) == (
        1,
        "error: expected a container named 'kept', found none",
    )


def test_images_are_built_listed_tagged_inspected_and_removed(account: Account) -> None:
    context = account.home / "context"
    context.mkdir(exist_ok=True)
    (context / "file").write_text("content\n")
    (context / "Dockerfile").write_text("FROM host\nARG NAME=nobody\nCOPY file /file\nRUN echo $NAME > /name\n")
    built = account.airdock("image", "build", "-t", "made", "--build-arg", "NAME=ada", str(context))
    assert built.returncode == 0, built.stderr
    assert re.fullmatch(r"sha256:[0-9a-f]{64}\n", built.stdout)
    assert "COPY file /file" in built.stderr
    again = account.airdock("image", "build", "--json", "-t", "made", "--build-arg", "NAME=ada", str(context))
    told = [json.loads(line) for line in again.stdout.splitlines()]
    assert told[-1] == {"event": "image", **told[-1], "id": built.stdout.strip(), "tags": ["made"]}
    assert all(step["cached"] for step in told if step["event"] == "build_step" and step["seconds"] is not None)

    account.airdock("image", "tag", "made", "team/other:2")
    listed = account.airdock("image", "ls", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}").stdout.splitlines()
    assert f"team/other:2 {built.stdout[7:19]}" in listed
    header = account.airdock("image", "ls").stdout.splitlines()[0]
    assert header.split() == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]
    (inspected,) = json.loads(account.airdock("image", "inspect", "made").stdout)
    assert inspected["Id"] == built.stdout.strip()
    assert set(inspected["RepoTags"]) == {"made:latest", "team/other:2"}
    assert not any("NAME" in entry for entry in inspected["Config"]["Env"])
    assert account.airdock("container", "run", "--rm", "made", "cat", "/file", "/name").stdout == "content\nada\n"
    assert account.airdock("image", "rm", "team/other:2").stdout == "Untagged: team/other:2\n"
    removed = account.airdock("image", "rm", "made").stdout.splitlines()
    assert removed[0] == "Untagged: made:latest"
    assert removed[1].startswith("Deleted: sha256:")


def test_a_failing_build_says_where(account: Account) -> None:
    ended = account.airdock("image", "build", "-", input="FROM host\nRUN echo why; exit 4\n")
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert "| why" in ended.stderr
    assert "exit code 4" in ended.stderr
    assert "where: <stdin>:2" in ended.stderr


def test_one_more_command_joins_a_running_container(root_account: Account) -> None:
    argv = [root_account.python, "-m", "airdock", "container", "run", "--rm", "-i", "--name", "open", "host"]
    script = "echo in > /tmp/made; echo ready; cat"
    process = subprocess.Popen(
        [*argv, "sh", "-c", script],
        env=dict(root_account.environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    joined = root_account.airdock(
        *("container", "exec", "-i", "-e", "A=1", "-w", "/tmp", "open"),
        *("sh", "-c", "cat made; pwd; echo $A; cat; exit 4"),
        input="typed",
    )
    assert (joined.returncode, joined.stdout) == (4, "in\n/tmp\n1\ntyped"), joined.stderr
    assert root_account.airdock("container", "exec", "open", "no-such-command").returncode == 127
    assert root_account.airdock("container", "exec", "other", "true").returncode == 1
    refused = root_account.airdock("container", "rm", "open")
    assert refused.returncode == 1
    assert "found open running" in refused.stderr
    assert root_account.airdock("container", "ps", "--format", "{{.Names}}").stdout == "open\n"
    process.stdin.close()
    assert process.wait(20) == 0
    process.stdout.close()
    assert root_account.airdock("container", "ps", "-aq").stdout == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_are_the_containers(root_account: Account, number: signal.Signals) -> None:
    process = subprocess.Popen(
        [root_account.python, "-m", "airdock", "container", "run", "--rm", "host", "sh", "-c",
         "trap 'exit 9' INT TERM; echo ready; while :; do sleep 0.05; done"],
        env=dict(root_account.environment), stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(number)
    process.stdout.close()
    assert process.wait(20) == 9


def test_an_interactive_shell(root_account: Account) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        argv = [root_account.python, "-m", "airdock", "container", "run", "--rm", "-it", "host", "sh"]
        os.execve(argv[0], argv, {**root_account.environment, "TERM": "xterm"})
    try:
        _read_until(terminal, b"# ")
        os.write(terminal, b"tty; echo id=$(id -u)\r")
        assert b"/dev/pts/0" in _read_until(terminal, b"id=0\r\n# ")
        os.write(terminal, b"sleep 100\r")
        _read_until(terminal, b"sleep 100\r\n")
        time.sleep(0.2)  # the shell has to have started it; nothing is told when it has
        os.write(terminal, b"\x03")
        _read_until(terminal, b"# ")
        os.write(terminal, b"exit 5\r")
        _, status = os.waitpid(pid, 0)
        assert os.waitstatus_to_exitcode(status) == 5
    finally:
        os.close(terminal)


def _read_until(descriptor: int, wanted: bytes) -> bytes:
    seen = b""
    while wanted not in seen:
        ready, _, _ = select.select([descriptor], [], [], 20)
        assert ready, f"expected {wanted!r}, saw {seen!r}"
        seen += os.read(descriptor, 65536)
    return seen
