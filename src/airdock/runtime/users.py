"""Who a container's command runs as: Docker's `user[:group]` by the image's own /etc/passwd and /etc/group.

Read from inside the container's root, so that a hostile image's links lead nowhere else; only regular files of a
sensible size count. Source: passwd(5), group(5); Docker's rules for numbers that are in neither file.
"""

import os
import stat
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from airdock.errors import ContainerError
from airdock.record import record
from airdock.runtime.spec import GROUPS_ANNOTATION, USER_ANNOTATION

__all__ = ["User", "find_config_user", "find_user", "resolve_user"]

_MOST_BYTES: Final = 1 << 20
_LAST_ID: Final = (1 << 31) - 1
"""As with Docker."""


@record
class User:
    """Ids, further groups, and where home is."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    home: str = "/"


def find_config_user(config: Mapping[str, Any]) -> User:
    """The user of a configuration; to be called inside the container's root."""
    notes = config.get("annotations", {})
    user = find_user(config["process"]["user"], notes.get(USER_ANNOTATION, ""))
    named = notes.get(GROUPS_ANNOTATION, "")
    if not named:
        return user
    group = _read("/etc/group")
    further = (_group_id(name, group) for name in named.split(","))
    return replace(user, groups=tuple(dict.fromkeys((*user.groups, *further))))


def find_user(given: Mapping[str, Any], name: str) -> User:
    """The user of that name, else the one with the ids of an OCI `process.user`; to be called inside the root."""
    if name:
        return resolve_user(name, passwd=_read("/etc/passwd"), group=_read("/etc/group"))
    home = resolve_user(str(given["uid"]), passwd=_read("/etc/passwd"), group="").home
    return User(uid=given["uid"], gid=given["gid"], groups=tuple(given.get("additionalGids", ())), home=home)


def resolve_user(text: str, *, passwd: str, group: str) -> User:
    """`user[:group]`, each a name or a number. A group that is named is the only one; else those of the user count.

    Raises ContainerError for names that the files don't have.
    """
    name, _, group_name = text.partition(":")
    entry = _find(passwd, name, 2)
    if entry is None and not _is_number(name):
        raise ContainerError(
            f"expected the user {name!r} in the image's /etc/passwd, found {_names(passwd)}",
            hint="give a number, or make the user in the image",
        )
    uid = _id(entry[2] if entry else name)
    home = (entry[5] if entry and len(entry) > 5 else "") or "/"
    if group_name:
        return User(uid=uid, gid=_group_id(group_name, group), home=home)
    gid = _id(entry[3]) if entry else 0
    groups = tuple(
        _id(fields[2])
        for fields in _entries(group)
        if entry and len(fields) > 3 and entry[0] in fields[3].split(",") and _is_number(fields[2])
    )
    return User(uid=uid, gid=gid, groups=tuple(dict.fromkeys((*groups, gid))), home=home)


def _group_id(name: str, group: str) -> int:
    entry = _find(group, name, 2)
    if entry is None and not _is_number(name):
        raise ContainerError(f"expected the group {name!r} in the image's /etc/group, found {_names(group)}")
    return _id(entry[2] if entry else name)


def _id(text: str) -> int:
    """Raises ContainerError for what is none: setresuid(2) takes the last of all for "leave it as it is"."""
    if not _is_number(text) or int(text) > _LAST_ID:
        raise ContainerError(f"expected an id between 0 and {_LAST_ID}, found {text}")
    return int(text)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def _find(text: str, name: str, number_at: int) -> list[str] | None:
    """The entry of that name, else of that number."""
    entries = [fields for fields in _entries(text) if len(fields) > 3 and _is_number(fields[2])]
    by_name = next((fields for fields in entries if fields[0] == name), None)
    return by_name or next((fields for fields in entries if fields[number_at] == name), None)


def _entries(text: str) -> list[list[str]]:
    return [line.split(":") for line in text.splitlines() if ":" in line]


def _names(text: str) -> str:
    names = [fields[0] for fields in _entries(text)]
    return ", ".join(names[:8]) + (" and others" if len(names) > 8 else "") if names else "none"


def _read(path: str) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return ""
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return ""
        return os.read(descriptor, _MOST_BYTES).decode(errors="replace")
    finally:
        os.close(descriptor)
