"""The launcher on the real kernel: every case of `launcher_cases.py` by every kind of account, nothing left behind."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CASES = Path(__file__).with_name("launcher_cases.py")
NAMES = re.findall(r"^def case_(\w+)", CASES.read_text(), re.MULTILINE)

Account = Any
"""`conftest.Account`; conftest can't be imported by name."""


@pytest.mark.parametrize("name", NAMES)
def test_a_launcher(account: Account, name: str, unchanged_machine: Callable[[], None]) -> None:
    script = account.home / "launcher_cases.py"
    script.write_text(CASES.read_text())
    script.chmod(0o644)
    folder = f"cases/{name}"
    try:
        account.run("mkdir", "-p", folder)
        ended = account.run(account.python, "-W", "error", str(script), str(account.home / folder), name, timeout_s=120)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert not ended.stderr
    finally:
        account.run("chmod", "-R", "u+rwX", "cases")
        account.run("rm", "-rf", "cases")
    if ended.stdout.startswith("skipped: "):
        pytest.skip(ended.stdout.removeprefix("skipped: ").strip())


def run_case(account: Account, *around: str, name: str) -> str:
    """Run a case within another command; gives what went wrong."""
    script = account.home / "launcher_cases.py"
    script.write_text(CASES.read_text())
    script.chmod(0o644)
    account.run("mkdir", "-p", "case")
    ended = account.run(*around, account.python, "-W", "error", str(script), str(account.home / "case"), name)
    account.run("chmod", "-R", "u+rwX", "case")
    account.run("rm", "-rf", "case")
    return str(ended.stderr)


def test_a_switch_that_is_off_is_named(account: Account, unchanged_machine: Callable[[], None]) -> None:
    switch_off = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
    said = run_case(account, "unshare", "-Ur", "sh", "-c", switch_off, "sh", name="names_are_the_containers")
    assert "IsolationError" in said
    assert "user.max_user_namespaces = 0" in said


@pytest.mark.parametrize("around", [("unshare", "-Ur"), ("setpriv", "--bounding-set", "-sys_admin")], ids=" ".join)
@pytest.mark.parametrize("name", ["ids_are_mapped_as_the_mapping_says", "binds_of_folders_and_files"])
def test_root_of_a_container_around_us_is_an_ordinary_account(
    root_account: Account, around: tuple[str, ...], name: str, unchanged_machine: Callable[[], None]
) -> None:
    assert run_case(root_account, *around, name=name) == ""
