"""The value of `RUN --mount`: what is given to a command for its time only, and stays out of the image.

    bind    files of the context, a stage or an image; writes are thrown away
    cache   a folder that stays from build to build
    tmpfs   an empty folder in memory
    secret  a file or a variable that only this command sees
    ssh     the socket of an agent

Rules: https://docs.docker.com/reference/dockerfile/#run---mount.
"""

import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from airdock.builder.flags import nearest
from airdock.builder.settings import join_path
from airdock.builder.steps import RunMount
from airdock.errors import DockerfileError

__all__ = ["make_mounts", "mount_source", "parse_mount"]

_KINDS: Final = ("bind", "cache", "tmpfs", "secret", "ssh")
_SHARING: Final = ("shared", "private", "locked")
_KEYS: Final = {
    "type": "type",
    "from": "from",
    "source": "source",
    "src": "source",
    "target": "target",
    "dst": "target",
    "destination": "target",
    "readonly": "readonly",
    "ro": "readonly",
    "readwrite": "readwrite",
    "rw": "readwrite",
    "id": "id",
    "sharing": "sharing",
    "required": "required",
    "size": "size",
    "mode": "mode",
    "uid": "uid",
    "gid": "gid",
    "env": "env",
}
"""Every key by each of its names."""
_FLAGS: Final = frozenset({"readonly", "readwrite", "required"})
_ONLY: Final = {
    "sharing": ("cache",),
    "size": ("tmpfs",),
    "env": ("secret",),
    "required": ("secret", "ssh"),
    "mode": ("cache", "secret", "ssh"),
    "uid": ("cache", "secret", "ssh"),
    "gid": ("cache", "secret", "ssh"),
    "from": ("bind", "cache"),
}
"""The kinds that a key means something for; those not here go with all."""
_SIZE: Final = re.compile(r"(\d{1,12}(?:\.\d{1,3})?)\s?([kmgt]?)i?b?", re.IGNORECASE)
_UNITS: Final = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_VARIABLE: Final = re.compile(r"\$.")


def parse_mount(text: str) -> dict[str, str]:
    """The keys of one `--mount`, each under its first name, values as written. Raises `DockerfileError`."""
    import csv  # most Dockerfiles have no mounts

    found: dict[str, str] = {}
    try:
        fields = next(csv.reader([text], strict=True), [])
    except csv.Error as error:
        raise DockerfileError(f"expected --mount to be key=value pairs with commas, found {text!r}") from error
    for field in fields:
        name, equals, value = field.partition("=")
        key = _KEYS.get(name.strip().lower())
        if key is None:
            hint = nearest(name, _KEYS) or f"expected one of {', '.join(sorted(_KEYS))}"
            raise DockerfileError(f"unexpected key {name!r} in --mount={text}", hint=hint)
        if not equals and key not in _FLAGS:
            raise DockerfileError(f"invalid field {field!r} in --mount: must be a key=value pair")
        found[key] = value if equals else "true"
    if _VARIABLE.search(found.get("from", "")):
        raise DockerfileError(
            f"expected --mount from= to name a stage or an image, found the variable {found['from']!r}",
            hint="give a stage the name: FROM ${IMAGE} AS source",
        )
    kind = found.get("type", "bind")
    if "$" not in kind:
        _check_keys(found, kind)
    return found


def mount_source(keys: Mapping[str, str]) -> str:
    """The stage or image that a mount is from, "" for none."""
    return keys.get("from", "")


def make_mounts(
    mounts: tuple[Mapping[str, str], ...],
    *,
    expand: Callable[[str], str],
    find: Callable[[str], int | str | None],
    folder: str,
) -> tuple[RunMount, ...]:
    """The mounts of one RUN. `expand` replaces variables, `find` gives the stage or image of a name, relative targets
    are in `folder`. Raises `DockerfileError`."""
    made = tuple(_make_mount({key: expand(value) for key, value in keys.items()}, find, folder) for keys in mounts)
    agents = 0
    result = []
    for mount in made:
        if mount.kind == "ssh":
            result.append(replace(mount, target=mount.target or f"/run/buildkit/ssh_agent.{agents}"))
            agents += 1
        else:
            result.append(mount)
    return tuple(result)


