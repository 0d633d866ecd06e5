"""Every way out of a container that `escape_attempts.py` knows, by every kind of account and with every flag that opens
something: refused, each with its errno in the report of a failure."""

import glob
import json
import os
import pty
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

ATTEMPTS = Path(__file__).with_name("escape_attempts.py")
OPEN = {"": (), "--cap-add=ALL": ("own_",), "--privileged": ("own_", "unfiltered_")}
"""Flags, and how the names of those attempts begin that then reach something, though nothing of the machine's."""
OF_THE_IMAGE = ("write_read_only_bind", "others_files")
"""These reach the image's own /usr and /etc/shadow, where those aren't the machine's: copies, thrown away with it."""

Account = Any
"""`conftest.Account`; conftest can't be imported by name."""


def attempts(
    account: Account, *flags: str, image: str = "host", python: Sequence[str] = ("python3",)
) -> list[dict[str, Any]]:
    """What came of each attempt in a container of that account."""
    script = account.home / "escape_attempts.py"
    script.write_text(ATTEMPTS.read_text())
    script.chmod(0o644)
    bound = f"{script}:/attempts.py:ro"
    ended = account.airdock("container", "run", "--rm", *flags, "-v", bound, image, *python, "/attempts.py")
    assert ended.returncode == 0, ended.stderr
    found = [json.loads(line) for line in ended.stdout.splitlines()]
    assert len(found) == ATTEMPTS.read_text().count("@attempt(")
    return found


@pytest.fixture(scope="module")
def python_bound() -> tuple[list[str], list[str]]:
    """Flags and words that run the machine's Python, with its own libraries, in an image that has none."""
    [loader] = glob.glob("/usr/lib/*/ld-linux-*.so.*") or [""]
    if not loader or not Path("/usr/bin/python3").exists():
        pytest.skip("no /usr/bin/python3, or its libraries are in other folders than Debian's")
    here = loader.replace("/usr/", "/machine/", 1)
    return (
        ["-v", "/usr:/machine:ro", "-e", "PYTHONHOME=/machine"],
        [here, "--library-path", str(Path(here).parent), "/machine/bin/python3"],
    )


@pytest.fixture
def debian_image(account: Account, debian_base: Path) -> Iterator[str]:
    """A Debian of its own in the account's home, which shares nothing with the machine."""
    made = account.airdock("image", "import", str(debian_base), "escape:1")
    assert made.returncode == 0, made.stderr
    yield "escape:1"
    account.airdock("image", "rm", "-f", "escape:1")


def reached(found: list[dict[str, Any]], allowed: tuple[str, ...] = ()) -> list[str]:
    return [
        f"{one['name']} ({one['what']}): {one['said']}"
        for one in found
        if one["errno"] is None and not one["name"].startswith(allowed or "-")
    ]


@pytest.mark.parametrize("flag", OPEN)
def test_no_attempt_reaches_the_machine(account: Account, flag: str, unchanged_machine: Callable[[], None]) -> None:
    found = attempts(account, "--network", "none", *filter(None, [flag]))
    assert reached(found, OPEN[flag]) == []
    assert not Path("/usr/airdock-escape").exists()


def test_no_attempt_in_another_image_reaches_the_machine(
    account: Account,
    debian_image: str,
    python_bound: tuple[list[str], list[str]],
    unchanged_machine: Callable[[], None],
) -> None:
    """An image without a file of the machine's: what is refused is not refused by what the machine's root has."""
    flags, python = python_bound
    found = attempts(account, "--network", "none", *flags, image=debian_image, python=python)
    assert reached(found, OF_THE_IMAGE) == []
    assert not Path("/usr/airdock-escape").exists()


def test_with_the_machines_network_only_the_network_is_reached(
    account: Account, unchanged_machine: Callable[[], None]
) -> None:
    found = attempts(account)
    names = {one["name"] for one in found if one["errno"] is None}
    assert names <= {"machine_network", "abstract_sockets"}


@pytest.mark.parametrize("options", [["seccomp=unconfined"], ["no-new-privileges=false"]], ids=str)
def test_a_single_switch_opens_no_more_than_it_says(
    account: Account, options: list[str], unchanged_machine: Callable[[], None]
) -> None:
    flags = [word for option in options for word in ("--security-opt", option)]
    found = attempts(account, "--network", "none", *flags)
    assert reached(found, ("own_", "unfiltered_") if "seccomp=unconfined" in options else ("own_gain",)) == []


def test_another_user_inside_reaches_no_more(account: Account, unchanged_machine: Callable[[], None]) -> None:
    if account.name != "root" and f"{account.name}:" not in Path("/etc/subuid").read_text():
        pytest.skip("this account has one id, so there is nobody else inside")
    user = "12"
    assert reached(attempts(account, "--network", "none", "--user", user)) == []


def test_what_a_container_writes_into_a_bind_belongs_to_the_account(
    account: Account, unchanged_machine: Callable[[], None]
) -> None:
    folder = account.home / "bound"
    account.run("mkdir", "-p", str(folder))
    try:
        script = "echo root > /b/root; mkdir /b/folder; ln -s x /b/link"
        ended = account.airdock("container", "run", "--rm", "-v", f"{folder}:/b", "host", "sh", "-c", script)
        assert ended.returncode == 0, ended.stderr
        owner = folder.stat().st_uid
        assert {(path.name, path.lstat().st_uid) for path in folder.iterdir()} == {
            ("root", owner),
            ("folder", owner),
            ("link", owner),
        }
    finally:
        account.run("rm", "-rf", str(folder))


def test_a_terminal_at_stdin_takes_no_input_from_a_container(
    root_account: Account, unchanged_machine: Callable[[], None]
) -> None:
    """Without -t our own terminal is its stdin: characters pushed into it would be typed into our shell."""
    main, terminal = pty.openpty()
    script = "import fcntl, sys\ntry:\n fcntl.ioctl(0, 0x5412, b'x')\nexcept OSError as e:\n print(e.errno)"
    argv = [root_account.python, "-m", "airdock", "container", "run", "--rm", "-i", "host", "python3", "-c", script]
    try:
        ended = subprocess.run(
            argv,
            env={**root_account.environment},
            cwd=root_account.home,
            stdin=terminal,
            capture_output=True,
            text=True,
        )
    finally:
        os.close(main)
        os.close(terminal)
    assert ended.stdout.strip() in {"1", "5"}, ended.stdout + ended.stderr
