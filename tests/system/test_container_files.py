"""`container cp|diff|export|commit` by every kind of account, of containers that run, ended, or never started."""

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

Account = Any
"""`conftest.Account`; conftest can't be imported by name."""

pytestmark = pytest.mark.usefixtures("unchanged_machine")

_SCRIPT = """
mkdir -p /data/sub; echo one > /data/file; echo two > /data/sub/two; ln -s /etc/passwd /data/out; ln -s sub /data/in
chmod 4755 /data/file; chmod 700 /data/sub; mkfifo /data/pipe; ln /data/file /data/again
touch -d 2001-02-03 /data/sub/two
"""


@pytest.fixture(
    scope="module", params=["root-running", "root-ended", "plain-running", "ranged-running", "ranged-ended"]
)
def place(request: pytest.FixtureRequest) -> Iterator[tuple[Account, str]]:
    """Somebody and a container of theirs with files in /data."""
    kind, state = request.param.split("-")
    account = request.getfixturevalue(f"{kind}_account")
    name = f"files-{state}"
    wait = "echo ready; exec sleep 600" if state == "running" else ""
    flags = ["-d"] if state == "running" else []
    made = account.airdock("container", "run", *flags, "--name", name, "host", "sh", "-c", _SCRIPT + wait)
    assert made.returncode == 0, made.stderr
    if flags:
        for _ in range(50):
            if "ready" in account.airdock("container", "logs", name).stdout:
                break
    yield account, name
    account.airdock("container", "rm", "-f", name)


