"""The instructions of a Dockerfile as records, and the stages they make up; variables are still as written.

What each means: https://docs.docker.com/reference/dockerfile/. `dockerfile.py` makes them from the text.
"""

from collections.abc import Mapping
from typing import Any

from airdock.builder.flags import FlagValue
from airdock.builder.parser import Heredoc
from airdock.record import record

__all__ = [
    "Arg",
    "Arguments",
    "Cmd",
    "Dockerfile",
    "Entrypoint",
    "Env",
    "Expose",
    "From",
    "Healthcheck",
    "Instruction",
    "Label",
    "Maintainer",
    "OnBuild",
    "Pair",
    "Run",
    "Shell",
    "Stage",
    "StopSignal",
    "Transfer",
    "User",
    "Volume",
    "Workdir",
]


@record
class Instruction:
    """What every instruction has: its first line, counted from 1, and its text with continued lines joined."""

    line: int = 0
    text: str = ""


@record
class Pair:
    """A name and a value as written; None is ARG's missing default. `old_form` is `ENV name value`."""

    name: str
    value: str | None
    old_form: bool = False
    comment: str = ""


@record
class Arguments:
    """A command: `words` as they are in exec form, one text for the shell in shell form."""

    words: tuple[str, ...]
    is_shell: bool


@record
class From(Instruction):
    """FROM. `alias` is in lower case, "" where the stage has no name; `comment` is what was written above about it."""

    image: str
    alias: str = ""
    platform: str = ""
    comment: str = ""


@record
class Run(Instruction):
    """RUN. `flags` are those given; `network` is "default", "host" or "none"; `mounts` are each a mapping of keys."""

    command: Arguments
    heredocs: tuple[Heredoc, ...] = ()
    flags: Mapping[str, FlagValue]
    network: str = "default"
    security: str = "sandbox"
    mounts: tuple[Mapping[str, str], ...] = ()


@record
class Transfer(Instruction):
    """COPY, or ADD where `is_add`. `documents` are its heredocs, each a file named as the heredoc. `unpack` and
    `keep_git_dir` are None where they weren't given."""

    is_add: bool
    sources: tuple[str, ...]
    documents: tuple[Heredoc, ...] = ()
    destination: str
    from_: str = ""
    chown: str = ""
    chmod: str = ""
    excludes: tuple[str, ...] = ()
    unpack: bool | None = None
    link: bool = False
    parents: bool = False
    checksum: str = ""
    keep_git_dir: bool | None = None
    flags: Mapping[str, FlagValue]


@record
class Arg(Instruction):
    """ARG."""

    pairs: tuple[Pair, ...]


@record
class Env(Instruction):
    """ENV."""

    pairs: tuple[Pair, ...]


@record
class Label(Instruction):
    """LABEL."""

    pairs: tuple[Pair, ...]


@record
class User(Instruction):
    """USER."""

    user: str


@record
class Workdir(Instruction):
    """WORKDIR."""

    path: str


@record
class Expose(Instruction):
    """EXPOSE."""

    ports: tuple[str, ...]


@record
class Volume(Instruction):
    """VOLUME."""

    paths: tuple[str, ...]


@record
class Cmd(Instruction):
    """CMD."""

    command: Arguments


@record
class Entrypoint(Instruction):
    """ENTRYPOINT."""

    command: Arguments


@record
class Shell(Instruction):
    """SHELL."""

    words: tuple[str, ...]


@record
class StopSignal(Instruction):
    """STOPSIGNAL."""

    signal: str


@record
class Maintainer(Instruction):
    """MAINTAINER, which LABEL replaced; still in many files."""

    name: str


@record
class Healthcheck(Instruction):
    """HEALTHCHECK, as the image configuration writes it: `Test`, and durations in nanoseconds."""

    check: Mapping[str, Any]


@record
class OnBuild(Instruction):
    """ONBUILD: an instruction for the images built upon this one, kept as text."""

    trigger: str


@record
class Stage:
    """FROM and what follows it."""

    start: From
    instructions: tuple[Instruction, ...]


@record
class Dockerfile:
    """A whole file: the ARGs before the first FROM, the stages, the escape, and the name for messages."""

    arguments: tuple[Arg, ...]
    stages: tuple[Stage, ...]
    escape: str
    name: str
