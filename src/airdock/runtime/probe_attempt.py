"""Try, in a process of its own, what a rootless container needs; run as `python -I -S probe_attempt.py FOLDER`.

FOLDER holds `lower`, `upper`, `work` and `merged`. Prints a JSON object: for each step that was reached its errno, 0
where it went well. Nothing stays behind: the mounts end with the process's mount namespace. Standard library only.
"""

import ctypes
import errno
import json
import os
import sys
from collections.abc import Callable

__all__ = ["STEPS", "attempt"]

STEPS = ("user namespace", "id map", "namespaces", "overlay", "proc")

CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS = 0x20000, 0x2000000, 0x4000000
CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID = 0x8000000, 0x10000000, 0x20000000
MS_REC, MS_PRIVATE = 0x4000, 0x40000


def attempt(folder: str) -> dict[str, int]:
    """Go through `STEPS` until one fails. This process is in other namespaces afterwards: let it end."""
    done: dict[str, int] = {}
    uid, gid = os.geteuid(), os.getegid()
    steps: tuple[tuple[str, Callable[[], None]], ...] = (
        ("user namespace", lambda: _unshare(CLONE_NEWUSER)),
        ("id map", lambda: _map_ids(uid, gid)),
        ("namespaces", _unshare_others),
        ("overlay", lambda: _mount_overlay(folder)),
        ("proc", lambda: _mount_proc(f"{folder}/merged")),
    )
    for name, step in steps:
        try:
            step()
            done[name] = 0
        except OSError as error:
            done[name] = error.errno or errno.EIO
            break
    return done


def _map_ids(uid: int, gid: int) -> None:
    for file, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        descriptor = os.open(f"/proc/self/{file}", os.O_WRONLY)
        try:
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)


def _unshare_others() -> None:
    _unshare(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC)
    _mount("none", "/", "", MS_REC | MS_PRIVATE, "")


def _mount_overlay(folder: str) -> None:
    layers = f"lowerdir={folder}/lower,upperdir={folder}/upper,workdir={folder}/work,userxattr"
    _mount("overlay", f"{folder}/merged", "overlay", 0, layers)
    # Where the filesystem lacks what an upper needs, the overlay mounts, but read-only.
    os.close(os.open(f"{folder}/merged/written", os.O_CREAT | os.O_WRONLY))


def _mount_proc(target: str) -> None:
    _unshare(CLONE_NEWPID)
    child = os.fork()
    if child == 0:
        try:
            _mount("proc", target, "proc", 0, "")
            os._exit(0)
        except OSError as error:
            os._exit(error.errno or errno.EIO)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code != 0:
        raise OSError(code if code > 0 else errno.EIO, "mount proc")


def _unshare(flags: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(ctypes.c_int(flags)) != 0:
        raise OSError(ctypes.get_errno(), "unshare")


def _mount(source: str, target: str, kind: str, flags: int, data: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    arguments = source.encode(), os.fsencode(target), kind.encode() or None, ctypes.c_ulong(flags), os.fsencode(data)
    if libc.mount(*arguments) != 0:
        raise OSError(ctypes.get_errno(), "mount")


if __name__ == "__main__":
    sys.stdout.write(json.dumps(attempt(sys.argv[1])))
