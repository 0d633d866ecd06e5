"""What `-v`, `--mount` and `--tmpfs` say, in Docker's words: docs.docker.com, "Bind mounts", "Volumes", "tmpfs"."""

import os
import posixpath
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from airdock.errors import MountError
from airdock.record import record

__all__ = ["VOLUME_NAME", "MountRequest", "check_targets", "parse_mount", "parse_tmpfs", "parse_volume"]

VOLUME_NAME: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,127}")
_TYPES: Final = ("bind", "volume", "tmpfs")
_TRUE: Final = {"": True, "true": True, "1": True, "false": False, "0": False}
_UNITS: Final = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_NOTHING_HERE: Final = frozenset({"z", "Z", "cached", "delegated", "consistent", "default", "rprivate", "private", ""})
"""Options that change nothing here: labels of SELinux, consistency on macOS, how mounts come in later anyway."""
_SPREADING: Final = frozenset({"shared", "rshared", "slave", "rslave"})


@record
class MountRequest:
    """One thing to be mounted. `source` is a path of this machine ("bind") or a volume's name, empty for one without a
    name. `make_source` is whether a missing folder is made. `size_bytes` and `mode` are a tmpfs's."""

    kind: str
    source: str = ""
    target: str
    read_only: bool = False
    make_source: bool = False
    no_copy: bool = False
    subpath: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    size_bytes: int | None = None
    mode: int | None = None

    @property
    def tmpfs(self) -> str:
        """As `--tmpfs` says it."""
        options = [f"size={self.size_bytes}"] if self.size_bytes else []
        options += [f"mode={self.mode:o}"] if self.mode is not None else []
        options += ["ro"] if self.read_only else []
        return f"{self.target}:{','.join(options)}" if options else self.target


def parse_volume(text: str) -> MountRequest:
    """SOURCE:TARGET[:OPTIONS], NAME:TARGET[:OPTIONS] or TARGET. Raises MountError.

    A SOURCE that begins with a slash, a dot or a tilde is a path of this machine, and is made where it's missing.
    """
    parts = text.split(":")
    if len(parts) > 3 or not all(parts[:2]):
        raise MountError(f"expected SOURCE:/TARGET[:OPTIONS], found {text!r}")
    source, target = ("", parts[0]) if len(parts) == 1 else (parts[0], parts[1])
    options = parts[2].split(",") if len(parts) == 3 else []
    if source.startswith(("/", ".", "~")):
        path = os.path.realpath(os.path.expanduser(source))
        request = MountRequest(kind="bind", source=path, target=_target(target, text), make_source=True)
    else:
        request = MountRequest(kind="volume", source=_name(source), target=_target(target, text))
    for option in options:
        request = _apply_option(request, option, text)
    return request


def parse_mount(text: str) -> MountRequest:
    """type=bind|volume|tmpfs,source=…,target=…,… . Raises MountError."""
    import csv  # few commands have such a flag

    try:
        (fields,) = csv.reader([text], strict=True)
    except (csv.Error, ValueError) as error:
        raise MountError(f"expected KEY=VALUE,…, found {text!r}") from error
    pairs = [(key.lower(), value, bool(equals)) for key, equals, value in (field.partition("=") for field in fields)]
    kind = next((value.lower() for key, value, _ in pairs if key == "type"), "volume")
    if kind not in _TYPES:
        raise MountError(f"expected type to be bind, volume or tmpfs, found {kind!r}", where=text)
    request = MountRequest(kind=kind, target="")
    for key, value, has_value in pairs:
        apply = _KEYS.get(key)
        if apply is None:
            raise MountError(f"expected one of {', '.join(sorted(_KEYS))}, found {key!r}", where=text)
        if not has_value and key not in _FLAGS:
            raise MountError(f"expected {key}=VALUE, found {key!r}", where=text)
        if key.partition("-")[0] in _TYPES and key.partition("-")[0] != kind:
            raise MountError(f"expected options of a {kind}, found {key}", where=text)
        request = apply(request, value)
    if not request.target:
        raise MountError("expected a target, found none", where=text)
    if kind == "bind" and not request.source:
        raise MountError("expected a source for a bind, found none", where=text)
    if kind == "tmpfs" and request.source:
        raise MountError("expected no source for a tmpfs, found one", where=text)
    return replace(request, target=_target(request.target, text))


def check_targets(requests: Sequence[MountRequest], tmpfs: Sequence[str]) -> None:
    """Raises MountError where two things are to be mounted at one place, or where the kernel tells of itself."""
    seen: set[str] = set()
    for target in [
        *(request.target for request in requests),
        *(_target(text.partition(":")[0], text) for text in tmpfs),
    ]:
        if target in seen:
            raise MountError(f"expected one thing to mount at {target}, found two")
        if f"{target}/".startswith("/proc/") and target not in _COVERED:
            raise MountError(
                "expected a place outside /proc, where programs look up what they are themselves",
                where=target,
                hint=f"or one of {', '.join(sorted(_COVERED))}",
            )
        seen.add(target)