def _make_mount(keys: Mapping[str, str], find: Callable[[str], int | str | None], folder: str) -> RunMount:
    kind = keys.get("type", "bind")
    _check_keys(keys, kind)
    target = keys.get("target", "")
    if kind in ("bind", "cache", "tmpfs") and not target:
        raise DockerfileError(f"expected a target for --mount=type={kind}, found none", hint="add target=/path")
    identity = _identity(kind, keys, target)
    if target:
        target = join_path(folder, target).rstrip("/")
        if not target:
            raise DockerfileError(f"invalid mount target {keys['target']!r}: expected a folder below /")
    elif kind == "secret" and not keys.get("env"):
        target = f"/run/secrets/{posixpath.basename(identity)}"
    return RunMount(
        kind=kind,
        target=target,
        from_=find(keys["from"]) if keys.get("from") else None,
        source="" if kind == "secret" else posixpath.normpath("/" + keys.get("source", "")).lstrip("/"),
        id=identity,
        read_only=_is_read_only(kind, keys),
        sharing=_choice(keys.get("sharing") or "shared", _SHARING, "sharing"),
        required=_boolean(keys.get("required", "false"), "required"),
        env=keys.get("env", ""),
        mode=_number(keys, "mode", 8),
        uid=_number(keys, "uid", 10),
        gid=_number(keys, "gid", 10),
        size_bytes=_parse_size(keys["size"]) if "size" in keys else 0,
    )


def _check_keys(keys: Mapping[str, str], kind: str) -> None:
    _choice(kind, _KINDS, "type")
    for key, kinds in _ONLY.items():
        if key in keys and kind not in kinds:
            raise DockerfileError(f"{key} is not allowed for --mount=type={kind}, only for {' and '.join(kinds)}")
    if kind == "secret":
        if keys.get("source") and keys.get("id"):
            raise DockerfileError("expected a secret to have an id or a source, found both")
        if not (keys.get("source") or keys.get("id") or keys.get("target")):
            raise DockerfileError("expected an id or a target for --mount=type=secret, found neither")


def _identity(kind: str, keys: Mapping[str, str], target: str) -> str:
    if keys.get("id"):
        return keys["id"]
    if kind == "cache":
        return posixpath.normpath(target)
    if kind == "secret":
        return keys.get("source") or posixpath.basename(target.rstrip("/"))
    return "default" if kind == "ssh" else ""


def _is_read_only(kind: str, keys: Mapping[str, str]) -> bool:
    if "readwrite" in keys:
        return not _boolean(keys["readwrite"], "readwrite")
    if "readonly" in keys:
        return _boolean(keys["readonly"], "readonly")
    return kind not in ("cache", "tmpfs")


def _choice(value: str, allowed: tuple[str, ...], key: str) -> str:
    if value.lower() not in allowed:
        hint = nearest(value, allowed) or f"expected one of {', '.join(allowed)}"
        raise DockerfileError(f"unsupported {key} {value!r} in --mount", hint=hint)
    return value.lower()


def _boolean(value: str, key: str) -> bool:
    if value.lower() not in ("true", "false", "1", "0", "t", "f"):
        raise DockerfileError(f"expected {key} in --mount to be true or false, found {value!r}")
    return value.lower() in ("true", "1", "t")


def _number(keys: Mapping[str, str], key: str, base: int) -> int | None:
    if key not in keys:
        return None
    digits = "[0-7]{1,5}" if base == 8 else "[0-9]{1,10}"
    if not re.fullmatch(digits, keys[key]) or int(keys[key], base) > (0o7777 if base == 8 else (1 << 32) - 2):
        kind = "an octal mode" if base == 8 else "an id"
        raise DockerfileError(f"invalid value {keys[key]!r} for {key} in --mount: expected {kind}")
    return int(keys[key], base)


def _parse_size(text: str) -> int:
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise DockerfileError(f"expected size in --mount to be such as 64m, found {text!r}")
    return int(float(match[1]) * _UNITS[match[2].lower()])
