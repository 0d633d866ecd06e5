"""Build checks that follow the instructions of a stage: which variables there are by then, what was set before."""

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from airdock.builder.ignore import IgnoreRules
from airdock.builder.instructions import (
    Arg,
    Cmd,
    Dockerfile,
    Entrypoint,
    Env,
    Expose,
    Healthcheck,
    Instruction,
    Label,
    Shell,
    Stage,
    StopSignal,
    Transfer,
    User,
    Volume,
    Workdir,
)
from airdock.builder.lint_rules import Finding, suggest
from airdock.builder.platforms import is_same, render_platform
from airdock.builder.remotes import is_remote
from airdock.builder.words import expand
from airdock.errors import DockerfileError
from airdock.oci.descriptor import Platform
from airdock.record import record

__all__ = ["check_platforms", "check_stages"]

_ONCE: Final = {Cmd: "CMD", Entrypoint: "ENTRYPOINT", Healthcheck: "HEALTHCHECK"}
_SECRET: Final = re.compile(
    r"(?:^|_)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token)(?:_|$)", re.IGNORECASE
)
_NO_SECRET: Final = re.compile(r"(?:^|_)(?:public)(?:_|$)", re.IGNORECASE)
_SOME: Final = "x"
"""What every variable is taken for that has a value."""


@record
class _State:
    """What is known at the end of a stage, for those built upon it."""

    variables: frozenset[str] = frozenset({"PATH"})
    knows_variables: bool = True
    has_shell: bool = False
    has_workdir: bool = False


def check_stages(
    file: Dockerfile,
    *,
    stages: frozenset[int],
    base_env: Callable[[int], Iterable[str] | None],
    ignore: IgnoreRules | None,
) -> Iterator[Finding]:
    """What is found in the stages. `base_env` gives the variables of the image that a stage is built on, None where
    nobody knows it: then nothing is said of variables there."""
    ends: dict[str, _State] = {}
    for index, stage in enumerate(file.stages):
        begin = ends.get(stage.start.image.lower())
        names = None if begin else base_env(index)
        if begin is None:
            begin = _State(variables=frozenset({"PATH", *(names or ())}), knows_variables=names is not None)
        walk = _Walk(state=begin, escape=file.escape, ignore=ignore)
        found = list(walk.walk(stage))
        ends[str(index)] = ends[stage.start.alias] = walk.state
        if index in stages:
            yield from found


def check_platforms(file: Dockerfile, platforms: Iterable[tuple[int, Platform, Platform]]) -> Iterator[Finding]:
    """Images that are made for another platform than the one that was asked for."""
    for index, wanted, found in platforms:
        start = file.stages[index].start
        if not is_same(wanted, found):
            detail = (
                f'Base image {start.image} was pulled with platform "{render_platform(found)}", expected '
                f'"{render_platform(wanted)}" for current build'
            )
            yield Finding(rule="InvalidBaseImagePlatform", line=start.line, detail=detail)