_COVERED: Final = frozenset(
    f"/proc/{name}" for name in ("cpuinfo", "diskstats", "loadavg", "meminfo", "stat", "swaps", "uptime", "net/dev")
)
"""What may be shown otherwise, as runc lets it: files that count this machine's hardware."""


def parse_tmpfs(text: str) -> str:
    """PATH[:OPTIONS], given back as it is. Raises MountError."""
    path, _, options = text.partition(":")
    _target(path, text)
    for option in filter(None, options.split(",")):
        key = option.partition("=")[0]
        if key not in _TMPFS:
            raise MountError(f"expected one of {', '.join(sorted(_TMPFS))}, found {key!r}", where=text)
    return text


_TMPFS: Final = frozenset(
    {"size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "ro", "rw", "exec", "noexec", "suid", "nosuid", "dev"}
    | {"nodev", "sync", "async", "atime", "noatime", "diratime", "nodiratime", "relatime", "norelatime"}
    | {"strictatime", "private", "rprivate"}
)


def _apply_option(request: MountRequest, option: str, text: str) -> MountRequest:
    if option in ("ro", "rw", "readonly"):
        return replace(request, read_only=option != "rw")
    if option == "nocopy":
        return replace(request, no_copy=True)
    if option in _SPREADING:
        _spread(request, option)
    if option not in _NOTHING_HERE:
        raise MountError(f"expected ro, rw or nocopy, found {option!r}", where=text)
    return request


def _target(path: str, text: str) -> str:
    if not path.startswith("/"):
        raise MountError(f"expected an absolute path in the container, found {path!r}", where=text)
    target = posixpath.normpath("/" + path.lstrip("/"))
    if target == "/":
        raise MountError("expected a path below / in the container, found the root itself", where=text)
    if "\0" in path:
        raise MountError("expected a path, found a zero byte in it")
    return target


def _name(name: str) -> str:
    if name and not VOLUME_NAME.fullmatch(name):
        raise MountError(
            f"expected a volume's name of letters, digits, '_', '.' and '-', at least two, found {name!r}",
            hint=f"for a folder of this machine: ./{name}",
        )
    return name


def _source(request: MountRequest, value: str) -> MountRequest:
    if request.kind != "bind":
        return replace(request, source=_name(value))
    return replace(request, source=os.path.realpath(os.path.expanduser(value)) if value else "")


def _flag(value: str) -> bool:
    if value.lower() not in _TRUE:
        raise MountError(f"expected true or false, found {value!r}")
    return _TRUE[value.lower()]


def _spread(request: MountRequest, value: str) -> MountRequest:
    if value not in ("private", "rprivate"):
        raise MountError(
            f"expected bind-propagation to be rprivate, found {value!r}",
            hint="mounts made later don't come into containers, nor out of them",
        )
    return request


def _driver(request: MountRequest, value: str) -> MountRequest:
    if value not in ("", "local"):
        raise MountError(f"expected the volume driver local, found {value!r}")
    return request


def _label(request: MountRequest, value: str) -> MountRequest:
    key, _, content = value.partition("=")
    return replace(request, labels=(*request.labels, (key, content)))


def _subpath(request: MountRequest, value: str) -> MountRequest:
    if value.startswith("/") or ".." in value.split("/"):
        raise MountError(f"expected volume-subpath to be a path inside the volume, found {value!r}")
    return replace(request, subpath=posixpath.normpath(value) if value else "")


def _size(value: str) -> int:
    found = re.fullmatch(r"(\d{1,18})([bkmg]?)b?", value.lower())
    if not found:
        raise MountError(f"expected a size such as 64m, found {value!r}")
    return int(found[1]) * _UNITS[found[2]]


def _mode(value: str) -> int:
    if not re.fullmatch(r"[0-7]{1,4}", value):
        raise MountError(f"expected an octal mode such as 1777, found {value!r}")
    return int(value, 8)


_KEYS: Final[dict[str, Callable[[MountRequest, str], MountRequest]]] = {
    "type": lambda request, value: request,
    **dict.fromkeys(("source", "src"), _source),
    **dict.fromkeys(("target", "dst", "destination"), lambda request, value: replace(request, target=value)),
    **dict.fromkeys(("readonly", "ro"), lambda request, value: replace(request, read_only=_flag(value))),
    "consistency": lambda request, value: request,
    "bind-propagation": _spread,
    "volume-nocopy": lambda request, value: replace(request, no_copy=_flag(value)),
    "volume-driver": _driver,
    "volume-label": _label,
    "volume-subpath": _subpath,
    "tmpfs-size": lambda request, value: replace(request, size_bytes=_size(value)),
    "tmpfs-mode": lambda request, value: replace(request, mode=_mode(value)),
}
_FLAGS: Final[Sequence[str]] = ("readonly", "ro", "volume-nocopy")
