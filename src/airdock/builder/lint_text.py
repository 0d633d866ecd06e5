"""Build checks that need only the text: how words are written, names of stages, what FROM is given."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from airdock.builder.instructions import Dockerfile, From, Maintainer
from airdock.builder.lint_rules import Finding, suggest
from airdock.builder.parser import Document, Node
from airdock.builder.words import expand
from airdock.errors import AirdockError, DockerfileError
from airdock.oci.reference import parse_reference

__all__ = ["check_text"]

_RESERVED: Final = ("context", "scratch")
_SCRATCH: Final = "scratch"
_DIRECTIVE: Final = re.compile(r"(?:syntax|escape|check)\s*=", re.IGNORECASE)
_TARGET: Final = re.compile(r"\$(?:TARGETPLATFORM|\{TARGETPLATFORM\})")


def check_text(document: Document, file: Dockerfile, *, globals_: Mapping[str, str]) -> Iterator[Finding]:
    """Everything that holds for the whole file, needed stages or not."""
    yield from _casing(document)
    for number, node in enumerate(document.nodes):
        if node.blank_lines:
            yield Finding(rule="NoEmptyContinuation", line=node.end_line, detail="Empty continuation line")
        if node.name in ("env", "label") and node.arguments[2::3] == ("",):
            name = node.name.upper()
            detail = f'"{name} key=value" should be used instead of legacy "{name} key value" format'
            yield Finding(rule="LegacyKeyValueFormat", line=node.line, detail=detail)
        yield from _description(node, is_first=number == 0)
    yield from _stage_names(document)
    yield from _maintainers(file)
    yield from _bases(file, globals_)


def _written(node: Node) -> str:
    return node.text.split(maxsplit=1)[0]


def _casing(document: Document) -> Iterator[Finding]:
    """Instructions in the case of most; the arguments before the first FROM count for nothing."""
    nodes = list(document.nodes)
    while nodes and nodes[0].name == "arg":
        nodes.pop(0)
    words = [(_written(node), node.line) for node in nodes]
    lower = sum(word.islower() for word, _ in words)
    is_lower = lower > sum(word.isupper() for word, _ in words)
    majority = "lowercase" if is_lower else "uppercase"
    for word, line in words:
        if not (word.islower() if is_lower else word.isupper()):
            detail = f"Command '{word}' should match the case of the command majority ({majority})"
            yield Finding(rule="ConsistentInstructionCasing", line=line, detail=detail)


def _description(node: Node, *, is_first: bool) -> Iterator[Finding]:
    """A comment right above ARG or FROM says what it is of first."""
    comments = [line for line in node.comments if not (is_first and _DIRECTIVE.match(line))]
    if node.name == "arg":
        names = [word.partition("=")[0] for word in node.arguments]
    elif node.name == "from" and len(node.arguments) == 3:
        names = [node.arguments[2]]
    else:
        return
    if not comments or not comments[-1] or comments[-1].split(maxsplit=1)[0] in names:
        return
    shown = names[0] if len(names) == 1 else "<arg_key>"
    detail = f"Comment for {node.name.upper()} should follow the format: `# {shown} <description>`"
    yield Finding(rule="InvalidDefinitionDescription", line=node.line, detail=detail)


def _stage_names(document: Document) -> Iterator[Finding]:
    seen = set()
    for node in document.nodes:
        if node.name != "from" or len(node.arguments) != 3:
            continue
        _, word, name = node.arguments
        keyword = _written(node)
        if (keyword.islower() and not word.islower()) or (keyword.isupper() and not word.isupper()):
            detail = f"'{word}' and '{keyword}' keywords' casing do not match"
            yield Finding(rule="FromAsCasing", line=node.line, detail=detail)
        if name != name.lower():
            detail = f"Stage name '{name}' should be lowercase"
            yield Finding(rule="StageNameCasing", line=node.line, detail=detail)
        name = name.lower()
        if name in seen:
            detail = f'Duplicate stage name "{name}", stage names should be unique'
            yield Finding(rule="DuplicateStageName", line=node.line, detail=detail)
        if name in _RESERVED:
            detail = f'Stage name should not use the same name as reserved stage "{name}"'
            yield Finding(rule="ReservedStageName", line=node.line, detail=detail)
        seen.add(name)


def _maintainers(file: Dockerfile) -> Iterator[Finding]:
    for stage in file.stages:
        for instruction in stage.instructions:
            if isinstance(instruction, Maintainer):
                detail = "Maintainer instruction is deprecated in favor of using label"
                yield Finding(rule="MaintainerDeprecated", line=instruction.line, detail=detail)


def _bases(file: Dockerfile, globals_: Mapping[str, str]) -> Iterator[Finding]:
    defaults = dict(globals_)
    declared = set(globals_)
    for arg in file.arguments:
        for pair in arg.pairs:
            declared.add(pair.name)
            if pair.value is not None:
                defaults[pair.name] = _expand(pair.value, defaults, file.escape)[0]
            else:
                defaults.setdefault(pair.name, "")
    stages: set[str] = set()
    for stage in file.stages:
        yield from _base(stage.start, file.escape, declared, defaults, stages)
        stages.add(stage.start.alias)


def _base(
    start: From, escape: str, declared: set[str], defaults: Mapping[str, str], stages: set[str]
) -> Iterator[Finding]:
    unknown: set[str] = set()
    for text in (start.image, start.platform):
        unknown |= _expand(text, defaults, escape)[1] - declared
    for name in sorted(unknown):
        detail = f"FROM argument '{name}' is not declared{suggest(name, list(declared))}"
        yield Finding(rule="UndefinedArgInFrom", line=start.line, detail=detail)
    if start.platform:
        yield from _platform(start)
    image, missing = _expand(start.image, defaults, escape)
    if "$" in start.image and image != _SCRATCH and image.lower() not in stages and not missing - declared:
        try:
            parse_reference(image)
        except AirdockError:
            detail = f"Default value for ARG {start.image} results in empty or invalid base image name"
            yield Finding(rule="InvalidDefaultArgInFrom", line=start.line, detail=detail)


def _platform(start: From) -> Iterator[Finding]:
    if _TARGET.fullmatch(start.platform):
        detail = f"Setting platform to predefined {start.platform} in FROM is redundant as this is the default behavior"
        yield Finding(rule="RedundantTargetPlatform", line=start.line, detail=detail)
    # A stage that is called after its platform is one of several to choose from.
    elif "$" not in start.platform and not any(part in start.alias for part in start.platform.lower().split("/")[:2]):
        detail = f'FROM --platform flag should not use constant value "{start.platform}"'
        yield Finding(rule="FromPlatformFlagConstDisallowed", line=start.line, detail=detail)


def _expand(text: str, values: Mapping[str, str], escape: str) -> tuple[str, frozenset[str]]:
    """The text with variables replaced, and the names that have no value."""
    try:
        expanded = expand(text, values, escape=escape)
    except DockerfileError:
        return "", frozenset()
    return expanded.text, expanded.unmatched
