"""Decides how a container is set up: from an OCI configuration and what is known of the machine to steps. Pure."""

import posixpath
from collections.abc import Iterator, Mapping
from typing import Any, Final

from airdock.errors import ContainerError
from airdock.record import record
from airdock.runtime import syscalls as k
from airdock.runtime.join import joined_network
from airdock.runtime.ops import (
    AttachRoot,
    AttachSys,
    BindTree,
    DetachOldRoot,
    HostDevice,
    HostSys,
    Link,
    LockMounts,
    MakeFolder,
    Mask,
    MountNew,
    Op,
    OwnNetwork,
    ReadOnlyPath,
    ReadOnlyRoot,
    SetHostname,
    SetKernel,
)

__all__ = [
    "DEVICES",
    "NAMESPACES",
    "Facts",
    "Plan",
    "Tree",
    "bind_trees",
    "has_own",
    "is_host_bind",
    "own_namespaces",
    "plan",
]

DEVICES: Final = ("null", "zero", "full", "random", "urandom", "tty")
_LINKS: Final = (
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
)
_FLAGS: Final = {
    "ro": k.MS_RDONLY,
    "nosuid": k.MS_NOSUID,
    "nodev": k.MS_NODEV,
    "noexec": k.MS_NOEXEC,
    "noatime": k.MS_NOATIME,
    "strictatime": k.MS_STRICTATIME,
}
_IGNORED: Final = frozenset(
    {"rw", "bind", "rbind", "private", "rprivate", "suid", "dev", "exec", "async", "sync"}
    | {"atime", "relatime", "diratime", "nodiratime"}
)
NAMESPACES: Final = k.CLONE_NEWNS | k.CLONE_NEWPID
"""What every container is born into, beside a user namespace; the cgroup namespace waits for its cgroup."""
_OPTIONAL: Final = {"ipc": k.CLONE_NEWIPC, "uts": k.CLONE_NEWUTS}


@record
class Facts:
    """What a plan needs to know of the machine: `mapping` as in idmaps ("host" is none), `cgroup2` whether it has
    nothing but the unified hierarchy, `place` where the root is attached, relative to the launcher's folder."""

    mapping: str
    cgroup2: bool = False
    place: str = "root"


@record
class Tree:
    """What the launcher opens for a mount, before the container is there: a host path to be bound, or, where there are
    `layers` (lowest first), the path `source` in their overlay, with a folder for what is written to it."""

    source: str
    read_only: bool
    is_device: bool = False
    layers: tuple[str, ...] = ()
    scratch: str = ""


@record
class Plan:
    """`trees` are opened by the launcher, beforehand; `setup` runs inside, in order."""

    trees: tuple[Tree, ...]
    setup: tuple[Op, ...]


def plan(config: Mapping[str, Any], facts: Facts) -> Plan:
    """The steps for a container. Raises ContainerError for mounts that can't be planned."""
    kinds = {entry["type"] for entry in config["linux"]["namespaces"] if not entry.get("path")}
    return Plan(trees=bind_trees(config), setup=tuple(_steps(config, facts, kinds)))


def has_own(config: Mapping[str, Any], kind: str) -> bool:
    """Whether a configuration asks for a new namespace of that kind."""
    return any(entry["type"] == kind and not entry.get("path") for entry in config["linux"]["namespaces"])


def own_namespaces(config: Mapping[str, Any]) -> int:
    """The CLONE_ flags of a container's first process, but for the user namespace's."""
    return NAMESPACES | sum(flag for kind, flag in _OPTIONAL.items() if has_own(config, kind))


def bind_trees(config: Mapping[str, Any]) -> tuple[Tree, ...]:
    """What the launcher opens for a plan: the binds of host paths and of layers, in their order."""
    return tuple(
        Tree(
            source=mount["source"],
            read_only="ro" in mount.get("options", ()),
            is_device="nodev" not in mount.get("options", ()) and mount["source"].startswith("/dev/"),
            layers=tuple(mount.get("layers", ())),
            scratch=mount.get("scratch", ""),
        )
        for mount in config["mounts"]
        if is_host_bind(mount)
    )


def is_host_bind(mount: Mapping[str, Any]) -> bool:
    """Whether the launcher opens it beforehand: a path of the machine, or layers."""
    if "layers" in mount:
        return True
    return mount.get("type", "bind") == "bind" and (mount["source"], mount["destination"]) != ("/sys", "/sys")


