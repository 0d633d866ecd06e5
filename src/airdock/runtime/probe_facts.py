"""What there is to know of a machine before containers are tried on it: read, never changed."""

import contextlib
import errno
import json
import os
import pwd
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import field

from airdock.record import record
from airdock.runtime import probe_attempt
from airdock.runtime.cgroups import Cgroups

__all__ = ["Facts", "gather", "try_namespaces"]

CAP_SYS_ADMIN = 21


@record
class Facts:
    """A machine as one account sees it.

    Switches are None where the kernel doesn't have them. `attempts` is what `try_namespaces` told; `helpers` says for
    newuidmap and newgidmap "ok" or what's wrong with them; `ranges` is how many ids /etc/subuid and /etc/subgid give.
    """

    system: str = "Linux"
    release: str = ""
    machine: str = ""
    uid: int = 0
    account: str = ""
    has_sys_admin: bool = True
    no_new_privs: bool = False
    seccomp_mode: int = 0
    has_seccomp: bool = True
    max_user_namespaces: int | None = None
    unprivileged_userns_clone: int | None = None
    apparmor_restricts_userns: int | None = None
    apparmor_label: str = ""
    attempts: Mapping[str, int] = field(default_factory=dict)
    home: str = ""
    home_filesystem: str = ""
    ranges: Mapping[str, int] = field(default_factory=dict)
    helpers: Mapping[str, str] = field(default_factory=dict)
    cgroup_version: str = "none"
    cgroup_reason: str = ""
    cgroup_hint: str = ""


def gather(
    *,
    home: str,
    proc: str = "/proc",
    etc: str = "/etc",
    path: str | None = None,
    uname: os.uname_result | None = None,
    uid: int | None = None,
    try_namespaces: Callable[[str], Mapping[str, int]] | None = None,
) -> Facts:
    """Collect the facts for containers whose layers lie below `home` (AIRDOCK_HOME, which need not exist yet).

    `path` is where newuidmap is looked for (PATH where None). Takes some 40 ms, for the attempt.
    """
    machine = uname or os.uname()
    uid = os.geteuid() if uid is None else uid
    if machine.sysname != "Linux":
        return Facts(system=machine.sysname, release=machine.release, machine=machine.machine, uid=uid, home=home)
    status = _status(proc)
    account = _account(uid)
    cgroups = Cgroups.detect(proc=proc)
    return Facts(
        system=machine.sysname,
        release=machine.release,
        machine=machine.machine,
        uid=uid,
        account=account,
        has_sys_admin=bool(int(status.get("CapEff", "0"), 16) >> CAP_SYS_ADMIN & 1),
        no_new_privs=status.get("NoNewPrivs") == "1",
        seccomp_mode=int(status.get("Seccomp", "0")),
        has_seccomp=os.path.exists(f"{proc}/sys/kernel/seccomp/actions_avail"),
        max_user_namespaces=_switch(f"{proc}/sys/user/max_user_namespaces"),
        unprivileged_userns_clone=_switch(f"{proc}/sys/kernel/unprivileged_userns_clone"),
        apparmor_restricts_userns=_switch(f"{proc}/sys/kernel/apparmor_restrict_unprivileged_userns"),
        apparmor_label=_read(f"{proc}/self/attr/apparmor/current") or _read(f"{proc}/self/attr/current"),
        attempts=dict((try_namespaces or _try_namespaces)(_existing(home))),
        home=home,
        home_filesystem=_filesystem(_existing(home), _read(f"{proc}/self/mountinfo")),
        ranges={name: _count_ids(f"{etc}/{name}", account, uid) for name in ("subuid", "subgid")},
        helpers={name: _weigh_helper(name, path) for name in ("newuidmap", "newgidmap")},
        cgroup_version=cgroups.version,
        cgroup_reason=cgroups.reason,
        cgroup_hint=cgroups.hint,
    )


def try_namespaces(folder: str) -> Mapping[str, int]:
    """Try the steps of `probe_attempt` in another process, with an overlay below `folder`: errno by step, 0 for well.

    A step that isn't in it was not reached. A folder that can't be written to fails the step "overlay".
    """
    try:
        base = tempfile.mkdtemp(prefix=".airdock-probe-", dir=folder)
    except OSError as error:
        return {"overlay": error.errno or errno.EIO}
    try:
        for name in ("lower", "upper", "work", "merged"):
            os.mkdir(f"{base}/{name}")
        command = [sys.executable, "-I", "-S", probe_attempt.__file__, base]
        ended = subprocess.run(command, capture_output=True, check=False, timeout=60)
        done: dict[str, int] = json.loads(ended.stdout) if ended.returncode == 0 else {"user namespace": errno.EIO}
        return done
    finally:
        with contextlib.suppress(OSError):
            os.rmdir(f"{base}/work/work")  # the overlay leaves it with mode 000, which rmtree can't list
        shutil.rmtree(base, ignore_errors=True)


_try_namespaces = try_namespaces


def _status(proc: str) -> dict[str, str]:
    lines = (line.partition(":") for line in _read(f"{proc}/self/status").splitlines())
    return {name: value.strip() for name, _, value in lines}


def _account(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read().strip("\0\n ")
    except OSError:
        return ""


def _switch(path: str) -> int | None:
    text = _read(path)
    return int(text) if text.isdigit() else None


def _existing(folder: str) -> str:
    """The folder, or the nearest above it that exists."""
    folder = os.path.abspath(folder)
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return folder


def _filesystem(folder: str, mountinfo: str) -> str:
    """The type of the filesystem that `folder` is on; the last mount on the longest path counts."""
    best, kind = "", ""
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        target = before.split()[4]
        if len(target) >= len(best) and f"{folder}/".startswith(f"{target.rstrip('/')}/"):
            best, kind = target, after.split()[0]
    return kind


def _count_ids(path: str, account: str, uid: int) -> int:
    """How many ids the file grants to the account, by name or number: see subuid(5)."""
    rows = (line.split(":") for line in _read(path).splitlines())
    return sum(int(row[2]) for row in rows if len(row) == 3 and row[0] in (account, str(uid)) and row[2].isdigit())


def _weigh_helper(name: str, path: str | None) -> str:
    found = shutil.which(name, path=path)
    if found is None:
        return "missing"
    try:
        is_privileged = bool(os.stat(found).st_mode & stat.S_ISUID) or "security.capability" in os.listxattr(found)
        is_honoured = not os.statvfs(found).f_flag & os.ST_NOSUID
    except OSError as error:
        return f"{found}: {error.strerror}"
    if not is_privileged:
        return f"{found} is not set-uid"
    return "ok" if is_honoured else f"{found} is on a filesystem mounted nosuid"
