"""Volumes by every kind of account: filled from images with owners and modes, kept, shared, protected, removed."""

import json
from collections.abc import Callable
from typing import Any

import pytest

Account = Any
Docker = Callable[..., Any]
"""`conftest.Account` and `conftest.Docker`; conftest can't be imported by name."""

_DOCKERFILE = """FROM {base}
RUN mkdir -p /seed/sub && echo one > /seed/f && echo two > /seed/sub/g && ln -s f /seed/l && ln /seed/f /seed/h
RUN chmod 2750 /seed/sub && chmod 600 /seed/f && (chown -R 7:8 /seed/sub || true)
VOLUME /seed
"""
_LIST = "cd /seed; stat -c '%n %a %u:%g %F' . f h l sub sub/g; cat f sub/g; readlink l"


@pytest.mark.usefixtures("unchanged_machine")
def test_a_volume_from_its_beginning_to_its_end(account: Account) -> None:
    run = lambda *argv: account.airdock("container", "run", *argv)  # noqa: E731 - said once, used often
    built = account.airdock("image", "build", "-q", "-t", "seed", "-", input=_DOCKERFILE.format(base="host"))
    assert built.returncode == 0, built.stderr
    expected = run("--rm", "seed", "sh", "-c", _LIST)
    assert expected.returncode == 0, expected.stderr

    filled = run("--rm", "-v", "data:/seed", "seed", "sh", "-c", _LIST)
    assert (filled.stdout, filled.stderr) == (expected.stdout, ""), "files, modes and owners are the image's"
    empty = run("--rm", "--mount", "type=volume,src=bare,dst=/seed,volume-nocopy", "seed", "ls", "-A", "/seed")
    assert empty.stdout == ""
    assert run("--rm", "-v", "data:/seed", "seed", "sh", "-c", "echo more > /seed/more; rm /seed/h").returncode == 0
    again = run("--rm", "-v", "data:/elsewhere:ro", "host", "sh", "-c", "ls /elsewhere; touch /elsewhere/x")
    assert again.stdout.split() == ["f", "l", "more", "sub"]
    assert "Read-only" in again.stderr
    part = run("--rm", "--mount", "src=data,dst=/p,volume-subpath=sub", "host", "cat", "/p/g")
    assert part.stdout == "two\n", part.stderr

    try:
        assert run("--name", "keeper", "-v", "data:/seed", "seed", "true").returncode == 0
        refused = account.airdock("volume", "rm", "data")
        assert (refused.returncode, "in use" in refused.stderr) == (1, True)
        inherited = run("--rm", "--volumes-from", "keeper:ro", "host", "cat", "/seed/more")
        assert inherited.stdout == "more\n", inherited.stderr
        out = account.airdock("container", "cp", "keeper:/seed/more", "-")
        assert "more" in out.stdout, "cp sees the volumes of a container that doesn't run"
    finally:
        account.airdock("container", "rm", "keeper")
    (document,) = json.loads(account.airdock("volume", "inspect", "data").stdout)
    assert (document["Name"], document["Driver"]) == ("data", "local")
    assert account.airdock("volume", "ls", "-q").stdout.split() == ["bare", "data"]
    assert account.airdock("volume", "rm", "data", "bare").stdout.split() == ["data", "bare"]
    assert account.airdock("volume", "rm", "data").returncode == 1


@pytest.mark.usefixtures("unchanged_machine")
def test_volumes_without_a_name_go_with_their_container(account: Account) -> None:
    left = lambda: account.airdock("volume", "ls", "-q").stdout.split()  # noqa: E731 - said once, used often
    ended = account.airdock("container", "run", "--rm", "-v", "/anon", "host", "sh", "-c", "echo x > /anon/x")
    assert (ended.returncode, left()) == (0, [])
    assert account.airdock("container", "run", "--rm", "-v", "/anon", "host", "no-such").returncode == 127
    assert left() == []
    assert account.airdock("container", "run", "--name", "one", "-v", "/anon", "host", "true").returncode == 0
    assert len(left()) == 1
    assert account.airdock("container", "rm", "-v", "one").returncode == 0
    assert left() == []
    assert account.airdock("container", "run", "--name", "two", "-v", "/anon", "host", "true").returncode == 0
    assert account.airdock("container", "rm", "two").returncode == 0
    (name,) = left()
    assert name in account.airdock("volume", "prune", "-f").stdout
    assert left() == []


@pytest.mark.usefixtures("unchanged_machine")
def test_folders_of_the_machine(account: Account) -> None:
    made = account.airdock("container", "run", "--rm", "-v", "./fresh/deep:/x", "host", "touch", "/x/mine")
    assert made.returncode == 0, made.stderr
    status = (account.home / "fresh/deep/mine").stat()
    assert status.st_uid == (account.home / "fresh").stat().st_uid == account.home.stat().st_uid
    missing = account.airdock("container", "run", "--rm", "--mount", "type=bind,src=./gone,dst=/x", "host", "true")
    assert missing.returncode == 125
    assert "found nothing at" in missing.stderr
    assert not (account.home / "gone").exists()
