import os
import subprocess
import sys
from pathlib import Path

import pytest

from airdock.errors import StoreError
from airdock.scheduler.owner import Owner


def test_this_process_lives_and_comes_back_from_text() -> None:
    owner = Owner.current()
    assert not owner.is_dead()
    assert Owner.parse(str(owner)) == owner
    assert str(owner) != str(Owner.current())
    assert str(os.getpid()) in owner.label


def test_a_process_that_ended_is_dead() -> None:
    code = "from airdock.scheduler.owner import Owner; print(Owner.current())"
    text = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert Owner.parse(text).is_dead()


def test_a_pid_that_was_given_again_is_another_owner() -> None:
    host, place, pid, started, nonce = str(Owner.current()).split(":")
    assert Owner.parse(":".join([host, place, pid, str(int(started) + 1), nonce])).is_dead()


def test_a_process_elsewhere_may_live() -> None:
    assert not Owner.parse("far:boot/1:1:1:abc").is_dead()


def test_a_process_that_waits_to_be_reaped_is_dead(tmp_path: Path) -> None:
    owner = Owner.current()
    stat = Path(f"/proc/{owner.pid}/stat").read_text()
    head, _, tail = stat.rpartition(")")
    for name in ("sys/kernel/random/boot_id", "self/ns/pid"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "sys/kernel/random/boot_id").write_text(Path("/proc/sys/kernel/random/boot_id").read_text())
    (tmp_path / "self/ns/pid").symlink_to(os.readlink("/proc/self/ns/pid"))
    (tmp_path / str(owner.pid)).mkdir()
    (tmp_path / str(owner.pid) / "stat").write_text(f"{head}) Z {tail.split(maxsplit=1)[1]}")
    assert owner.is_dead(proc=tmp_path)


def test_another_text_is_refused() -> None:
    with pytest.raises(StoreError, match="expected an owner"):
        Owner.parse("somebody")
