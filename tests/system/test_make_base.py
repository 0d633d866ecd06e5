"""A Debian base from Debian's archive: made by accounts that can, refused with what to do by those that can't."""

import os
import shutil
import urllib.request

import pytest

from airdock.environments.debian import SUITES, names_of

from .conftest import Account

RELEASE = "http://deb.debian.org/debian/dists/bookworm/Release"


def need_archive() -> None:
    if not shutil.which("mmdebstrap"):
        pytest.skip("needs mmdebstrap (apt-get install mmdebstrap)")
    try:
        urllib.request.urlopen(RELEASE, timeout=10).close()
    except OSError as error:
        pytest.skip(f"Debian's archive can't be reached: {error}")


def test_a_base_is_found_by_dockerfiles(ranged_account: Account) -> None:
    need_archive()
    home = {"AIRDOCK_HOME": str(ranged_account.home / "bases")}
    made = ranged_account.airdock("image", "make-base", "bookworm", "-q", env=home)
    assert made.returncode == 0, made.stderr
    text = (
        "FROM debian:bookworm-slim\n"
        "RUN . /etc/os-release && test $VERSION_CODENAME = bookworm && test -x /usr/bin/apt-get\n"
        "RUN ! ls /var/lib/apt/lists/*_Packages /usr/share/man/man1/* /var/log/*\n"
        "RUN test $(stat -c %U:%G:%a /var/mail) = root:mail:2775 && test $(stat -c %a /bin/su) = 4755\n"
    )
    built = ranged_account.airdock("image", "build", "-t", "on-it", "-", env=home, input=text)
    assert built.returncode == 0, built.stderr
    listed = ranged_account.airdock("image", "ls", "debian", "--format", "{{.Tag}} {{.Portable}}", env=home)
    assert listed.stdout.split("\n")[:2] == ["bookworm yes", "bookworm-slim yes"]
    again = ranged_account.airdock("image", "tag", "on-it", "debian:bookworm", env=home)
    assert again.returncode == 0, again.stderr
    pruned = ranged_account.airdock("system", "prune", "-a", "-f", env=home)
    assert pruned.returncode == 0 and "Total reclaimed space" in pruned.stdout, pruned.stderr
    assert ranged_account.airdock("image", "ls", "-q", env=home).stdout == ""


def test_one_id_is_not_enough(plain_account: Account) -> None:
    if not shutil.which("mmdebstrap"):
        pytest.skip("needs mmdebstrap (apt-get install mmdebstrap)")
    refused = plain_account.airdock("image", "make-base", "bookworm")
    assert refused.returncode == 1
    assert "expected id ranges for this account, found none" in refused.stderr
    assert "usermod --add-subuids" in refused.stderr


def test_without_mmdebstrap_it_says_how_to_get_it(root_account: Account) -> None:
    path = os.path.dirname(root_account.python)
    refused = root_account.airdock("image", "make-base", "trixie", env={"PATH": path})
    assert refused.returncode == 1
    assert "expected mmdebstrap" in refused.stderr and "apt-get install mmdebstrap" in refused.stderr


def test_a_mirror_that_cannot_be_reached_is_named(root_account: Account) -> None:
    if not shutil.which("mmdebstrap"):
        pytest.skip("needs mmdebstrap (apt-get install mmdebstrap)")
    wanted = ("--mirror", "http://127.0.0.1:9/debian", "-t", "unreachable")
    refused = root_account.airdock("image", "make-base", "bookworm", *wanted)
    assert refused.returncode == 1
    assert "where: http://127.0.0.1:9/debian/dists/bookworm/Release" in refused.stderr and "--mirror" in refused.stderr


def test_names() -> None:
    assert names_of("bookworm", python=False) == ("debian:bookworm-slim", "debian:bookworm")
    assert names_of("trixie", python=True) == ("python:3.13-slim-trixie", "python:3.13-slim")
    assert set(SUITES) == {"bullseye", "bookworm", "trixie"}
