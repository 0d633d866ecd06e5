"""The text of a Dockerfile becomes its stages and instructions, each checked for what can be seen without building.

One function per instruction, in the table at the end.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from airdock.builder.flags import FlagValue, nearest, parse_device, parse_duration, parse_flags
from airdock.builder.instructions import (
    Arg,
    Arguments,
    Cmd,
    Dockerfile,
    Entrypoint,
    Env,
    Expose,
    From,
    Healthcheck,
    Instruction,
    Label,
    Maintainer,
    OnBuild,
    Pair,
    Run,
    Shell,
    Stage,
    StopSignal,
    Transfer,
    User,
    Volume,
    Workdir,
)
from airdock.builder.parser import Document, Node, parse, parse_heredoc_word
from airdock.builder.run_mounts import parse_mount
from airdock.errors import DockerfileError

__all__ = ["make_dockerfile", "parse_dockerfile", "parse_instruction"]

_STAGE_NAME: Final = re.compile(r"[a-z][a-z0-9-_.]*")


def parse_dockerfile(text: str, *, name: str = "Dockerfile") -> Dockerfile:
    """Read a Dockerfile. Raises `DockerfileError` with `where` as `name:line`."""
    return make_dockerfile(parse(text, name=name), name=name)


def make_dockerfile(document: Document, *, name: str = "Dockerfile") -> Dockerfile:
    """The stages of a file that was parsed. Raises `DockerfileError` with `where` as `name:line`."""
    arguments: list[Arg] = []
    stages: list[Stage] = []
    for node in document.nodes:
        try:
            instruction = parse_instruction(node)
            if isinstance(instruction, From):
                stages.append(Stage(start=instruction, instructions=()))
            elif stages:
                stages[-1] = replace(stages[-1], instructions=(*stages[-1].instructions, instruction))
            elif isinstance(instruction, Arg):
                arguments.append(instruction)
            else:
                raise DockerfileError(f"expected FROM before {node.name.upper()}, found {_shorten(node.text)!r}")
        except DockerfileError as error:
            where = error.where or f"{name}:{node.line}"
            raise DockerfileError(error.message, where=where, hint=error.hint or _shorten(node.text)) from error
    if not stages:
        raise DockerfileError("expected at least one FROM, found only ARG", where=name)
    return Dockerfile(arguments=tuple(arguments), stages=tuple(stages), escape=document.escape, name=name)


def parse_instruction(node: Node) -> Instruction:
    """The record of one instruction. Raises `DockerfileError` without `where`."""
    kind = _KINDS.get(node.name)
    if kind is None:
        written = node.text.split(maxsplit=1)[0]
        hint = nearest(written, (name.upper() for name in _KINDS))
        raise DockerfileError(
            f"unknown instruction: {written}, in the line {_shorten(node.text)!r}",
            hint=hint or f"expected one of {', '.join(sorted(name.upper() for name in _KINDS))}",
        )
    make, flag_kinds = kind
    for text in (*node.arguments, *node.flags):
        _check_characters(text)
    instruction = make(node, parse_flags(node.flags, flag_kinds))
    return replace(instruction, line=node.line, text=node.text)


def _check_characters(text: str) -> None:
    if "\0" in text:
        raise DockerfileError("expected text that a program can be given, found a null character")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DockerfileError(f"expected text in Unicode, found half a character: {text!r}") from error


def _shorten(text: str, limit: int = 200) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _one(node: Node) -> str:
    if len(node.arguments) != 1:
        raise DockerfileError(f"{node.name.upper()} requires exactly one argument")
    return node.arguments[0]


def _some(node: Node) -> tuple[str, ...]:
    if not node.arguments:
        raise DockerfileError(f"{node.name.upper()} requires at least one argument")
    return node.arguments


def _repeated(flags: Mapping[str, FlagValue], name: str) -> tuple[str, ...]:
    values = flags.get(name, ())
    return values if isinstance(values, tuple) else (str(values),)


def _maybe(flags: Mapping[str, FlagValue], name: str) -> bool | None:
    return bool(flags[name]) if name in flags else None


def _command(node: Node) -> Arguments:
    if node.is_json:
        return Arguments(words=node.arguments, is_shell=False)
    return Arguments(words=(" ".join(node.arguments),) if node.arguments else (), is_shell=True)


def _pairs(node: Node) -> tuple[Pair, ...]:
    words = _some(node)
    pairs = tuple(
        Pair(name=name, value=value, old_form=not equals)
        for name, value, equals in zip(words[::3], words[1::3], words[2::3], strict=True)
    )
    if not all(pair.name for pair in pairs):
        raise DockerfileError(f"{node.name.upper()} names can not be blank")
    return pairs


def _comment_on(name: str, comments: Sequence[str]) -> str:
    """What the comment lines above say about `name`: the rest of the first line that begins with it."""
    return next((line[len(name) + 1 :] for line in comments if line.startswith(f"{name} ")), "")


def _make_from(node: Node, flags: Mapping[str, FlagValue]) -> From:
    words = node.arguments
    if len(words) not in (1, 3) or (len(words) == 3 and words[1].lower() != "as"):
        raise DockerfileError("FROM requires either one argument, or three: FROM <source> [AS <name>]")
    alias = words[2].lower() if len(words) == 3 else ""
    if alias and not _STAGE_NAME.fullmatch(alias):
        raise DockerfileError(
            f"expected a stage name of letters, digits, '-', '_' and '.', beginning with a letter, found {words[2]!r}"
        )
    platform = str(flags.get("platform", ""))
    return From(image=words[0], alias=alias, platform=platform, comment=_comment_on(alias, node.comments))


def _make_run(node: Node, flags: Mapping[str, FlagValue]) -> Run:
    network = str(flags.get("network", "default"))
    if network not in ("default", "host", "none"):
        raise DockerfileError(f"expected --network to be default, host or none, found {network!r}")
    security = str(flags.get("security", "sandbox"))
    if security not in ("sandbox", "insecure"):
        raise DockerfileError(f"expected --security to be sandbox or insecure, found {security!r}")
    for device in _repeated(flags, "device"):
        parse_device(device)
    if not node.arguments:
        raise DockerfileError("RUN requires at least one argument")
    mounts = tuple(parse_mount(text) for text in _repeated(flags, "mount"))
    return Run(
        command=_command(node), heredocs=node.heredocs, flags=flags, network=network, security=security, mounts=mounts
    )


def _make_transfer(node: Node, flags: Mapping[str, FlagValue]) -> Transfer:
    name = node.name.upper()
    words = node.arguments
    if not words:
        raise DockerfileError(f"{name} requires at least two arguments")
    if len(words) == 1:
        raise DockerfileError(
            f"{name} requires at least two arguments, but only one was provided. Destination could not be determined"
        )
    documents = {heredoc.name: heredoc for heredoc in node.heredocs}
    if not node.is_json and parse_heredoc_word(words[-1]) is not None:
        raise DockerfileError(f"{name} cannot accept a heredoc as a destination")
    opened = [None if node.is_json else parse_heredoc_word(word) for word in words[:-1]]
    return Transfer(
        is_add=node.name == "add",
        sources=tuple(word for word, heredoc in zip(words[:-1], opened, strict=True) if heredoc is None),
        documents=tuple(documents.get(heredoc.name, heredoc) for heredoc in opened if heredoc is not None),
        destination=words[-1],
        from_=str(flags.get("from", "")),
        chown=str(flags.get("chown", "")),
        chmod=str(flags.get("chmod", "")),
        excludes=_repeated(flags, "exclude"),
        unpack=_maybe(flags, "unpack"),
        link=bool(flags.get("link", False)),
        parents=bool(flags.get("parents", False)),
        checksum=str(flags.get("checksum", "")),
        keep_git_dir=_maybe(flags, "keep-git-dir"),
        flags=flags,
    )


def _make_arg(node: Node, flags: Mapping[str, FlagValue]) -> Arg:
    pairs = []
    for word in _some(node):
        name, equals, value = word.partition("=")
        if not name:
            raise DockerfileError("ARG names can not be blank")
        comment = _comment_on(name, node.comments)
        pairs.append(Pair(name=name, value=value if equals else None, comment=comment))
    return Arg(pairs=tuple(pairs))


def _make_shell(node: Node, flags: Mapping[str, FlagValue]) -> Shell:
    if not _some(node) or not node.is_json:
        raise DockerfileError('SHELL requires the arguments to be in JSON form, such as ["/bin/bash", "-c"]')
    return Shell(words=node.arguments)


def _make_health(node: Node, flags: Mapping[str, FlagValue]) -> Healthcheck:
    kind, *words = _some(node)
    match kind.upper():
        case "NONE":
            if words or flags:
                raise DockerfileError("HEALTHCHECK NONE takes no arguments")
            return Healthcheck(check={"Test": ["NONE"]})
        case "CMD":
            if not words:
                raise DockerfileError("Missing command after HEALTHCHECK CMD")
            test = ["CMD", *words] if node.is_json else ["CMD-SHELL", " ".join(words)]
        case _:
            raise DockerfileError(f"expected CMD or NONE after HEALTHCHECK, found {kind!r}")
    check: dict[str, Any] = {"Test": test}
    for flag, field in _HEALTH_DURATIONS.items():
        if flag in flags and (duration := parse_duration(str(flags[flag]), name=flag)):
            check[field] = duration
    retries = str(flags.get("retries", "0"))
    if not re.fullmatch(r"[0-9]{1,9}", retries):
        raise DockerfileError(f"expected --retries to be a number of at least 0, found {retries!r}")
    if int(retries):
        check["Retries"] = int(retries)
    return Healthcheck(check=check)


def _make_onbuild(node: Node, flags: Mapping[str, FlagValue]) -> OnBuild:
    if node.trigger is None:
        raise DockerfileError("ONBUILD requires at least one argument")
    name = node.trigger.name.upper()
    if name == "ONBUILD":
        raise DockerfileError("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
    if name in ("FROM", "MAINTAINER"):
        raise DockerfileError(f"{name} isn't allowed as an ONBUILD trigger")
    parse_instruction(node.trigger)
    documents = "".join(f"\n{heredoc.content}{heredoc.name}" for heredoc in node.trigger.heredocs)
    return OnBuild(trigger=node.trigger.text + documents)


_HEALTH_DURATIONS: Final = {
    "interval": "Interval",
    "timeout": "Timeout",
    "start-period": "StartPeriod",
    "start-interval": "StartInterval",
}
_COPY_FLAGS: Final[dict[str, type]] = {"chown": str, "chmod": str, "link": bool, "exclude": list}
_Make = Callable[[Node, Mapping[str, FlagValue]], Instruction]

_KINDS: Final[dict[str, tuple[_Make, dict[str, type]]]] = {
    "add": (_make_transfer, {**_COPY_FLAGS, "checksum": str, "keep-git-dir": bool, "unpack": bool}),
    "arg": (_make_arg, {}),
    "cmd": (lambda node, flags: Cmd(command=_command(node)), {}),
    "copy": (_make_transfer, {**_COPY_FLAGS, "from": str, "parents": bool}),
    "entrypoint": (lambda node, flags: Entrypoint(command=_command(node)), {}),
    "env": (lambda node, flags: Env(pairs=_pairs(node)), {}),
    "expose": (lambda node, flags: Expose(ports=_some(node)), {}),
    "from": (_make_from, {"platform": str}),
    "healthcheck": (_make_health, {**dict.fromkeys(_HEALTH_DURATIONS, str), "retries": str}),
    "label": (lambda node, flags: Label(pairs=_pairs(node)), {}),
    "maintainer": (lambda node, flags: Maintainer(name=_one(node)), {}),
    "onbuild": (_make_onbuild, {}),
    "run": (_make_run, {"mount": list, "network": str, "security": str, "device": list}),
    "shell": (_make_shell, {}),
    "stopsignal": (lambda node, flags: StopSignal(signal=_one(node)), {}),
    "user": (lambda node, flags: User(user=_one(node)), {}),
    "volume": (lambda node, flags: Volume(paths=_some(node)), {}),
    "workdir": (lambda node, flags: Workdir(path=_one(node)), {}),
}
"""By instruction: what makes its record, and the flags it knows."""
