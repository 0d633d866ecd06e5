"""Machines that forbid what containers need, forced on real processes: each is explained by its switch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"

CHILD = """
import ctypes, errno, json, os, sys
sys.path.insert(0, sys.argv[1])
from airdock.runtime.probe import check, explain, gather
from airdock.runtime.probe_facts import try_namespaces
from airdock.runtime.seccomp import ARCHES, install
from airdock.runtime.seccomp_bpf import ALLOW, EPERM, compile_arch, compile_filter, refuse
from airdock.runtime.seccomp_numbers import load_numbers
from airdock.runtime.seccomp_profile import Compare

def filter_without(*names):
    "A filter that allows all calls but these, as a container around us might."
    parts = {}
    for table, audit in ARCHES[os.uname().machine].items():
        answers = {number: ALLOW for number in load_numbers(table).values()}
        answers |= {load_numbers(table)[name]: refuse(EPERM) for name in names}
        parts[audit] = compile_arch(answers)
    install(compile_filter(parts))

def own_user_namespace():
    libc = ctypes.CDLL(None, use_errno=True)
    uid, gid = os.geteuid(), os.getegid()
    if libc.unshare(0x10000000):
        raise OSError(ctypes.get_errno(), "unshare")
    for file, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        open(f"/proc/self/{file}", "w").write(text)

def drop_rights():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(24, 21, 0, 0, 0) or libc.capset(b"\\x22\\x05\\x08\\x20" + bytes(4), bytes(24)):
        raise OSError(ctypes.get_errno(), "capset")

exec(sys.argv[3])
facts = gather(home=sys.argv[2])
error = explain(errno.EPERM, "user namespace", facts)
failed = [one.to_dict() for one in check(facts) if one.needed and not one.ok]
print(json.dumps({"message": str(error), "hint": error.hint, "failed": failed, "attempts": dict(facts.attempts)}))
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def refused(home: Path, prepare: str) -> dict[str, object]:
    home.mkdir()
    command = [sys.executable, "-I", "-c", CHILD, str(SOURCE), str(home), prepare]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert list(home.iterdir()) == []
    said: dict[str, object] = json.loads(ended.stdout)
    return said


def need_namespaces(home: Path) -> None:
    if refused(home, "")["failed"]:
        pytest.skip("this machine forbids containers already, so nothing more can be forbidden")
    home.rmdir()


@pytest.mark.parametrize(
    ("names", "step", "name"),
    [
        (("unshare",), "user namespace", "user namespaces"),
        (("mount",), "namespaces", "other namespaces"),
    ],
)
def test_a_filter_around_us(home: Path, names: tuple[str, ...], step: str, name: str) -> None:
    need_namespaces(home)
    said = refused(home, f"filter_without(*{names!r})")
    assert said["attempts"][step] == 1  # type: ignore[index]
    assert said["failed"][0]["name"] == name  # type: ignore[index]
    assert "seccomp filter, as of a container around us" in str(said["message"])
    assert "--security-opt seccomp=unconfined" in str(said["hint"])


def test_a_limit_of_no_user_namespaces(home: Path) -> None:
    """A user namespace may set its own limit, for all below it."""
    need_namespaces(home)
    said = refused(home, "own_user_namespace(); open('/proc/sys/user/max_user_namespaces', 'w').write('0')")
    assert said["attempts"] == {"user namespace": 28}
    assert "switched off: user.max_user_namespaces = 0" in str(said["message"])
    assert said["hint"] == "sudo sysctl -w user.max_user_namespaces=15000"


def test_a_limit_of_no_mount_namespaces(home: Path) -> None:
    need_namespaces(home)
    said = refused(home, "own_user_namespace(); open('/proc/sys/user/max_mnt_namespaces', 'w').write('0')")
    assert said["failed"][0]["name"] == "other namespaces"  # type: ignore[index]
    assert "a limit in /proc/sys/user is used up or 0" in str(said["message"])


def test_root_without_its_rights_behind_a_filter(home: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to take root's rights away")
    need_namespaces(home)
    said = refused(home, "drop_rights(); filter_without('unshare')")
    assert said["failed"][0]["name"] == "root's rights"  # type: ignore[index]
    assert "--cap-add SYS_ADMIN" in str(said["hint"])


def test_a_home_that_can_not_hold_an_upper_folder(home: Path) -> None:
    """An overlay may not be the upper folder of another one in a user namespace."""
    need_namespaces(home)
    prepare = """
own_user_namespace()
libc = ctypes.CDLL(None, use_errno=True)
assert libc.unshare(0x20000) == 0
assert libc.mount(b"none", sys.argv[2].encode(), b"tmpfs", 0, None) == 0
for name in ("l", "u", "w", "m"):
    os.mkdir(f"{sys.argv[2]}/{name}")
data = "lowerdir={0}/l,upperdir={0}/u,workdir={0}/w,userxattr".format(sys.argv[2]).encode()
if libc.mount(b"overlay", f"{sys.argv[2]}/m".encode(), b"overlay", 0, data):
    raise OSError(ctypes.get_errno(), "overlay")
sys.argv[2] += "/m"
"""
    said = refused(home, prepare)
    assert said["failed"][0]["name"] == "overlay"  # type: ignore[index]
    assert "is on overlay, which can't hold an overlay's upper folder" in str(said["message"])
    assert "export AIRDOCK_HOME=" in str(said["hint"])


def test_a_masked_proc(home: Path) -> None:
    """What Docker does to /proc keeps a user namespace from mounting one of its own."""
    need_namespaces(home)
    prepare = """
own_user_namespace()
libc = ctypes.CDLL(None, use_errno=True)
assert libc.unshare(0x20000) == 0
assert libc.mount(b"none", b"/proc/scsi" if os.path.isdir("/proc/scsi") else b"/proc/fs", b"tmpfs", 0, None) == 0
"""
    said = refused(home, prepare)
    assert said["failed"][0]["name"] == "proc"  # type: ignore[index]
    assert "systempaths=unconfined" in str(said["hint"])


def test_a_home_in_a_folder_that_is_not_ours(home: Path) -> None:
    if os.geteuid() == 0:
        prepare, folder = "os.setresuid(65534, 65534, 65534)", "/root-only"
    else:
        prepare, folder = "", "/"
    said = refused(home, f"{prepare}\nsys.argv[2] = {folder!r}")
    assert said["failed"][0]["name"] == "overlay"  # type: ignore[index]
    assert "can't be written to" in str(said["message"])
