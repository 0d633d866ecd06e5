"""Which stages a build needs and what each will do: decided from the text and the bases' configurations alone."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from airdock.builder.dockerfile import parse_instruction
from airdock.builder.flags import nearest
from airdock.builder.instructions import Dockerfile, From, Instruction, OnBuild, Run, Transfer
from airdock.builder.interpret import Interpreter
from airdock.builder.parser import parse
from airdock.builder.platforms import (
    is_emulated,
    is_same,
    parse_platform,
    platform_arguments,
    render_platform,
    with_platform,
)
from airdock.builder.settings import DEFAULT_PATH, PROXY_ARGUMENTS, env_to_dict
from airdock.builder.steps import Plan, PlannedStage, RunCommand
from airdock.builder.words import expand_word
from airdock.errors import DockerfileError
from airdock.oci.config import ImageConfig
from airdock.oci.descriptor import Platform
from airdock.record import record

__all__ = ["Selection", "plan", "select", "stage_platform"]

_SCRATCH: Final = "scratch"
_UNDECLARED: Final = frozenset({"SOURCE_DATE_EPOCH"}) | PROXY_ARGUMENTS
_FOR_BUILDERS: Final = "BUILDKIT_"
"""What arguments begin with that are for the builder; no ARG has to declare them."""


@record
class Selection:
    """The stages that lead to the target, in order: index and base (image, index, or None for scratch) of each.

    `globals` are the arguments before the first FROM, with those of the platform. `images` are all the images that
    FROM and `COPY --from` name in those stages, each with the first line that does; those for another platform than
    `host`, this machine's, are named with it (`platforms.with_platform`). `platforms` says what each stage is for, as
    far as its FROM does. `triggers` are what the base of a stage asks for with ONBUILD.
    """

    bases: Mapping[int, int | str | None]
    globals: Mapping[str, str]
    images: Mapping[str, int]
    platforms: Mapping[int, Platform]
    triggers: Mapping[int, tuple[Instruction, ...]]
    host: Platform

    def name(self, index: int, image: str) -> str:
        """What an image is called that a stage takes something from."""
        wanted = self.platforms[index]
        return image if render_platform(wanted) == render_platform(self.host) else with_platform(image, wanted)


def select(
    file: Dockerfile,
    *,
    args: Mapping[str, str],
    target: str | None,
    platform: Platform,
    host: Platform,
    on_build: Callable[[str, int], Sequence[str]],
) -> Selection:
    """The stages and images that are needed to build for `platform` on `host`. `on_build` gives the triggers of an
    image that a line names. Raises `DockerfileError`.
    """
    globals_ = _global_arguments(file, args, platform_arguments(platform, host=host), target or "default")
    bases: dict[int, int | str | None] = {}
    images: dict[str, int] = {}
    platforms: dict[int, Platform] = {}
    triggers: dict[int, tuple[Instruction, ...]] = {}
    found = Selection(bases=bases, globals=globals_, images=images, platforms=platforms, triggers=triggers, host=host)
    open_ = [_target(file, target)]
    while open_:
        index = open_.pop()
        if index in bases:
            continue
        stage = file.stages[index]
        with _at(file, stage.start):
            platforms[index] = stage_platform(file, index, globals_, default=platform)
            bases[index] = base = _base(file, index, found)
            triggers[index] = _triggers(file, base, stage.start, on_build)
        sources = []
        for instruction in (*triggers[index], *stage.instructions):
            with _at(file, instruction):
                sources += [(source, instruction.line) for source in _sources(file, index, instruction, found)]
        for source, line in [(base, stage.start.line), *sources]:
            if isinstance(source, int):
                open_.append(source)
            elif source is not None:
                images.setdefault(source, line)
    return replace(found, bases=dict(sorted(bases.items())))


def plan(
    file: Dockerfile,
    selection: Selection,
    *,
    args: Mapping[str, str],
    configs: Mapping[str, ImageConfig],
    emulates: Callable[[Platform], bool] = is_emulated,
) -> Plan:
    """What each selected stage will do. `configs` holds the configuration of every image that FROM names, `emulates`
    says whether programs of another platform run here.

    Equal arguments give equal plans. Raises `DockerfileError` for all that can be known to be wrong now.
    """
    done: dict[int, PlannedStage] = {}
    used = set(_UNDECLARED)
    used.update(pair.name for arg in file.arguments for pair in arg.pairs)
    for index, base in selection.bases.items():
        if isinstance(base, int):
            config = done[base].config
        elif base is None:
            config = _empty_config(selection.platforms[index])
        else:
            config = configs[base]
        known = done[base].arguments if isinstance(base, int) else {}
        done[index], used_here = _plan_stage(file, selection, index=index, config=config, args=args, known=known)
        used |= used_here
        _check_commands(file, done[index], selection.host, emulates)
    unused = sorted(name for name in set(args) - used if not name.startswith(_FOR_BUILDERS))
    warnings = (f"the build arguments {', '.join(unused)} are not declared by any ARG",) if unused else ()
    return Plan(stages=tuple(done.values()), escape=file.escape, warnings=warnings)


def _plan_stage(
    file: Dockerfile,
    selection: Selection,
    *,
    index: int,
    config: ImageConfig,
    args: Mapping[str, str],
    known: Mapping[str, str | None],
) -> tuple[PlannedStage, set[str]]:
    stage = file.stages[index]
    start = stage.start
    base = selection.bases[index]
    if "PATH" not in env_to_dict(config.env):
        config = replace(config, env=(f"PATH={DEFAULT_PATH}", *config.env))
    interpreter = Interpreter(
        config=replace(config, on_build=()),
        globals_=selection.globals,
        given=args,
        escape=file.escape,
        find_source=lambda name: _source(file, index, name, selection),
        arguments=known,
    )
    for instruction in (*selection.triggers[index], *stage.instructions):
        with _at(file, instruction):
            interpreter.apply(instruction)
    planned = PlannedStage(
        index=index,
        name=start.alias or f"stage-{index}",
        line=start.line,
        text=start.text,
        base=base,
        steps=tuple(interpreter.steps),
        config=interpreter.config,
        arguments=interpreter.arguments,
    )
    return planned, interpreter.used_arguments


def _check_commands(
    file: Dockerfile, stage: PlannedStage, host: Platform, emulates: Callable[[Platform], bool]
) -> None:
    """Say of the first command of a stage that it can't run here, before anything is done."""
    config = stage.config
    wanted = Platform(os=config.os, architecture=config.architecture, variant=config.variant)
    commands = [step for step in stage.steps if isinstance(step.action, RunCommand)]
    if not commands or is_same(wanted, host) or emulates(wanted):
        return
    raise DockerfileError(
        f"expected RUN in a stage for {render_platform(host)}, which this machine runs, found one for "
        f"{render_platform(wanted)}",
        where=f"{file.name}:{commands[0].line}",
        hint="run it in a stage FROM --platform=$BUILDPLATFORM and COPY --from it, or install an emulator: "
        "apt-get install qemu-user-static (binfmt_misc with the flag F)",
    )


