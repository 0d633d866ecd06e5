"""What the machine forbids, told apart: facts are read from pretended /proc and /etc, or given."""

import errno
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from airdock.runtime.probe import Check, Facts, check, explain, gather
from airdock.runtime.probe_attempt import STEPS
from airdock.runtime.probe_facts import try_namespaces

WELL = dict.fromkeys(STEPS, 0)
GOOD = Facts(
    release="6.1.0-18-amd64",
    machine="x86_64",
    uid=1000,
    account="ana",
    has_sys_admin=False,
    max_user_namespaces=15000,
    attempts=WELL,
    home="/home/ana/.airdock",
    home_filesystem="ext4",
    ranges={"subuid": 65536, "subgid": 65536},
    helpers={"newuidmap": "ok", "newgidmap": "ok"},
    cgroup_version="v2",
)
UNAME = os.uname_result(("Linux", "host", "6.1.0-18-amd64", "#1", "x86_64"))
STATUS = "Name:\tpython\nCapEff:\t{capabilities}\nNoNewPrivs:\t0\nSeccomp:\t{seccomp}\n"


def failing(step: str, number: int) -> dict[str, int]:
    """Attempts that went well up to `step`, which failed with errno `number`."""
    return {**dict.fromkeys(STEPS[: STEPS.index(step)], 0), step: number}


def off(facts: Facts) -> list[Check]:
    return [one for one in check(facts) if not one.ok]


def test_a_good_machine() -> None:
    checks = check(GOOD)
    assert [one.name for one in checks] == [
        "system",
        "user namespaces",
        "other namespaces",
        "overlay",
        "proc",
        "seccomp",
        "id ranges",
        "limits",
    ]
    assert off(GOOD) == []
    assert all(one.found and not one.hint for one in checks)
    assert checks[0].to_dict() == {
        "name": "system",
        "ok": True,
        "found": "Linux 6.1.0-18-amd64",
        "hint": "",
        "needed": True,
    }


