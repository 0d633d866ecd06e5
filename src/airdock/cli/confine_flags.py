"""The flags of `container run` and `create` for limits, rights and devices, in Docker's words."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from airdock.cli.parameters import to_size
from airdock.model.usage import Resources
from airdock.runtime.confinement import (
    Confinement,
    Device,
    choose_capabilities,
    find_runtime,
    parse_device,
    parse_namespace,
    parse_sysctl,
    parse_ulimit,
)
from airdock.runtime.spec import RUNTIME_ANNOTATION

__all__ = ["confine_options", "limit_options", "read_confinement", "read_resources"]

_Command = TypeVar("_Command", bound=Callable[..., Any])
_Parsed = TypeVar("_Parsed")
_LEAST_MEMORY: Final = 6 << 20


def _by(parse: Callable[[str], _Parsed]) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """A parser that raises ValueError as the callback of a flag, given once or several times."""

    def callback(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
        try:
            return tuple(parse(text) for text in value) if isinstance(value, tuple) else parse(value)
        except ValueError as error:
            raise click.BadParameter(f"{error}.") from error

    return callback


def _to_memory(text: str) -> int | None:
    """Bytes; 0 is no limit, as with Docker, and too little for any process is refused."""
    size = to_size(text)
    if 0 < size < _LEAST_MEMORY:
        raise click.BadParameter(f"expected at least 6m, which a container needs to start, got {text!r}.")
    return size or None


def _to_cpus(text: str) -> float | None:
    """How many; 0 is no limit."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < 100_000:  # also not a number
        raise click.BadParameter(f"expected a number of processors such as 1.5, got {text!r}.")
    return number or None


def _to_swap(text: str) -> int:
    """Bytes of memory and swap together; -1 for no limit."""
    return -1 if text == "-1" else to_size(text)


def _to_pids(text: str) -> int | None:
    """How many; None for -1 and 0, which are no limit."""
    if not text.removeprefix("-").isdigit():
        raise click.BadParameter(f"expected a number, got {text!r}.")
    return int(text) if int(text) > 0 else None


_LIMITS: Final = (
    click.option("-m", "--memory", type=_to_memory, metavar="SIZE", help="Most memory, such as 512m."),
    click.option("--memory-swap", type=_to_swap, metavar="SIZE", help="Most memory and swap together; -1 is no end."),
    click.option("--cpus", type=_to_cpus, metavar="N", help="Most processors, such as 1.5."),
    click.option(
        "-c", "--cpu-shares", type=click.IntRange(min=2), metavar="N", help="Weight against others; 1024 is the usual."
    ),
    click.option("--cpuset-cpus", metavar="LIST", help="Which processors, such as 0-2,4."),
)
_OPTIONS: Final = (
    *_LIMITS,
    click.option("--pids-limit", type=_to_pids, metavar="N", help="Most processes; -1 is no limit."),
    click.option("--shm-size", type=to_size, metavar="SIZE", help="Size of /dev/shm. [default: 64m]"),
    click.option(
        "--ulimit",
        "ulimits",
        multiple=True,
        callback=_by(parse_ulimit),
        metavar="NAME=SOFT[:HARD]",
        help="A limit of each process, such as nofile=1024.",
    ),
    click.option("--cap-add", multiple=True, metavar="NAME", help="One more capability within it, or ALL."),
    click.option("--cap-drop", multiple=True, metavar="NAME", help="One capability less, or ALL."),
    click.option(
        "--security-opt",
        "security",
        multiple=True,
        metavar="OPTION",
        help="seccomp=unconfined, seccomp=FILE.json, no-new-privileges=false.",
    ),
    click.option("--privileged", is_flag=True, help="All rights within its own namespaces; none over the machine."),
    click.option(
        "--device",
        "devices",
        multiple=True,
        callback=_by(parse_device),
        metavar="PATH[:PATH]",
        help="A device of this machine.",
    ),
    click.option("--gpus", metavar="all", help="The graphics processors of this machine: all or their number."),
    click.option("--group-add", "groups", multiple=True, metavar="GROUP", help="One more group of its user."),
    click.option(
        "--sysctl",
        "sysctls",
        multiple=True,
        callback=_by(parse_sysctl),
        metavar="NAME=VALUE",
        help="A kernel setting of its own, such as net.ipv4.ip_forward=1.",
    ),
    click.option(
        "--ipc", default="private", callback=_by(parse_namespace), metavar="MODE", help="private, host, container:NAME."
    ),
    click.option(
        "--uts", default="private", callback=_by(parse_namespace), metavar="MODE", help="private, host, container:NAME."
    ),
    click.option("--pid", default="private", callback=_by(parse_namespace), metavar="MODE", help="private."),
    click.option("--userns", default="private", metavar="MODE", help="private; host by a setting of this home."),
    click.option("--domainname", default="", metavar="NAME", help="Its NIS domain name."),
    click.option("--annotation", "annotations", multiple=True, metavar="NAME=VALUE", help="A note in its config.json."),
    click.option("--runtime", default="", metavar="PROGRAM", help="Another OCI runtime sets it up, such as runc."),
    click.option("--init", is_flag=True, help="Accepted: every container has a first process that reaps."),
)

_NAMES: Final = ("security", "privileged", "devices", "gpus", "groups", "sysctls", "ipc", "uts", "pid", "userns")


def limit_options(command: _Command) -> _Command:
    """Give a command the flags for memory and processors."""
    for option in reversed(_LIMITS):
        command = option(command)
    return command