def _triggers(
    file: Dockerfile, base: int | str | None, start: From, on_build: Callable[[str, int], Sequence[str]]
) -> tuple[Instruction, ...]:
    """What the base asks of those built upon it, in its own words."""
    if base is None:
        return ()
    if isinstance(base, int):
        texts = [found.trigger for found in file.stages[base].instructions if isinstance(found, OnBuild)]
    else:
        texts = list(on_build(base, start.line))
    instructions = []
    for text in texts:
        for node in parse(text, name="ONBUILD").nodes:
            instruction = replace(parse_instruction(node), line=start.line, text=node.text)
            if isinstance(instruction, From | OnBuild):
                raise DockerfileError(f"expected the base image to ask for a plain instruction, found {text!r}")
            instructions.append(instruction)
    return tuple(instructions)


def _empty_config(platform: Platform) -> ImageConfig:
    return ImageConfig(os=platform.os, architecture=platform.architecture, variant=platform.variant)


def _global_arguments(
    file: Dockerfile, args: Mapping[str, str], platforms: Mapping[str, str], target: str
) -> dict[str, str]:
    values = {**platforms, "TARGETSTAGE": target}
    values.update({name: args[name] for name in values if name in args})
    for arg in file.arguments:
        for pair in arg.pairs:
            value = args.get(pair.name)
            if value is None and pair.value is not None:
                with _at(file, arg):
                    value = expand_word(pair.value, values, escape=file.escape)
            if value is not None:
                values[pair.name] = value
    return values