@dataclass(kw_only=True)
class _Walk:
    """Goes through one stage."""

    state: _State
    escape: str
    ignore: IgnoreRules | None
    last: dict[type, int] = field(default_factory=dict)

    def walk(self, stage: Stage) -> Iterator[Finding]:
        for instruction in stage.instructions:
            yield from self._variables(instruction)
            yield from self._repeated(instruction)
            yield from self._check(instruction)
            self._take_in(instruction)

    def _check(self, instruction: Instruction) -> Iterator[Finding]:
        match instruction:
            case Cmd() | Entrypoint():
                yield from self._form(instruction)
            case Workdir():
                yield from self._workdir(instruction)
            case Transfer():
                yield from self._ignored(instruction)
            case Expose():
                yield from self._ports(instruction)
            case Arg():
                yield from self._secrets(instruction, "ARG")
            case Env():
                yield from self._secrets(instruction, "ENV")
            case _:
                pass

    def _take_in(self, instruction: Instruction) -> None:
        if isinstance(instruction, Arg | Env):
            names = {pair.name for pair in instruction.pairs}
            self.state = replace(self.state, variables=self.state.variables | names)
        elif isinstance(instruction, Shell):
            self.state = replace(self.state, has_shell=True)
        elif isinstance(instruction, Workdir) and instruction.path.startswith("/"):
            self.state = replace(self.state, has_workdir=True)

    def _variables(self, instruction: Instruction) -> Iterator[Finding]:
        if not self.state.knows_variables:
            return
        values = dict.fromkeys(self.state.variables, _SOME)
        unknown: dict[str, None] = {}
        for text in _expanded(instruction):
            try:
                unknown.update(dict.fromkeys(sorted(expand(text, values, escape=self.escape).unmatched)))
            except DockerfileError:
                continue  # told when it is expanded in earnest
            if isinstance(instruction, Arg):
                values.update({text.partition("=")[0]: _SOME})
        for name in unknown:
            detail = f"Usage of undefined variable '${name}'{suggest(name, list(self.state.variables))}"
            yield Finding(rule="UndefinedVar", line=instruction.line, detail=detail)

    def _repeated(self, instruction: Instruction) -> Iterator[Finding]:
        name = _ONCE.get(type(instruction))
        if name is None:
            return
        earlier = self.last.get(type(instruction))
        self.last[type(instruction)] = instruction.line
        if earlier is not None:
            detail = (
                f"Multiple {name} instructions should not be used in the same stage because only the last one will be "
                "used"
            )
            yield Finding(rule="MultipleInstructionsDisallowed", line=earlier, detail=detail)

    def _form(self, instruction: Cmd | Entrypoint) -> Iterator[Finding]:
        if instruction.command.is_shell and not self.state.has_shell:
            detail = (
                f"JSON arguments recommended for {_ONCE[type(instruction)]} to prevent unintended behavior related to "
                "OS signals"
            )
            yield Finding(rule="JSONArgsRecommended", line=instruction.line, detail=detail)

    def _workdir(self, instruction: Workdir) -> Iterator[Finding]:
        if not instruction.path.startswith(("/", "$")) and not self.state.has_workdir:
            detail = f'Relative workdir "{instruction.path}" can have unexpected results if the base image changes'
            yield Finding(rule="WorkdirRelativePath", line=instruction.line, detail=detail)

    def _ignored(self, instruction: Transfer) -> Iterator[Finding]:
        if self.ignore is None or instruction.from_:
            return
        for source in instruction.sources:
            path = posixpath.normpath(f"/{source}").lstrip("/")
            if path and "$" not in source and not is_remote(source) and self.ignore.ignores(path):
                verb = "Add" if instruction.is_add else "Copy"
                detail = f'Attempting to {verb} file "{source}" that is excluded by .dockerignore'
                yield Finding(rule="CopyIgnoredFile", line=instruction.line, detail=detail)

    def _ports(self, instruction: Expose) -> Iterator[Finding]:
        for port in instruction.ports:
            number, _, protocol = port.partition("/")
            if ":" in number:
                detail = f"EXPOSE instruction should not define an IP address or host-port mapping, found '{port}'"
                yield Finding(rule="ExposeInvalidFormat", line=instruction.line, detail=detail)
            if protocol != protocol.lower() and "$" not in protocol:
                detail = f"Defined protocol '{port}' in EXPOSE instruction should be lowercase"
                yield Finding(rule="ExposeProtoCasing", line=instruction.line, detail=detail)

    def _secrets(self, instruction: Arg | Env, name: str) -> Iterator[Finding]:
        for pair in instruction.pairs:
            if _SECRET.search(pair.name) and not _NO_SECRET.search(pair.name):
                detail = f'Do not use ARG or ENV instructions for sensitive data ({name} "{pair.name}")'
                yield Finding(rule="SecretsUsedInArgOrEnv", line=instruction.line, detail=detail)


def _expanded(instruction: Instruction) -> Iterator[str]:
    """The texts of an instruction in which variables are replaced."""
    match instruction:
        case Arg() | Env() | Label():
            yield from (pair.value for pair in instruction.pairs if pair.value is not None)
        case Transfer():
            yield from (*instruction.sources, instruction.destination, instruction.chown, instruction.chmod)
            yield from (*instruction.excludes, instruction.checksum)
        case Workdir():
            yield instruction.path
        case User():
            yield instruction.user
        case Expose():
            yield from instruction.ports
        case Volume():
            yield from instruction.paths
        case StopSignal():
            yield instruction.signal
        case _:
            pass