def confine_options(command: _Command) -> _Command:
    """Give a command these flags."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def read_resources(options: dict[str, Any]) -> Resources:
    """What these flags limit, taken out of a command's options."""
    memory, both = options.pop("memory"), options.pop("memory_swap")
    if both is not None and memory is None:
        raise click.UsageError("expected --memory beside --memory-swap, which counts it, got none.")
    if both is not None and 0 <= both < memory:
        raise click.UsageError(f"expected --memory-swap to be at least --memory, {memory} bytes, got {both}.")
    return Resources(
        memory_bytes=memory,
        swap_bytes=None if both in (None, memory) else -1 if both < 0 else both - memory,
        cpus=options.pop("cpus"),
        pids=options.pop("pids_limit"),
        cpu_shares=options.pop("cpu_shares"),
        cpuset=options.pop("cpuset_cpus"),
    )


def read_confinement(options: dict[str, Any]) -> Confinement:
    """What these flags open or close, taken out of a command's options."""
    taken = {name: options.pop(name) for name in _NAMES}
    options.pop("init")
    if taken["pid"] != "private":
        raise click.UsageError(
            f"expected --pid private, got {taken['pid']}: a container's end is the end of its process namespace, which "
            "nobody else's may hang on."
        )
    if taken["userns"] not in ("private", "auto", ""):
        raise click.UsageError(
            f"expected --userns private, got {taken['userns']}: set isolation.userns to host for a whole home, or use "
            "--user for another account inside."
        )
    add, drop = options.pop("cap_add"), options.pop("cap_drop")
    try:
        choose_capabilities(add, drop)
    except ValueError as error:
        raise click.BadParameter(f"{error}.", param_hint="--cap-add, --cap-drop") from error
    seccomp, no_new_privileges = _read_security(taken["security"])
    given: dict[str, Any] = {"shm_bytes": size} if (size := options.pop("shm_size")) else {}
    return Confinement(
        cap_add=add,
        cap_drop=drop,
        privileged=taken["privileged"],
        seccomp=seccomp,
        no_new_privileges=no_new_privileges,
        ulimits=options.pop("ulimits"),
        devices=(*taken["devices"], *_gpus(taken["gpus"])),
        groups=taken["groups"],
        sysctls=dict(taken["sysctls"]),
        ipc=taken["ipc"],
        uts=taken["uts"],
        domainname=options.pop("domainname"),
        annotations=_annotations(options.pop("annotations"), options.pop("runtime")),
        **given,
    )


def _annotations(texts: tuple[str, ...], runtime: str) -> dict[str, str]:
    notes = dict(text.partition("=")[::2] for text in texts)
    if not runtime:
        return notes
    return notes | {RUNTIME_ANNOTATION: "" if runtime == "airdock" else find_runtime(runtime)}


def _read_security(texts: tuple[str, ...]) -> tuple[str | Mapping[str, Any], bool]:
    seccomp: str | Mapping[str, Any] = "default"
    no_new_privileges = True
    for text in texts:
        name, _, value = text.replace(":", "=", 1).partition("=") if "=" not in text else text.partition("=")
        match name, value:
            case "seccomp", "unconfined" | "default" | "builtin":
                seccomp = "default" if value == "builtin" else value
            case "seccomp", _:
                seccomp = _load_profile(Path(value))
            case "no-new-privileges", "" | "true" | "false":
                no_new_privileges = value != "false"
            case ("apparmor", "unconfined") | ("label", "disable"):
                pass  # no profile and no label is what a container has
            case "apparmor" | "label", _:
                where = "/sys/kernel/security/apparmor" if name == "apparmor" else "/sys/fs/selinux"
                raise click.UsageError(
                    f"expected no {text}: containers get no profile of {where} here; their user namespace, "
                    "capabilities and seccomp filter confine them."
                )
            case _:
                raise click.BadParameter(
                    f"expected seccomp=, no-new-privileges or apparmor=unconfined, got {text!r}.",
                    param_hint="--security-opt",
                )
    return seccomp, no_new_privileges


def _load_profile(path: Path) -> Mapping[str, Any]:
    try:
        profile = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise click.BadParameter(
            f"expected {path} to be a seccomp profile in JSON, got: {error}.", param_hint="--security-opt"
        ) from error
    if not isinstance(profile, dict) or "defaultAction" not in profile:
        raise click.BadParameter(f"expected a defaultAction in {path}, got none.", param_hint="--security-opt")
    return profile


def _gpus(text: str | None) -> list[Device]:
    """The nodes of the nvidia driver, all of them or so many processors."""
    if text is None:
        return []
    found = [path for pattern in ("nvidia*", "nvidia-caps/*", "dri/renderD*") for path in Path("/dev").glob(pattern)]
    nodes = sorted(map(str, found))
    cards = [node for node in nodes if node.removeprefix("/dev/nvidia").isdigit()]
    if not cards:
        raise click.UsageError("expected a graphics processor for --gpus, got none: there is no /dev/nvidia0 here.")
    if text.isdigit():
        cards = cards[: int(text)]
    elif text != "all":
        raise click.BadParameter(f"expected all or a number, got {text!r}.", param_hint="--gpus")
    others = [node for node in nodes if node.startswith("/dev/nvidia") and not node[len("/dev/nvidia") :].isdigit()]
    return [Device(source=node, target=node) for node in (*cards, *others) if Path(node).is_char_device()]
