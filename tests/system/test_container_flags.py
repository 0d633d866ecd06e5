"""Flags of `container run` that limit, open and share, as seen from inside, by every kind of account."""

from collections.abc import Callable
from typing import Any

import pytest

Account = Any
"""`conftest.Account`; conftest can't be imported by name."""


def run(account: Account, *argv: str) -> str:
    ended = account.airdock("container", "run", "--rm", *argv)
    assert ended.returncode == 0, ended.stderr
    return str(ended.stdout)


def test_what_is_asked_for_holds(account: Account, unchanged_machine: Callable[[], None]) -> None:
    flags = ["--cap-drop", "ALL", "--cap-add", "net_admin", "--ulimit", "nofile=100:200", "--shm-size", "8m"]
    flags += ["--security-opt", "no-new-privileges=false", "--domainname", "example", "--network", "none"]
    flags += ["--tmpfs", "/x:size=1m,mode=700,noexec", "--sysctl", "net.ipv4.ip_forward=1", "--init"]
    script = """
        grep -E 'CapBnd|NoNewPrivs|Seccomp:' /proc/self/status | tr '\\t' ' '
        ulimit -Sn; ulimit -Hn; cat /proc/sys/kernel/domainname /proc/sys/net/ipv4/ip_forward
        df -k /dev/shm /x | awk 'NR > 1 { print $2 }'; stat -c %a /x
    """
    lines = run(account, *flags, "host", "sh", "-c", script).splitlines()
    assert lines == [
        *("CapBnd: 0000000000001000", "NoNewPrivs: 0", "Seccomp: 2"),
        *("100", "200", "example", "1", "8192", "1024", "700"),
    ]


@pytest.mark.parametrize("kept", [["--rm"], ["--rm", "-l", "watched"]])
@pytest.mark.parametrize("network", ["host", "none"])
def test_names_are_looked_up_as_asked(
    root_account: Account, kept: list[str], network: str, unchanged_machine: Callable[[], None]
) -> None:
    flags = [*kept, "--network", network, "--dns", "192.0.2.53", "--dns-search", "a.test", "--dns-option", "ndots:1"]
    said = run(root_account, *flags, "--add-host", "db:192.0.2.7", "host", "cat", "/etc/resolv.conf", "/etc/hosts")
    assert said.startswith("nameserver 192.0.2.53\n")
    assert {"search a.test", "options ndots:1", "192.0.2.7\tdb"} <= set(said.splitlines())


def test_profiles_of_ones_own(account: Account, unchanged_machine: Callable[[], None]) -> None:
    profile = account.home / "profile.json"
    account.run("sh", "-c", f"""echo '{PROFILE}' > {profile}""")
    said = run(account, "--security-opt", f"seccomp={profile}", "host", "sh", "-c", "LC_ALL=C mkdir /q 2>&1; echo done")
    assert said.splitlines() == ["mkdir: cannot create directory '/q': Operation not supported", "done"]


PROFILE = (
    '{"defaultAction": "SCMP_ACT_ALLOW", '
    '"syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}]}'
)


@pytest.mark.parametrize("kind", ["ipc", "uts"])
def test_namespaces_of_the_machine(account: Account, kind: str, unchanged_machine: Callable[[], None]) -> None:
    look = f"readlink /proc/self/ns/{kind}"
    mine = account.run("sh", "-c", look).stdout
    assert run(account, f"--{kind}", "host", "host", "sh", "-c", look) == mine
    assert run(account, "host", "sh", "-c", look) != mine


def test_a_device_that_is_named_works(root_account: Account, unchanged_machine: Callable[[], None]) -> None:
    script = "stat -c '%u %t:%T' /dev/more && head -c 3 /dev/more | wc -c"
    assert run(root_account, "--device", "/dev/zero:/dev/more", "host", "sh", "-c", script).split() == ["0", "1:5", "3"]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--gpus", "all"], "no /dev/nvidia0"),
        (["--sysctl", "kernel.panic=1"], "the machine's"),
        (["--pid", "host"], "--pid private"),
        (["--userns", "host"], "isolation.userns"),
        (["--security-opt", "apparmor=docker-default"], "no profile"),
        (["--cap-add", "FLY"], "CAP_FLY"),
        (["--memory-swap", "1g"], "--memory"),
        (["--device", "/dev/null:/dev/x:r"], "rw"),
        (["--user", "4294967295"], "an id between"),
        (["--memory", "4k"], "6m"),
        (["--cpus", "nan"], "processors"),
        (["--cidfile", "/nowhere/id"], "/nowhere"),
        (["--volume", "/tmp:/proc/self"], "outside /proc"),
    ],
    ids=str,
)
def test_what_can_not_be_is_refused_with_a_reason(root_account: Account, flags: list[str], said: str) -> None:
    ended = root_account.airdock("container", "run", "--rm", *flags, "host", "true")
    assert ended.returncode == 125
    assert said in ended.stderr


def test_limits_of_a_running_container_change_and_stay_changed(
    root_account: Account, unchanged_machine: Callable[[], None]
) -> None:
    verbs = [
        ["run", "-d", "--name", "c", "-m", "64m", "--pids-limit", "9", "host", "sleep", "100"],
        ["update", "-m", "32m", "--memory-swap", "40m", "--pids-limit", "-1", "--restart", "on-failure:3", "c"],
        ["stats", "--no-stream", "--format", "{{.MemUsage}}", "c"],
        ["restart", "-t", "0", "c"],
        ["stats", "--no-stream", "--format", "{{.MemUsage}}", "c"],
        ["inspect", "-f", "{{.HostConfig.MemorySwap}} {{.HostConfig.RestartPolicy.MaximumRetryCount}}", "c"],
        ["rm", "-f", "c"],
    ]
    said = [root_account.airdock("container", *verb) for verb in verbs]
    assert [ended.stderr for ended in said] == [""] * len(verbs)
    assert [said[i].stdout.split("/ ")[-1].strip() for i in (2, 4, 5)] == ["32MiB", "32MiB", f"{40 << 20} 3"]