def _is_own(mount: Mapping[str, Any]) -> bool:
    """Whether it is one of the kernel's filesystems in its usual place. They come first: /proc and /sys can be mounted
    only while the machine's own are in sight, and devices are taken from the machine's /dev."""
    top = mount["destination"].split("/")[1:2]
    return not is_host_bind(mount) and top[:1] in (["proc"], ["dev"], ["sys"])


def _steps(config: Mapping[str, Any], facts: Facts, kinds: set[str]) -> Iterator[Op]:
    linux, process = config["linux"], config["process"]
    name, domain = config.get("hostname", ""), config.get("domainname", "")
    if "uts" in kinds and (name or domain):
        yield SetHostname(name=name, domain=domain)
    joined = bool(joined_network(config))
    if "network" in kinds:
        yield OwnNetwork()
    yield AttachRoot(place=facts.place)
    for mount in filter(_is_own, config["mounts"]):
        if joined and mount.get("type") == "sysfs":
            yield AttachSys(target=_absolute(mount["destination"], "mount target"))
        else:
            yield from _mount(mount, facts)
    # Before any path that an image or a neighbour can make a link of: through a link to /proc/self/fd, the old root
    # would still be within reach.
    yield DetachOldRoot()
    index = 0
    for mount in config["mounts"]:
        if is_host_bind(mount):
            yield BindTree(index=index, target=_absolute(mount["destination"], "mount target"))
            index += 1
        elif not _is_own(mount):
            yield from _mount(mount, facts)
    for name, value in linux.get("sysctl", {}).items():
        yield SetKernel(name=name, value=value)
    yield from (Mask(path=path) for path in linux.get("maskedPaths", ()))
    yield from (ReadOnlyPath(path=path) for path in linux.get("readonlyPaths", ()))
    if process["cwd"] != "/":
        yield MakeFolder(path=_absolute(process["cwd"], "working folder"))
    if config["root"].get("readonly"):
        yield ReadOnlyRoot()
    if facts.mapping != "host" and "CAP_SYS_ADMIN" in process.get("capabilities", {}).get("bounding", ()):
        yield LockMounts()


def _mount(mount: Mapping[str, Any], facts: Facts) -> Iterator[Op]:
    target = _absolute(mount["destination"], "mount target")
    kind = mount.get("type", "bind")
    options = mount.get("options", ())
    if kind == "bind":
        yield HostSys(target=target)
    elif kind == "cgroup":
        yield _cgroup(target, options, facts)
    else:
        flags, data = _split(options, facts)
        fallback = HostSys(target=target) if kind == "sysfs" else None
        if target == "/dev":
            # Without a user namespace, root could make nodes there. Those that belong there are mounts of their own.
            flags |= k.MS_NODEV
        yield MountNew(fstype=kind, target=target, flags=flags, data=data, fallback=fallback)
        if target == "/dev":
            yield from (HostDevice(name=name) for name in DEVICES)
            yield from (Link(path=path, target=leads_to) for path, leads_to in _LINKS)
        elif target == "/dev/pts":
            yield Link(path="/dev/ptmx", target="pts/ptmx")


def _cgroup(target: str, options: tuple[str, ...], facts: Facts) -> Op:
    """The container's own cgroup where the machine has only the unified hierarchy; else nothing, as an empty folder:
    the rest of the tree is none of its business."""
    flags, _ = _split(options, facts)
    nothing = MountNew(fstype="tmpfs", target=target, flags=flags | k.MS_RDONLY, data="size=0k,nr_inodes=2")
    if not facts.cgroup2:
        return nothing
    return MountNew(fstype="cgroup2", target=target, flags=flags, fallback=nothing)


def _split(options: tuple[str, ...], facts: Facts) -> tuple[int, str]:
    """Options of a mount as mount(2) wants them: flags, and the rest as text."""
    flags = 0
    rest = []
    for option in options:
        if option in _FLAGS:
            flags |= _FLAGS[option]
        elif option == "gid=5" and facts.mapping == "one":
            continue  # the group "tty" isn't mapped, and devpts would refuse
        elif option not in _IGNORED:
            rest.append(option)
    return flags, ",".join(rest)


def _absolute(path: str, what: str) -> str:
    if not path.startswith("/"):
        raise ContainerError(f"expected the {what} to be an absolute path, found {path!r}")
    return "/" + posixpath.normpath(path).lstrip("/")
