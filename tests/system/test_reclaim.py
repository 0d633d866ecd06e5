"""The disk by every kind of account: what is in use stays, caps hold, old environments go."""

import json
import os
import pty
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .conftest import Account

DOCKERFILE = "FROM host\nRUN head -c 300000 /dev/urandom > /{name}\n"


@pytest.fixture
def home(account: Account) -> Iterator[dict[str, str]]:
    folder = account.home / "reclaim"
    yield {"AIRDOCK_HOME": str(folder)}
    # Layers may belong to other ids of the account, so they go first, by its own command.
    account.airdock("container", "rm", "-f", "web", env={"AIRDOCK_HOME": str(folder)})
    account.airdock("system", "prune", "-a", "-f", env={"AIRDOCK_HOME": str(folder)})
    assert account.run("rm", "-rf", str(folder)).returncode == 0


def build(account: Account, home: dict[str, str], name: str, **settings: str) -> str:
    env = {**home, **settings}
    made = account.airdock("image", "build", "-q", "-t", name, "-", env=env, input=DOCKERFILE.format(name=name))
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def names(account: Account, home: dict[str, str]) -> list[str]:
    listed = account.airdock("image", "ls", "--format", "{{.Repository}}", env=home)
    assert listed.returncode == 0, listed.stderr
    return sorted(listed.stdout.split())


def usage(account: Account, home: dict[str, str]) -> dict[str, dict[str, str]]:
    shown = account.airdock("system", "df", "--format", "json", env=home)
    assert shown.returncode == 0, shown.stderr
    return {row["Type"]: row for row in map(json.loads, shown.stdout.splitlines())}


def test_what_containers_stand_on_stays(
    account: Account, home: dict[str, str], unchanged_machine: Callable[[], None]
) -> None:
    build(account, home, "used")
    build(account, home, "spare")
    started = account.airdock("container", "run", "-d", "--name", "web", "used", "sleep", "60", env=home)
    assert started.returncode == 0, started.stderr
    before = usage(account, home)
    assert (before["Images"]["TotalCount"], before["Images"]["Active"]) == ("3", "1")
    assert (before["Containers"]["TotalCount"], before["Containers"]["Active"]) == ("1", "1")
    pruned = account.airdock("image", "prune", "-a", "-f", env=home)
    assert "Untagged: spare:latest" in pruned.stdout and "used" not in pruned.stdout, pruned.stdout
    assert names(account, home) == ["used"]
    assert account.airdock("container", "exec", "web", "test", "-s", "/used", env=home).returncode == 0
    tried = account.airdock("image", "rm", "used", env=home)
    assert tried.returncode == 1 and "in use by container" in tried.stderr
    assert account.airdock("container", "kill", "web", env=home).returncode == 0
    assert account.airdock("container", "wait", "web", env=home).stdout == "137\n"
    kept = account.airdock("image", "prune", "-a", "-f", env=home)  # it could be started again
    assert "used" not in kept.stdout and names(account, home) == ["used"]
    pruned = account.airdock("system", "prune", "-a", "-f", env=home)
    assert "Deleted Containers:" in pruned.stdout and "Untagged: used:latest" in pruned.stdout, pruned.stderr
    assert usage(account, home)["Build Cache"]["Size"] == "0B"
    images = account.home / "reclaim/images"
    assert [path for pattern in ("blobs/*/*", "layers/*/*", "diffs/*") for path in images.glob(pattern)] == []


@pytest.mark.parametrize("account", ["root"], indirect=True)
def test_cached_steps_outlive_their_images_until_the_cap(account: Account, home: dict[str, str]) -> None:
    image = build(account, home, "one")
    assert account.airdock("image", "rm", "one", env=home).returncode == 0
    again = build(account, home, "one")
    assert again != image  # rm takes the layers, which came of /dev/urandom, with it
    build(account, home, "two")
    account.airdock("image", "tag", "two", "one", env=home)
    pruned = account.airdock("image", "prune", "-f", env=home)
    assert "Deleted: sha256:" in pruned.stdout
    assert usage(account, home)["Build Cache"]["Size"] != "0B"
    assert build(account, home, "one") == again  # its step was cached
    account.airdock("image", "tag", "two", "one", env=home)
    account.airdock("image", "prune", "-f", env=home)
    mark = account.home / "reclaim/cache/trimmed"
    mark.unlink(missing_ok=True)
    build(account, home, "three", AIRDOCK__BUILD__CACHE_MAX_SIZE="1kB")
    assert usage(account, home)["Build Cache"]["Size"] == "0B"
    assert build(account, home, "one") != again


@pytest.mark.parametrize("account", ["plain"], indirect=True)
def test_images_are_held_to_their_cap_the_named_ones_only_by_setting(account: Account, home: dict[str, str]) -> None:
    for name in ("old", "new"):
        build(account, home, name)
    mark = account.home / "reclaim/cache/trimmed"
    cap = {"AIRDOCK__IMAGES__MAX_SIZE": "800kB"}
    mark.unlink(missing_ok=True)
    build(account, home, "last", **cap)
    assert names(account, home) == ["host", "last", "new", "old"]
    mark.unlink(missing_ok=True)
    assert account.airdock("container", "run", "--rm", "old", "true", env=home).returncode == 0
    build(account, home, "more", **cap, AIRDOCK__IMAGES__OVER_SIZE="any")
    left = names(account, home)
    assert "more" in left and "host" in left and "new" not in left, left


def test_environments_that_nobody_used_for_long_go(root_account: Account) -> None:
    home = {"AIRDOCK_HOME": str(root_account.home / "aging")}
    build(root_account, home, "environment:abc")
    build(root_account, home, "mine")
    cache = root_account.home / "aging/cache"
    (cache / "process/key").mkdir(parents=True)
    (cache / "process/key/ready").write_text("{}")
    (cache / "uv/wheels").mkdir(parents=True)
    (cache / "uv/wheels/x").write_text("x" * 100_000)
    fresh = root_account.airdock("system", "prune", "-f", env=home)
    assert fresh.returncode == 0, fresh.stderr
    assert names(root_account, home) == ["environment", "host", "mine"]
    assert (cache / "process/key/ready").exists()
    long_ago = time.time() - 40 * 86400
    for path in sorted((root_account.home / "aging").rglob("*"), reverse=True):
        os.utime(path, (long_ago, long_ago), follow_symlinks=False)
    for path in (cache / "uv", cache / "process/key"):
        os.utime(path, (long_ago, long_ago))
    old = root_account.airdock("system", "prune", "-f", env=home)
    assert old.returncode == 0, old.stderr
    assert "Untagged: environment:abc" in old.stdout
    assert names(root_account, home) == ["host", "mine"]
    assert not (cache / "uv/wheels/x").exists() and not (cache / "process/key").exists()


def test_pruning_asks_people(root_account: Account, tmp_path: Path) -> None:

    home = {**root_account.environment, "AIRDOCK_HOME": str(tmp_path)}
    answers, terminal = pty.openpty()
    os.write(answers, b"n\n")
    try:
        asked = subprocess.run(
            [root_account.python, "-m", "airdock", "system", "prune"],
            stdin=terminal, capture_output=True, text=True, env=home, timeout=60,
        )  # fmt: skip
    finally:
        os.close(answers)
        os.close(terminal)
    assert asked.returncode == 130 and "Total" not in asked.stdout
    assert "WARNING! This will remove:" in asked.stderr and "images without a name" in asked.stderr