def listed(folder: Path) -> dict[str, str]:
    """Kind and content of everything below a folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        elif path.is_file():
            found[name] = path.read_text()
        else:
            found[name] = "folder" if path.is_dir() else "pipe"
    return found


DATA = {
    "again": "one\n",
    "file": "one\n",
    "in": "-> sub",
    "out": "-> /etc/passwd",
    "pipe": "pipe",
    "sub": "folder",
    "sub/two": "two\n",
}


def test_files_come_out_and_go_in(place: tuple[Account, str]) -> None:
    account, container = place
    here = account.home / f"came-{container}"
    account.run("mkdir", str(here))
    cp = lambda *argv: account.airdock("container", "cp", *argv)  # noqa: E731 - said once, used often
    copied = cp(f"{container}:/data", str(here / "new"))
    assert copied.returncode == 0, copied.stderr
    assert listed(here / "new") == DATA
    status = (here / "new/file").stat()
    assert status.st_mode & 0o7777 == 0o755, "no set-user-id program comes out of a container"
    assert status.st_nlink == 2
    assert int((here / "new/sub/two").stat().st_mtime) == 981158400
    assert {path.lstat().st_uid for path in (here / "new").rglob("*")} == {here.stat().st_uid}
    assert cp(f"{container}:/data", str(here)).returncode == 0
    assert listed(here / "data") == DATA
    assert cp(f"{container}:/data/.", str(here / "data")).returncode == 0
    assert listed(here / "data") == DATA
    refused = cp(f"{container}:/data/file", f"{here}/none/", "-q")
    assert refused.returncode == 1
    assert "none" in refused.stderr

    account.run("sh", "-c", f"mkdir -p {here}/give/deep; echo given > {here}/give/deep/f; ln -s f {here}/give/deep/l")
    assert cp(str(here / "give"), f"{container}:/data").returncode == 0
    assert cp(str(here / "give/deep/f"), f"{container}:/data/in/renamed").returncode == 0
    assert cp(str(here / "give"), f"{container}:/data/file").returncode == 1
    assert cp(str(here / "give/deep/f"), f"{container}:/nowhere/f").returncode == 1
    assert cp(f"{container}:/data/sub", str(here / "back")).returncode == 0
    assert listed(here / "back") == {"renamed": "given\n", "two": "two\n"}
    assert cp(f"{container}:/data/give/deep", str(here / "deep")).returncode == 0
    assert listed(here / "deep") == {"f": "given\n", "l": "-> f"}


def test_a_tar_goes_both_ways(place: tuple[Account, str]) -> None:
    account, container = place
    program = f"{account.python} -m airdock container cp"
    packed = account.run("sh", "-c", f"{program} {container}:/data - | tar t | sort")
    assert {"data/", *(f"data/{name}{'/' * (name == 'sub')}" for name in DATA)} <= set(packed.stdout.split())
    account.run("sh", "-c", "mkdir -p packed/x; echo y > packed/x/y")
    put = account.run("sh", "-c", f"tar c -C packed x | {program} - {container}:/data/sub")
    assert put.returncode == 0, put.stderr
    again = account.run("sh", "-c", f"{program} {container}:/data/sub/x/y - | tar xO")
    assert again.stdout == "y\n"
    assert account.airdock("container", "cp", "-", f"{container}:/data/file", input="").returncode == 1


def test_what_goes_in_belongs_to_root_inside(account: Account) -> None:
    name = "owners"
    account.run("sh", "-c", "echo x > mine")
    assert (
        account.airdock("container", "create", "--name", name, "host", "stat", "-c", "%u:%g", "/mine").returncode == 0
    )
    try:
        assert account.airdock("container", "cp", "mine", f"{name}:/mine").returncode == 0
        started = account.airdock("container", "start", "-a", name)
        assert started.stdout == "0:0\n", started.stderr
    finally:
        account.airdock("container", "rm", "-f", name)


def test_links_lead_nowhere_out_of_the_container(place: tuple[Account, str]) -> None:
    account, container = place
    (secret := account.home / "secret").unlink(missing_ok=True)
    account.run("sh", "-c", "echo secret > secret")
    script = f"ln -s {account.home} /data/home; ln -s ../../../../../..{account.home} /data/up"
    if container.endswith("running"):
        assert account.airdock("container", "exec", container, "sh", "-c", script).returncode == 0
    else:
        account.run(
            "sh", "-c", f"mkdir -p links; ln -sfn {account.home} links/home; ln -sfn ../../../..{account.home} links/up"
        )
        assert account.airdock("container", "cp", "links/.", f"{container}:/data").returncode == 0
    for link in ("home", "up"):
        taken = account.airdock("container", "cp", f"{container}:/data/{link}/secret", "-")
        assert (taken.returncode, taken.stdout) == (1, ""), "there is no such folder inside"
        put = account.airdock("container", "cp", str(secret), f"{container}:/data/{link}/planted")
        assert put.returncode == 1
    assert not (account.home / "planted").exists()


def test_diff_export_and_commit(account: Account) -> None:
    name = "changed"
    context = account.home / "changing"
    context.mkdir(exist_ok=True)
    (context / "Dockerfile").write_text(
        "FROM host\nRUN mkdir -p /app/old /app/kept && echo 1 > /app/old/f && echo 2 > /app/kept/g\n"
        'ENV A=1\nCMD ["true"]\n'
    )
    built = account.airdock("image", "build", "-q", "-t", "changing", str(context))
    assert built.returncode == 0, built.stderr
    script = "rm -r /app/old; echo 3 > /app/kept/g; echo 4 > /app/new; mkdir /app/old; echo 5 > /app/old/h"
    try:
        ended = account.airdock("container", "run", "--name", name, "-e", "B=2", "changing", "sh", "-c", script)
        assert ended.returncode == 0, ended.stderr
        found = [line for line in account.airdock("container", "diff", name).stdout.splitlines() if "/app" in line]
        assert found == [
            "C /app",
            "C /app/kept",
            "C /app/kept/g",
            "A /app/new",
            "C /app/old",
            "D /app/old/f",
            "A /app/old/h",
        ]
        exported = account.home / "exported.tar"
        assert account.airdock("container", "export", "-o", str(exported), name).returncode == 0
        with tarfile.open(exported) as tar:
            names = {member.name for member in tar}
            assert {"app/new", "app/old/h", "app/kept/g"} <= names
            assert "app/old/f" not in names
            member = tar.getmember("app/kept/g")
            assert (member.uid, member.gid) == (0, 0)
        made = account.airdock(
            *("container", "commit", "-a", "me", "-m", "tried", "-c", 'CMD ["cat", "/app/kept/g"]', name, "tried:1")
        )
        assert made.returncode == 0, made.stderr
        assert made.stdout.startswith("sha256:")
        (config,) = json.loads(account.airdock("image", "inspect", "tried:1").stdout)
        assert {"A=1", "B=2"} <= set(config["Config"]["Env"])
        assert (config["Author"], config["Comment"]) == ("me", "tried")
        assert account.airdock("container", "run", "--rm", "tried:1").stdout == "3\n"
        assert account.airdock("container", "run", "--rm", "tried:1", "ls", "/app/old").stdout == "h\n"
        again = account.airdock("container", "diff", name).stdout
        assert "A /app/new" in again, "a container keeps its files when it is committed"
    finally:
        account.airdock("container", "rm", "-f", name)


def test_a_running_container_is_committed(account: Account) -> None:
    name = "writing"
    try:
        loop = "while :; do date >> /log; done"
        assert account.airdock("container", "run", "-d", "--name", name, "host", "sh", "-c", loop).returncode == 0
        made = account.airdock("container", "commit", name, "log:1")
        assert made.returncode == 0, made.stderr
        assert account.airdock("container", "run", "--rm", "log:1", "test", "-s", "/log").returncode == 0
        assert "running" in account.airdock("container", "ps", "--format", "{{.State}}").stdout
    finally:
        account.airdock("container", "rm", "-f", name)