CASES: list[tuple[str, Facts, str, str, str]] = [
    (
        "sysctl, the count",
        replace(GOOD, max_user_namespaces=0, attempts=failing("user namespace", errno.ENOSPC)),
        "user namespaces",
        "user.max_user_namespaces = 0",
        "sudo sysctl -w user.max_user_namespaces=15000",
    ),
    (
        "sysctl, ordinary accounts",
        replace(GOOD, unprivileged_userns_clone=0, attempts=failing("user namespace", errno.EPERM)),
        "user namespaces",
        "kernel.unprivileged_userns_clone = 0",
        "sudo sysctl -w kernel.unprivileged_userns_clone=1",
    ),
    (
        "Ubuntu 23.10: refused at once",
        replace(GOOD, apparmor_restricts_userns=1, attempts=failing("user namespace", errno.EACCES)),
        "user namespaces",
        "kernel.apparmor_restrict_unprivileged_userns = 1",
        "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
    ),
    (
        "Ubuntu 24.04: made, but without rights",
        replace(
            GOOD,
            apparmor_restricts_userns=1,
            apparmor_label="unconfined",
            attempts=failing("id map", errno.EPERM),
        ),
        "user namespaces",
        "kernel.apparmor_restrict_unprivileged_userns = 1",
        "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
    ),
    (
        "Ubuntu 24.04: no mounts in it",
        replace(GOOD, apparmor_restricts_userns=1, attempts=failing("namespaces", errno.EACCES)),
        "other namespaces",
        "AppArmor",
        "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
    ),
    (
        "filter of a container around us",
        replace(GOOD, seccomp_mode=2, attempts=failing("user namespace", errno.EPERM)),
        "user namespaces",
        "seccomp filter, as of a container around us",
        "--security-opt seccomp=unconfined",
    ),
    (
        "filter on a host with AppArmor's restriction, in a container with a profile",
        replace(
            GOOD,
            seccomp_mode=2,
            apparmor_restricts_userns=1,
            apparmor_label="docker-default (enforce)",
            attempts=failing("user namespace", errno.EPERM),
        ),
        "user namespaces",
        "seccomp filter",
        "--security-opt seccomp=unconfined",
    ),
    (
        "filter that forbids mount only",
        replace(GOOD, seccomp_mode=2, attempts=failing("namespaces", errno.EPERM)),
        "other namespaces",
        "seccomp filter",
        "--security-opt seccomp=unconfined",
    ),
    (
        "kernel without user namespaces",
        replace(GOOD, max_user_namespaces=None, attempts=failing("user namespace", errno.EINVAL)),
        "user namespaces",
        "built without them",
        "CONFIG_USER_NS=y",
    ),
    (
        "all in use",
        replace(GOOD, max_user_namespaces=20000, attempts=failing("user namespace", errno.ENOSPC)),
        "user namespaces",
        "all 20000",
        "sudo sysctl -w user.max_user_namespaces=40000",
    ),
    (
        "another security module",
        replace(GOOD, attempts=failing("user namespace", errno.EPERM)),
        "user namespaces",
        "refused (EPERM), and by none of the known switches",
        "sudo dmesg",
    ),
    (
        "a kernel too old for overlay",
        replace(GOOD, release="5.10.0-28-amd64", attempts=failing("overlay", errno.EPERM)),
        "overlay",
        "needs Linux 5.11 in a user namespace, this is 5.10.0-28-amd64",
        "newer kernel",
    ),
    (
        "home on NFS",
        replace(GOOD, home_filesystem="nfs4", attempts=failing("overlay", errno.EINVAL)),
        "overlay",
        "/home/ana/.airdock is on nfs4",
        "export AIRDOCK_HOME=",
    ),
    (
        "home on an overlay, as in a container",
        replace(GOOD, home_filesystem="overlay", attempts=failing("overlay", errno.EINVAL)),
        "overlay",
        "is on overlay, which can't hold an overlay's upper folder",
        "export AIRDOCK_HOME=",
    ),
    (
        "home on a tmpfs of an older kernel",
        replace(GOOD, home_filesystem="tmpfs", attempts=failing("overlay", errno.EROFS)),
        "overlay",
        "tmpfs without user.* attributes",
        "export AIRDOCK_HOME=",
    ),
    (
        "no overlay in the kernel",
        replace(GOOD, attempts=failing("overlay", errno.ENODEV)),
        "overlay",
        "no overlay filesystem",
        "sudo modprobe overlay",
    ),
    (
        "a home that is not ours",
        replace(GOOD, attempts={"overlay": errno.EACCES}),
        "overlay",
        "can't be written to: EACCES",
        "export AIRDOCK_HOME=",
    ),
    (
        "masked /proc",
        replace(GOOD, attempts=failing("proc", errno.EPERM)),
        "proc",
        "masked by a container around us",
        "systempaths=unconfined",
    ),
    (
        "root in a container without rights",
        replace(GOOD, uid=0, seccomp_mode=2, attempts=failing("user namespace", errno.EPERM)),
        "root's rights",
        "root without CAP_SYS_ADMIN",
        "--cap-add SYS_ADMIN",
    ),
    (
        "another architecture",
        replace(GOOD, machine="riscv64"),
        "seccomp",
        "no filter for riscv64",
        "x86_64, aarch64",
    ),
    (
        "kernel without seccomp",
        replace(GOOD, has_seccomp=False),
        "seccomp",
        "no seccomp filters",
        "CONFIG_SECCOMP_FILTER=y",
    ),
    (
        "macOS",
        Facts(system="Darwin", release="24.1.0", machine="arm64"),
        "system",
        "Darwin 24.1.0",
        "limactl start",
    ),
]


