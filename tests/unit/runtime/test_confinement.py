"""Words of the security flags: capabilities, limits, devices, namespaces, settings; what comes of them in a spec."""

from collections.abc import Callable

import pytest

from airdock.model.usage import Resources
from airdock.runtime.capabilities import CAPABILITIES
from airdock.runtime.command import privileges_key
from airdock.runtime.confinement import (
    DEFAULT_CAPABILITIES,
    Confinement,
    Device,
    Ulimit,
    choose_capabilities,
    parse_device,
    parse_namespace,
    parse_sysctl,
    parse_ulimit,
)
from airdock.runtime.ops import LockMounts
from airdock.runtime.plan import Facts, own_namespaces, plan
from airdock.runtime.spec import make_config, resources_of
from airdock.runtime.syscalls import CLONE_NEWIPC, CLONE_NEWUTS


@pytest.mark.parametrize(
    ("add", "drop", "kept"),
    [
        ([], [], set(DEFAULT_CAPABILITIES)),
        ([], ["ALL"], set()),
        (["net_admin"], ["all"], {"CAP_NET_ADMIN"}),
        (["CAP_SYS_PTRACE"], ["chown"], {"CAP_SYS_PTRACE", *DEFAULT_CAPABILITIES} - {"CAP_CHOWN"}),
        (["ALL"], ["SYS_ADMIN"], set(CAPABILITIES) - {"CAP_SYS_ADMIN"}),
    ],
)
def test_capabilities_by_dockers_rules(add: list[str], drop: list[str], kept: set[str]) -> None:
    assert set(choose_capabilities(add, drop)) == kept


def test_a_capability_that_linux_lacks_is_refused() -> None:
    with pytest.raises(ValueError, match="CAP_FLY"):
        choose_capabilities(["fly"], [])


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("nofile=100", Ulimit(name="nofile", soft=100, hard=100)),
        ("nproc=5:9", Ulimit(name="nproc", soft=5, hard=9)),
        ("core=-1", Ulimit(name="core", soft=-1, hard=-1)),
    ],
)
def test_ulimits(text: str, limit: Ulimit) -> None:
    assert parse_ulimit(text) == limit


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (parse_ulimit, "nofile"),
        (parse_ulimit, "nofile=9:5"),
        (parse_ulimit, "files=5"),
        (parse_device, "/etc/passwd"),
        (parse_device, "/dev/fuse:/dev/fuse:r"),
        (parse_namespace, "container:"),
        (parse_namespace, "elsewhere"),
        (parse_sysctl, "net.ipv4.ip_forward"),
        (parse_sysctl, "kernel.panic=1"),
        (parse_sysctl, "net/../kernel/panic=1"),
    ],
)
def test_what_makes_no_sense_is_refused(parse: Callable[[str], object], text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse(text)


def test_devices_and_where_they_go() -> None:
    assert parse_device("/dev/fuse") == Device(source="/dev/fuse", target="/dev/fuse")
    assert parse_device("/dev/a:/dev/b:rwm") == Device(source="/dev/a", target="/dev/b")
    assert parse_device("/dev/a:rw") == Device(source="/dev/a", target="/dev/a")


def test_privileged_is_everything_within_its_namespaces() -> None:
    config = make_config(argv=["true"], confinement=Confinement(privileged=True))
    key = privileges_key(config)
    assert (set(key.capabilities), key.profile, key.may_gain) == (set(CAPABILITIES), "", True)
    assert "maskedPaths" not in config["linux"]
    assert plan(config, Facts(mapping="root")).setup[-1] == LockMounts()


def test_mounts_are_locked_only_where_they_could_be_changed() -> None:
    plain = plan(make_config(argv=["true"]), Facts(mapping="root")).setup
    without = make_config(argv=["true"], confinement=Confinement(cap_add=["SYS_ADMIN"]))
    assert LockMounts() not in plain
    assert LockMounts() in plan(without, Facts(mapping="one")).setup
    assert LockMounts() not in plan(without, Facts(mapping="host")).setup


def test_shared_namespaces_are_left_out_or_joined() -> None:
    config = make_config(argv=["true"], confinement=Confinement(ipc="host", uts="/proc/1/ns/uts"), hostname="h")
    assert not own_namespaces(config) & (CLONE_NEWIPC | CLONE_NEWUTS)
    assert {"type": "uts", "path": "/proc/1/ns/uts"} in config["linux"]["namespaces"]
    assert "hostname" not in config


def test_limits_go_there_and_back() -> None:
    asked = Resources(memory_bytes=1 << 26, swap_bytes=1 << 20, cpus=0.5, cpu_shares=512, cpuset="0-1", pids=9)
    config = make_config(argv=["true"], resources=asked)
    assert resources_of(config) == asked
    assert Resources.from_dict(asked.to_dict()) == asked
    assert config["linux"]["resources"]["memory"] == {"limit": 1 << 26, "swap": (1 << 26) + (1 << 20)}
