"""What a container is to be, as an OCI runtime configuration: a `config.json` that other runtimes understand too.

What has no place in the specification travels as annotations: a user or groups given by name, which only the image's
own /etc/passwd and /etc/group can tell (`airdock.user`, `airdock.groups`), and whether the default seccomp profile is
wanted (`airdock.seccomp`), which each runtime compiles for its machine. Ids and cgroup paths are the launcher's
business and are left out.
Source: opencontainers/runtime-spec, config.md and config-linux.md.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any, Final

from airdock.model.mount import Mount, StackMount
from airdock.model.usage import Resources
from airdock.runtime.confinement import DEFAULT_CAPABILITIES, Confinement, Device, Ulimit, choose_capabilities

__all__ = [
    "DEFAULT_CAPABILITIES",
    "GROUPS_ANNOTATION",
    "MASKED_PATHS",
    "READ_ONLY_PATHS",
    "RUNTIME_ANNOTATION",
    "SECCOMP_ANNOTATION",
    "USER_ANNOTATION",
    "make_config",
    "render_limits",
    "resources_of",
]

USER_ANNOTATION: Final = "airdock.user"
GROUPS_ANNOTATION: Final = "airdock.groups"
RUNTIME_ANNOTATION: Final = "airdock.runtime"
"""The path of another OCI runtime that is to set the container up."""
SECCOMP_ANNOTATION: Final = "airdock.seccomp"
RLIM_INFINITY: Final = (1 << 64) - 1
CPU_PERIOD_US: Final = 100_000

MASKED_PATHS: Final = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
READ_ONLY_PATHS: Final = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


def make_config(
    *,
    argv: Sequence[str],
    env: Sequence[str] | Mapping[str, str] = (),
    cwd: str = "/",
    user: tuple[int, int, Sequence[int]] | str = "",
    hostname: str = "",
    terminal: bool = False,
    binds: Sequence[Mount] = (),
    stacks: Sequence[StackMount] = (),
    tmpfs: Sequence[str] = (),
    network: str = "host",
    resources: Resources = Resources(),
    read_only_root: bool = False,
    seccomp: bool = True,
    capabilities: Sequence[str] | None = None,
    confinement: Confinement | None = None,
    annotations: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """A configuration with Airdock's defaults. `env` is "NAME=value" lines or a mapping; `user` is ids, or Docker's
    `user[:group]`, each a name or a number; `network` is "host", "none" or the path of a namespace to join.
    Raises ValueError for anything else."""
    if network not in {"host", "none"} and not network.startswith("/"):
        raise ValueError(f"expected network to be 'host', 'none' or the path of a namespace, found {network!r}")
    if not argv:
        raise ValueError("expected a command, found none")
    given = confinement or Confinement()
    is_open = given.privileged
    kept = capabilities or choose_capabilities(given.cap_add, given.cap_drop, privileged=is_open)
    notes = {
        **given.annotations,
        **(annotations or {}),
        SECCOMP_ANNOTATION: "default" if seccomp and given.seccomp == "default" and not is_open else "unconfined",
        **({USER_ANNOTATION: user} if isinstance(user, str) and user else {}),
        **({GROUPS_ANNOTATION: ",".join(given.groups)} if given.groups else {}),
    }
    config: dict[str, Any] = {
        "ociVersion": "1.1.0",
        "process": {
            "terminal": terminal,
            "user": _user(user),
            "args": list(argv),
            "env": [f"{name}={value}" for name, value in env.items()] if isinstance(env, Mapping) else list(env),
            "cwd": cwd or "/",
            "capabilities": {kind: sorted(kept) for kind in ("bounding", "effective", "permitted")},
            "noNewPrivileges": given.no_new_privileges and not is_open,
            **({"rlimits": [_rlimit(limit) for limit in given.ulimits]} if given.ulimits else {}),
        },
        "root": {"path": "merged", "readonly": read_only_root},
        "mounts": [
            *_own_mounts(network, given.shm_bytes, ipc=given.ipc),
            *(_tmpfs(path) for path in tmpfs),
            *(_device(device) for device in given.devices),
            *_binds([*binds, *stacks]),
        ],
        "annotations": notes,
        "linux": {
            "namespaces": _namespaces(network, given),
            **({} if is_open else {"maskedPaths": list(MASKED_PATHS), "readonlyPaths": list(READ_ONLY_PATHS)}),
            **({"sysctl": dict(given.sysctls)} if given.sysctls else {}),
        },
    }
    if hostname and given.uts == "private":
        config["hostname"] = hostname
    if given.domainname:
        config["domainname"] = given.domainname
    if not isinstance(given.seccomp, str) and not is_open:
        config["linux"]["seccomp"] = _resolve(given.seccomp, kept)
    if limits := render_limits(resources):
        config["linux"]["resources"] = limits
    return config


def resources_of(config: Mapping[str, Any]) -> Resources:
    """The limits that a configuration asks for."""
    limits = config.get("linux", {}).get("resources", {})
    cpu = limits.get("cpu", {})
    return Resources(
        memory_bytes=limits.get("memory", {}).get("limit"),
        cpus=cpu["quota"] / cpu["period"] if "quota" in cpu else None,
        pids=limits.get("pids", {}).get("limit"),
        swap_bytes=_swap_of(limits.get("memory", {})),
        cpu_shares=cpu.get("shares"),
        cpuset=cpu.get("cpus"),
    )


def _swap_of(memory: Mapping[str, Any]) -> int | None:
    """What lies beyond the memory itself; none is the usual, and said as None."""
    both = memory.get("swap")
    if both is None or both == memory.get("limit"):
        return None
    return -1 if both < 0 else both - (memory.get("limit") or 0)


def _user(user: tuple[int, int, Sequence[int]] | str) -> dict[str, Any]:
    if isinstance(user, str):
        return {"uid": 0, "gid": 0}
    uid, gid, groups = user
    return {"uid": uid, "gid": gid, **({"additionalGids": list(groups)} if groups else {})}


def _namespaces(network: str, confinement: Confinement) -> list[dict[str, str]]:
    own = [{"type": kind} for kind in ("user", "mount", "pid", "cgroup")]
    for kind, wanted in (("ipc", confinement.ipc), ("uts", confinement.uts)):
        if wanted != "host":
            own.append({"type": kind, **({} if wanted == "private" else {"path": wanted})})
    if network == "host":
        return own
    return [*own, {"type": "network", **({} if network == "none" else {"path": network})}]


def _resolve(profile: Mapping[str, Any], capabilities: Sequence[str]) -> dict[str, Any]:
    # Hardly any container brings a profile of its own, and every start would pay for these.
    from airdock.runtime.seccomp import kernel_version
    from airdock.runtime.seccomp_file import resolve_profile

    machine = os.uname()
    return resolve_profile(
        profile, capabilities=capabilities, arch=machine.machine, kernel=kernel_version(machine.release)
    )


def _rlimit(limit: Ulimit) -> dict[str, Any]:
    soft, hard = (RLIM_INFINITY if value < 0 else value for value in (limit.soft, limit.hard))
    return {"type": f"RLIMIT_{limit.name.upper()}", "soft": soft, "hard": hard}


def _device(device: Device) -> dict[str, Any]:
    """A user namespace can't make nodes, so it's the machine's own that is bound."""
    options = ["bind", "rw", "nosuid", "noexec"]
    return {"destination": device.target, "type": "bind", "source": device.source, "options": options}


