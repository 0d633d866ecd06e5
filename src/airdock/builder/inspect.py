"""What a Dockerfile says, found without building it: mistakes, stages to build, arguments to set."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from airdock.builder.base import BuildRequest
from airdock.builder.dockerfile import make_dockerfile
from airdock.builder.ignore import IgnoreRules, load_ignore_file
from airdock.builder.instructions import Arg, Dockerfile
from airdock.builder.lint import lint
from airdock.builder.lint_rules import Finding
from airdock.builder.parser import parse
from airdock.builder.plan import stage_platform
from airdock.builder.platforms import platform_arguments
from airdock.errors import ImageError
from airdock.images.image import Image
from airdock.oci.descriptor import Platform, host_platform

__all__ = ["find_mistakes", "list_arguments", "list_targets"]

_SCRATCH: Final = "scratch"


def find_mistakes(request: BuildRequest, *, find: Callable[[str], Image]) -> tuple[Finding, ...]:
    """What build checks find in all stages. Base images that are here are looked into, others aren't fetched.

    Raises `DockerfileError`.
    """
    document = parse(request.dockerfile, name=request.name)
    file = make_dockerfile(document, name=request.name)
    host = host_platform()
    globals_ = platform_arguments(request.platform or host, host=host)
    ignore = None
    if request.context is not None:
        where, patterns = load_ignore_file(request.name, request.context)
        ignore = IgnoreRules(patterns, where=where)

    def base_env(index: int) -> list[str] | None:
        image = file.stages[index].start.image
        if image == _SCRATCH:
            return []
        found = _find(find, image)
        return None if found is None else [entry.partition("=")[0] for entry in found.config.env]

    return lint(
        document,
        file,
        args=request.args,
        globals_=globals_,
        stages=range(len(file.stages)),
        base_env=base_env,
        platforms=_platforms(file, globals_, request.platform or host, find),
        ignore=ignore,
    )


def _platforms(
    file: Dockerfile, globals_: Mapping[str, str], default: Platform, find: Callable[[str], Image]
) -> Iterator[tuple[int, Platform, Platform]]:
    """By stage, the platform that its image is to have and the one that it has here."""
    for index, stage in enumerate(file.stages):
        found = None if stage.start.image == _SCRATCH else _find(find, stage.start.image)
        if found is not None:
            yield index, stage_platform(file, index, globals_, default=default), found.platform


def _find(find: Callable[[str], Image], name: str) -> Image | None:
    try:
        return find(name)
    except ImageError:
        return None


def list_targets(request: BuildRequest) -> list[dict[str, str]]:
    """The stages that have a name, and the last one, each with what the comment above says of it."""
    file = make_dockerfile(parse(request.dockerfile, name=request.name), name=request.name)
    last = len(file.stages) - 1
    return [
        {
            "name": f"{stage.start.alias}{' (default)' if index == last else ''}".strip(),
            "description": stage.start.comment,
        }
        for index, stage in enumerate(file.stages)
        if stage.start.alias or index == last
    ]


def list_arguments(request: BuildRequest) -> list[dict[str, str]]:
    """The arguments that can be set, with their defaults and what the comment above says of them."""
    file = make_dockerfile(parse(request.dockerfile, name=request.name), name=request.name)
    found: dict[str, dict[str, str]] = {}
    for arg in _arguments(file):
        for pair in arg.pairs:
            value = request.args.get(pair.name, pair.value or "")
            row = found.setdefault(pair.name, {"name": pair.name, "value": value, "description": pair.comment})
            row["value"] = row["value"] or value
    return list(found.values())


def _arguments(file: Dockerfile) -> list[Arg]:
    inside = [found for stage in file.stages for found in stage.instructions if isinstance(found, Arg)]
    return [*file.arguments, *inside]
