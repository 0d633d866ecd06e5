"""What this machine can do for containers, and which switch is off where it can't: for `doctor` and for refusals."""

import errno
import os

from airdock.errors import IsolationError
from airdock.record import record
from airdock.runtime.probe_facts import Facts, gather
from airdock.runtime.seccomp import ARCHES, kernel_version

__all__ = ["Check", "Facts", "check", "explain", "gather"]

OVERLAY_IN_NAMESPACE = (5, 11)
LOCAL_FILESYSTEMS = "ext4, xfs or btrfs"
REMOTE_OR_STACKED = frozenset(
    {"overlay", "nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "9p", "virtiofs", "vfat", "exfat"}
)
"""Filesystems that can't hold an overlay's upper folder, or not on every version."""


@record
class Check:
    """One thing that was looked at. `needed` is whether containers are impossible without it.

    `found` is what there is, in words; `hint` how to turn it on where `ok` is false, as a command where there is one.
    """

    name: str
    ok: bool
    found: str
    hint: str = ""
    needed: bool = True

    def to_dict(self) -> dict[str, str | bool]:
        return {"name": self.name, "ok": self.ok, "found": self.found, "hint": self.hint, "needed": self.needed}


def check(facts: Facts) -> list[Check]:
    """Everything a container needs, then everything that makes it better."""
    if facts.system != "Linux":
        return [_check_system(facts)]
    checks = [
        _check_system(facts),
        _check_privilege(facts),
        _check_user_namespaces(facts),
        _check_namespaces(facts),
        _check_overlay(facts),
        _check_proc(facts),
        _check_seccomp(facts),
        _check_ranges(facts),
        _check_cgroups(facts),
    ]
    return [one for one in checks if one is not None]


def explain(number: int, step: str, facts: Facts) -> IsolationError:
    """Why `step` of making a container failed with errno `number`, and what to do: the first needed check that fails.

    Where every check is well, the message says so, since then the cause is none that is known here.
    """
    failed = f"{step}: {os.strerror(number)}"
    off = next((one for one in check(facts) if one.needed and not one.ok), None)
    if off is not None:
        return IsolationError(f"{failed}; {off.name}: {off.found}", where=step, hint=off.hint)
    if number == errno.ENOSPC and "namespace" in step:
        limit = facts.max_user_namespaces or 0
        return IsolationError(
            f"{failed}; all {limit} user namespaces that user.max_user_namespaces allows are in use",
            where=step,
            hint=f"sudo sysctl -w user.max_user_namespaces={2 * limit}",
        )
    return IsolationError(
        f"{failed}; what else a container needs is there, so the cause is one this check doesn't know",
        where=step,
        hint="see the kernel's log (sudo dmesg) for a security module's refusal, and: airdock doctor",
    )


def _check_system(facts: Facts) -> Check:
    is_linux = facts.system == "Linux"
    hint = "run Airdock in a Linux machine (for instance: limactl start), or with an executor that runs tasks elsewhere"
    return Check(name="system", ok=is_linux, found=f"{facts.system} {facts.release}", hint="" if is_linux else hint)


def _check_privilege(facts: Facts) -> Check | None:
    """Root without its rights is root in a container; what it can do then is what an ordinary account can."""
    if facts.uid != 0:
        return None
    if facts.has_sys_admin:
        return Check(name="root's rights", ok=True, found="CAP_SYS_ADMIN")
    return Check(
        name="root's rights",
        ok=False,
        found="root without CAP_SYS_ADMIN, as in a container that isn't privileged",
        hint="start the container around us with --privileged or --cap-add SYS_ADMIN, or set isolation = 'process'",
        needed=not _went_well(facts, "overlay"),
    )


def _check_user_namespaces(facts: Facts) -> Check | None:
    name = "user namespaces"
    if "user namespace" not in facts.attempts:
        return None
    number = next((facts.attempts[step] for step in ("user namespace", "id map") if facts.attempts.get(step)), 0)
    if _went_well(facts, "id map"):
        return Check(name=name, ok=True, found="can be made")
    if facts.max_user_namespaces == 0:
        return _off(name, "switched off: user.max_user_namespaces = 0", "sudo sysctl -w user.max_user_namespaces=15000")
    if facts.unprivileged_userns_clone == 0 and not facts.has_sys_admin:
        return _off(
            name,
            "switched off for ordinary accounts: kernel.unprivileged_userns_clone = 0",
            "sudo sysctl -w kernel.unprivileged_userns_clone=1",
        )
    if _is_stopped_by_apparmor(facts):
        return _off_by_apparmor(name)
    if facts.seccomp_mode == 2 and number in (errno.EPERM, errno.ENOSYS, errno.EACCES):
        return _off_by_filter(name, number)
    if number == errno.EINVAL and facts.max_user_namespaces is None:
        return _off(name, "this kernel is built without them", "boot a kernel with CONFIG_USER_NS=y")
    if number == errno.ENOSPC:
        limit = facts.max_user_namespaces or 0
        return _off(
            name,
            f"all {limit} that user.max_user_namespaces allows are in use, or they are nested too deep",
            f"sudo sysctl -w user.max_user_namespaces={max(15000, 2 * limit)}",
        )
    return _off(
        name,
        f"refused ({_word(number)}), and by none of the known switches",
        "see the kernel's log for a security module's refusal: sudo dmesg",
    )


def _check_namespaces(facts: Facts) -> Check | None:
    """Mount, pid, ipc, uts and cgroup namespaces inside the user namespace."""
    name, number = "other namespaces", facts.attempts.get("namespaces")
    if not number:
        return Check(name=name, ok=True, found="can be made") if number == 0 else None
    if _is_stopped_by_apparmor(facts):
        return _off_by_apparmor(name)
    if facts.seccomp_mode == 2 and number in (errno.EPERM, errno.ENOSYS, errno.EACCES):
        return _off_by_filter(name, number)
    if number == errno.ENOSPC:
        return _off(name, "a limit in /proc/sys/user is used up or 0", "sysctl -a --pattern '^user.max_'")
    return _off(name, f"refused ({_word(number)})", "see the kernel's log: sudo dmesg")


def _check_overlay(facts: Facts) -> Check | None:
    name, number = "overlay", facts.attempts.get("overlay")
    if not number:
        found = f"works in {facts.home} ({facts.home_filesystem})"
        return Check(name=name, ok=True, found=found) if number == 0 else None
    if number in (errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EDQUOT) and "user namespace" not in facts.attempts:
        return _off(
            name, f"{facts.home} can't be written to: {_word(number)}", "export AIRDOCK_HOME=/some/other/folder"
        )
    if number == errno.ENODEV:
        return _off(name, "the kernel has no overlay filesystem", "sudo modprobe overlay")
    if facts.home_filesystem in REMOTE_OR_STACKED:
        return _off(
            name,
            f"{facts.home} is on {facts.home_filesystem}, which can't hold an overlay's upper folder",
            f"export AIRDOCK_HOME=/a/folder/on/a/local/disk ({LOCAL_FILESYSTEMS})",
        )
    if kernel_version(facts.release) < OVERLAY_IN_NAMESPACE:
        return _off(
            name,
            f"needs Linux 5.11 in a user namespace, this is {facts.release}",
            "boot a newer kernel, or run as root",
        )
    if _is_stopped_by_apparmor(facts):
        return _off_by_apparmor(name)
    if facts.seccomp_mode == 2 and number in (errno.EPERM, errno.ENOSYS):
        return _off_by_filter(name, number)
    if facts.home_filesystem == "tmpfs":
        return _off(
            name,
            f"{facts.home} is on a tmpfs without user.* attributes, which came with Linux 6.6",
            f"export AIRDOCK_HOME=/a/folder/on/a/local/disk ({LOCAL_FILESYSTEMS})",
        )
    return _off(
        name,
        f"refused in {facts.home} ({facts.home_filesystem}): {_word(number)}",
        f"export AIRDOCK_HOME=/a/folder/on/a/local/disk ({LOCAL_FILESYSTEMS})",
    )


def _check_proc(facts: Facts) -> Check | None:
    number = facts.attempts.get("proc")
    if not number:
        return Check(name="proc", ok=True, found="can be mounted") if number == 0 else None
    return _off(
        "proc",
        f"can't be mounted ({_word(number)}): parts of /proc are masked by a container around us",
        "start the container around us with --security-opt systempaths=unconfined (podman: unmask=ALL)",
    )


def _check_seccomp(facts: Facts) -> Check:
    name = "seccomp"
    if facts.machine not in ARCHES:
        return _off(name, f"no filter for {facts.machine}", f"run on one of: {', '.join(ARCHES)}")
    if not facts.has_seccomp:
        return _off(name, "this kernel has no seccomp filters", "boot a kernel with CONFIG_SECCOMP_FILTER=y")
    return Check(name=name, ok=True, found=f"default profile for {facts.machine}")


def _check_ranges(facts: Facts) -> Check:
    """Without ranges a container has one id only: chown to others and apt fail in it, the rest works."""
    name = "id ranges"
    if facts.uid == 0:
        return Check(name=name, ok=True, found="not needed as root", needed=False)
    bad = next((f"{tool}: {state}" for tool, state in facts.helpers.items() if state != "ok"), "")
    lacking = [file for file, count in facts.ranges.items() if count < 65536]
    if lacking:
        files = " and ".join(f"/etc/{file}" for file in lacking)
        hint = f"sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {facts.account}"
        return Check(name=name, ok=False, found=f"no 65536 ids in {files}", hint=hint, needed=False)
    if bad:
        hint = "sudo apt-get install uidmap" if "missing" in bad else "sudo chmod u+s $(command -v newuidmap newgidmap)"
        return Check(name=name, ok=False, found=bad, hint=hint, needed=False)
    if facts.no_new_privs:
        hint = "start Airdock from a process without no_new_privs (systemd: NoNewPrivileges=no)"
        return Check(name=name, ok=False, found="no_new_privs keeps newuidmap powerless", hint=hint, needed=False)
    return Check(name=name, ok=True, found=f"{min(facts.ranges.values(), default=0)} ids", needed=False)


def _check_cgroups(facts: Facts) -> Check:
    """Without them nothing is limited, and use is measured by what wait4 tells."""
    if facts.cgroup_reason:
        return Check(name="limits", ok=False, found=facts.cgroup_reason, hint=facts.cgroup_hint, needed=False)
    return Check(name="limits", ok=True, found=f"memory, cpu, pids by cgroups ({facts.cgroup_version})", needed=False)


def _off(name: str, found: str, hint: str) -> Check:
    return Check(name=name, ok=False, found=found, hint=hint)


def _is_stopped_by_apparmor(facts: Facts) -> bool:
    """Ubuntu since 23.10: an unconfined process of an ordinary account gets a user namespace without rights in it."""
    label = facts.apparmor_label
    is_unconfined = label in ("", "unconfined") or label.startswith("unprivileged_userns")
    return facts.apparmor_restricts_userns == 1 and is_unconfined and not facts.has_sys_admin


def _off_by_apparmor(name: str) -> Check:
    return _off(
        name,
        "AppArmor restricts them for ordinary accounts: kernel.apparmor_restrict_unprivileged_userns = 1, and this "
        "program has no profile that allows them",
        "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
    )


def _off_by_filter(name: str, number: int) -> Check:
    return _off(
        name,
        f"refused ({_word(number)}) by a seccomp filter, as of a container around us (Seccomp: 2 in /proc/self/status)",
        "start the container around us with --security-opt seccomp=unconfined, or set isolation = 'process'",
    )


def _went_well(facts: Facts, step: str) -> bool:
    return facts.attempts.get(step) == 0


def _word(number: int) -> str:
    return errno.errorcode.get(number, str(number))