def _own_mounts(network: str, shm_bytes: int, *, ipc: str) -> list[dict[str, Any]]:
    strict = ["nosuid", "noexec", "nodev"]
    if network == "host":
        # A fresh sysfs needs a network namespace of one's own.
        sysfs = {"destination": "/sys", "type": "bind", "source": "/sys", "options": ["rbind", "ro", *strict]}
    else:
        sysfs = {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro", *strict]}
    shm = {
        "destination": "/dev/shm",  # noqa: S108 the container's own, not a shared temporary folder
        "type": "tmpfs",
        "source": "shm",
        "options": [*strict, "mode=1777", f"size={shm_bytes // 1024}k"],
    }
    if ipc == "host":
        shm |= {"type": "bind", "source": "/dev/shm", "options": ["rbind", "rw", *strict]}  # noqa: S108
    return [
        {"destination": "/proc", "type": "proc", "source": "proc", "options": strict},
        {
            "destination": "/dev",
            "type": "tmpfs",
            "source": "tmpfs",
            "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
        },
        {
            "destination": "/dev/pts",
            "type": "devpts",
            "source": "devpts",
            "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        },
        shm,
        sysfs,
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro", *strict]},
    ]


def _tmpfs(text: str) -> dict[str, Any]:
    """Docker's `path[:options]`."""
    path, _, text = text.partition(":")
    given = list(filter(None, text.split(",")))
    usual = ["nosuid", "nodev", *([] if any(option.startswith("mode=") for option in given) else ["mode=1777"])]
    kept = [option for option in usual if option.removeprefix("no") not in given]
    return {"destination": path, "type": "tmpfs", "source": "tmpfs", "options": [*kept, *given]}


def _binds(binds: Sequence[Mount | StackMount]) -> list[dict[str, Any]]:
    """Parents before what lies below them, so that neither hides the other."""
    return [_bind(bind) for bind in sorted(binds, key=lambda bind: bind.target.rstrip("/").count("/"))]


def _bind(bind: Mount | StackMount) -> dict[str, Any]:
    options = ["ro" if bind.read_only else "rw", "nosuid", "nodev"]
    if isinstance(bind, Mount):
        return {"destination": bind.target, "type": "bind", "source": bind.source, "options": ["rbind", *options]}
    return {
        "destination": bind.target,
        "type": "overlay",
        "source": bind.path,
        "options": options,
        # Not in the specification, which knows no overlay of parts: for our own launcher only.
        "layers": list(bind.layers),
        "scratch": bind.scratch,
    }


def render_limits(resources: Resources) -> dict[str, Any]:
    """The section `linux.resources`. Memory and swap together are one number in the specification, as in cgroup v1."""
    limits: dict[str, Any] = {}
    cpu: dict[str, Any] = {}
    if resources.memory_bytes is not None:
        swap = resources.swap_bytes or 0
        limits["memory"] = {"limit": resources.memory_bytes, "swap": -1 if swap < 0 else resources.memory_bytes + swap}
    if resources.cpus is not None:
        cpu |= {"period": CPU_PERIOD_US, "quota": round(resources.cpus * CPU_PERIOD_US)}
    if resources.cpu_shares is not None:
        cpu["shares"] = resources.cpu_shares
    if resources.cpuset is not None:
        cpu["cpus"] = resources.cpuset
    if cpu:
        limits["cpu"] = cpu
    if resources.pids is not None:
        limits["pids"] = {"limit": resources.pids}
    return limits