def _target(file: Dockerfile, target: str | None) -> int:
    if target is None:
        return len(file.stages) - 1
    index = _stage_index(file, target, before=len(file.stages))
    if index is None:
        names = [stage.start.alias for stage in file.stages if stage.start.alias]
        found = f"it has {', '.join(names)}" if names else "none has a name"
        raise DockerfileError(
            f"expected a stage {target!r} in the Dockerfile, {found}", where=file.name, hint=nearest(target, names)
        )
    return index


def _stage_index(file: Dockerfile, name: str, *, before: int) -> int | None:
    """The stage that a name or a number means, looking at those before `before`; the last of a name counts."""
    for index in range(min(before, len(file.stages)) - 1, -1, -1):
        if file.stages[index].start.alias == name.lower():
            return index
    if re.fullmatch(r"[0-9]{1,9}", name) and int(name) < before:
        return int(name)
    return None


def stage_platform(file: Dockerfile, index: int, globals_: Mapping[str, str], *, default: Platform) -> Platform:
    """What a stage is for."""
    text = file.stages[index].start.platform
    return parse_platform(expand_word(text, globals_, escape=file.escape)) if text else default


def _base(file: Dockerfile, index: int, selection: Selection) -> int | str | None:
    start = file.stages[index].start
    name = expand_word(start.image, selection.globals, escape=file.escape).strip()
    if not name:
        raise DockerfileError(
            f"expected an image, found {start.image!r}, which is empty here",
            hint="only arguments declared before the first FROM are seen by FROM; give them a default or --build-arg",
        )
    if name == _SCRATCH:
        return None
    by_name = _stage_index(file, name, before=index)
    # A number means a stage only for COPY --from; FROM takes it for an image.
    if by_name is not None and not name.isdecimal():
        return by_name
    return selection.name(index, name)


def _sources(file: Dockerfile, index: int, instruction: Instruction, selection: Selection) -> list[int | str]:
    """The stages and images that an instruction takes files from."""
    if isinstance(instruction, Transfer):
        names = [("--from", instruction.from_)] if instruction.from_ else []
    elif isinstance(instruction, Run):
        names = [("--mount from=", keys["from"]) for keys in instruction.mounts if keys.get("from")]
    else:
        return []
    for flag, name in names:
        _check_source(file, index, flag, name)
    return [_source(file, index, name, selection) for _, name in names]


def _source(file: Dockerfile, index: int, name: str, selection: Selection) -> int | str:
    stage = _stage_index(file, name, before=index)
    return selection.name(index, name) if stage is None else stage


def _check_source(file: Dockerfile, index: int, flag: str, name: str) -> None:
    if "$" in name:
        raise DockerfileError(
            f"expected {flag} to name a stage or an image, found the variable {name!r}",
            hint="give a stage the name: FROM ${IMAGE} AS source",
        )
    own = file.stages[index].start.alias
    if _stage_index(file, name, before=index) is None and (name.lower() == own or name.isdecimal()):
        raise DockerfileError(f"expected {flag} to name an earlier stage, found {name!r}")


@contextmanager
def _at(file: Dockerfile, instruction: Instruction) -> Iterator[None]:
    """Give errors that know no place the line of the instruction."""
    try:
        yield
    except DockerfileError as error:
        if error.where:
            raise
        where = f"{file.name}:{instruction.line}"
        raise DockerfileError(error.message, where=where, hint=error.hint or instruction.text[:200]) from error