@pytest.mark.parametrize(("facts", "name", "found", "hint"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
def test_what_is_off_is_named_with_how_to_turn_it_on(facts: Facts, name: str, found: str, hint: str) -> None:
    first = next(one for one in off(facts) if one.needed)
    assert first.name == name
    assert found in first.found
    assert hint in first.hint
    error = explain(errno.EPERM, "user namespace", facts)
    assert found in str(error)
    assert hint in error.hint
    assert error.where == "user namespace"


@pytest.mark.parametrize(
    ("facts", "found", "hint"),
    [
        (
            replace(GOOD, ranges={"subuid": 0, "subgid": 65536}),
            "no 65536 ids in /etc/subuid",
            "sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 ana",
        ),
        (
            replace(GOOD, ranges={"subuid": 0, "subgid": 0}),
            "no 65536 ids in /etc/subuid and /etc/subgid",
            "sudo usermod",
        ),
        (
            replace(GOOD, helpers={"newuidmap": "missing", "newgidmap": "missing"}),
            "newuidmap: missing",
            "sudo apt-get install uidmap",
        ),
        (
            replace(GOOD, helpers={"newuidmap": "ok", "newgidmap": "/usr/bin/newgidmap is not set-uid"}),
            "newgidmap: /usr/bin/newgidmap is not set-uid",
            "sudo chmod u+s",
        ),
        (replace(GOOD, no_new_privs=True), "no_new_privs keeps newuidmap powerless", "NoNewPrivileges=no"),
        (
            replace(GOOD, cgroup_reason="the cgroup /x isn't ours to divide", cgroup_hint="systemd-run --user"),
            "the cgroup /x isn't ours to divide",
            "systemd-run --user",
        ),
    ],
)
def test_what_is_better_to_have_is_no_refusal(facts: Facts, found: str, hint: str) -> None:
    (lack,) = off(facts)
    assert (lack.needed, lack.found) == (False, found)
    assert hint in lack.hint


def test_root_in_a_container_that_lets_it_do_everything_needed() -> None:
    (lack,) = off(replace(GOOD, uid=0))
    assert (lack.name, lack.needed) == ("root's rights", False)


def test_apparmor_with_a_profile_that_allows_it_is_not_blamed() -> None:
    facts = replace(GOOD, apparmor_restricts_userns=1, apparmor_label="airdock (unconfined)")
    assert off(facts) == []
    (lack, *_) = off(replace(facts, attempts=failing("user namespace", errno.EPERM)))
    assert "none of the known switches" in lack.found


def test_a_cause_that_is_not_known_is_not_guessed() -> None:
    error = explain(errno.EIO, "overlay", GOOD)
    assert str(error).startswith("overlay: Input/output error; what else a container needs is there")
    assert "airdock doctor" in error.hint


def test_namespaces_that_ran_out_since_the_facts_were_gathered() -> None:
    error = explain(errno.ENOSPC, "user namespace", GOOD)
    assert "all 15000 user namespaces" in str(error)
    assert error.hint == "sudo sysctl -w user.max_user_namespaces=30000"


# Gathering


def make_machine(folder: Path, files: Mapping[str, str], *, capabilities: str = "0", seccomp: int = 0) -> None:
    base = {
        "proc/self/status": STATUS.format(capabilities=capabilities, seccomp=seccomp),
        "proc/self/mountinfo": f"1 0 0:1 / / rw - ext4 /dev/sda rw\n2 1 0:2 / {folder}/data rw - xfs /dev/sdb rw\n",
        "proc/sys/kernel/seccomp/actions_avail": "kill_process",
        "etc/subuid": "ana:100000:65536\nbo:200000:65536\n1000:300000:1000\n",
        "etc/subgid": "",
    }
    for name, text in {**base, **files}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def gather_from(folder: Path, *, attempts: Mapping[str, int] = WELL, **arguments: object) -> Facts:
    settings: dict[str, object] = {"home": f"{folder}/data/deep/.airdock", "uid": 1000, "uname": UNAME, **arguments}
    return gather(
        proc=f"{folder}/proc",
        etc=f"{folder}/etc",
        path=f"{folder}/bin",
        try_namespaces=lambda _: attempts,
        **settings,  # type: ignore[arg-type]
    )


def test_switches_are_read(tmp_path: Path) -> None:
    switches = {
        "proc/sys/user/max_user_namespaces": "0\n",
        "proc/sys/kernel/unprivileged_userns_clone": "1\n",
        "proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1\n",
        "proc/self/attr/current": "unconfined\n",
    }
    make_machine(tmp_path, switches, capabilities="0000000000200000", seccomp=2)
    facts = gather_from(tmp_path)
    assert (facts.max_user_namespaces, facts.unprivileged_userns_clone, facts.apparmor_restricts_userns) == (0, 1, 1)
    assert (facts.apparmor_label, facts.seccomp_mode, facts.has_sys_admin) == ("unconfined", 2, True)
    assert (facts.cgroup_version, facts.release, facts.machine) == ("none", UNAME.release, "x86_64")


def test_absent_switches_are_none(tmp_path: Path) -> None:
    make_machine(tmp_path, {})
    facts = gather_from(tmp_path)
    assert (facts.max_user_namespaces, facts.unprivileged_userns_clone, facts.apparmor_restricts_userns) == (None,) * 3
    assert not facts.has_sys_admin


def test_the_filesystem_is_that_of_the_longest_mount(tmp_path: Path) -> None:
    make_machine(tmp_path, {})
    (tmp_path / "data").mkdir()
    assert gather_from(tmp_path).home_filesystem == "xfs"
    assert gather_from(tmp_path, home=f"{tmp_path}/database/.airdock").home_filesystem == "ext4"


def test_the_attempt_is_made_in_the_nearest_folder_that_exists(tmp_path: Path) -> None:
    make_machine(tmp_path, {})
    seen: list[str] = []

    def try_it(folder: str) -> Mapping[str, int]:
        seen.append(folder)
        return WELL

    gather(home=f"{tmp_path}/a/b/c", proc=f"{tmp_path}/proc", etc=f"{tmp_path}/etc", try_namespaces=try_it)
    assert seen == [str(tmp_path)]


def test_ranges_by_name_and_number(tmp_path: Path) -> None:
    make_machine(tmp_path, {"etc/subuid": "1000:300000:1000\n1000:400000:65536\nbo:1:2\nbroken\n4242:1:x\n"})
    assert gather_from(tmp_path).ranges == {"subuid": 66536, "subgid": 0}


def test_helpers(tmp_path: Path) -> None:
    make_machine(tmp_path, {"bin/newuidmap": "", "bin/newgidmap": ""})
    (tmp_path / "bin/newuidmap").chmod(0o4755)
    (tmp_path / "bin/newgidmap").chmod(0o755)
    helpers = gather_from(tmp_path).helpers
    assert helpers["newuidmap"] in ("ok", f"{tmp_path}/bin/newuidmap is on a filesystem mounted nosuid")
    assert helpers["newgidmap"] == f"{tmp_path}/bin/newgidmap is not set-uid"
    (tmp_path / "bin/newuidmap").unlink()
    assert gather_from(tmp_path).helpers["newuidmap"] == "missing"


def test_another_system_is_not_looked_into() -> None:
    uname = os.uname_result(("Darwin", "mac", "24.1.0", "x", "arm64"))
    facts = gather(home="/Users/ana/.airdock", proc="/nowhere", uname=uname, uid=501)
    assert [one.ok for one in check(facts)] == [False]


def test_the_attempt_leaves_nothing_behind(tmp_path: Path) -> None:
    done = try_namespaces(str(tmp_path))
    assert set(done) <= set(STEPS)
    assert list(tmp_path.iterdir()) == []


def test_an_attempt_in_a_folder_that_is_not_there() -> None:
    assert try_namespaces("/nowhere/at/all") == {"overlay": errno.ENOENT}
