"""Monitors that come out of another one, which may end at any moment."""

import socket
import threading
from pathlib import Path

import pytest

from airdock.containers.line import _fork_template
from airdock.containers.record import SOCKET_FILE
from airdock.containers.template import load_template, save_template


@pytest.fixture
def run(tmp_path: Path) -> Path:
    for name in ("one", "two"):
        (tmp_path / "containers" / name).mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize("is_read", [False, True])
def test_one_that_ends_while_it_is_asked_is_replaced(run: Path, is_read: bool) -> None:
    old, new = run / "containers" / "one", run / "containers" / "two"
    save_template(run, "one")
    with socket.socket(socket.AF_UNIX) as template:
        template.bind(str(old / SOCKET_FILE))
        template.listen()

        def end() -> None:
            taken, _ = template.accept()
            with taken:
                if is_read:
                    taken.recv(1)

        thread = threading.Thread(target=end)
        thread.start()
        more = {"settings": "x" * (1 << 20)}  # more than a socket takes at once
        assert not _fork_template(new, more, [template.fileno()])
        thread.join()
    assert load_template(run) == new
