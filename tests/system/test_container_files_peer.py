"""What volumes are filled with, beside Docker's own engine with the same image and the same commands."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Account = Any
Docker = Callable[..., Any]
"""`conftest.Account` and `conftest.Docker`; conftest can't be imported by name."""


@pytest.fixture(scope="module")
def images(root_account: Account, docker: Docker, debian_base: Path) -> str:
    """One image for both engines."""
    text = (
        "FROM flat\nRUN mkdir -p /app/kept /app/old /app/moded /app/dir/sub /there && touch /a-file /app/gone /app/a "
        "&& echo g > /app/kept/g && echo f > /app/old/f && ln -s there /to-there && ln -s a-file /to-file "
        "&& mkdir -p /vol/sub && echo v > /vol/f && chmod 2751 /vol/sub && chown 7:8 /vol/f /vol && ln -s f /vol/l\n"
    )
    done = root_account.airdock("image", "import", str(debian_base), "flat")
    assert done.returncode == 0, done.stderr
    done = root_account.airdock("image", "build", "-q", "-t", "peer", "-", input=text)
    assert done.returncode == 0, done.stderr
    saved = root_account.home / "peer.tar"
    assert root_account.airdock("image", "save", "-o", str(saved), "peer").returncode == 0
    docker("load", "-i", str(saved))
    return "peer"


def test_volumes_are_filled_as_dockers(root_account: Account, docker: Docker, images: str) -> None:
    script = "cd /vol; stat -c '%n %a %u:%g %F' . f l sub; cat f; readlink l"
    theirs = docker("run", "--rm", "--network=none", "-v", "filled:/vol", images, "sh", "-c", script).stdout.decode()
    try:
        mine = root_account.airdock("container", "run", "--rm", "-v", "filled:/vol", images, "sh", "-c", script)
        assert mine.stdout == theirs
    finally:
        docker("volume", "rm", "filled")
        root_account.airdock("volume", "rm", "filled")
