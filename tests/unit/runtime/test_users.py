"""Docker's rules for `user[:group]`."""

import os
from pathlib import Path

import pytest

from airdock.errors import ContainerError
from airdock.runtime import users
from airdock.runtime.users import User, resolve_user

PASSWD = (
    "root:x:0:0:root:/root:/bin/sh\nairflow:x:50000:50001::/opt/airflow:/bin/sh\n"
    "broken\n:::\n1000:x:7:8::/seven:/bin/sh\n"
)
GROUP = "root:x:0:\nairflow:x:50001:\ndocker:x:999:other,airflow\nwheel:x:10:airflow\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("root", User(uid=0, gid=0, groups=(0,), home="/root")),
        ("0", User(uid=0, gid=0, groups=(0,), home="/root")),
        ("airflow", User(uid=50000, gid=50001, groups=(999, 10, 50001), home="/opt/airflow")),
        ("airflow:docker", User(uid=50000, gid=999, home="/opt/airflow")),
        ("50000:0", User(uid=50000, gid=0, home="/opt/airflow")),
        ("4711", User(uid=4711, gid=0, groups=(0,), home="/")),
        ("4711:4712", User(uid=4711, gid=4712, home="/")),
        ("1000", User(uid=7, gid=8, groups=(8,), home="/seven")),  # a name that looks like a number is a name first
    ],
)
def test_a_user_is_found(text: str, expected: User) -> None:
    assert resolve_user(text, passwd=PASSWD, group=GROUP) == expected


@pytest.mark.parametrize("text", ["nobody", "airflow:nogroup", "-1"])
def test_a_name_that_is_not_there_is_told_with_those_that_are(text: str) -> None:
    with pytest.raises(ContainerError, match=r"expected the (user|group) .* found root, airflow"):
        resolve_user(text, passwd=PASSWD, group=GROUP)


def test_an_image_without_users_knows_numbers_only() -> None:
    assert resolve_user("5", passwd="", group="").uid == 5
    with pytest.raises(ContainerError, match="found none"):
        resolve_user("root", passwd="", group="")


def test_hostile_files_are_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert users._read(str(tmp_path / "fifo")) == ""
    assert users._read("/dev/zero") == ""
    assert users._read(str(tmp_path)) == ""
    (tmp_path / "big").write_bytes(b"x" * (3 << 20))
    assert len(users._read(str(tmp_path / "big"))) == 1 << 20


@pytest.mark.parametrize("text", ["4294967295", "2147483648", "0:4294967295", "last", "torn", "²"])
def test_ids_that_mean_something_else_to_the_kernel_are_refused(text: str) -> None:
    passwd = "last:x:4294967295:0::/:\ntorn:x:1:one::/:\n"
    with pytest.raises(ContainerError):
        resolve_user(text, passwd=passwd, group="")
