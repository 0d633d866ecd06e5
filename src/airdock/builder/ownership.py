"""Who owns what COPY and WORKDIR make (`--chown`, USER), and with which permissions (`--chmod`).

Names are looked up in the stage's own /etc/passwd and /etc/group: passwd(5), group(5). Modes: chmod(1).
"""

import re
from typing import Final

from airdock.builder.trees import Tree, read_small
from airdock.errors import BuildError

__all__ = ["Owner", "apply_mode", "find_owner"]

Owner = tuple[int, int]
_HIGHEST_ID: Final = (1 << 32) - 2
_ROOT: Final = "root"
_WHO: Final = {"u": 0o4700, "g": 0o2070, "o": 0o1007, "a": 0o7777}
_CLAUSE: Final = re.compile(r"([-+=])([rwxXstugo]*)")


def find_owner(tree: Tree, text: str) -> Owner:
    """User and group id of `user[:group]`, each a name or a number; a number without a group is its own group.

    Raises `BuildError` for a name that the stage doesn't know.
    """
    user, colon, group = text.partition(":")
    uid, gid = _find_user(tree, user)
    if colon and group:
        gid = _number(group)
        if gid < 0:
            gid = _find_named(tree, "etc/group", group, "group")[2]
    return uid, gid


def _find_user(tree: Tree, user: str) -> Owner:
    if not user:
        return 0, 0
    number = _number(user)
    if number >= 0:
        return number, number
    fields = _find_named(tree, "etc/passwd", user, "user")
    return fields[2], fields[3]


def _find_named(tree: Tree, path: str, name: str, kind: str) -> list[int]:
    """The line of a name, its fields as numbers, -1 where they're none."""
    for line in read_small(tree, path).splitlines():
        fields = line.split(":")
        if fields[0] == name and len(fields) > 3:
            numbers = [_number(field) for field in fields]
            if numbers[2] >= 0 and (kind == "group" or numbers[3] >= 0):
                return numbers
    if name == _ROOT:
        return [0] * 4  # also where there is no such file, as in an image from scratch
    raise BuildError(
        f"expected the {kind} {name!r} in the stage's /{path}, found none",
        hint=f"make the {kind} with RUN first, or give its number",
    )


def _number(text: str) -> int:
    return int(text) if re.fullmatch(r"[0-9]{1,10}", text) and int(text) <= _HIGHEST_ID else -1


def apply_mode(change: str, mode: int, *, is_folder: bool) -> int:
    """`mode` after `chmod CHANGE`; `change` is octal, or clauses such as `u=rwX,go-w`."""
    if re.fullmatch(r"[0-7]{1,4}", change):
        return int(change, 8)
    for clause in change.split(","):
        letters = re.match(r"[ugoa]*", clause)
        who = letters[0] if letters else ""
        for operator, permissions in _CLAUSE.findall(clause):
            mode = _apply_clause(mode, who or "a", operator, permissions, is_folder=is_folder)
    return mode & 0o7777


def _apply_clause(mode: int, who: str, operator: str, permissions: str, *, is_folder: bool) -> int:
    affected = 0
    for letter in who:
        affected |= _WHO[letter]
    bits = _bits(permissions, mode, is_folder=is_folder) & affected
    if operator == "+":
        return mode | bits
    if operator == "-":
        return mode & ~bits
    return (mode & ~affected) | bits


def _bits(permissions: str, mode: int, *, is_folder: bool) -> int:
    bits = 0
    for letter in permissions:
        match letter:
            case "r":
                bits |= 0o444
            case "w":
                bits |= 0o222
            case "x":
                bits |= 0o111
            case "X":
                bits |= 0o111 if is_folder or mode & 0o111 else 0
            case "s":
                bits |= 0o6000
            case "t":
                bits |= 0o1000
            case _:
                bits |= (mode >> {"u": 6, "g": 3, "o": 0}[letter] & 7) * 0o111
    return bits
